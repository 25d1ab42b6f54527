//! The rows that have all values.

use job::Result;
use std::collections::BTreeSet;
use std::io::Read;

#[derive(Debug)]
pub struct Table {
    target: String,
    columns: Vec<String>,
    pub targets: Vec<String>,
    /// Row-major.
    pub features: Vec<f64>,
    pub skipped: u64,
}

impl Table {
    pub fn new(target: &str, columns: &[String]) -> Result<Self> {
        if columns.is_empty() {
            return Err("features must name at least one column".to_owned());
        }
        let distinct: BTreeSet<_> = columns.iter().map(String::as_str).chain([target]).collect();
        if distinct.len() != columns.len() + 1 {
            return Err("the target and the features must all be different columns".to_owned());
        }
        let (target, columns) = (target.to_owned(), columns.to_vec());
        Ok(Self { target, columns, targets: Vec::new(), features: Vec::new(), skipped: 0 })
    }

    /// Adds the rows of a CSV file.
    pub fn read(&mut self, file: impl Read) -> Result<()> {
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(file);
        let header = reader.headers().map_err(|e| e.to_string())?.clone();
        let position = |name: &String| {
            let missing =
                || format!("no column '{name}'; the columns are: {}", header.iter().collect::<Vec<_>>().join(", "));
            header.iter().position(|column| column == name).ok_or_else(missing)
        };
        let target = position(&self.target)?;
        let columns = self.columns.iter().map(position).collect::<Result<Vec<_>>>()?;
        let mut record = csv::StringRecord::new();
        let mut number = 1;
        while reader.read_record(&mut record).map_err(|e| e.to_string())? {
            number += 1;
            let missing = |column: &usize| job::is_missing(record[*column].as_bytes());
            if record.len() != header.len() || missing(&target) || columns.iter().any(missing) {
                self.skipped += 1;
                continue;
            }
            for &column in &columns {
                let value = job::number(record[column].as_bytes())
                    .ok_or_else(|| format!("record {number}: '{}' is not a number", &header[column]))?;
                self.features.push(value);
            }
            self.targets.push(record[target].trim().to_owned());
        }
        Ok(())
    }

    /// The target's values in alphabetical order, if there are two.
    pub fn classes(&self) -> Option<[String; 2]> {
        let mut classes = BTreeSet::new();
        for target in &self.targets {
            classes.insert(target);
            if classes.len() > 2 {
                return None;
            }
        }
        let mut classes = classes.into_iter().cloned();
        Some([classes.next()?, classes.next()?])
    }

    /// 1 for the rows of a class, 0 for the others.
    pub fn is_class(&self, class: &str) -> Vec<f64> {
        self.targets.iter().map(|target| f64::from(u8::from(target.eq_ignore_ascii_case(class)))).collect()
    }

    pub fn numeric_targets(&self) -> Result<Vec<f64>> {
        let number = |target: &String| job::number(target.as_bytes());
        let error = || format!("'{}' is not numeric; a linear model needs that", self.target);
        self.targets.iter().map(number).collect::<Option<_>>().ok_or_else(error)
    }
}
