//! What comes out: lines with a figure, what it is compared with, the target, and a verdict.

use crate::{
    options::Scale,
    series::{Series, Spread},
};
use serde::Serialize;
use serde_json::{Value, json};
use std::fmt::{self, Display, Formatter};

/// What a figure should be.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Target {
    AtMost(f64),
    AtLeast(f64),
}

impl Target {
    fn is_met(self, figure: f64) -> bool {
        match self {
            Self::AtMost(bound) => figure <= bound,
            Self::AtLeast(bound) => figure >= bound,
        }
    }
}

/// What a figure is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Unit {
    /// A ratio of two times, or of two speeds.
    Times,
    MiB,
    Seconds,
    /// So many in a second.
    PerSecond,
}

/// One line.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Row {
    what: String,
    figure: Option<f64>,
    unit: Unit,
    target: Option<Target>,
    met: Option<bool>,
    /// How the figure came about, or why there is none.
    detail: String,
}

impl Row {
    /// How many times longer we take: minimum by minimum.
    pub(crate) fn slower(what: impl Into<String>, ours: (&Series, Spread), theirs: (&Series, Spread)) -> Self {
        Self::compared(what, ours.1.least / theirs.1.least, ours.1.median / theirs.1.median, ours, theirs)
    }

    /// Which part of their speed we reach: minimum by minimum.
    pub(crate) fn speed(what: impl Into<String>, ours: (&Series, Spread), theirs: (&Series, Spread)) -> Self {
        Self::compared(what, theirs.1.least / ours.1.least, theirs.1.median / ours.1.median, ours, theirs)
    }

    fn compared(
        what: impl Into<String>,
        figure: f64,
        of_medians: f64,
        (ours, our_spread): (&Series, Spread),
        (theirs, their_spread): (&Series, Spread),
    ) -> Self {
        let detail = format!(
            "{} {our_spread}, {} {their_spread}; of medians {of_medians:.2}; {} rounds",
            ours.name,
            theirs.name,
            ours.samples.len()
        );
        Self { what: what.into(), figure: Some(figure), unit: Unit::Times, target: None, met: None, detail }
    }

    pub(crate) fn seconds(what: impl Into<String>, series: &Series, spread: Spread) -> Self {
        let detail = format!("{} {spread}; {} rounds", series.name, series.samples.len());
        Self { what: what.into(), figure: Some(spread.least), unit: Unit::Seconds, target: None, met: None, detail }
    }

    pub(crate) fn memory(what: impl Into<String>, bytes: u64, detail: impl Into<String>) -> Self {
        let figure = Some(bytes as f64 / f64::from(1 << 20));
        Self { what: what.into(), figure, unit: Unit::MiB, target: None, met: None, detail: detail.into() }
    }

    pub(crate) fn times(what: impl Into<String>, figure: f64, detail: impl Into<String>) -> Self {
        let unit = Unit::Times;
        Self { what: what.into(), figure: Some(figure), unit, target: None, met: None, detail: detail.into() }
    }

    pub(crate) fn rate(what: impl Into<String>, figure: f64, detail: impl Into<String>) -> Self {
        let unit = Unit::PerSecond;
        Self { what: what.into(), figure: Some(figure), unit, target: None, met: None, detail: detail.into() }
    }

    pub(crate) fn duration(what: impl Into<String>, seconds: f64, detail: impl Into<String>) -> Self {
        let unit = Unit::Seconds;
        Self { what: what.into(), figure: Some(seconds), unit, target: None, met: None, detail: detail.into() }
    }

    /// Something that cannot be measured here.
    pub(crate) fn without(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self { what: what.into(), figure: None, unit: Unit::Times, target: None, met: None, detail: why.into() }
    }

    pub(crate) fn failed(what: impl Into<String>, error: &anyhow::Error) -> Self {
        Self::without(what, format!("FAILED: {error:#}"))
    }

    /// Holds the figure against a target.
    pub(crate) fn target(mut self, target: Target) -> Self {
        self.met = self.figure.map(|figure| target.is_met(figure));
        self.target = Some(target);
        self
    }
}

/// All lines, by measurement.
#[derive(Debug, Default)]
pub(crate) struct Table {
    sections: Vec<(&'static str, Vec<Row>)>,
}

impl Table {
    pub(crate) fn add(&mut self, name: &'static str, rows: Vec<Row>) {
        self.sections.push((name, rows));
    }

    pub(crate) fn json(&self, scale: Scale, machine: &Value) -> Value {
        let sections: serde_json::Map<_, _> =
            self.sections.iter().map(|(name, rows)| ((*name).to_owned(), json!(rows))).collect();
        json!({
            "version": "cloister.dev/bench/v1",
            "scale": if scale == Scale::Quick { "quick" } else { "full" },
            "machine": machine,
            "measurements": sections,
        })
    }
}

impl Display for Spread {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let over = (self.median / self.least - 1.0) * 100.0;
        write!(f, "{} (median +{over:.0} %)", Time(self.least))
    }
}

/// Seconds, for people.
pub(crate) struct Time(pub(crate) f64);

impl Display for Time {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            seconds if seconds >= 1.0 => write!(f, "{seconds:.2} s"),
            seconds if seconds >= 0.001 => write!(f, "{:.2} ms", seconds * 1e3),
            seconds => write!(f, "{:.1} us", seconds * 1e6),
        }
    }
}

struct Figure(f64, Unit);

impl Display for Figure {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.1 {
            Unit::Times => write!(f, "{:.2}x", self.0),
            Unit::MiB => write!(f, "{:.1} MiB", self.0),
            Unit::Seconds => Time(self.0).fmt(f),
            Unit::PerSecond => write!(f, "{:.0}/s", self.0),
        }
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let width = self.sections.iter().flat_map(|(_, rows)| rows).map(|row| row.what.len()).max().unwrap_or(0);
        for (name, rows) in &self.sections {
            writeln!(f, "\n{name}")?;
            for row in rows {
                let figure = row.figure.map_or_else(|| "-".to_owned(), |figure| Figure(figure, row.unit).to_string());
                let target = match row.target {
                    Some(Target::AtMost(bound)) => format!("<= {}", Figure(bound, row.unit)),
                    Some(Target::AtLeast(bound)) => format!(">= {}", Figure(bound, row.unit)),
                    None => String::new(),
                };
                let verdict = match row.met {
                    Some(true) => "met",
                    Some(false) => "NOT met",
                    None => "",
                };
                writeln!(f, "  {:width$}  {figure:>10}  {target:>13}  {verdict:7}  {}", row.what, row.detail)?;
            }
        }
        Ok(())
    }
}
