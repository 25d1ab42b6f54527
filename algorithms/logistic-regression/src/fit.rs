//! The estimates: normal equations for the linear model, iteratively reweighted least squares for the logistic one.
//!
//! Both work on standardised columns (mean 0, deviation 1), so that a large offset or scale of a column causes no numerical
//! problems, and convert the result back into the units of the data.

use crate::cholesky::Cholesky;
use job::Result;
use serde::Serialize;

const MOST_ITERATIONS: usize = 50;

/// The standardised columns.
#[derive(Debug)]
pub struct Design {
    /// Row-major, each row beginning with a 1 for the intercept.
    cells: Vec<f64>,
    width: usize,
    means: Vec<f64>,
    deviations: Vec<f64>,
}

#[derive(Debug)]
pub struct Fit {
    /// For the intercept and each column, in the units of the data.
    pub estimates: Vec<f64>,
    pub standard_errors: Vec<f64>,
    pub quality: Quality,
}

#[derive(Debug, Serialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
pub enum Quality {
    Logistic { log_likelihood: f64, null_log_likelihood: f64, iterations: usize },
    Linear { r2: f64, adjusted_r2: f64, residual_standard_error: f64 },
}

impl Design {
    /// `features` has as many numbers per row as there are names.
    pub fn new(features: &[f64], names: &[String]) -> Result<Self> {
        let width = names.len() + 1;
        let rows = features.len() / names.len();
        if rows <= width {
            return Err(format!("{rows} rows are too few for {} features", names.len()));
        }
        let (mut means, mut deviations) = (Vec::new(), Vec::new());
        for (column, name) in names.iter().enumerate() {
            let values = features.iter().skip(column).step_by(names.len());
            let mean = values.clone().sum::<f64>() / rows as f64;
            let deviation = (values.map(|value| (value - mean).powi(2)).sum::<f64>() / rows as f64).sqrt();
            if deviation <= 1e-12 * mean.abs() {
                return Err(format!("'{name}' is the same in all rows; leave it out"));
            }
            means.push(mean);
            deviations.push(deviation);
        }
        let mut cells = Vec::with_capacity(rows * width);
        for row in features.chunks_exact(names.len()) {
            cells.push(1.0);
            cells.extend(row.iter().zip(&means).zip(&deviations).map(|((value, mean), sd)| (value - mean) / sd));
        }
        Ok(Self { cells, width, means, deviations })
    }

    fn rows(&self) -> impl Iterator<Item = &[f64]> {
        self.cells.chunks_exact(self.width)
    }

    /// The factorised Xᵀ W X with the penalty on its diagonal (except for the intercept), and Xᵀ v. `weigh` returns the
    /// weight and v of a row, given its number.
    fn equations(&self, ridge: f64, mut weigh: impl FnMut(usize) -> (f64, f64)) -> Option<(Cholesky, Vec<f64>)> {
        let width = self.width;
        let mut matrix = vec![0.0; width * width];
        let mut right = vec![0.0; width];
        for (number, row) in self.rows().enumerate() {
            let (weight, value) = weigh(number);
            for i in 0..width {
                right[i] += row[i] * value;
                for j in 0..=i {
                    matrix[i * width + j] += weight * row[i] * row[j];
                }
            }
        }
        for i in 1..width {
            matrix[i * width + i] += ridge;
        }
        Some((Cholesky::new(&matrix, width)?, right))
    }

    /// Converts to the units of the data: slopes are divided by the deviations, and the intercept is shifted by the means.
    fn in_units(&self, estimates: &[f64], information: &Cholesky, variance: f64, quality: Quality) -> Fit {
        // One row per coefficient: its combination of the standardised ones.
        let mut intercept = vec![1.0];
        intercept.extend(self.means.iter().zip(&self.deviations).map(|(mean, sd)| -mean / sd));
        let slopes = self.deviations.iter().enumerate().map(|(column, sd)| {
            let mut row = vec![0.0; self.width];
            row[column + 1] = 1.0 / sd;
            row
        });
        let rows: Vec<Vec<f64>> = std::iter::once(intercept).chain(slopes).collect();
        Fit {
            estimates: rows.iter().map(|row| dot(row, estimates)).collect(),
            standard_errors: rows.iter().map(|row| (variance * dot(row, &information.solve(row))).sqrt()).collect(),
            quality,
        }
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn dependent() -> String {
    "the features depend on each other (one is computable from others); leave one out or set 'ridge'".to_owned()
}

pub fn linear(design: &Design, targets: &[f64], ridge: f64) -> Result<Fit> {
    let n = targets.len() as f64;
    let mean = targets.iter().sum::<f64>() / n;
    let total: f64 = targets.iter().map(|target| (target - mean).powi(2)).sum();
    if total <= 0.0 {
        return Err("the target is the same in all rows".to_owned());
    }
    let (equations, right) = design.equations(ridge, |row| (1.0, targets[row] - mean)).ok_or_else(dependent)?;
    let mut estimates = equations.solve(&right);
    let residuals = design.rows().zip(targets).map(|(row, target)| target - mean - dot(row, &estimates));
    let unexplained: f64 = residuals.map(|residual| residual * residual).sum();
    let variance = unexplained / (n - design.width as f64);
    let quality = Quality::Linear {
        r2: 1.0 - unexplained / total,
        adjusted_r2: 1.0 - variance / (total / (n - 1.0)),
        residual_standard_error: variance.sqrt(),
    };
    estimates[0] += mean;
    Ok(design.in_units(&estimates, &equations, variance, quality))
}

/// The log-likelihood of all rows.
fn log_likelihood(design: &Design, targets: &[f64], estimates: &[f64]) -> f64 {
    let of_row = |(row, &target): (&[f64], &f64)| {
        let score = dot(row, estimates);
        // ln(1 + e^x) without overflow.
        let away = if target == 1.0 { -score } else { score };
        -(away.max(0.0) + (-away.abs()).exp().ln_1p())
    };
    design.rows().zip(targets).map(of_row).sum()
}

pub fn logistic(design: &Design, targets: &[f64], ridge: f64) -> Result<Fit> {
    let separated = || "no estimate exists: the features tell the two classes apart perfectly; set 'ridge'".to_owned();
    let penalised = |estimates: &[f64]| {
        let penalty: f64 = estimates[1..].iter().map(|estimate| estimate * estimate).sum();
        log_likelihood(design, targets, estimates) - 0.5 * ridge * penalty
    };
    // Fails at once, and with the right message, if only the features are the problem.
    design.equations(ridge, |_| (1.0, 0.0)).ok_or_else(dependent)?;

    let share = targets.iter().sum::<f64>() / targets.len() as f64;
    let mut estimates = vec![0.0; design.width];
    estimates[0] = (share / (1.0 - share)).ln();
    let null_log_likelihood = log_likelihood(design, targets, &estimates);
    let mut best = penalised(&estimates);
    for iteration in 1..=MOST_ITERATIONS {
        let scores: Vec<f64> = design.rows().map(|row| dot(row, &estimates)).collect();
        let (information, mut gradient) = design
            .equations(ridge, |row| {
                let probability = 1.0 / (1.0 + (-scores[row]).exp());
                (probability * (1.0 - probability), targets[row] - probability)
            })
            .ok_or_else(separated)?;
        for (gradient, estimate) in gradient.iter_mut().zip(&estimates).skip(1) {
            *gradient -= ridge * estimate;
        }
        let step = information.solve(&gradient);
        if step.iter().all(|step| step.abs() < 1e-9) {
            let quality = Quality::Logistic {
                log_likelihood: log_likelihood(design, targets, &estimates),
                null_log_likelihood,
                iterations: iteration,
            };
            return Ok(design.in_units(&estimates, &information, 1.0, quality));
        }
        // A full step may overshoot. The log-likelihood is concave, so a sufficiently small part of the step does not.
        let mut length = 1.0;
        loop {
            let next: Vec<f64> = estimates.iter().zip(&step).map(|(estimate, step)| estimate + length * step).collect();
            let reached = penalised(&next);
            if reached >= best - 1e-12 * best.abs() || length < 1e-6 {
                (estimates, best) = (next, reached);
                break;
            }
            length /= 2.0;
        }
        if ridge == 0.0 && best > -1e-6 {
            return Err(separated());
        }
    }
    Err(separated())
}
