//! Reading JSON (RFC 8259) of any size in constant memory: no value is kept, only what is counted.
//!
//! A parser that builds values holds a text of a gigabyte as a gigabyte, and one that recurses is as deep as its input.
//! This one is a machine with one bit per level.

use std::io::{self, Read};

/// Bytes of a number that say nothing but a number: what any program writes of 64 bits has fewer. A longer one counts as a text.
pub(super) const NUMBER_BYTES: u64 = 40;

/// Levels that are followed.
pub(super) const MOST_DEPTH: u64 = 4096;

/// What a JSON text is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Shape {
    /// How deep values lie in each other; 1 for a text or a number alone.
    pub(super) depth: u64,
    /// Texts, numbers, booleans and nulls.
    pub(super) values: u64,
    /// Bytes of the longest text or name of a field, as it is meant and not as it is written, or of a number that is longer
    /// than any number has to be.
    pub(super) text_bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotJson {
    /// It may be JSON, beyond [`MOST_DEPTH`].
    TooDeep,
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// A value must come.
    Value,
    /// A value or the end of the array.
    FirstItem,
    /// A field or the end of the object.
    FirstField,
    /// A field.
    Field,
    Colon,
    /// A value is complete.
    After,
    Text(Text),
    Number(Number),
    /// The rest of `true`, `false` or `null`.
    Word(&'static [u8]),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Text {
    Plain,
    Escape,
    /// So many digits of `\u` have come, with this value.
    Code(u8, u16),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Number {
    Minus,
    Zero,
    Digits,
    Point,
    Fraction,
    Exponent,
    ExponentSign,
    ExponentDigits,
}

struct Scanner<'a> {
    at: At,
    /// The number that is read, as far as [`NUMBER_BYTES`] and one more byte.
    number: Vec<u8>,
    /// Asked about every number.
    judge: &'a mut dyn FnMut(&[u8]),
    /// Open containers: whether each is an object.
    open: Vec<bool>,
    /// The text that is read is the name of a field.
    name: bool,
    length: u64,
    /// The last escape was the first half of a pair.
    half: bool,
    shape: Shape,
}

/// What the bytes are as JSON. The outer error is the reader's.
pub(super) fn scan(source: &mut impl Read) -> io::Result<Result<Shape, NotJson>> {
    scan_numbers(source, &mut |_| {})
}

/// The same, and hands over every number as it is written. Of one that is longer than [`NUMBER_BYTES`], the beginning with one
/// byte more than that.
pub(super) fn scan_numbers(source: &mut impl Read, judge: &mut dyn FnMut(&[u8])) -> io::Result<Result<Shape, NotJson>> {
    let mut scanner = Scanner {
        at: At::Value,
        number: Vec::new(),
        judge,
        open: vec![],
        name: false,
        length: 0,
        half: false,
        shape: Shape::default(),
    };
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = match source.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        };
        if read == 0 {
            return Ok(scanner.end());
        }
        for byte in &buffer[..read] {
            if let Err(error) = scanner.take(*byte) {
                return Ok(Err(error));
            }
        }
    }
}

impl Scanner<'_> {
    fn take(&mut self, byte: u8) -> Result<(), NotJson> {
        match self.at {
            At::Text(text) => self.text(text, byte),
            At::Number(number) => match number.after(byte) {
                Some(next) => {
                    self.length = self.length.saturating_add(1);
                    if self.length <= NUMBER_BYTES + 1 {
                        self.number.push(byte);
                    }
                    self.at = At::Number(next);
                    Ok(())
                }
                None if number.is_complete() => {
                    self.end_number();
                    self.at = At::After;
                    self.take(byte)
                }
                None => Err(NotJson::Other),
            },
            At::Word([next, rest @ ..]) if *next == byte => {
                self.at = if rest.is_empty() { At::After } else { At::Word(rest) };
                Ok(())
            }
            At::Word(_) => Err(NotJson::Other),
            _ if matches!(byte, b' ' | b'\t' | b'\n' | b'\r') => Ok(()),
            At::Colon if byte == b':' => {
                self.at = At::Value;
                Ok(())
            }
            At::Colon => Err(NotJson::Other),
            At::FirstItem if byte == b']' => self.close(false),
            At::FirstField if byte == b'}' => self.close(true),
            At::Value | At::FirstItem => self.value(byte),
            At::FirstField | At::Field if byte == b'"' => {
                self.begin_text(true);
                Ok(())
            }
            At::FirstField | At::Field => Err(NotJson::Other),
            At::After => match (byte, self.open.last()) {
                (b',', Some(true)) => {
                    self.at = At::Field;
                    Ok(())
                }
                (b',', Some(false)) => {
                    self.at = At::Value;
                    Ok(())
                }
                (b'}', _) => self.close(true),
                (b']', _) => self.close(false),
                _ => Err(NotJson::Other),
            },
        }
    }

    fn value(&mut self, byte: u8) -> Result<(), NotJson> {
        let depth = u64::try_from(self.open.len()).map_or(u64::MAX, |open| open + 1);
        self.shape.depth = self.shape.depth.max(depth);
        let object = byte == b'{';
        if object || byte == b'[' {
            if depth >= MOST_DEPTH {
                return Err(NotJson::TooDeep);
            }
            self.open.push(object);
            self.at = if object { At::FirstField } else { At::FirstItem };
            return Ok(());
        }
        self.shape.values = self.shape.values.saturating_add(1);
        self.length = 1;
        self.number.clear();
        self.number.push(byte);
        self.at = match byte {
            b'"' => {
                self.begin_text(false);
                return Ok(());
            }
            b'-' => At::Number(Number::Minus),
            b'0' => At::Number(Number::Zero),
            b'1'..=b'9' => At::Number(Number::Digits),
            b't' => At::Word(b"rue"),
            b'f' => At::Word(b"alse"),
            b'n' => At::Word(b"ull"),
            _ => return Err(NotJson::Other),
        };
        Ok(())
    }

    fn end_number(&mut self) {
        (self.judge)(&self.number);
        if self.length > NUMBER_BYTES {
            self.shape.text_bytes = self.shape.text_bytes.max(self.length);
        }
    }

    fn close(&mut self, object: bool) -> Result<(), NotJson> {
        if self.open.pop() != Some(object) {
            return Err(NotJson::Other);
        }
        self.at = At::After;
        Ok(())
    }

    fn begin_text(&mut self, name: bool) {
        self.name = name;
        self.length = 0;
        self.half = false;
        self.at = At::Text(Text::Plain);
    }

    fn text(&mut self, text: Text, byte: u8) -> Result<(), NotJson> {
        let (next, length) = match (text, byte) {
            (Text::Plain, b'"') => {
                self.shape.text_bytes = self.shape.text_bytes.max(self.length);
                self.at = if self.name { At::Colon } else { At::After };
                return Ok(());
            }
            (Text::Plain, b'\\') => (Text::Escape, 0),
            (Text::Plain, 0..0x20) => return Err(NotJson::Other),
            (Text::Plain, _) => (Text::Plain, 1),
            (Text::Escape, b'u') => (Text::Code(0, 0), 0),
            (Text::Escape, b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => (Text::Plain, 1),
            (Text::Escape, _) => return Err(NotJson::Other),
            (Text::Code(digits, value), _) => {
                let digit = char::from(byte).to_digit(16).and_then(|digit| u16::try_from(digit).ok());
                let value = (value << 4) | digit.ok_or(NotJson::Other)?;
                if digits < 3 { (Text::Code(digits + 1, value), 0) } else { (Text::Plain, self.code(value)) }
            }
        };
        if matches!((text, byte), (Text::Plain, _) if byte != b'\\') {
            self.half = false;
        }
        self.length = self.length.saturating_add(length);
        self.at = At::Text(next);
        Ok(())
    }

    /// Bytes in UTF-8 of an escaped character. Halves of a pair count three each while they are alone, four together.
    fn code(&mut self, value: u16) -> u64 {
        let second = self.half && (0xdc00..0xe000).contains(&value);
        self.half = (0xd800..0xdc00).contains(&value);
        match value {
            _ if second => 1,
            0..0x80 => 1,
            0x80..0x800 => 2,
            _ => 3,
        }
    }

    fn end(mut self) -> Result<Shape, NotJson> {
        let complete = match self.at {
            At::After => true,
            At::Number(number) if number.is_complete() => {
                self.end_number();
                true
            }
            _ => false,
        };
        if complete && self.open.is_empty() { Ok(self.shape) } else { Err(NotJson::Other) }
    }
}

impl Number {
    fn after(self, byte: u8) -> Option<Self> {
        Some(match (self, byte) {
            (Self::Minus, b'0') => Self::Zero,
            (Self::Minus, b'1'..=b'9') | (Self::Digits, b'0'..=b'9') => Self::Digits,
            (Self::Zero | Self::Digits, b'.') => Self::Point,
            (Self::Point | Self::Fraction, b'0'..=b'9') => Self::Fraction,
            (Self::Zero | Self::Digits | Self::Fraction, b'e' | b'E') => Self::Exponent,
            (Self::Exponent, b'+' | b'-') => Self::ExponentSign,
            (Self::Exponent | Self::ExponentSign | Self::ExponentDigits, b'0'..=b'9') => Self::ExponentDigits,
            _ => return None,
        })
    }

    fn is_complete(self) -> bool {
        matches!(self, Self::Zero | Self::Digits | Self::Fraction | Self::ExponentDigits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};
    use serde_json::Value;

    fn scanned(text: &str) -> Result<Shape, NotJson> {
        scan(&mut text.as_bytes()).expect("memory")
    }

    fn shape(value: &Value) -> Shape {
        let text = |text: &str| u64::try_from(text.len()).expect("short");
        let deeper = |inner: Vec<Shape>, names: u64| Shape {
            depth: inner.iter().map(|shape| shape.depth).max().unwrap_or(0) + 1,
            values: inner.iter().map(|shape| shape.values).sum(),
            text_bytes: inner.iter().map(|shape| shape.text_bytes).max().unwrap_or(0).max(names),
        };
        match value {
            Value::Array(items) => deeper(items.iter().map(shape).collect(), 0),
            Value::Object(fields) => {
                deeper(fields.values().map(shape).collect(), fields.keys().map(|name| text(name)).max().unwrap_or(0))
            }
            Value::String(value) => Shape { depth: 1, values: 1, text_bytes: text(value) },
            _ => Shape { depth: 1, values: 1, text_bytes: 0 },
        }
    }

    #[test]
    fn counts_what_there_is() {
        let of = |depth, values, text_bytes| Ok(Shape { depth, values, text_bytes });
        assert_eq!(scanned(" 5 "), of(1, 1, 0));
        assert_eq!(scanned("[]"), of(1, 0, 0));
        assert_eq!(scanned(r#"{"name": [1, -2.5e+3, true, null, "é\n\u00e9\ud83d\ude00"]}"#), of(3, 5, 9));
        assert_eq!(scanned(&format!("{}1{}", "[".repeat(4095), "]".repeat(4095))), of(4096, 1, 0));
        assert_eq!(scanned(&"[".repeat(4096)), Err(NotJson::TooDeep));
    }

    /// A number can have any number of digits, and so be a text that is not counted as one.
    #[test]
    fn a_number_without_end_is_a_text() {
        let bytes = |text: &str| scanned(text).expect("JSON").text_bytes;
        for short in ["-1.7976931348623157e+308", "18446744073709551615", "0.1000000000000000055511151231257827"] {
            assert_eq!(bytes(short), 0, "{short}");
        }
        let long = "7".repeat(1000);
        assert_eq!((bytes(&long), bytes(&format!("[1, -{long}.5, 2]"))), (1000, 1003));
        assert_eq!(bytes(&format!("{{\"a\": 0.{long}}}")), 1002);
        assert_eq!(bytes(&format!("[{}]", ["12345"; 100].join(","))), 0, "each for itself");
    }

    #[test]
    fn every_number_is_handed_over() {
        let numbers = |text: &str| {
            let mut found = Vec::new();
            let mut judge = |number: &[u8]| found.push(String::from_utf8_lossy(number).into_owned());
            scan_numbers(&mut text.as_bytes(), &mut judge).expect("memory").expect("JSON");
            found
        };
        assert_eq!(numbers(r#"{"1": [2, -3.5e+1, "4", true, null], "a": {"b": 0}}"#), ["2", "-3.5e+1", "0"]);
        assert_eq!(numbers("17"), ["17"]);
        assert_eq!(numbers(&format!("[{}, 5]", "7".repeat(1000))), [&"7".repeat(41), "5"]);
    }

    #[test]
    fn refuses_what_is_not_json() {
        for text in [
            "",
            " ",
            "[",
            "]",
            "{]",
            "[1,]",
            "{\"a\"}",
            "{\"a\":1,}",
            "{a:1}",
            "01",
            "1.",
            ".5",
            "+1",
            "1e",
            "--1",
            "tru",
            "truer",
            "nul",
            "\"",
            "\"\\x\"",
            "\"\\u12g4\"",
            "\"\n\"",
            "1 2",
            "[1 2]",
            "{} {}",
            "'a'",
            "NaN",
            "// x\n1",
            "\u{feff}1",
            "1\0",
        ] {
            assert_eq!(scanned(text), Err(NotJson::Other), "{text:?}");
        }
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,9}".prop_map(Value::from),
        ];
        leaf.prop_recursive(6, 40, 5, |inner| {
            prop_oneof![
                vec(inner.clone(), 0..5).prop_map(Value::from),
                vec((".{0,5}", inner), 0..5).prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn sees_what_a_parser_sees(value in json(), pretty: bool) {
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
            prop_assert_eq!(scanned(&text.expect("json")), Ok(shape(&value)));
        }

        #[test]
        fn agrees_with_a_parser_about_any_text(text in "[\\[\\]{}\",:0-9eE.+ntrufalse\\\\ -]{0,12}") {
            let parsed = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
            prop_assert_eq!(scanned(&text).is_ok(), parsed, "{}", text);
        }
    }
}
