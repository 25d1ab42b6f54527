//! Reading JSON (RFC 8259) of any size in constant memory: no value is kept, only what is counted.
//!
//! A parser that builds values holds a text of a gigabyte as a gigabyte, and one that recurses is as deep as its input.
//! This one is a machine with two bits per level. It holds one number, and one name while that may be one that is looked for.

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

/// A text, a number, a boolean or a null.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scalar<'a> {
    /// A number as it is written. Of one that is longer than [`NUMBER_BYTES`], the beginning with one byte more than that.
    pub(super) number: Option<&'a [u8]>,
    /// The fields that are looked for and that it is in, directly or deeper: their places in the list of names, each once.
    pub(super) fields: &'a [usize],
}

/// An open array or object.
#[derive(Clone, Copy, Debug)]
struct Container {
    is_object: bool,
    /// It is the value of a field that is looked for.
    is_wanted: bool,
}

struct Scanner<'a> {
    at: At,
    /// The number that is read, as far as [`NUMBER_BYTES`] and one more byte.
    number: Vec<u8>,
    /// Asked about every value that is no container.
    judge: &'a mut dyn FnMut(Scalar<'_>),
    /// The names of the fields that are looked for.
    wanted: &'a [&'a str],
    /// The name of a field that is read, as it is written, with its quotes, as far as [`Scanner::most_written`] and one more byte.
    written: Vec<u8>,
    /// A longer name is none of those that are looked for, however it is written.
    most_written: usize,
    /// The place of the field whose value comes, if it is looked for.
    field: Option<usize>,
    /// The places of the fields that are open and looked for, the outermost first, each once.
    within: Vec<usize>,
    /// The value that is read is that of the last of these.
    is_wanted: bool,
    open: Vec<Container>,
    /// The text that is read is the name of a field.
    name: bool,
    length: u64,
    /// The last escape was the first half of a pair.
    half: bool,
    shape: Shape,
}

/// What the bytes are as JSON. The outer error is the reader's.
pub(super) fn scan(source: &mut impl Read) -> io::Result<Result<Shape, NotJson>> {
    scan_values(source, &[], &mut |_| {})
}

/// The same, and hands over every value that is no container, with the fields that it is in and whose names are wanted. `wanted` is
/// in order.
pub(super) fn scan_values(
    source: &mut impl Read,
    wanted: &[&str],
    judge: &mut dyn FnMut(Scalar<'_>),
) -> io::Result<Result<Shape, NotJson>> {
    // An escape has six bytes at most for each byte that it stands for.
    let most_written = wanted.iter().map(|name| name.len().saturating_mul(6).saturating_add(2)).max().unwrap_or(0);
    let mut scanner = Scanner {
        at: At::Value,
        number: Vec::new(),
        judge,
        wanted,
        written: Vec::new(),
        most_written,
        field: None,
        within: Vec::new(),
        is_wanted: false,
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
            At::After => match (byte, self.open.last().map(|container| container.is_object)) {
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
        // A field within one of the same name says nothing more, so there are never more of these than names.
        let field = self.field.take().filter(|place| !self.within.contains(place));
        let object = byte == b'{';
        if object || byte == b'[' {
            if depth >= MOST_DEPTH {
                return Err(NotJson::TooDeep);
            }
            self.within.extend(field);
            self.open.push(Container { is_object: object, is_wanted: field.is_some() });
            self.at = if object { At::FirstField } else { At::FirstItem };
            return Ok(());
        }
        self.shape.values = self.shape.values.saturating_add(1);
        self.length = 1;
        self.number.clear();
        self.number.push(byte);
        self.within.extend(field);
        self.is_wanted = field.is_some();
        self.at = match byte {
            b'"' => {
                self.judge(false);
                self.begin_text(false);
                return Ok(());
            }
            b'-' => At::Number(Number::Minus),
            b'0' => At::Number(Number::Zero),
            b'1'..=b'9' => At::Number(Number::Digits),
            b't' => self.word(b"rue"),
            b'f' => self.word(b"alse"),
            b'n' => self.word(b"ull"),
            _ => return Err(NotJson::Other),
        };
        Ok(())
    }

    fn word(&mut self, rest: &'static [u8]) -> At {
        self.judge(false);
        At::Word(rest)
    }

    /// Hands over a value that is no container: the number that was read, or another one.
    fn judge(&mut self, is_number: bool) {
        let number = is_number.then_some(self.number.as_slice());
        (self.judge)(Scalar { number, fields: &self.within });
        if self.is_wanted {
            self.within.pop();
        }
    }

    fn end_number(&mut self) {
        self.judge(true);
        if self.length > NUMBER_BYTES {
            self.shape.text_bytes = self.shape.text_bytes.max(self.length);
        }
    }

    fn close(&mut self, object: bool) -> Result<(), NotJson> {
        match self.open.pop() {
            Some(Container { is_object, is_wanted }) if is_object == object => {
                if is_wanted {
                    self.within.pop();
                }
                self.at = At::After;
                Ok(())
            }
            _ => Err(NotJson::Other),
        }
    }

    /// The place of the name that was read, if it is wanted.
    fn place(&self) -> Option<usize> {
        if self.wanted.is_empty() {
            return None;
        }
        // A name that is too long was not kept to its end. One with half of a pair is none of ours, which are UTF-8.
        let name: String = serde_json::from_slice(&self.written).ok()?;
        self.wanted.binary_search(&name.as_str()).ok()
    }

    fn begin_text(&mut self, name: bool) {
        self.name = name;
        self.length = 0;
        self.half = false;
        self.at = At::Text(Text::Plain);
        self.written.clear();
        if name {
            self.written.push(b'"');
        }
    }

    fn text(&mut self, text: Text, byte: u8) -> Result<(), NotJson> {
        if self.name && self.written.len() <= self.most_written {
            self.written.push(byte);
        }
        let (next, length) = match (text, byte) {
            (Text::Plain, b'"') => {
                self.shape.text_bytes = self.shape.text_bytes.max(self.length);
                self.at = At::After;
                if self.name {
                    self.field = self.place();
                    self.at = At::Colon;
                }
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
            let mut judge = |scalar: Scalar<'_>| {
                found.extend(scalar.number.map(|number| String::from_utf8_lossy(number).into_owned()));
            };
            scan_values(&mut text.as_bytes(), &[], &mut judge).expect("memory").expect("JSON");
            found
        };
        assert_eq!(numbers(r#"{"1": [2, -3.5e+1, "4", true, null], "a": {"b": 0}}"#), ["2", "-3.5e+1", "0"]);
        assert_eq!(numbers("17"), ["17"]);
        assert_eq!(numbers(&format!("[{}, 5]", "7".repeat(1000))), [&"7".repeat(41), "5"]);
    }

    /// Every value that is no container, with the wanted fields that it is in; `-` stands for one that is no number.
    fn placed(text: &str, wanted: &[&str]) -> Vec<(String, Vec<usize>)> {
        let mut found = Vec::new();
        let mut judge = |scalar: Scalar<'_>| {
            let number = scalar.number.map_or_else(|| "-".into(), String::from_utf8_lossy);
            found.push((number.into_owned(), scalar.fields.to_vec()));
        };
        scan_values(&mut text.as_bytes(), wanted, &mut judge).expect("memory").expect("JSON");
        found
    }

    #[test]
    fn values_are_handed_over_with_the_fields_that_they_are_in() {
        let found = |text: &str| placed(text, &["m", "n", "é"]);
        let one = |number: &str, fields: &[usize]| (number.to_owned(), fields.to_vec());
        assert_eq!(found(r#"{"n": 1, "o": 2, "m": "x"}"#), [one("1", &[1]), one("2", &[]), one("-", &[0])]);
        assert_eq!(
            found(r#"[{"n": [1, {"o": 2, "m": true}, []], "o": 3}, 4, {"n": {"n": 5}}]"#),
            [one("1", &[1]), one("2", &[1]), one("-", &[1, 0]), one("3", &[]), one("4", &[]), one("5", &[1])]
        );
        // A name is what it means, and not how it is written; each of two fields of one name counts.
        assert_eq!(
            found(r#"{"\u006e": 1, "n" : 2, "\u00e9": null}"#),
            [one("1", &[1]), one("2", &[1]), one("-", &[2])]
        );
        assert_eq!(
            found(r#"{"nn": 1, "N": 2, "": 3, "\ud83d": 4, "n\n": 5}"#).iter().map(|(_, at)| at.len()).sum::<usize>(),
            0
        );
        assert_eq!(found(&format!("{{\"{}\": 1}}", "n".repeat(100_000))), [one("1", &[])]);
        // A text is no name.
        assert_eq!(found(r#"["n", 1]"#), [one("-", &[]), one("1", &[])]);
        assert_eq!(placed(r#"{"\ud83d\ude00": 1}"#, &["\u{1f600}"]), [one("1", &[0])]);
        assert_eq!(placed(r#"{"": 1}"#, &[""]), [one("1", &[0])]);
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
        fn finds_the_fields_that_a_parser_finds(value in json(), wanted in "[a-z]|.{0,2}") {
            fn leaves(value: &Value, wanted: &str, within: bool, found: &mut Vec<bool>) {
                match value {
                    Value::Array(items) => items.iter().for_each(|item| leaves(item, wanted, within, found)),
                    Value::Object(fields) => {
                        fields.iter().for_each(|(name, inner)| leaves(inner, wanted, within || name == wanted, found));
                    }
                    _ => found.push(within),
                }
            }
            // Half of the documents have the field somewhere.
            let value = serde_json::json!([value, {(wanted.clone()): value}]);
            let mut expected = Vec::new();
            leaves(&value, &wanted, false, &mut expected);
            let found = placed(&value.to_string(), &[wanted.as_str()]);
            prop_assert_eq!(found.iter().map(|(_, at)| !at.is_empty()).collect::<Vec<_>>(), expected);
            prop_assert!(found.iter().all(|(_, at)| at.len() <= 1));
        }

        #[test]
        fn agrees_with_a_parser_about_any_text(text in "[\\[\\]{}\",:0-9eE.+ntrufalse\\\\ -]{0,12}") {
            let parsed = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
            prop_assert_eq!(scanned(&text).is_ok(), parsed, "{}", text);
        }
    }
}
