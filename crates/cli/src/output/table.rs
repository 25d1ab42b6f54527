use cloister_model::escape;
use std::io::{self, Write as _};

/// Maximum length of a cell, in characters. The rest is cut off.
const MOST: usize = 80;

/// Spaces before columns that are below others.
const BELOW: usize = 4;

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
        stdout.write_all(self.rendered(super::width::of_stdout()).as_bytes())?;
        stdout.flush()
    }
}

impl Table {
    /// The table in lines of at most `width` characters. Columns that do not fit beside the first ones go below them, for each row:
    /// ids and names stay whole, so that they can be copied. A cell that is too wide by itself is cut off, which `…` shows.
    fn rendered(&self, width: Option<usize>) -> String {
        let most = width.map_or(usize::MAX, |width| width.saturating_sub(BELOW).max(1));
        let rows: Vec<Vec<String>> =
            self.rows.iter().map(|row| row.iter().map(|cell| cut(cell, most)).collect()).collect();
        let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
        let wide = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
        let widths: Vec<usize> = (0..columns).map(|column| wide(column).unwrap_or(0)).collect();
        let breaks = breaks(&widths, width.unwrap_or(usize::MAX));
        let mut text = String::new();
        for row in &rows {
            let mut line = String::new();
            for (column, (cell, wide)) in row.iter().zip(&widths).enumerate() {
                if breaks.contains(&column) {
                    text.push_str(line.trim_end());
                    text.push('\n');
                    line = " ".repeat(BELOW);
                }
                line.push_str(&format!("{cell:wide$}  "));
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// The columns that begin another line, for columns of these widths.
fn breaks(widths: &[usize], width: usize) -> Vec<usize> {
    let (mut breaks, mut used) = (Vec::new(), 0_usize);
    for (column, wide) in widths.iter().enumerate() {
        if column > 0 && used + wide > width {
            breaks.push(column);
            used = BELOW;
        }
        used += wide + 2;
    }
    breaks
}

fn cut(cell: &str, most: usize) -> String {
    if cell.chars().count() <= most {
        return cell.to_owned();
    }
    cell.chars().take(most - 1).chain(['…']).collect()
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
        let shown = table.rendered(None);
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines.len(), 4, "{shown}");
        assert_eq!(lines[0].find("SIZE"), lines[1].find('1').map(|_| 17), "{shown}");
        assert!(lines[2].starts_with("-  "), "{shown}");
        assert!(!shown.contains(['\u{1b}', '\u{202e}']) && lines[3].ends_with('…'), "{shown}");
    }

    #[test]
    fn columns_that_do_not_fit_go_below_and_stay_aligned() {
        let mut table = Table::new(["ID", "PHASE", "NAME"]);
        table.row(["0".repeat(32), "Running".to_owned(), "alice/penguins".to_owned()]);
        table.row(["1".repeat(32), "Finished".to_owned(), "x".repeat(70)]);
        let shown = table.rendered(Some(50));
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines[0], format!("{:<32}  PHASE", "ID"));
        assert_eq!(lines[1..4], ["    NAME", &format!("{}  Running", "0".repeat(32)), "    alice/penguins"]);
        assert_eq!(lines[5], format!("    {}…", "x".repeat(45)), "{shown}");
        assert!(lines.iter().all(|line| line.chars().count() <= 50), "{shown}");
        assert_eq!(table.rendered(Some(200)), table.rendered(None));
    }
}
