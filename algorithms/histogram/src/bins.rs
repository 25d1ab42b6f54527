//! The bins, their counts, and which bins may be shown.

use crate::Groups;
use job::Result;

#[derive(Debug)]
pub struct Histogram {
    /// The lower border of the first bin.
    pub start: f64,
    pub step: f64,
    pub panels: Vec<Panel>,
}

#[derive(Debug)]
pub struct Panel {
    pub group: String,
    /// The count of each bin; 0 if there are too few rows to show. All panels have the same bins.
    pub counts: Vec<u64>,
}

/// 1, 2, 2.5 or 5 times a power of ten: the smallest such number that is at least `size`.
pub fn round_step(size: f64) -> f64 {
    let power = 10_f64.powf(size.log10().floor());
    let steps = [1.0, 2.0, 2.5, 5.0, 10.0];
    steps.iter().map(|step| step * power).find(|&step| step >= size * (1.0 - 1e-9)).unwrap_or(10.0 * power)
}

impl Histogram {
    pub fn new(groups: &Groups, bins: u32, minimum_count: u64) -> Result<Self> {
        let values = || groups.values().flatten().copied();
        let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
        if low > high {
            return Err("the column has no numbers".to_owned());
        }
        // One value, or values that a double can hardly distinguish: one bin around them.
        let spread = (high - low).max(1e-9 * low.abs().max(high.abs())).max(f64::MIN_POSITIVE * 1e9);
        let step = round_step(spread / f64::from(bins));
        if !step.is_finite() {
            return Err("the column's values are too far apart to draw".to_owned());
        }
        let first = (low / step).floor();
        let count = ((high / step).floor() - first) as usize + 1;
        let mut panels: Vec<Panel> = groups
            .iter()
            .map(|(group, values)| {
                let mut counts = vec![0; count];
                for value in values {
                    counts[((value / step).floor() - first) as usize] += 1;
                }
                counts.iter_mut().filter(|count| **count < minimum_count).for_each(|count| *count = 0);
                Panel { group: group.clone(), counts }
            })
            .collect();
        // The axis ends at the last bar: otherwise its end would reveal the extreme values.
        panels.retain(|panel| panel.counts.iter().any(|&count| count > 0));
        let shown = |bin: &usize| panels.iter().any(|panel| panel.counts[*bin] > 0);
        let (Some(from), Some(to)) = ((0..count).find(shown), (0..count).rfind(shown)) else {
            return Err(format!("no bar has {minimum_count} rows or more"));
        };
        for panel in &mut panels {
            panel.counts = panel.counts[from..=to].to_vec();
        }
        Ok(Self { start: (first + from as f64) * step, step, panels })
    }

    pub fn bins(&self) -> usize {
        self.panels.first().map_or(0, |panel| panel.counts.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(values: &[f64], bins: u32) -> Histogram {
        Histogram::new(&Groups::from([(String::new(), values.to_vec())]), bins, 3).unwrap()
    }

    #[test]
    fn steps_are_round() {
        assert_eq!([0.7, 1.0, 1.01, 22.0, 130.0].map(round_step), [1.0, 1.0, 2.0, 25.0, 200.0]);
        assert!((round_step(0.003) - 0.005).abs() < 1e-18);
    }

    #[test]
    fn small_bins_are_hidden_and_do_not_widen_the_axis() {
        let mut values = vec![1.5; 10];
        values.extend([3.5, 3.5, 4.5, 4.5, 4.5, -6.0, 12.0]);
        let histogram = histogram(&values, 18);
        assert_eq!((histogram.start, histogram.step), (1.0, 1.0));
        assert_eq!(histogram.panels[0].counts, [10, 0, 0, 3]);
    }

    #[test]
    fn one_value_is_one_bar() {
        for value in [0.0, 7.0, -1e12, 1e-300] {
            assert_eq!(histogram(&[value; 4], 20).panels[0].counts, [4], "{value}");
        }
    }
}
