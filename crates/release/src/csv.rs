use super::{
    OutputRefusal,
    content::{self, Facts},
    csv_reader::{NotStrict, Strict},
    number,
    refusal::{refuse, shown},
    walk::Found,
};
use ::csv::{ByteRecord, ErrorKind, Reader, ReaderBuilder};
use cloister_model::{ColumnMinimum, CsvRules, NumberMinimum};
use std::{cell::Cell, fs::File, io, rc::Rc};

/// What a text is as CSV.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Every record has so many cells.
    Regular { columns: usize },
    /// It is not CSV, or readers disagree about it.
    Irregular,
    /// A record is larger than is read.
    TooLarge,
}

/// The records of a file, the first one included.
struct Records {
    reader: Reader<Strict<File>>,
    since: Rc<Cell<u64>>,
    record: ByteRecord,
}

impl Records {
    fn of(file: File) -> Self {
        let since = Rc::new(Cell::new(0));
        let reader = ReaderBuilder::new().has_headers(false).from_reader(Strict::new(file, since.clone()));
        Self { reader, since, record: ByteRecord::new() }
    }

    fn next(&mut self) -> Result<Option<&ByteRecord>, ::csv::Error> {
        self.since.set(0);
        Ok(self.reader.read_byte_record(&mut self.record)?.then_some(&self.record))
    }
}

/// What an error of the reader says: that it is not CSV, or that the disk failed.
fn form_of(error: ::csv::Error) -> io::Result<Form> {
    match error.into_kind() {
        ErrorKind::Io(error) => match error.get_ref().and_then(|inner| inner.downcast_ref::<NotStrict>()) {
            Some(NotStrict::Quote | NotStrict::Line) => Ok(Form::Irregular),
            Some(NotStrict::Record) => Ok(Form::TooLarge),
            None => Err(error),
        },
        _ => Ok(Form::Irregular),
    }
}

pub(super) fn form(file: File) -> io::Result<Form> {
    let mut records = Records::of(file);
    let mut columns = 0;
    loop {
        match records.next() {
            Ok(Some(record)) => columns = record.len(),
            Ok(None) => return Ok(Form::Regular { columns }),
            Err(error) => return form_of(error),
        }
    }
}

pub(super) fn check(file: &Found, facts: &Facts, rules: &CsvRules) -> Result<(), OutputRefusal> {
    let refused = |rule, text: &str| refuse(rule, Some(&file.name), text);
    let broken = |error: ::csv::Error| match form_of(error) {
        Err(error) => content::unreadable(&file.name, &error),
        Ok(Form::TooLarge) => refused("csv-parse", &NotStrict::Record.to_string()),
        Ok(_) => {
            refused("csv-parse", "it is not CSV: rows differ in length, a line is empty, or a quote is out of place")
        }
    };
    if !facts.text && !facts.empty {
        return Err(refused("csv-parse", "it is not CSV: it has bytes that are not text"));
    }
    let mut records = Records::of(file.open()?);
    let header = match records.next().map_err(broken)? {
        Some(record) => Header::read(record, rules, refused)?,
        None => Header::read(&ByteRecord::new(), rules, refused)?,
    };
    let mut rows = 0_u64;
    while let Some(record) = records.next().map_err(broken)? {
        rows += 1;
        if let Some(most) = rules.max_rows.filter(|most| rows > *most) {
            return Err(refused("csv-rows", &format!("{most} rows are allowed, it has more")));
        }
        check_cells(record, rules, refused)?;
        header.check(record, rows, refused)?;
        check_numbers(record, rules, Some(rows), refused)?;
    }
    Ok(())
}

/// The columns that have a least value, by their places.
struct Header<'a>(Vec<(usize, &'a ColumnMinimum)>);

impl<'a> Header<'a> {
    fn read(
        record: &ByteRecord,
        rules: &'a CsvRules,
        refused: impl Fn(&'static str, &str) -> OutputRefusal + Copy,
    ) -> Result<Self, OutputRefusal> {
        let CsvRules { max_rows: _, max_columns, max_cell_bytes: _, columns, minimum, every_number: _ } = rules;
        let mut names: Vec<String> = record.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
        if let Some(first) = names.first_mut() {
            *first = first.trim_start_matches('\u{feff}').to_owned();
        }
        if let Some(most) = max_columns.filter(|most| u64::try_from(names.len()).map_or(true, |count| count > *most)) {
            return Err(refused("csv-columns", &format!("{most} columns are allowed, it has {}", names.len())));
        }
        check_cells(record, rules, refused)?;
        // What is taken for a header may be the first row of a table without one.
        check_numbers(record, rules, None, refused)?;
        for (place, name) in names.iter().enumerate() {
            if columns.as_ref().is_some_and(|allowed| !allowed.contains(name)) {
                let text = format!("the column `{}` is not among those that are allowed", shown(name));
                return Err(refused("csv-column-names", &text));
            }
            if (columns.is_some() || !minimum.is_empty()) && names[..place].contains(name) {
                return Err(refused("csv-column-names", &format!("the column `{}` is there twice", shown(name))));
            }
        }
        let place = |rule: &'a ColumnMinimum| match names.iter().position(|name| *name == rule.column) {
            Some(place) => Ok((place, rule)),
            None => {
                let text = format!(
                    "the column `{}` must be there, with at least {} in every row",
                    shown(&rule.column),
                    rule.least
                );
                Err(refused("csv-minimum", &text))
            }
        };
        minimum.iter().map(place).collect::<Result<_, _>>().map(Self)
    }

    fn check(
        &self,
        record: &ByteRecord,
        row: u64,
        refused: impl Fn(&'static str, &str) -> OutputRefusal,
    ) -> Result<(), OutputRefusal> {
        for (place, ColumnMinimum { column, least, zero }) in &self.0 {
            let minimum = NumberMinimum { least: *least, zero: *zero };
            if record.get(*place).and_then(|cell| number::keeps(cell, minimum)) != Some(true) {
                let text = format!(
                    "the column `{}` must be {} in every row; row {row} is not",
                    shown(column),
                    number::described(minimum)
                );
                return Err(refused("csv-minimum", &text));
            }
        }
        Ok(())
    }
}

/// Checks every number of a row, or of the header.
fn check_numbers(
    record: &ByteRecord,
    rules: &CsvRules,
    row: Option<u64>,
    refused: impl Fn(&'static str, &str) -> OutputRefusal,
) -> Result<(), OutputRefusal> {
    let Some(minimum) = rules.every_number else { return Ok(()) };
    if record.iter().all(|cell| number::keeps(cell, minimum) != Some(false)) {
        return Ok(());
    }
    let place = row.map_or_else(|| "the header".to_owned(), |row| format!("row {row}"));
    let text = format!("every number must be {}; one in {place} is not", number::described(minimum));
    Err(refused("csv-every-number", &text))
}

fn check_cells(
    record: &ByteRecord,
    rules: &CsvRules,
    refused: impl Fn(&'static str, &str) -> OutputRefusal,
) -> Result<(), OutputRefusal> {
    let Some(most) = rules.max_cell_bytes else { return Ok(()) };
    if record.iter().all(|cell| u64::try_from(cell.len()).is_ok_and(|length| length <= most)) {
        return Ok(());
    }
    Err(refused("csv-cell", &format!("a cell may have {most} bytes, one has more")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};
    use std::io::{Seek, Write};

    fn file(content: &[u8]) -> File {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(content).expect("written");
        file.rewind().expect("rewound");
        file
    }

    #[test]
    fn only_what_all_readers_agree_about_is_csv() {
        for (text, expected) in [
            ("a,b\n1,2\n", Form::Regular { columns: 2 }),
            ("a,b\r\n\"1,\n\"\"x\",2", Form::Regular { columns: 2 }),
            ("a\n1\n", Form::Regular { columns: 1 }),
            ("", Form::Regular { columns: 0 }),
            ("a,b\n1\n", Form::Irregular),
            ("a,b\n1,2,3\n", Form::Irregular),
            ("a,b\n1,\"2\n", Form::Irregular),
            ("a,b\n1,2\"3\"\n", Form::Irregular),
            ("a,b\n1,\"2\"3\n", Form::Irregular),
            // Some readers take an empty line for a row, others for nothing: a place to hide in.
            ("a,b\n\n1,2\n", Form::Irregular),
            ("a,b\r\n1,2\r\n\r\n\r\n", Form::Irregular),
            ("a,b\n1,2\n\n\n", Form::Irregular),
            ("\na,b\n1,2\n", Form::Irregular),
            ("a,b\r\r1,2\r", Form::Irregular),
            ("a,b\n1,2\n\n", Form::Regular { columns: 2 }),
            ("a,b\r\n1,2\r\n\r\n", Form::Regular { columns: 2 }),
            ("a,b\r1,2\r", Form::Regular { columns: 2 }),
            ("a,b\n1,\"\n\n\n\"\n", Form::Regular { columns: 2 }),
        ] {
            assert_eq!(form(file(text.as_bytes())).expect("read"), expected, "{text:?}");
        }
        let long = format!("a,b\n1,\"{}\"\n", "x".repeat(17 * 1024 * 1024));
        assert_eq!(form(file(long.as_bytes())).expect("read"), Form::TooLarge);
        let many = "a,b\n1,2\n".repeat(3 * 1024 * 1024);
        assert_eq!(form(file(many.as_bytes())).expect("read"), Form::Regular { columns: 2 });
    }

    proptest! {
        /// What one writer wrote has the form that it was given.
        #[test]
        fn what_is_written_is_read(rows in vec(vec("[a\",\n\r é]{0,4}", 3), 1..9)) {
            let mut writer = ::csv::Writer::from_writer(Vec::new());
            rows.iter().for_each(|row| writer.write_record(row).expect("written"));
            let text = writer.into_inner().expect("written");
            prop_assert_eq!(form(file(&text)).expect("read"), Form::Regular { columns: 3 });
        }

        #[test]
        fn any_bytes_are_read_without_harm(text in "[a\",\n\r]{0,40}") {
            let _ = form(file(text.as_bytes())).expect("read");
        }
    }
}
