use cloister_model::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{borrow::Cow, fmt, str::FromStr};

/// A moment as a resource writes it: `2026-01-02T03:04:05.678Z`. Moments beyond the year 9999 become the last one that can
/// be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(Timestamp);

/// The text is not a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a moment is written as in 2026-01-02T03:04:05.678Z")]
pub struct NotAMoment;

impl Moment {
    /// The moment on the clock of the service.
    #[must_use]
    pub fn timestamp(self) -> Timestamp {
        self.0
    }
}

impl From<Timestamp> for Moment {
    fn from(at: Timestamp) -> Self {
        Self(at)
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = i64::try_from(self.0.unix_ms()).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
        write!(f, "{:.3}", moment.unwrap_or(jiff::Timestamp::MAX))
    }
}

impl FromStr for Moment {
    type Err = NotAMoment;

    fn from_str(text: &str) -> Result<Self, NotAMoment> {
        let moment: jiff::Timestamp = text.parse().map_err(|_| NotAMoment)?;
        let ms = u64::try_from(moment.as_millisecond()).map_err(|_| NotAMoment)?;
        Ok(Self(Timestamp::from_unix_ms(ms)))
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Moment {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Moment".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "format": "date-time", "maxLength": 40})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_keep_their_milliseconds() {
        let at = Moment::from(Timestamp::from_unix_ms(1_795_363_289_021));
        assert_eq!(at.to_string(), "2026-11-22T16:01:29.021Z");
        assert_eq!(at.to_string().parse(), Ok(at));
        assert_eq!("2026-11-22T16:01:29Z".parse::<Moment>().expect("whole seconds").timestamp().unix_ms() % 1000, 0);
        for text in ["", "1795363289021", "1969-12-31T23:59:59Z", "tomorrow"] {
            assert_eq!(text.parse::<Moment>(), Err(NotAMoment), "{text}");
        }
        assert!(Moment::from(Timestamp::from_unix_ms(u64::MAX)).to_string().starts_with("9999-"));
    }
}
