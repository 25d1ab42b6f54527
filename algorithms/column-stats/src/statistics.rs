//! One pass over a table: count, mean, spread and quartiles of every column in every group.

use crate::csv::{Reader, Records};
use job::Result;
use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::io::Read;

/// The most values of a file that are kept for its quartiles: 32 MiB.
const KEPT_VALUES: usize = 4 << 20;
/// The maximum of groups times columns. Grouping by an identifier is a mistake, and exceeds it.
const MOST_CELLS: usize = 50_000;
/// The number of values in a batch.
const BATCH: usize = 32;

/// The name of the group of rows without a value in the groupBy column, and of the only group without groupBy.
const MISSING_GROUP: &str = "(missing)";
const ALL_ROWS: &str = "(all)";

/// The statistics of one file.
#[derive(Debug)]
pub struct FileStatistics {
    pub columns: Vec<String>,
    /// Sorted by name.
    pub groups: Vec<Group>,
    /// Rows with more or fewer cells than the header.
    pub ragged_rows: u64,
}

#[derive(Debug)]
pub struct Group {
    pub name: String,
    pub rows: u64,
    /// One per column.
    pub cells: Vec<Moments>,
}

/// A column within a group. Call `finish` before reading.
///
/// Values are collected in batches: mean and squares of a batch are computed separately and merged into those of the
/// previous values (Chan, Golub, LeVeque 1979). Like Welford's method, this stays exact where a sum of squares would
/// cancel, and it divides once per batch and not once per value.
#[derive(Debug, Clone)]
pub struct Moments {
    pub count: u64,
    pub missing: u64,
    pub not_numeric: u64,
    pub mean: f64,
    squares: f64,
    pub min: f64,
    pub max: f64,
    batch: [f64; BATCH],
    batched: usize,
    sample: Sample,
}

impl Moments {
    fn new() -> Self {
        Self {
            count: 0,
            missing: 0,
            not_numeric: 0,
            mean: 0.0,
            squares: 0.0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            batch: [0.0; BATCH],
            batched: 0,
            sample: Sample::new(),
        }
    }

    /// Returns by how many values the sample grew.
    #[inline(always)]
    fn add(&mut self, value: f64) -> usize {
        self.batch[self.batched] = value;
        self.batched += 1;
        if self.batched == BATCH {
            self.finish()
        } else {
            0
        }
    }

    /// A cell that is not a plain number: one with an exponent, many digits, blanks or quotes, or one without a number.
    #[cold]
    fn add_text(&mut self, text: &[u8]) -> usize {
        match job::number(text) {
            Some(number) => return self.add(number),
            None if job::is_missing(text) => self.missing += 1,
            None => self.not_numeric += 1,
        }
        0
    }

    /// Merges the batch.
    fn finish(&mut self) -> usize {
        let batch = &self.batch[..self.batched];
        if batch.is_empty() {
            return 0;
        }
        let (size, before) = (batch.len() as f64, self.count as i64 as f64);
        // Four sums in parallel, for vector instructions.
        let mean = lanes(batch, 0.0, |sum, value| sum + value).iter().sum::<f64>() / size;
        let squares = lanes(batch, 0.0, |sum, value| sum + (value - mean) * (value - mean)).iter().sum::<f64>();
        let smaller = |a: f64, b: f64| if b < a { b } else { a };
        let larger = |a: f64, b: f64| if b > a { b } else { a };
        self.min = lanes(batch, self.min, smaller).into_iter().fold(self.min, smaller);
        self.max = lanes(batch, self.max, larger).into_iter().fold(self.max, larger);
        let distance = mean - self.mean;
        self.mean += distance * (size / (before + size));
        self.squares += squares + distance * distance * (before * size / (before + size));
        let kept = self.sample.offer(self.count, batch);
        self.count += self.batched as u64;
        self.batched = 0;
        kept
    }

    /// The standard deviation with n-1 in the denominator; `None` for a single value.
    pub fn deviation(&self) -> Option<f64> {
        (self.count > 1).then(|| (self.squares / (self.count - 1) as f64).sqrt())
    }

    /// First quartile, median and third quartile, interpolated linearly between the two nearest values.
    pub fn quartiles(&self) -> Option<[f64; 3]> {
        let mut values = self.sample.kept.clone();
        values.sort_unstable_by(f64::total_cmp);
        let last = values.len().checked_sub(1)?;
        Some([0.25, 0.5, 0.75].map(|share| {
            let position = share * last as f64;
            let below = position.floor() as usize;
            let above = values[(below + 1).min(last)];
            values[below] + (above - values[below]) * position.fract()
        }))
    }

    /// The number of values that the quartiles were computed from, if not all.
    pub fn sampled(&self) -> Option<usize> {
        (self.sample.stride > 1).then_some(self.sample.kept.len())
    }
}

/// Folds every fourth value, beginning with the first, second, third and fourth.
#[inline(always)]
fn lanes(values: &[f64], start: f64, fold: impl Fn(f64, f64) -> f64) -> [f64; 4] {
    let mut lanes = [start; 4];
    let fours = values.chunks_exact(4);
    let rest = fours.remainder();
    for four in fours {
        for (lane, &value) in lanes.iter_mut().zip(four) {
            *lane = fold(*lane, value);
        }
    }
    for (lane, &value) in lanes.iter_mut().zip(rest) {
        *lane = fold(*lane, value);
    }
    lanes
}

/// Every value while there is room; later one randomly drawn value out of every `stride` consecutive ones. This stratified
/// sample is at least as good as a sample from all values, and needs no work for the values in between. The seed is fixed,
/// so the same file gives the same quartiles.
#[derive(Debug, Clone)]
struct Sample {
    kept: Vec<f64>,
    stride: u64,
    /// The index of the value that is kept next.
    next: u64,
    random: u64,
}

impl Sample {
    fn new() -> Self {
        Self { kept: Vec::new(), stride: 1, next: 0, random: 0 }
    }

    /// The next values, the first of which has this index. Returns how many were kept.
    fn offer(&mut self, index: u64, values: &[f64]) -> usize {
        let before = self.kept.len();
        let end = index + values.len() as u64;
        if self.stride == 1 {
            self.kept.extend_from_slice(values);
            self.next = end;
        }
        while self.next < end {
            self.kept.push(values[(self.next - index) as usize]);
            self.next = (self.next / self.stride + 1) * self.stride + self.below(self.stride);
        }
        self.kept.len() - before
    }

    /// A random number below a power of two (SplitMix64).
    fn below(&mut self, power: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.random;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ (bits >> 31)) & (power - 1)
    }

    /// Doubles the stride: of every two kept values, one stays. Returns how many were dropped.
    fn thin(&mut self) -> usize {
        let before = self.kept.len();
        for pair in 0..before / 2 {
            let drawn = 2 * pair + self.below(2) as usize;
            self.kept[pair] = self.kept[drawn];
        }
        // The last stride may be incomplete; the half that its value comes from is drawn, too.
        let second_half = self.below(2) == 1;
        let drawn = before as u64;
        if before % 2 == 0 {
            self.kept.truncate(before / 2);
            if second_half {
                self.next = (drawn + 1) * self.stride + self.below(self.stride);
            }
        } else if second_half {
            self.kept.truncate(before / 2);
        } else {
            self.kept[before / 2] = self.kept[before - 1];
            self.kept.truncate(before / 2 + 1);
            self.next = (drawn + 1) * self.stride + self.below(2 * self.stride);
        }
        self.stride *= 2;
        before - self.kept.len()
    }
}

/// Describes the table in `source`. Without `wanted`, it describes the columns that look numeric.
pub fn of_file(source: impl Read, group_by: Option<&str>, wanted: Option<&[String]>) -> Result<FileStatistics> {
    let mut reader = Reader::new(source);
    let mut batch = reader.next()?;
    let header = match batch {
        Some(records) => texts(records, 0),
        None => return Err("the file is empty; the first line must name the columns".to_owned()),
    };
    let group_column = group_by.map(|name| position(&header, name)).transpose()?;
    let columns = match (wanted, batch) {
        (Some(names), _) => wanted_columns(&header, group_column, names)?,
        (None, Some(records)) => numeric_columns(&header, group_column, records)?,
        (None, None) => Vec::new(),
    };

    let mut groups = Groups { column: group_column, width: columns.len(), ..Groups::default() };
    let mut moments = Vec::new();
    let mut ragged_rows = 0;
    let mut kept = 0;
    let mut header_rows = 1;
    // The records with as many cells as the header, and their groups.
    let mut rows = Vec::new();
    let mut groups_of_rows = Vec::new();
    while let Some(records) = batch {
        rows.clear();
        for record in header_rows..records.len() {
            match records.width(record) {
                width if width == header.len() => rows.push(record),
                0 => {}
                _ => ragged_rows += 1,
            }
        }
        header_rows = 0;
        groups_of_rows.clear();
        for &row in &rows {
            groups_of_rows.push(groups.of_row(records, row)?);
        }
        moments.resize_with(groups.list.len() * columns.len(), Moments::new);
        for (place, &column) in columns.iter().enumerate() {
            kept += add_column(records, column, &rows, &groups_of_rows, &mut moments[place..], columns.len());
        }
        while kept > KEPT_VALUES {
            kept -= thin_largest(&mut moments);
        }
        batch = reader.next()?;
    }

    for cell in &mut moments {
        cell.finish();
    }
    let mut moments = moments.into_iter();
    let mut groups = groups.list;
    for group in &mut groups {
        group.cells = moments.by_ref().take(columns.len()).collect();
    }
    groups.sort_by(|a, b| a.name.cmp(&b.name));
    let columns = columns.into_iter().map(|column| header[column].clone()).collect();
    Ok(FileStatistics { columns, groups, ragged_rows })
}

/// Adds the values of a column in `rows`. The column's cell of group `g` is `moments[g * width]`. This is a separate
/// function because it contains the hot loop, and compilers optimise a small function better.
#[inline(never)]
fn add_column(
    records: Records<'_>,
    column: usize,
    rows: &[usize],
    groups: &[usize],
    moments: &mut [Moments],
    width: usize,
) -> usize {
    let mut kept = 0;
    for (&row, &group) in rows.iter().zip(groups) {
        let cell = &mut moments[group * width];
        kept += match records.plain_number(row, column) {
            Some(number) => cell.add(number),
            None => cell.add_text(&records.cell(row, column)),
        };
    }
    kept
}

/// Halves the largest samples, so that small groups stay exact as long as possible.
fn thin_largest(moments: &mut [Moments]) -> usize {
    let largest = moments.iter().map(|cell| cell.sample.kept.len()).max().unwrap_or(0);
    moments.iter_mut().map(|cell| &mut cell.sample).filter(|s| s.kept.len() > largest / 2).map(Sample::thin).sum()
}

/// The groups found so far.
#[derive(Default)]
struct Groups {
    /// The groupBy column. Without one, all rows are one group.
    column: Option<usize>,
    width: usize,
    list: Vec<Group>,
    known: HashMap<Vec<u8>, usize, BuildHasherDefault<NameHasher>>,
}

impl Groups {
    /// Counts a row, and returns the index of its group.
    fn of_row(&mut self, records: Records<'_>, row: usize) -> Result<usize> {
        let name = self.column.map_or(Cow::Borrowed(&b""[..]), |column| records.cell(row, column));
        let group = match self.known.get(name.as_ref()) {
            Some(&group) => group,
            None => self.add(name.into_owned())?,
        };
        self.list[group].rows += 1;
        Ok(group)
    }

    fn add(&mut self, cell: Vec<u8>) -> Result<usize> {
        let name = match self.column {
            None => ALL_ROWS.to_owned(),
            Some(_) if job::is_missing(&cell) => MISSING_GROUP.to_owned(),
            Some(_) => String::from_utf8_lossy(&cell).into_owned(),
        };
        // "", "NA" and the like are the same group.
        let same = if name == MISSING_GROUP { self.list.iter().position(|group| group.name == name) } else { None };
        let group = same.unwrap_or(self.list.len());
        if group == self.list.len() {
            if (group + 1) * self.width > MOST_CELLS {
                return Err(format!("more than {group} groups; groupBy must be a column with few different values"));
            }
            self.list.push(Group { name, rows: 0, cells: Vec::new() });
        }
        self.known.insert(cell, group);
        Ok(group)
    }
}

fn texts(records: Records<'_>, record: usize) -> Vec<String> {
    let cells = (0..records.width(record)).map(|column| records.cell(record, column));
    cells.map(|cell| String::from_utf8_lossy(&cell).into_owned()).collect()
}

fn position(header: &[String], name: &str) -> Result<usize> {
    let mut columns = header.iter().enumerate().filter(|(_, column)| *column == name).map(|(place, _)| place);
    match (columns.next(), columns.next()) {
        (Some(column), None) => Ok(column),
        (Some(_), Some(_)) => Err(format!("more than one column is called '{name}'")),
        (None, _) => Err(format!("no column '{name}'; the columns are: {}", header.join(", "))),
    }
}

fn wanted_columns(header: &[String], group_column: Option<usize>, names: &[String]) -> Result<Vec<usize>> {
    let mut columns = names.iter().map(|name| position(header, name)).collect::<Result<Vec<_>>>()?;
    if let Some(column) = columns.iter().find(|&&column| Some(column) == group_column) {
        return Err(format!("'{}' cannot be both groupBy and one of the columns", header[*column]));
    }
    columns.sort_unstable();
    columns.dedup();
    if columns.is_empty() {
        return Err("columns is an empty list; leave it out to describe all that look numeric".to_owned());
    }
    Ok(columns)
}

/// The columns whose values at the beginning of the file are numbers.
fn numeric_columns(header: &[String], group_column: Option<usize>, records: Records<'_>) -> Result<Vec<usize>> {
    let rows: Vec<Vec<String>> = (1..records.len()).map(|record| texts(records, record)).collect();
    let looks_numeric = |&column: &usize| {
        let cells = rows.iter().filter(|row| row.len() == header.len()).map(|row| row[column].as_bytes());
        let mut values = cells.filter(|cell| !job::is_missing(cell)).peekable();
        values.peek().is_some() && values.all(|cell| job::number(cell).is_some())
    };
    let others = (0..header.len()).filter(|&column| Some(column) != group_column);
    let columns: Vec<usize> = others.filter(looks_numeric).collect();
    if columns.is_empty() {
        return Err(format!("no column to describe: none of {} looks numeric", header.join(", ")));
    }
    Ok(columns)
}

/// Hashes short names quickly. The number of groups is bounded, so colliding names cannot slow it down much.
#[derive(Default)]
struct NameHasher(u64);

impl Hasher for NameHasher {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.0 = (self.0.rotate_left(5) ^ u64::from_le_bytes(word)).wrapping_mul(0x517c_c1b7_2722_0a95);
        }
    }

    fn finish(&self) -> u64 {
        // The map uses the low bits, which a multiplication mixes least.
        self.0.rotate_left(26)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group<'a>(statistics: &'a FileStatistics, name: &str) -> &'a Group {
        statistics.groups.iter().find(|group| group.name == name).unwrap()
    }

    /// An independent number generator, because the sample must not be tested with its own.
    fn lcg(state: &mut u64) -> f64 {
        *state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (*state >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// The reference figures are those of pandas 3.1, `groupby("species").describe()`.
    #[test]
    fn penguins_by_species() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../data/penguins.csv");
        let found = of_file(std::fs::File::open(file).unwrap(), Some("species"), None).unwrap();
        assert_eq!(found.columns, ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g", "year"]);
        let expected = [
            ("Adelie", 0, 151, 1, [38.79139073, 2.663404848, 32.1, 36.75, 38.8, 40.75, 46.0]),
            ("Chinstrap", 3, 68, 0, [3733.088235, 384.3350814, 2700.0, 3487.5, 3700.0, 3950.0, 4800.0]),
            ("Gentoo", 1, 123, 1, [14.98211382, 0.9812197595, 13.1, 14.2, 15.0, 15.7, 17.3]),
        ];
        for (name, column, count, missing, [mean, sd, min, q1, median, q3, max]) in expected {
            let cell = &group(&found, name).cells[column];
            assert_eq!((cell.count, cell.missing, cell.min, cell.max), (count, missing, min, max), "{name}");
            let quartiles = cell.quartiles().unwrap();
            let pairs = [(cell.mean, mean), (cell.deviation().unwrap(), sd)];
            let pairs = pairs.into_iter().chain(quartiles.into_iter().zip([q1, median, q3]));
            for (found, expected) in pairs {
                assert!((found / expected - 1.0).abs() < 1e-9, "{name}: {found} is not {expected}");
            }
        }
    }

    #[test]
    fn groups_missing_values_and_text() {
        let file = "g,x,note\na,1,u\na,NA,v\na,oops,w\na,3,\nNA,5,x\n,7,y\na,1\n";
        let found = of_file(file.as_bytes(), Some("g"), Some(&["x".to_owned()])).unwrap();
        assert_eq!((found.columns.as_slice(), found.ragged_rows), (["x".to_owned()].as_slice(), 1));
        let a = &group(&found, "a").cells[0];
        assert_eq!((a.count, a.missing, a.not_numeric, a.mean, a.min, a.max), (2, 1, 1, 2.0, 1.0, 3.0));
        assert_eq!(group(&found, "(missing)").rows, 2);
    }

    #[test]
    fn columns_that_look_numeric_are_found() {
        let found = of_file(&b"id,x,empty,text\n1,NA,NA,a\n2,0.5,,1\n"[..], None, None).unwrap();
        assert_eq!(found.columns, ["id", "x"]);
        assert_eq!(found.groups[0].name, "(all)");
    }

    #[test]
    fn tables_that_cannot_be_described_are_errors() {
        let error =
            |file: &str, group_by, wanted: Option<&[String]>| of_file(file.as_bytes(), group_by, wanted).unwrap_err();
        assert!(error("", None, None).contains("empty"));
        assert!(error("a,b\n1,2\n", Some("c"), None).contains("no column 'c'; the columns are: a, b"));
        assert!(error("a,a\n1,2\n", Some("a"), None).contains("more than one"));
        assert!(error("a\nx\n", None, None).contains("looks numeric"));
        assert!(error("a\n1\n", Some("a"), Some(&["a".to_owned()])).contains("both"));
        let many: String = std::iter::once("i,x\n".into()).chain((0..50_001).map(|i| format!("{i},1\n"))).collect();
        assert!(error(&many, Some("i"), Some(&["x".to_owned()])).contains("50000 groups"));
    }

    #[test]
    fn a_large_offset_keeps_the_deviation_exact() {
        let file: String =
            std::iter::once("x\n".into()).chain((0..1000).map(|i| format!("{}\n", 1e9 + f64::from(i % 2)))).collect();
        let found = of_file(file.as_bytes(), None, None).unwrap();
        let deviation = found.groups[0].cells[0].deviation().unwrap();
        assert!((deviation - 0.500_250_187_6).abs() < 1e-9, "{deviation}");
    }

    #[test]
    fn a_thinned_sample_keeps_the_quartiles() {
        let mut cells = vec![Moments::new(), Moments::new()];
        let mut state = 1;
        for index in 0..2_000_000 {
            cells[0].add(lcg(&mut state));
            if index < 1000 {
                cells[1].add(f64::from(index));
            }
            while cells.iter().map(|cell| cell.sample.kept.len()).sum::<usize>() > 65_536 {
                thin_largest(&mut cells);
            }
        }
        cells.iter_mut().for_each(|cell| {
            cell.finish();
        });
        let kept = cells[0].sampled().unwrap();
        assert!((30_000..65_000).contains(&kept), "{kept}");
        // One value of every neighbourhood: 2 000 000 / stride of them, rounded up or down.
        assert!((kept as u64).abs_diff(2_000_000 / cells[0].sample.stride) <= 1);
        for (found, share) in cells[0].quartiles().unwrap().into_iter().zip([0.25, 0.5, 0.75]) {
            assert!((found - share).abs() < 0.01, "{share}: {found}");
        }
        assert_eq!(cells[1].sampled(), None, "a small group stays exact");
        assert_eq!(cells[1].quartiles(), Some([249.75, 499.5, 749.25]));
    }
}
