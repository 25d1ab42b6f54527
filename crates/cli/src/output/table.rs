use cloister_model::escape;
use std::{
    fmt,
    io::{self, Write as _},
};

/// Maximum length of a cell, in characters. The rest is cut off.
const MOST: usize = 80;

/// A table with aligned columns. Cells are escaped.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new<const N: usize>(header: [&str; N]) -> Self {
        Self { rows: vec![header.map(str::to_owned).to_vec()] }
    }

    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        let cell = |cell: &String| {
            let shown = escape(cell.as_bytes(), MOST).to_string();
            if shown.is_empty() { "-".to_owned() } else { shown }
        };
        self.rows.push(cells.iter().map(cell).collect());
    }

    /// Prints the table. If it has no rows, prints the note `nothing` instead.
    ///
    /// # Errors
    /// If the output cannot be written.
    pub(crate) fn print(&self, nothing: &str) -> io::Result<()> {
        if self.rows.len() < 2 {
            super::note(nothing);
            return Ok(());
        }
        let mut stdout = io::stdout().lock();
        write!(stdout, "{self}")?;
        stdout.flush()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width =
            |column: usize| self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
        let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(&format!("{cell:width$}  "));
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_hostile_names_escaped() {
        let mut table = Table::new(["NAME", "SIZE"]);
        table.row(["a\n\x1b[2Jb".to_owned(), "1".to_owned()]);
        table.row([String::new(), "22".to_owned()]);
        table.row(["\u{202e}gnp.exe".to_owned(), "x".repeat(200)]);
        let shown = table.to_string();
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines.len(), 4, "{shown}");
        assert_eq!(lines[0].find("SIZE"), lines[1].find('1').map(|_| 17), "{shown}");
        assert!(lines[2].starts_with("-  "), "{shown}");
        assert!(!shown.contains(['\u{1b}', '\u{202e}']) && lines[3].ends_with('…'), "{shown}");
    }
}
