//! Repeated measurements. Contenders take turns, so that a disturbance meets all of them alike.

use anyhow::{Context as _, Result};

/// One run of one contender.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sample {
    /// Seconds from before the process was started until it was reaped.
    pub(crate) whole: f64,
    /// Seconds that the guest's work took, by its own clock; or those that the report says it ran.
    pub(crate) guest: Option<f64>,
    /// The most memory of any of its processes, in bytes.
    pub(crate) resident: u64,
    /// The most memory of the guest's process, in bytes.
    pub(crate) worker: Option<u64>,
}

/// A contender: its name, and how to run it once.
pub(crate) struct Contender<'a> {
    name: &'static str,
    run: Box<dyn FnMut() -> Result<Sample> + 'a>,
}

impl<'a> Contender<'a> {
    pub(crate) fn new(name: &'static str, run: impl FnMut() -> Result<Sample> + 'a) -> Self {
        Self { name, run: Box::new(run) }
    }
}

/// All runs of one contender.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    pub(crate) name: &'static str,
    pub(crate) samples: Vec<Sample>,
}

/// What is left of a list of seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    /// The least disturbed run. Disturbances only ever add time, so this is what ratios are made of.
    pub(crate) least: f64,
    pub(crate) median: f64,
}

/// One round to warm up, which is not counted, then `rounds` rounds in which everybody runs once.
pub(crate) fn take_turns<const N: usize>(rounds: usize, mut contenders: [Contender<'_>; N]) -> Result<[Series; N]> {
    let mut samples: [Vec<Sample>; N] = std::array::from_fn(|_| Vec::with_capacity(rounds));
    for round in 0..=rounds {
        for (contender, samples) in contenders.iter_mut().zip(&mut samples) {
            let sample = (contender.run)().with_context(|| contender.name)?;
            if round > 0 {
                samples.push(sample);
            }
        }
    }
    let mut names = contenders.iter().map(|contender| contender.name);
    Ok(samples.map(|samples| Series { name: names.next().unwrap_or_default(), samples }))
}

impl Series {
    /// Of whole processes.
    pub(crate) fn whole(&self) -> Spread {
        spread(self.samples.iter().map(|sample| sample.whole))
    }

    /// Of the guest's own time; of the whole process where there is none.
    pub(crate) fn guest(&self) -> Spread {
        spread(self.samples.iter().map(|sample| sample.guest.unwrap_or(sample.whole)))
    }

    /// The most memory that any of its processes ever had.
    pub(crate) fn resident(&self) -> u64 {
        self.samples.iter().map(|sample| sample.resident).max().unwrap_or(0)
    }

    /// The most memory that the guest's process ever had.
    pub(crate) fn worker(&self) -> u64 {
        self.samples.iter().filter_map(|sample| sample.worker).max().unwrap_or(0)
    }
}

fn spread(seconds: impl Iterator<Item = f64>) -> Spread {
    let mut sorted: Vec<f64> = seconds.collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
    Spread { least: at(0), median: at(sorted.len() / 2) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_and_the_middle() {
        assert_eq!(spread([3.0, 1.0, 2.0].into_iter()), Spread { least: 1.0, median: 2.0 });
    }

    #[test]
    fn everybody_runs_once_a_round_after_one_to_warm_up() {
        let (mut a, mut b) = (0, 0);
        let count = |number: &mut i32| {
            *number += 1;
            Ok(Sample { whole: f64::from(*number), ..Sample::default() })
        };
        let [first, _] =
            take_turns(3, [Contender::new("a", || count(&mut a)), Contender::new("b", || count(&mut b))]).unwrap();
        assert_eq!(first.samples.iter().map(|sample| sample.whole).collect::<Vec<_>>(), [2.0, 3.0, 4.0]);
        assert_eq!((a, b), (4, 4));
    }
}
