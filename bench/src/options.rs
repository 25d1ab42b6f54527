//! The command line.

use crate::suite;
use anyhow::{Context as _, Result, bail};
use std::path::PathBuf;

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    /// What the targets speak of.
    Full,
    /// A sixteenth of the bytes and fewer repetitions, to see whether anything broke.
    Quick,
}

impl Scale {
    /// The size of large inputs and outputs, in bytes.
    pub(crate) fn bytes(self) -> u64 {
        match self {
            Self::Full => 1 << 30,
            Self::Quick => 64 << 20,
        }
    }

    /// How often each contender runs.
    pub(crate) fn repetitions(self, full: usize) -> usize {
        match self {
            Self::Full => full,
            Self::Quick => (full / 3).max(3),
        }
    }
}

/// What to measure, and where to write it.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) scale: Scale,
    pub(crate) json: Option<PathBuf>,
    pub(crate) only: Vec<String>,
    pub(crate) build: bool,
    /// How long `hostile` takes in all; none: a minute, or some seconds at the quick scale.
    pub(crate) minutes: Option<u64>,
}

impl Options {
    /// None if help was asked for.
    pub(crate) fn parse(arguments: &[String]) -> Result<Option<Self>> {
        let mut options = Self { scale: Scale::Full, json: None, only: Vec::new(), build: true, minutes: None };
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let mut value = || rest.next().cloned().with_context(|| format!("{argument} needs a value"));
            match argument.as_str() {
                "--quick" => options.scale = Scale::Quick,
                "--no-build" => options.build = false,
                "--json" => options.json = Some(value()?.into()),
                "--only" => {
                    let name = value()?;
                    if !suite::ALL.iter().any(|(known, _)| *known == name) {
                        bail!("there is no measurement `{name}`");
                    }
                    options.only.push(name);
                }
                "--minutes" => {
                    let minutes = value()?.parse().ok().filter(|minutes| (1..=24 * 60).contains(minutes));
                    options.minutes = Some(minutes.context("--minutes is a number from 1 to 1440")?);
                }
                "--help" | "-h" => return Ok(None),
                other => bail!("unknown option `{other}`"),
            }
        }
        Ok(Some(options))
    }

    pub(crate) fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == name)
    }
}

/// What `--help` says.
pub(crate) fn help() -> String {
    let names: Vec<&str> = suite::ALL.iter().map(|(name, _)| *name).collect();
    format!(
        "usage: cloister-bench [--quick] [--json FILE] [--only NAME]... [--minutes N] [--no-build]\n\
         \x20 --quick      64 MiB instead of 1 GiB, fewer repetitions\n\
         \x20 --json FILE  where the figures go (target/bench.json)\n\
         \x20 --only NAME  one measurement: {}\n\
         \x20 --minutes N  how long `hostile` takes\n\
         \x20 --no-build   measure the programs that are there",
        names.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Option<Options>> {
        Options::parse(&text.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn options() {
        let options = parse("--quick --only start --json x.json").unwrap().unwrap();
        assert_eq!(options.scale, Scale::Quick);
        assert!(options.wants("start") && !options.wants("python"));
        assert!(parse("").unwrap().unwrap().wants("python"));
        assert_eq!(parse("--only hostile --minutes 10").unwrap().unwrap().minutes, Some(10));
        assert!(parse("--minutes 0").is_err() && parse("--minutes x").is_err() && parse("--minutes").is_err());
        assert!(parse("--help").unwrap().is_none());
        assert!(parse("--only nonsense").is_err() && parse("--json").is_err());
    }
}
