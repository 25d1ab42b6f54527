//! Regression of one column on others: logistic for a target with two values, linear for a numeric one.
//!
//! Reads   every file of every dataset of the job, put together: CSV with a header line, UTF-8, comma separated. Rows
//!         that miss the target or a feature are skipped and counted, as are rows with too few or too many cells.
//! Writes  `coefficients.json`: model, n, columns; estimate and standard error of the intercept and of each column, in
//!         the units of the data; log-likelihood, or R2 and the residual standard error
//! Params  `target`    the column to explain
//!         `features`  the numeric columns to explain it with
//!         `model`     `logistic` or `linear`; without it, logistic if the target has two values
//!         `positive`  the target's value that counts as 1 (case does not matter); all others count as 0. Without it
//!                     the target must have two values, and the second in alphabetical order counts as 1
//!         `ridge`     penalty on the squared coefficients of the standardised columns [default: 0]
//!
//! Refuses fewer than 30 rows, or fewer than 10 in one class, because a smaller model describes persons, not a population.

mod cholesky;
mod fit;
mod table;

use fit::Fit;
use job::{Job, Result};
use serde::{Deserialize, Serialize};
use std::process::ExitCode;
use table::Table;

const FEWEST_ROWS: usize = 30;
const FEWEST_IN_CLASS: usize = 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum Model {
    Logistic,
    Linear,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    target: String,
    features: Vec<String>,
    model: Option<Model>,
    positive: Option<String>,
    #[serde(default)]
    ridge: f64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    model: Model,
    target: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    positive: Option<String>,
    ridge: f64,
    n: usize,
    skipped_rows: u64,
    columns: Vec<String>,
    coefficients: Vec<Coefficient>,
    #[serde(flatten)]
    quality: fit::Quality,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Coefficient {
    column: String,
    estimate: f64,
    /// `None` with a penalty: the estimates are biased on purpose, and the error of a biased value is misleading.
    standard_error: Option<f64>,
}

fn report(table: &Table, parameters: &Parameters) -> Result<Report> {
    let n = table.targets.len();
    if n < FEWEST_ROWS {
        return Err(format!("fewer than {FEWEST_ROWS} rows have all values; that is too few for a model"));
    }
    if !(parameters.ridge >= 0.0 && parameters.ridge.is_finite()) {
        return Err(format!("ridge must be 0 or more, not {}", parameters.ridge));
    }
    let classes = table.classes();
    let model = parameters.model.unwrap_or(match (&classes, &parameters.positive) {
        (Some(_), _) | (None, Some(_)) => Model::Logistic,
        (None, None) => Model::Linear,
    });
    let design = fit::Design::new(&table.features, &parameters.features)?;
    let (fit, positive) = match model {
        Model::Linear => (fit::linear(&design, &table.numeric_targets()?, parameters.ridge)?, None),
        Model::Logistic => {
            let positive = match (&parameters.positive, classes) {
                (Some(positive), _) => positive.clone(),
                (None, Some([_, second])) => second,
                (None, None) => {
                    return Err(format!(
                        "'{}' has not two values; name the one that counts with 'positive'",
                        parameters.target
                    ))
                }
            };
            let targets = table.is_class(&positive);
            let ones = targets.iter().filter(|&&target| target == 1.0).count();
            if ones.min(n - ones) < FEWEST_IN_CLASS {
                return Err(format!("fewer than {FEWEST_IN_CLASS} rows are '{positive}', or are not: too few"));
            }
            (fit::logistic(&design, &targets, parameters.ridge)?, Some(positive))
        }
    };
    let Fit { estimates, standard_errors, quality } = fit;
    let names = std::iter::once("(intercept)").chain(parameters.features.iter().map(String::as_str));
    let coefficients = names.zip(estimates).zip(standard_errors).map(|((column, estimate), error)| Coefficient {
        column: column.to_owned(),
        estimate,
        standard_error: (parameters.ridge == 0.0).then_some(error),
    });
    Ok(Report {
        model,
        target: parameters.target.clone(),
        positive,
        ridge: parameters.ridge,
        n,
        skipped_rows: table.skipped,
        columns: parameters.features.clone(),
        coefficients: coefficients.collect(),
        quality,
    })
}

fn run() -> Result<()> {
    let job = Job::from_environment();
    let parameters: Parameters = job.parameters()?;
    let mut table = Table::new(&parameters.target, &parameters.features)?;
    for file in job.files()? {
        table.read(file.open()?).map_err(|e| format!("{}: {e}", file.label()))?;
    }
    let mut text = serde_json::to_vec_pretty(&report(&table, &parameters)?).map_err(|e| e.to_string())?;
    text.push(b'\n');
    job.write("coefficients.json", &text)
}

fn main() -> ExitCode {
    job::exit(run())
}

/// The reference figures are those of statsmodels 0.15 (`Logit`, `OLS`) and scikit-learn 1.9 on the same table.
#[cfg(test)]
mod tests {
    use super::*;

    const FOUR: [&str; 4] = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"];

    fn penguins(parameters: serde_json::Value) -> Result<Report> {
        let parameters: Parameters = serde_json::from_value(parameters).unwrap();
        let mut table = Table::new(&parameters.target, &parameters.features)?;
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../data/penguins.csv");
        table.read(std::fs::File::open(file).unwrap())?;
        report(&table, &parameters)
    }

    fn assert_close(report: &Report, expected: &[(f64, f64)]) {
        assert_eq!(report.coefficients.len(), expected.len());
        for (found, &(estimate, error)) in report.coefficients.iter().zip(expected) {
            assert!((found.estimate / estimate - 1.0).abs() < 1e-5, "{found:?} is not {estimate}");
            match found.standard_error {
                Some(found) => assert!((found / error - 1.0).abs() < 1e-5, "{found} is not {error}"),
                None => assert!(error.is_nan()),
            }
        }
    }

    #[test]
    fn logistic_regression_of_sex() {
        let report = penguins(serde_json::json!({"target": "sex", "features": FOUR, "positive": "Male"})).unwrap();
        assert_eq!((report.model, report.n, report.skipped_rows), (Model::Logistic, 333, 11));
        let expected = [
            (-56.117404, 8.36932087),
            (0.107629548, 0.0479672939),
            (2.0315156, 0.249465002),
            (-0.0324743954, 0.0347553962),
            (0.0055120259, 0.000823488275),
        ];
        assert_close(&report, &expected);
        let fit::Quality::Logistic { log_likelihood, null_log_likelihood, .. } = report.quality else { panic!() };
        assert!((log_likelihood + 79.5017130).abs() < 1e-6 && (null_log_likelihood + 230.8044974).abs() < 1e-6);
    }

    #[test]
    fn one_class_against_the_others() {
        let parameters = serde_json::json!({"target": "species", "features": FOUR[1..], "positive": "Adelie"});
        let expected = [
            (30.6114175, 5.59518612),
            (0.396859673, 0.121670227),
            (-0.203085971, 0.0310610469),
            (0.000552615227, 0.000436050382),
        ];
        assert_close(&penguins(parameters).unwrap(), &expected);
    }

    #[test]
    fn linear_regression_of_body_mass() {
        let report = penguins(serde_json::json!({"target": "body_mass_g", "features": FOUR[..3]})).unwrap();
        assert_eq!((report.model, report.n), (Model::Linear, 342));
        let expected =
            [(-6424.7647, 561.469257), (4.16182047, 5.32908768), (20.0495331, 13.6939249), (50.2692216, 2.47714325)];
        assert_close(&report, &expected);
        let fit::Quality::Linear { r2, adjusted_r2, residual_standard_error } = report.quality else { panic!() };
        assert!((r2 - 0.761470484).abs() < 1e-8 && (adjusted_r2 - 0.759353358).abs() < 1e-8);
        assert!((residual_standard_error - 393.4047966).abs() < 1e-5);
    }

    #[test]
    fn the_penalty_agrees_with_scikit_learn() {
        let logistic = penguins(serde_json::json!({"target": "sex", "features": FOUR, "ridge": 2})).unwrap();
        let expected = [-41.5197086, 0.0814246158, 1.36638201, 0.00620328195, 0.00317008676];
        assert_close(&logistic, &expected.map(|estimate| (estimate, f64::NAN)));
        let linear =
            penguins(serde_json::json!({"target": "body_mass_g", "features": FOUR[..3], "ridge": 10})).unwrap();
        assert_close(&linear, &[-5715.54686, 8.88076516, 8.14048469, 46.7242989].map(|estimate| (estimate, f64::NAN)));
    }

    #[test]
    fn tables_that_cannot_be_modelled_are_errors() {
        let report_of = |text: &str, parameters: serde_json::Value| {
            let parameters: Parameters = serde_json::from_value(parameters).unwrap();
            let mut table = Table::new(&parameters.target, &parameters.features)?;
            table.read(text.as_bytes())?;
            report(&table, &parameters).map(|_| ())
        };
        let rows = |count: usize, row: &dyn Fn(usize) -> String| {
            "y,a,b\n".to_owned() + &(0..count).map(row).collect::<String>()
        };
        let xs = serde_json::json!({"target": "y", "features": ["a", "b"]});
        let error = |text: String| report_of(&text, xs.clone()).unwrap_err();
        assert!(error(rows(29, &|i| format!("{i},{i},{i}\n"))).contains("fewer than 30 rows"));
        assert!(error(rows(50, &|i| format!("{},{i},{}\n", i / 45, i % 7))).contains("fewer than 10"));
        assert!(error(rows(50, &|i| format!("{},{i},{}\n", i / 25, i % 7))).contains("apart perfectly"));
        assert!(error(rows(50, &|i| format!("{i},{},{}\n", i % 7, 2 * (i % 7) + 1))).contains("depend on each other"));
        assert!(error(rows(50, &|i| format!("{i},{i},3\n"))).contains("'b' is the same in all rows"));
        assert!(error(rows(50, &|i| format!("{i},x,3\n"))).contains("record 2: 'a' is not a number"));
        assert!(error(rows(50, &|i| format!("c{},{i},{}\n", i % 3, i % 7))).contains("not numeric"));
        assert!(error("y,a\n".to_owned()).contains("no column 'b'"));
    }
}
