//! Reads a CSV file through one buffer, without copying cells.
//!
//! The reader first searches the lines in the buffer for commas and line ends, eight bytes at a time, and returns the
//! positions of all cells, so that a column can then be processed in one tight loop. Reading byte by byte is several times
//! slower, in particular in WebAssembly.
//!
//! Understands quoted cells (with commas, line ends and doubled quotes inside), CRLF, a byte order mark, blank lines,
//! and a last line without line end.

use job::Result;
use std::borrow::Cow;
use std::io::{ErrorKind, Read};

const BUFFER: usize = 64 * 1024;
/// The size of the blocks in which the text is processed, and the number of zeros after it.
const BLOCK: usize = 64;
/// A longer record means that a closing quote is missing, or that the file is not a CSV file.
const LONGEST_RECORD: usize = 4 * 1024 * 1024;

pub struct Reader<R> {
    source: R,
    buffer: Vec<u8>,
    /// The end of the bytes read so far; `BLOCK` zeros follow.
    filled: usize,
    ended: bool,
    /// The number of the first record that has not been returned, for messages. The header is record 1.
    record: u64,
    index: Index,
}

/// Where the cells of the complete records in the buffer are.
#[derive(Debug, Default)]
struct Index {
    /// The start of every cell, then the start of the incomplete rest of the text. Between two starts are a cell and its
    /// comma or line end.
    starts: Vec<u32>,
    /// The number of valid `starts`; the rest is left over from before.
    cells: usize,
    /// The index of the first cell of every record, then the number of cells.
    records: Vec<u32>,
}

/// Complete records, in the order of the file.
#[derive(Debug, Clone, Copy)]
pub struct Records<'a> {
    text: &'a [u8],
    index: &'a Index,
}

impl<R: Read> Reader<R> {
    pub fn new(source: R) -> Self {
        let buffer = vec![0; BUFFER + BLOCK];
        Self { source, buffer, filled: 0, ended: false, record: 1, index: Index::default() }
    }

    /// The next records, as many as the buffer holds; `None` at the end of the file.
    pub fn next(&mut self) -> Result<Option<Records<'_>>> {
        self.record += self.index.records.len().saturating_sub(1) as u64;
        let used = self.index.starts.get(self.index.cells).map_or(0, |&start| start as usize);
        self.buffer.copy_within(used..self.filled + BLOCK, 0);
        self.filled -= used;
        let mut skip = 0;
        loop {
            self.fill()?;
            if self.record == 1 && self.buffer.starts_with(b"\xef\xbb\xbf") {
                skip = 3;
            }
            self.index.build(&self.buffer, skip, self.filled);
            if self.index.cells > 0 {
                break;
            }
            if self.ended {
                // Every line has ended, so the rest is inside quotes.
                let left = skip < self.filled;
                return if left {
                    Err(format!("record {}: a quoted cell is never closed", self.record))
                } else {
                    Ok(None)
                };
            }
            if self.filled >= LONGEST_RECORD {
                return Err(format!("record {} is longer than {LONGEST_RECORD} bytes", self.record));
            }
            self.buffer.resize(2 * self.filled + BLOCK, 0);
        }
        let records = Records { text: &self.buffer, index: &self.index };
        let text = &self.buffer[..self.index.starts[self.index.cells] as usize];
        if !text.is_ascii() {
            if let Err(error) = std::str::from_utf8(text) {
                let at = error.valid_up_to();
                let begun = (0..records.len()).take_while(|&record| records.bounds(record, 0).0 <= at).count();
                let record = self.record + begun.saturating_sub(1) as u64;
                return Err(format!("not UTF-8: byte 0x{:02x} in record {record}; convert the file first", text[at]));
            }
        }
        Ok(Some(records))
    }

    /// Fills the whole buffer, even if a read returns less: the guess from the first records must not depend on the sizes
    /// of the host's reads.
    fn fill(&mut self) -> Result<()> {
        let room = self.buffer.len() - BLOCK;
        while self.filled < room && !self.ended {
            match self.source.read(&mut self.buffer[self.filled..room]) {
                Ok(0) => {
                    self.ended = true;
                    if self.filled > 0 && self.buffer[self.filled - 1] != b'\n' {
                        self.buffer[self.filled] = b'\n';
                        self.filled += 1;
                    }
                }
                Ok(read) => self.filled += read,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(format!("reading failed behind record {}: {e}", self.record)),
            }
        }
        // A smaller text may follow a larger one.
        self.buffer[self.filled..].iter_mut().take(BLOCK).for_each(|byte| *byte = 0);
        Ok(())
    }
}

impl Index {
    /// Finds the cells of the records that are complete in `text[from..to]`.
    fn build(&mut self, text: &[u8], from: usize, to: usize) {
        self.cells = 0;
        self.records.clear();
        self.records.push(0);
        if self.starts.len() < to + BLOCK {
            self.starts.resize(to + BLOCK, 0);
        }
        self.starts[0] = from as u32;
        if text[from..to].contains(&b'"') {
            self.build_with_quotes(text, from, to);
        } else {
            self.build_without_quotes(text, from, to);
        }
        // An incomplete record is left for the next call.
        self.cells = self.records.last().map_or(0, |&cells| cells as usize);
    }

    fn build_without_quotes(&mut self, text: &[u8], from: usize, to: usize) {
        let mut cells = 0;
        // Blocks after `to` are zeros, which match nothing.
        for (number, block) in text[from..].chunks_exact(BLOCK).take((to - from).div_ceil(BLOCK)).enumerate() {
            let behind = (from + number * BLOCK + 1) as u32;
            let (mut lines, mut commas) = (0, 0);
            for (place, eight) in block.chunks_exact(8).enumerate() {
                let word = word(eight);
                lines |= positions(word, b'\n') << (8 * place);
                commas |= positions(word, b',') << (8 * place);
            }
            let mut ends = lines | commas;
            while lines != 0 {
                let through_line = lines ^ (lines - 1);
                self.records.push(cells + (ends & through_line).count_ones());
                lines &= lines - 1;
            }
            let starts = &mut self.starts[cells as usize + 1..][..BLOCK];
            cells += ends.count_ones();
            for start in starts {
                if ends == 0 {
                    break;
                }
                *start = behind + ends.trailing_zeros();
                ends &= ends - 1;
            }
        }
    }

    fn build_with_quotes(&mut self, text: &[u8], from: usize, to: usize) {
        let mut cells = 0;
        let mut at = from;
        while at < to {
            if text[at] == b'"' {
                // To the closing quote. Text between it and the comma belongs to the cell, as in other readers.
                loop {
                    match text[at + 1..to].iter().position(|&byte| byte == b'"') {
                        Some(length) => at += 1 + length,
                        None => return,
                    }
                    if text[at + 1] != b'"' {
                        break;
                    }
                    at += 1;
                }
            }
            let Some(length) = text[at..to].iter().position(|&byte| byte == b',' || byte == b'\n') else { return };
            at += length + 1;
            cells += 1;
            self.starts[cells] = at as u32;
            if text[at - 1] == b'\n' {
                self.records.push(cells as u32);
            }
        }
    }
}

impl<'a> Records<'a> {
    pub fn len(&self) -> usize {
        self.index.records.len() - 1
    }

    /// How many cells a record has; 0 for a blank line.
    pub fn width(&self, record: usize) -> usize {
        let width = (self.index.records[record + 1] - self.index.records[record]) as usize;
        if width == 1 && matches!(self.raw(record, 0), b"" | b"\r") {
            return 0;
        }
        width
    }

    #[inline(always)]
    fn bounds(&self, record: usize, column: usize) -> (usize, usize) {
        let cell = self.index.records[record] as usize + column;
        (self.index.starts[cell] as usize, self.index.starts[cell + 1] as usize - 1)
    }

    fn raw(&self, record: usize, column: usize) -> &'a [u8] {
        let (start, end) = self.bounds(record, column);
        &self.text[start..end]
    }

    /// The text of a cell. Only the last cell of a line can end with the CR of a CRLF.
    pub fn cell(&self, record: usize, column: usize) -> Cow<'a, [u8]> {
        let raw = self.raw(record, column);
        let (_, end) = self.bounds(record, column);
        let raw = if self.text[end] == b'\n' { raw.strip_suffix(b"\r").unwrap_or(raw) } else { raw };
        match raw.strip_prefix(b"\"") {
            None => Cow::Borrowed(raw),
            Some(quoted) => Cow::Owned(unquoted(quoted)),
        }
    }

    /// The number in a cell, if it is written as most are: a sign, and eight digits and points at most.
    #[inline(always)]
    pub fn plain_number(&self, record: usize, column: usize) -> Option<f64> {
        let (start, end) = self.bounds(record, column);
        let negative = self.text[start] == b'-';
        let start = start + usize::from(negative);
        let length = end.wrapping_sub(start);
        if length.wrapping_sub(1) >= 8 {
            return None;
        }
        let eight = self.text.get(start..start + 8)?;
        let number = short_number(word(eight), length as u32)?;
        Some(if negative { -number } else { number })
    }
}

fn unquoted(mut rest: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(rest.len());
    while let Some(quote) = rest.iter().position(|&byte| byte == b'"') {
        text.extend_from_slice(&rest[..quote]);
        match rest.get(quote + 1) {
            Some(b'"') => {
                text.push(b'"');
                rest = &rest[quote + 2..];
            }
            _ => {
                rest = &rest[quote + 1..];
                break;
            }
        }
    }
    text.extend_from_slice(rest);
    text
}

// Eight bytes are processed in one 64-bit word, the first of them in the lowest bits.

#[inline(always)]
fn word(eight: &[u8]) -> u64 {
    eight.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

const fn each_byte(byte: u8) -> u64 {
    0x0101_0101_0101_0101 * byte as u64
}

/// One bit for each byte that is `byte`; the first of the eight is the lowest.
#[inline(always)]
fn positions(word: u64, byte: u8) -> u64 {
    let zero_where_equal = word ^ each_byte(byte);
    // No carry leaves a byte, so the highest bit of each shows exactly whether it was zero.
    let not_zero = ((zero_where_equal & each_byte(0x7f)) + each_byte(0x7f)) | zero_where_equal;
    let ones = (!not_zero >> 7) & each_byte(1);
    ones.wrapping_mul(0x0102_0408_1020_4080) >> 56
}

/// The number that the first `length` (1 to 8) bytes of a word are: digits, and perhaps one point. All digits together
/// and the power of ten are exact doubles, so that the one division rounds as it should.
#[inline(always)]
fn short_number(word: u64, length: u32) -> Option<f64> {
    const POWERS: [f64; 8] = [1.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7];
    const POINT: u64 = each_byte(b'.' ^ b'0');
    // The values of the digits at the end of the word, behind zeros.
    let mut values = (word ^ each_byte(b'0')) << (64 - 8 * length);
    // Marks the first point; marks behind it may be wrong, which does not matter.
    let points = (values ^ POINT).wrapping_sub(each_byte(1)) & !(values ^ POINT) & each_byte(0x80);
    let mut power = 1.0;
    if points != 0 {
        if length == 1 {
            return None;
        }
        let place = points.trailing_zeros() & !7;
        power = POWERS[(7 - place / 8) as usize & 7];
        let before = values & !(!0 << place);
        values = (values & (!0 << place << 8)) | before << 8;
    }
    if (((values & each_byte(0x7f)) + each_byte(0x80 - 10)) | values) & each_byte(0x80) != 0 {
        return None;
    }
    // Neighbours are joined: to pairs, to fours, to all eight.
    let pairs = (values.wrapping_mul(10 << 8 | 1) >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs.wrapping_mul(100 << 16 | 1) >> 16) & 0x0000_ffff_0000_ffff;
    let digits = fours.wrapping_mul(10_000 << 32 | 1) >> 32;
    // Signed, since that conversion is one instruction.
    Some(digits as i64 as f64 / power)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(file: impl Read) -> Result<Vec<Vec<String>>> {
        let mut reader = Reader::new(file);
        let mut all = Vec::new();
        while let Some(records) = reader.next()? {
            for record in 0..records.len() {
                let cells = (0..records.width(record)).map(|column| records.cell(record, column));
                all.push(cells.map(|cell| String::from_utf8(cell.into_owned()).unwrap()).collect());
            }
        }
        Ok(all)
    }

    #[test]
    fn quotes_line_ends_and_byte_order_mark() {
        let file = b"\xef\xbb\xbfa,\"b,c\"\r\n\n\"x\"\"y\nz\",2\r\n\r\n,";
        let expected = [&["a", "b,c"][..], &[], &["x\"y\nz", "2"], &[], &["", ""]];
        assert_eq!(texts(&file[..]).unwrap(), expected);
        assert_eq!(texts(&b"\xef\xbb\xbfa,b\r\n1,2\r\n"[..]).unwrap(), [["a", "b"], ["1", "2"]]);
        assert_eq!(texts(&b"a\n\"b\"x\n\"\"\n"[..]).unwrap(), [["a"], ["bx"], [""]]);
        assert_eq!(texts(&b""[..]).unwrap(), Vec::<Vec<String>>::new());
    }

    #[test]
    fn malformed_tables_are_refused() {
        let error = |file: &[u8]| texts(file).unwrap_err();
        assert!(error(b"a\n\"b\n").contains("record 2: a quoted cell is never closed"), "{}", error(b"a\n\"b\n"));
        assert!(error(b"a\nb\nM\xfcnchen\n").contains("byte 0xfc in record 3"));
        assert!(error(&vec![b'a'; LONGEST_RECORD + 1]).contains("longer than"));
        assert!(error(&[&b"a\n\""[..], &vec![b'\n'; LONGEST_RECORD]].concat()).contains("record 2 is longer than"));
    }

    /// Every length of table and cell around the sizes of words, blocks and the buffer, against a split by hand.
    #[test]
    fn cells_are_found_at_every_position() {
        for length in (1..200).chain(BUFFER - 70..BUFFER + 70) {
            let rows: Vec<Vec<String>> = (0..40)
                .map(|row| vec!["x".repeat(if row == 7 { length } else { row }), "y".repeat(row % 9), row.to_string()])
                .collect();
            let file: String = rows.iter().map(|row| row.join(",") + "\n").collect();
            assert_eq!(texts(file.as_bytes()).unwrap(), rows, "{length}");
            let quoted: String = rows.iter().map(|row| format!("\"{}\"\n", row.join("\",\""))).collect();
            assert_eq!(texts(quoted.as_bytes()).unwrap(), rows, "{length}");
        }
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
        assert_eq!(Reader::new(OneByOne(b"a,b\n1,2\n")).next().unwrap().unwrap().len(), 2);
    }

    #[test]
    fn numbers_are_those_of_the_standard_library() {
        let plain = |text: &str| Reader::new(format!("{text},").as_bytes()).next().unwrap().unwrap().plain_number(0, 0);
        for text in
            ["0", "7", "-1", "0.1", ".5", "5.", "-273.15", "12345678", "1234567.", ".0000001", "-99999.99", "00.10"]
        {
            assert_eq!(plain(text), Some(text.parse().unwrap()), "{text}");
        }
        for text in [
            "",
            "-",
            ".",
            "-.",
            "--1",
            "+1",
            "1e5",
            "NA",
            "1 ",
            "1.2.3",
            "123456789",
            "1/",
            "1:",
            "\u{b2}",
            "1./",
            "1.\u{80}",
        ] {
            assert_eq!(plain(text), None, "{text}");
        }
        for thousandths in 0..100_000 {
            let text = format!("{}.{:03}", thousandths / 1000, thousandths % 1000);
            assert_eq!(plain(&text), Some(text.parse().unwrap()), "{text}");
        }
    }
}
