//! One pass over a table: count, mean, spread and quartiles of every column in every group.

use crate::csv::{Reader, Record, Use, NOT_A_NUMBER};
use job::Result;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::io::Read;

/// How many values of a file are kept for its quartiles: 32 MiB of them.
const KEPT_VALUES: usize = 4 << 20;
/// Groups times columns. Grouping by an identifier is a mistake, and this is where it ends.
const MOST_CELLS: usize = 50_000;

/// The name of the group of rows that have no value in the groupBy column, and of the one group without groupBy.
const MISSING_GROUP: &str = "(missing)";
const ALL_ROWS: &str = "(all)";

/// What was found in one file.
#[derive(Debug)]
pub struct FileStatistics {
    pub columns: Vec<String>,
    /// Sorted by name.
    pub groups: Vec<Group>,
    /// Rows that have not as many cells as the header.
    pub ragged_rows: u64,
}

#[derive(Debug)]
pub struct Group {
    pub name: String,
    pub rows: u64,
    /// One per column.
    pub cells: Vec<Moments>,
}

/// A column within a group.
#[derive(Debug, Clone)]
pub struct Moments {
    pub count: u64,
    pub missing: u64,
    pub not_numeric: u64,
    pub mean: f64,
    squares: f64,
    pub min: f64,
    pub max: f64,
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
            sample: Sample::new(),
        }
    }

    /// Welford's update: it stays exact where a sum of squares would cancel. Returns how many values were kept.
    #[inline(always)]
    fn add(&mut self, value: f64) -> usize {
        if value.is_nan() {
            self.missing += 1;
            return 0;
        }
        if value == NOT_A_NUMBER {
            self.not_numeric += 1;
            return 0;
        }
        let index = self.count;
        self.count += 1;
        let distance = value - self.mean;
        self.mean += distance / self.count as f64;
        self.squares += distance * (value - self.mean);
        self.min = if value < self.min { value } else { self.min };
        self.max = if value > self.max { value } else { self.max };
        self.sample.offer(index, value)
    }

    /// The standard deviation with n-1 in the denominator; none of a single value.
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

    /// The number of values that the quartiles were taken from, where that is not all of them.
    pub fn sampled(&self) -> Option<usize> {
        (self.sample.stride > 1).then_some(self.sample.kept.len())
    }
}

/// Every value while there is room; later one value, drawn at random, out of every `stride` neighbours. Drawing by
/// neighbourhoods is at least as good as drawing from all, and needs no work for the values in between. The seed is
/// fixed: the same file gives the same quartiles.
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

    #[inline(always)]
    fn offer(&mut self, index: u64, value: f64) -> usize {
        if index != self.next {
            return 0;
        }
        self.keep(index, value);
        1
    }

    fn keep(&mut self, index: u64, value: f64) {
        self.kept.push(value);
        self.next = (index / self.stride + 1) * self.stride + self.below(self.stride);
    }

    /// A random number below a power of two (SplitMix64).
    fn below(&mut self, power: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.random;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ (bits >> 31)) & (power - 1)
    }

    /// Doubles the stride: of every two values kept, one stays. Returns how many went.
    fn thin(&mut self) -> usize {
        let before = self.kept.len();
        for pair in 0..before / 2 {
            let drawn = 2 * pair + self.below(2) as usize;
            self.kept[pair] = self.kept[drawn];
        }
        // The last neighbourhood may be half seen; which half its value comes from is drawn too.
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

/// Describes the table that `source` holds. Without `wanted`, its columns are those that look numeric.
pub fn of_file(source: impl Read, group_by: Option<&str>, wanted: Option<&[String]>) -> Result<FileStatistics> {
    let mut reader = Reader::new(source)?;
    let header = reader.text_record()?.ok_or("the file is empty; the first line must name the columns")?;
    let uses = uses(&header, group_by, wanted, &mut reader)?;
    let columns: Vec<String> =
        header.iter().zip(&uses).filter(|(_, &used)| used == Use::Number).map(|(name, _)| name.clone()).collect();
    let width = columns.len();

    let mut groups: Vec<Group> = Vec::new();
    let mut moments: Vec<Moments> = Vec::new();
    let mut known: HashMap<Vec<u8>, usize, BuildHasherDefault<NameHasher>> = HashMap::default();
    let mut record = Record::default();
    let mut ragged_rows = 0;
    let mut kept = 0;
    while reader.next(&uses, &mut record)? {
        if record.cells != header.len() {
            ragged_rows += 1;
            continue;
        }
        let group = match known.get(&record.group) {
            Some(&group) => group,
            None => {
                let name = group_name(&record.group, group_by);
                // "", "NA" and the like are the same group.
                let same =
                    (name == MISSING_GROUP).then(|| groups.iter().position(|group| group.name == name)).flatten();
                let group = same.unwrap_or(groups.len());
                if group == groups.len() {
                    if (group + 1) * width > MOST_CELLS {
                        let column = group_by.unwrap_or_default();
                        return Err(format!("more than {group} groups: '{column}' is not a column to group by"));
                    }
                    groups.push(Group { name, rows: 0, cells: Vec::new() });
                    moments.extend(std::iter::repeat_with(Moments::new).take(width));
                }
                known.insert(record.group.clone(), group);
                group
            }
        };
        groups[group].rows += 1;
        for (moments, &value) in moments[group * width..][..width].iter_mut().zip(&record.numbers) {
            kept += moments.add(value);
        }
        while kept > KEPT_VALUES {
            kept -= thin_largest(&mut moments);
        }
    }

    let mut moments = moments.into_iter();
    for group in &mut groups {
        group.cells = moments.by_ref().take(width).collect();
    }
    groups.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(FileStatistics { columns, groups, ragged_rows })
}

/// The cells that hold most give half of it up, so that small groups stay exact longest.
fn thin_largest(moments: &mut [Moments]) -> usize {
    let largest = moments.iter().map(|cell| cell.sample.kept.len()).max().unwrap_or(0);
    moments.iter_mut().map(|cell| &mut cell.sample).filter(|s| s.kept.len() > largest / 2).map(Sample::thin).sum()
}

fn group_name(cell: &[u8], group_by: Option<&str>) -> String {
    match group_by {
        None => ALL_ROWS.to_owned(),
        Some(_) if job::is_missing(cell) => MISSING_GROUP.to_owned(),
        Some(_) => String::from_utf8_lossy(cell).into_owned(),
    }
}

fn uses<R: Read>(
    header: &[String],
    group_by: Option<&str>,
    wanted: Option<&[String]>,
    reader: &mut Reader<R>,
) -> Result<Vec<Use>> {
    let position = |name: &str| match header.iter().filter(|column| *column == name).count() {
        1 => Ok(header.iter().position(|column| column == name).unwrap_or_default()),
        0 => Err(format!("there is no column '{name}'; there are: {}", header.join(", "))),
        many => Err(format!("{many} columns are called '{name}'")),
    };
    let mut uses = vec![Use::Skip; header.len()];
    if let Some(name) = group_by {
        uses[position(name)?] = Use::Group;
    }
    match wanted {
        Some(names) => {
            for name in names {
                match &mut uses[position(name)?] {
                    Use::Group => return Err(format!("'{name}' cannot be both groupBy and one of the columns")),
                    column => *column = Use::Number,
                }
            }
        }
        None => {
            let rows = reader.preview();
            for (index, column) in uses.iter_mut().enumerate() {
                if *column == Use::Skip && looks_numeric(&rows, index) {
                    *column = Use::Number;
                }
            }
        }
    }
    if !uses.contains(&Use::Number) {
        return Err(format!("no column to describe: none of {} looks numeric", header.join(", ")));
    }
    Ok(uses)
}

fn looks_numeric(rows: &[Vec<String>], column: usize) -> bool {
    let mut values =
        rows.iter().filter_map(|row| row.get(column)).filter(|cell| !job::is_missing(cell.as_bytes())).peekable();
    values.peek().is_some() && values.all(|cell| job::number(cell.as_bytes()).is_some())
}

/// Hashes short names quickly; the number of groups is bounded, so nobody gains by making names collide.
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
        // The map looks at the low bits, which a multiplication mixes least.
        self.0.rotate_left(26)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group<'a>(statistics: &'a FileStatistics, name: &str) -> &'a Group {
        statistics.groups.iter().find(|group| group.name == name).unwrap()
    }

    /// An independent, one-line number generator: the sample must not be tested with its own.
    fn lcg(state: &mut u64) -> f64 {
        *state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (*state >> 11) as f64 / (1_u64 << 53) as f64
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
    fn what_cannot_be_described_is_said() {
        let error =
            |file: &str, group_by, wanted: Option<&[String]>| of_file(file.as_bytes(), group_by, wanted).unwrap_err();
        assert!(error("", None, None).contains("empty"));
        assert!(error("a,b\n1,2\n", Some("c"), None).contains("no column 'c'; there are: a, b"));
        assert!(error("a,a\n1,2\n", Some("a"), None).contains("2 columns"));
        assert!(error("a\nx\n", None, None).contains("looks numeric"));
        assert!(error("a\n1\n", Some("a"), Some(&["a".to_owned()])).contains("both"));
        let many: String = std::iter::once("i,x\n".into()).chain((0..50_001).map(|i| format!("{i},1\n"))).collect();
        assert!(error(&many, Some("i"), Some(&["x".to_owned()])).contains("50000 groups"));
    }

    #[test]
    fn a_large_offset_does_not_eat_the_deviation() {
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
