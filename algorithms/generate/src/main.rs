//! Writes a large CSV file for benchmarks: the same bytes for the same size, on every machine.
//!
//! `generate BYTES PATH`: a header and as many rows as fit into BYTES (which may end in K, M or G for powers of 1024).
//! Columns: id, group (8 of them, of unequal size), age, height, weight, glucose, pressure, income; about 1 % of the
//! numbers are NA. `-` as PATH is stdout.

use std::fs::File;
use std::io::{self, Write};
use std::process::ExitCode;

const HEADER: &[u8] = b"id,group,age,height,weight,glucose,pressure,income\n";
const GROUPS: [&str; 8] = ["north", "north-east", "east", "south-east", "south", "south-west", "west", "north-west"];

/// A numeric column: values around `middle` by up to `spread`, in units of 10^-decimals.
struct Column {
    middle: i64,
    spread: i64,
    decimals: usize,
}

const COLUMNS: [Column; 6] = [
    Column { middle: 52, spread: 45, decimals: 0 },
    Column { middle: 1_705, spread: 400, decimals: 1 },
    Column { middle: 74_50, spread: 40_00, decimals: 2 },
    Column { middle: 5_600, spread: 4_000, decimals: 3 },
    Column { middle: 125, spread: 60, decimals: 0 },
    Column { middle: 200_000, spread: 6_000_000, decimals: 2 },
];

/// xorshift64*: fast, and good enough for made-up numbers.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}

fn append_digits(row: &mut Vec<u8>, mut value: u64, decimals: usize) {
    let mut digits = [0; 24];
    let mut at = digits.len();
    let mut written = 0;
    while value > 0 || written <= decimals {
        if written == decimals && decimals > 0 {
            at -= 1;
            digits[at] = b'.';
        }
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        written += 1;
    }
    row.extend_from_slice(&digits[at..]);
}

fn append_row(row: &mut Vec<u8>, id: u64, random: &mut Random) {
    append_digits(row, id, 0);
    row.push(b',');
    // The smaller of two draws, so that the first group is the largest.
    let draws = random.next();
    let group = (draws >> 61).min((draws >> 58) & 7) as usize;
    row.extend_from_slice(GROUPS[group].as_bytes());
    for column in &COLUMNS {
        row.push(b',');
        let draws = random.next();
        if draws % 100 == 0 {
            row.extend_from_slice(b"NA");
            continue;
        }
        // The mean of four draws has a bell shape; each group is a little higher than the previous one.
        let four = (draws >> 48) + (draws >> 32 & 0xffff) + (draws >> 16 & 0xffff) + (draws >> 8 & 0xffff);
        let offset = (four as i64 - 0x1_ffff) * column.spread / 0x2_0000;
        let value = column.middle + offset + group as i64 * column.spread / 40;
        if value < 0 {
            row.push(b'-');
        }
        append_digits(row, value.unsigned_abs(), column.decimals);
    }
    row.push(b'\n');
}

fn write_table(size: u64, to: &mut dyn Write) -> io::Result<()> {
    let mut random = Random(0x00c1_0157_e500_2026);
    let mut block = HEADER.to_vec();
    let mut left = size;
    let mut id = 1;
    loop {
        let before = block.len();
        append_row(&mut block, id, &mut random);
        let full = block.len() as u64 > left;
        if full {
            block.truncate(before);
        }
        if full || block.len() > 1 << 20 {
            to.write_all(&block)?;
            left -= block.len() as u64;
            block.clear();
        }
        if full {
            return to.flush();
        }
        id += 1;
    }
}

fn size(text: &str) -> Option<u64> {
    let (digits, unit) = match text.char_indices().last()? {
        (at, 'K') => (&text[..at], 1 << 10),
        (at, 'M') => (&text[..at], 1 << 20),
        (at, 'G') => (&text[..at], 1 << 30),
        _ => (text, 1),
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

fn run() -> Result<(), String> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [bytes, path] = arguments.as_slice() else {
        return Err("usage: generate BYTES PATH (for example: generate 1G table.csv)".to_owned());
    };
    let bytes = size(bytes).filter(|&bytes| bytes >= 1024).ok_or("BYTES must be a number from 1K on, such as 10M")?;
    let mut to: Box<dyn Write> = match path.as_str() {
        "-" => Box::new(io::stdout()),
        path => Box::new(File::create(path).map_err(|e| format!("cannot create {path}: {e}"))?),
    };
    write_table(bytes, &mut to).map_err(|e| format!("cannot write {path}: {e}"))
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits() {
        let text = |value, decimals| {
            let mut row = Vec::new();
            append_digits(&mut row, value, decimals);
            String::from_utf8(row).unwrap()
        };
        assert_eq!([text(0, 0), text(7, 2), text(1705, 1), text(123456, 3)], ["0", "0.07", "170.5", "123.456"]);
    }

    #[test]
    fn a_smaller_file_is_the_beginning_of_a_larger_one() {
        let (mut small, mut large) = (Vec::new(), Vec::new());
        write_table(10_000, &mut small).unwrap();
        write_table(3 << 20, &mut large).unwrap();
        assert!((9_900..=10_000).contains(&small.len()));
        assert!((3 << 20) - large.len() < 100);
        assert_eq!(small, large[..small.len()]);
        assert!(small.ends_with(b"\n"));
        let cells = |line: &str| line.split(',').count();
        assert!(String::from_utf8(small).unwrap().lines().all(|line| cells(line) == 8));
    }

    #[test]
    fn sizes() {
        assert_eq!([size("1024"), size("2K"), size("1G")], [Some(1024), Some(2048), Some(1 << 30)]);
        assert_eq!([size("x"), size("99999999999G"), size("")], [None; 3]);
    }
}
