//! Reads a CSV file through one buffer, record by record, without copying cells.
//!
//! Numbers are converted while they are scanned: on a large file this is most of the work. Understands quoted cells
//! (with commas, line ends and doubled quotes inside), CRLF, a byte order mark, and a last line without line end.

use job::Result;
use std::io::Read;

const BUFFER: usize = 64 * 1024;
/// A longer record is not a table's but a forgotten closing quote, or not a CSV file at all.
const LONGEST_RECORD: usize = 4 * 1024 * 1024;

/// What the reader does with the cells of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    Skip,
    Number,
    Group,
}

/// One record, as far as it was asked for.
#[derive(Debug, Default)]
pub struct Record {
    /// The cells of the `Number` columns, in order; a `MISSING` or `NOT_A_NUMBER` where there is none.
    pub numbers: Vec<f64>,
    /// The cell of the `Group` column.
    pub group: Vec<u8>,
    /// How many cells the record has.
    pub cells: usize,
}

pub const MISSING: f64 = f64::NAN;
/// Infinities in the file are not finite numbers either, so this value is free.
pub const NOT_A_NUMBER: f64 = f64::INFINITY;

pub struct Reader<R> {
    source: R,
    buffer: Vec<u8>,
    /// The next record starts here.
    at: usize,
    /// Complete lines end here: `buffer[..lines]` is empty or ends with a line end.
    lines: usize,
    /// Bytes read so far end here.
    filled: usize,
    ended: bool,
    /// The number of the record that is read next, for messages. The header is record 1.
    record: u64,
    /// A quoted cell with its quotes resolved.
    unquoted: Vec<u8>,
}

/// A record does not end within the lines at hand, because a quoted cell holds a line end.
struct Incomplete;

impl<R: Read> Reader<R> {
    pub fn new(source: R) -> Result<Self> {
        let buffer = vec![0; BUFFER];
        let mut reader =
            Self { source, buffer, at: 0, lines: 0, filled: 0, ended: false, record: 1, unquoted: Vec::new() };
        reader.fill()?;
        if reader.buffer[..reader.lines].starts_with(b"\xef\xbb\xbf") {
            reader.at = 3;
        }
        Ok(reader)
    }

    /// The cells of the next record, all as text; `None` at the end.
    pub fn text_record(&mut self) -> Result<Option<Vec<String>>> {
        loop {
            if !self.find_record()? {
                return Ok(None);
            }
            match self.scan_text() {
                Ok(cells) => {
                    self.record += 1;
                    return Ok(Some(cells));
                }
                Err(Incomplete) => self.fill_for_quote()?,
            }
        }
    }

    /// The complete records at hand, as text, without consuming them: what a guess about the file can be based on.
    pub fn preview(&mut self) -> Vec<Vec<String>> {
        let start = self.at;
        let mut records = Vec::new();
        while self.at < self.lines {
            match self.scan_text() {
                Ok(cells) => records.push(cells),
                Err(Incomplete) => break,
            }
        }
        self.at = start;
        records
    }

    /// Reads the next record into `record`. `columns` says what to do with each cell; cells beyond are counted only.
    /// False at the end of the file.
    pub fn next(&mut self, columns: &[Use], record: &mut Record) -> Result<bool> {
        loop {
            if !self.find_record()? {
                return Ok(false);
            }
            match self.scan(columns, record) {
                Ok(()) => {
                    self.record += 1;
                    return Ok(true);
                }
                Err(Incomplete) => self.fill_for_quote()?,
            }
        }
    }

    /// Moves to the start of the next record, over blank lines. False at the end of the file.
    fn find_record(&mut self) -> Result<bool> {
        loop {
            if self.at == self.lines && !self.fill()? {
                return Ok(false);
            }
            let blank = match self.buffer[self.at..self.lines] {
                [b'\n', ..] => 1,
                [b'\r', b'\n', ..] => 2,
                _ => return Ok(true),
            };
            self.at += blank;
            self.record += 1;
        }
    }

    fn fill_for_quote(&mut self) -> Result<()> {
        let lines_ahead = self.lines - self.at;
        if self.fill()? && self.lines - self.at > lines_ahead {
            return Ok(());
        }
        Err(format!("record {}: a quoted cell is never closed", self.record))
    }

    /// Moves the unread rest to the front and reads on until there is at least one more complete line. False when the
    /// file has no more.
    fn fill(&mut self) -> Result<bool> {
        self.buffer.copy_within(self.at..self.filled, 0);
        self.filled -= self.at;
        let known = self.lines - self.at;
        self.at = 0;
        self.lines = known;
        while !self.ended {
            if self.filled == self.buffer.len() {
                if self.filled >= LONGEST_RECORD {
                    return Err(format!("record {} is longer than {LONGEST_RECORD} bytes", self.record));
                }
                self.buffer.resize(2 * self.filled, 0);
            }
            let space = self.filled..self.buffer.len();
            match self.source.read(&mut self.buffer[space]) {
                Ok(0) => {
                    self.ended = true;
                    if self.filled > known && self.buffer[self.filled - 1] != b'\n' {
                        if self.filled == self.buffer.len() {
                            self.buffer.push(0);
                        }
                        self.buffer[self.filled] = b'\n';
                        self.filled += 1;
                    }
                }
                Ok(n) => self.filled += n,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(format!("reading failed after record {}: {e}", self.record - 1)),
            }
            // The whole buffer, even where a read gives less: what is guessed from the first lines must not depend on
            // how the host cuts its reads.
            if self.filled < self.buffer.len() && !self.ended {
                continue;
            }
            if let Some(last) = self.buffer[known..self.filled].iter().rposition(|&byte| byte == b'\n') {
                self.lines = known + last + 1;
                let new = &self.buffer[known..self.lines];
                if !new.is_ascii() && std::str::from_utf8(new).is_err() {
                    return Err(self.not_utf8());
                }
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn not_utf8(&self) -> String {
        let new = &self.buffer[..self.lines];
        let good = std::str::from_utf8(new).map_or_else(|e| e.valid_up_to(), str::len);
        let lines = new[..good].iter().filter(|&&byte| byte == b'\n').count();
        let near = self.record + lines as u64;
        format!("not UTF-8: byte 0x{:02x} in or near record {near}; convert the file first", new[good])
    }

    fn scan_text(&mut self) -> std::result::Result<Vec<String>, Incomplete> {
        let mut at = self.at;
        let mut cells = Vec::new();
        loop {
            let (text, end) = cell(&self.buffer[..self.lines], at, &mut self.unquoted)?;
            cells.push(String::from_utf8_lossy(text).into_owned());
            at = end + 1;
            if self.buffer[end] == b'\n' {
                self.at = at;
                return Ok(cells);
            }
        }
    }

    fn scan(&mut self, columns: &[Use], record: &mut Record) -> std::result::Result<(), Incomplete> {
        let bytes = &self.buffer[..self.lines];
        let mut at = self.at;
        record.numbers.clear();
        record.cells = 0;
        loop {
            // The cell starts at `at`; this leaves `at` on the comma or line end behind it.
            match columns.get(record.cells) {
                Some(Use::Number) => match plain_number(bytes, at) {
                    Some((number, end)) => {
                        record.numbers.push(number);
                        at = end;
                    }
                    None => {
                        let (text, end) = cell(bytes, at, &mut self.unquoted)?;
                        record.numbers.push(unusual_number(text));
                        at = end;
                    }
                },
                Some(Use::Group) => {
                    let (text, end) = cell(bytes, at, &mut self.unquoted)?;
                    record.group.clear();
                    record.group.extend_from_slice(text);
                    at = end;
                }
                Some(Use::Skip) | None => at = cell(bytes, at, &mut self.unquoted)?.1,
            }
            record.cells += 1;
            at += 1;
            if bytes[at - 1] == b'\n' {
                self.at = at;
                return Ok(());
            }
        }
    }
}

/// The text of the cell at `at`, and where the comma or line end behind it is.
fn cell<'a>(
    bytes: &'a [u8],
    at: usize,
    unquoted: &'a mut Vec<u8>,
) -> std::result::Result<(&'a [u8], usize), Incomplete> {
    if bytes.get(at) == Some(&b'"') {
        return quoted_cell(bytes, at + 1, unquoted);
    }
    let length = bytes[at..].iter().position(|&byte| byte == b',' || byte == b'\n').ok_or(Incomplete)?;
    let end = at + length;
    let text = &bytes[at..end];
    Ok((if bytes[end] == b'\n' { text.strip_suffix(b"\r").unwrap_or(text) } else { text }, end))
}

#[cold]
fn quoted_cell<'a>(
    bytes: &'a [u8],
    mut at: usize,
    unquoted: &'a mut Vec<u8>,
) -> std::result::Result<(&'a [u8], usize), Incomplete> {
    unquoted.clear();
    loop {
        let quote = at + bytes[at..].iter().position(|&byte| byte == b'"').ok_or(Incomplete)?;
        unquoted.extend_from_slice(&bytes[at..quote]);
        at = quote + 1;
        if bytes.get(at) != Some(&b'"') {
            break;
        }
        unquoted.push(b'"');
        at += 1;
    }
    // Text behind the closing quote belongs to the cell, as other readers of CSV have it.
    let length = bytes[at..].iter().position(|&byte| byte == b',' || byte == b'\n').ok_or(Incomplete)?;
    let rest = &bytes[at..at + length];
    unquoted.extend_from_slice(rest.strip_suffix(b"\r").unwrap_or(rest));
    Ok((unquoted, at + length))
}

/// 10^0 to 10^22: the powers of ten that a double holds exactly.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];

/// The number at `at` and where it ends, if it is written as most are: a sign, digits, a point, digits, at most 2^53
/// without the point. Digits and power of ten are then exact doubles, and one division rounds correctly.
#[inline(always)]
fn plain_number(bytes: &[u8], mut at: usize) -> Option<(f64, usize)> {
    let negative = bytes.get(at) == Some(&b'-');
    at += usize::from(negative);
    let mut digits = 0_u64;
    let start = at;
    let mut byte = *bytes.get(at)?;
    while byte.is_ascii_digit() {
        digits = digits.wrapping_mul(10).wrapping_add(u64::from(byte - b'0'));
        at += 1;
        byte = *bytes.get(at)?;
    }
    let mut count = at - start;
    let mut decimals = 0;
    if byte == b'.' {
        at += 1;
        let point = at;
        byte = *bytes.get(at)?;
        while byte.is_ascii_digit() {
            digits = digits.wrapping_mul(10).wrapping_add(u64::from(byte - b'0'));
            at += 1;
            byte = *bytes.get(at)?;
        }
        decimals = at - point;
        count += decimals;
    }
    if byte == b'\r' && bytes.get(at + 1) == Some(&b'\n') {
        at += 1;
        byte = b'\n';
    }
    // 15 digits are always below 2^53.
    if count == 0 || count > 15 || (byte != b',' && byte != b'\n') {
        return None;
    }
    let magnitude = digits as f64 / POWERS[decimals];
    Some((if negative { -magnitude } else { magnitude }, at))
}

/// Everything else: an exponent, many digits, blanks, nothing, or text.
fn unusual_number(text: &[u8]) -> f64 {
    match job::number(text) {
        Some(number) => number,
        None if job::is_missing(text) => MISSING,
        None => NOT_A_NUMBER,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(file: &[u8]) -> Result<Vec<Vec<String>>> {
        let mut reader = Reader::new(file)?;
        let mut records = Vec::new();
        while let Some(record) = reader.text_record()? {
            records.push(record);
        }
        Ok(records)
    }

    #[test]
    fn quotes_line_ends_and_byte_order_mark() {
        let file = b"\xef\xbb\xbfa,\"b,c\"\r\n\"x\"\"y\nz\",2\r\n,";
        assert_eq!(texts(file).unwrap(), [["a", "b,c"], ["x\"y\nz", "2"], ["", ""]]);
        assert_eq!(texts(b"").unwrap(), Vec::<Vec<String>>::new());
    }

    #[test]
    fn what_is_not_a_table_is_refused() {
        assert!(texts(b"a\n\"b\n").unwrap_err().contains("record 2: a quoted cell is never closed"));
        assert!(texts(b"a\nb\nM\xfcnchen\n").unwrap_err().contains("byte 0xfc in or near record 3"));
        assert!(texts(&vec![b'a'; LONGEST_RECORD + 1]).unwrap_err().contains("longer than"));
    }

    #[test]
    fn a_record_may_cross_the_buffer() {
        let mut file = vec![b'a'; BUFFER - 2];
        file.extend_from_slice(b",\"x\ny\",1\nb,c,2");
        let records = texts(&file).unwrap();
        assert_eq!(records.len(), 2);
        assert_eq!(records[0][1..], ["x\ny", "1"]);
        assert_eq!(records[1], ["b", "c", "2"]);
    }

    #[test]
    fn short_reads_change_nothing() {
        struct OneByOne<'a>(&'a [u8]);
        impl Read for OneByOne<'_> {
            fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
                let n = self.0.len().min(into.len()).min(1);
                into[..n].copy_from_slice(&self.0[..n]);
                self.0 = &self.0[n..];
                Ok(n)
            }
        }
        let mut reader = Reader::new(OneByOne(b"a,b\n1,2\n")).unwrap();
        assert_eq!(reader.preview().len(), 2);
    }

    #[test]
    fn numbers_round_as_the_standard_library_does() {
        let columns = [Use::Number; 4];
        let cells =
            "0.1,-273.15,123456789012345,.5\n9007199254740993,1e-3,-0,\"1,5\"\n 7 ,+4,NA,1.7976931348623157e309\n";
        let mut reader = Reader::new(cells.as_bytes()).unwrap();
        let mut record = Record::default();
        let mut all = Vec::new();
        while reader.next(&columns, &mut record).unwrap() {
            assert_eq!(record.cells, 4);
            all.extend_from_slice(&record.numbers);
        }
        assert_eq!(all[..7], [0.1, -273.15, 123456789012345.0, 0.5, 9007199254740993_u64 as f64, 1e-3, 0.0]);
        assert_eq!(all[7], NOT_A_NUMBER);
        assert_eq!(all[8..10], [7.0, 4.0]);
        assert!(all[10].is_nan());
        assert_eq!(all[11], NOT_A_NUMBER);
    }

    #[test]
    fn ragged_records_are_counted_as_they_are() {
        let mut reader = Reader::new(&b"g,1\n\ng\n\r\ng,1,2,3\n\n"[..]).unwrap();
        let mut record = Record::default();
        let mut cells = Vec::new();
        while reader.next(&[Use::Group, Use::Number], &mut record).unwrap() {
            cells.push(record.cells);
        }
        assert_eq!(cells, [2, 1, 4]);
    }
}
