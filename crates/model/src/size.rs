use std::{fmt, str::FromStr};

/// A number of bytes that a person writes with a unit, such as `10MB` or `512 KiB`.
///
/// `K`, `M`, `G` and `T` alone are binary; `KB` to `TB` are decimal. Letter case does not
/// matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteSize(pub u64);

/// The text is not a size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a size is a whole number with a unit, such as `10MB` or `512KiB`")]
pub struct ByteSizeError;

const UNITS: [(&str, u64); 14] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("T", 1 << 40),
    ("G", 1 << 30),
    ("M", 1 << 20),
    ("K", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1000),
    ("B", 1),
    ("", 1),
];

/// The units that sizes are shown in to people: binary ones for what they divide, decimal ones otherwise.
const SHOWN: [&[&str]; 2] = [&["TiB", "GiB", "MiB", "KiB"], &["TB", "GB", "MB", "kB"]];

impl FromStr for ByteSize {
    type Err = ByteSizeError;

    fn from_str(text: &str) -> Result<Self, ByteSizeError> {
        let end = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        let number: u64 = number.parse().map_err(|_| ByteSizeError)?;
        let (_, factor) = UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit.trim())).ok_or(ByteSizeError)?;
        number.checked_mul(*factor).map(Self).ok_or(ByteSizeError)
    }
}

impl ByteSize {
    /// For a column of figures: in a binary unit up to GiB, rounded to a tenth of it.
    #[must_use]
    pub fn rounded(self) -> String {
        let Self(count) = self;
        let mut value = count as f64;
        for unit in ["bytes", "KiB", "MiB", "GiB"] {
            if value < 1024.0 || unit == "GiB" {
                return if unit == "bytes" { format!("{count} {unit}") } else { format!("{value:.1} {unit}") };
            }
            value /= 1024.0;
        }
        String::new()
    }
}

impl fmt::Display for ByteSize {
    /// For a sentence. Exact where a unit divides it; otherwise rounded up to a tenth of a unit.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = |names: &'static [&'static str]| {
            names.iter().filter_map(|name| {
                UNITS.iter().find(|(unit, _)| unit.eq_ignore_ascii_case(name)).map(|(_, factor)| (*name, *factor))
            })
        };
        let [binary, decimal] = SHOWN;
        if let Some((unit, factor)) =
            units(binary).find(|(_, factor)| self.0 >= *factor && self.0.is_multiple_of(*factor))
        {
            return write!(f, "{} {unit}", self.0 / factor);
        }
        let Some((unit, factor)) = units(decimal).find(|(_, factor)| self.0 >= *factor) else {
            return write!(f, "{} byte{}", self.0, if self.0 == 1 { "" } else { "s" });
        };
        let tenths = self.0.div_ceil(factor / 10);
        match tenths % 10 {
            0 => write!(f, "{} {unit}", tenths / 10),
            tenth => write!(f, "{}.{tenth} {unit}", tenths / 10),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_have_units() {
        for (text, bytes) in [
            ("0", 0),
            ("17", 17),
            ("17B", 17),
            ("1KiB", 1024),
            ("1k", 1024),
            ("512 MiB", 512 << 20),
            ("100G", 100 << 30),
            ("1kB", 1000),
            ("2GB", 2_000_000_000),
        ] {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
        }
        for text in ["", "MiB", "-1", "1.5GiB", "1 XB", "99999999TiB"] {
            assert_eq!(text.parse::<ByteSize>(), Err(ByteSizeError), "{text}");
        }
    }

    #[test]
    fn people_are_shown_the_largest_unit_that_fits() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (1, "1 byte"),
            (999, "999 bytes"),
            (1000, "1 kB"),
            (1024, "1 KiB"),
            (64 << 10, "64 KiB"),
            (10_000_000, "10 MB"),
            (10_000_001, "10.1 MB"),
            (1 << 20, "1 MiB"),
            (1_500_000, "1.5 MB"),
        ] {
            assert_eq!(ByteSize(bytes).to_string(), text);
        }
    }

    #[test]
    fn figures_are_rounded_to_a_tenth_of_a_binary_unit() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (1023, "1023 bytes"),
            (192 << 10, "192.0 KiB"),
            (1_500_000, "1.4 MiB"),
            (1 << 40, "1024.0 GiB"),
        ] {
            assert_eq!(ByteSize(bytes).rounded(), text);
        }
    }

    proptest! {
        #[test]
        fn any_text_and_any_number_are_accepted(text: String, bytes: u64) {
            let _ = (text.parse::<ByteSize>(), ByteSize(bytes).to_string(), ByteSize(bytes).rounded());
        }
    }
}
