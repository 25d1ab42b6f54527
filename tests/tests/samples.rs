//! Every sample algorithm on the penguins: it succeeds behind all walls, and what it says is right.
//!
//! What is right is computed here from the table itself, or follows from how the estimate is defined; the figures
//! below are compared with nothing that a sample printed once.

use cloister_model::{Isolation, WallState};
use cloister_tests::{Ended, Trial, guest, install_python, not_run_outside_ci, root};
use serde_json::Value;
use std::{collections::BTreeMap, fs, path::Path};

const SPECIES: [(&str, u64); 3] = [("Adelie", 152), ("Chinstrap", 68), ("Gentoo", 124)];

fn penguins() -> String {
    fs::read_to_string(root().join("data/penguins.csv")).expect("the penguins")
}

/// The table, as rows of cells; the first is the header.
fn table() -> Vec<Vec<String>> {
    penguins().lines().map(|line| line.split(',').map(str::to_owned).collect()).collect()
}

fn column(name: &str) -> usize {
    table()[0].iter().position(|cell| cell == name).expect("a column")
}

/// The numbers of a column in the rows of one species.
fn numbers(species: &str, name: &str) -> Vec<f64> {
    let number = column(name);
    table().iter().filter(|row| row[0] == species).filter_map(|row| row[number].parse().ok()).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[track_caller]
fn assert_near(found: f64, expected: f64) {
    assert!((found - expected).abs() <= 1e-9 * expected.abs().max(1.0), "{found} is not {expected}");
}

/// Runs a sample on the penguins, and asserts that it succeeded behind every wall.
fn run(algorithm: &Path, parameters: &str, more: &[&str]) -> Ended {
    let ended = Trial::file(algorithm)
        .dataset("penguins", penguins().as_bytes())
        .with_file("--params", parameters)
        .with(&["--require-isolation"])
        .with(more)
        .run();
    ended.assert_succeeded();
    let isolation = ended.report().isolation.as_ref().expect("walls");
    assert_eq!(isolation.missing().count(), 0, "{isolation:?}");
    assert_eq!(isolation.0.len(), Isolation::REQUIRED.len());
    assert!(isolation.0.values().all(|wall| matches!(wall, WallState::Enforced { .. })));
    ended
}

fn json(ended: &Ended, path: &str) -> Value {
    serde_json::from_slice(&ended.output(path)).expect("JSON")
}

/// A guest whose compiler not every machine has. In CI it must be there.
fn guest_if_built(name: &str) -> Option<std::path::PathBuf> {
    let path = root().join("target/guests").join(name);
    if path.exists() || std::env::var_os("CI").is_some() {
        return Some(guest(name));
    }
    not_run_outside_ci(&format!("guest `{name}` is not built on this machine; scripts/guests.sh says why"));
    None
}

#[test]
fn column_stats_describes_each_species() {
    let mut results = Vec::new();
    for name in ["column-stats.p1.wasm", "column-stats.p2.wasm"] {
        let ended = run(&guest(name), r#"{"groupBy":"species"}"#, &[]);
        let tables = json(&ended, "statistics.json");
        let groups = tables[0]["groups"].as_array().expect("groups").clone();
        assert_eq!(groups.len(), SPECIES.len());
        for (group, (species, rows)) in groups.iter().zip(SPECIES) {
            assert_eq!((&group["group"], &group["rows"]), (&species.into(), &rows.into()));
            for name in ["body_mass_g", "bill_length_mm", "flipper_length_mm"] {
                let (found, mut values) = (&group["columns"][name], numbers(species, name));
                values.sort_by(f64::total_cmp);
                assert_eq!(found["count"], values.len(), "{species} {name}");
                assert_near(found["mean"].as_f64().expect("a mean"), mean(&values));
                assert_eq!(found["min"].as_f64(), values.first().copied());
                assert_eq!(found["max"].as_f64(), values.last().copied());
                let middle = (values[(values.len() - 1) / 2] + values[values.len() / 2]) / 2.0;
                assert_eq!(found["median"].as_f64(), Some(middle));
            }
        }
        // As everybody who has used this table knows them.
        assert_eq!(groups[0]["columns"]["body_mass_g"]["mean"].as_f64().expect("a mean").round(), 3701.0);
        assert_eq!(groups[2]["columns"]["body_mass_g"]["mean"].as_f64().expect("a mean").round(), 5076.0);
        results.push(ended.outputs());
    }
    assert_eq!(results[0], results[1], "the two builds of one program disagree");
}

/// A directory that already looks like `/data` serves as well as single files, down to the last byte.
#[test]
fn a_directory_of_data_serves_as_well() {
    let parameters = r#"{"groupBy":"species"}"#;
    let data = tempfile::TempDir::new().expect("a temporary directory");
    let dataset = data.path().join("inputs/penguins");
    fs::create_dir_all(&dataset).expect("made");
    fs::write(dataset.join("0"), penguins()).expect("written");
    fs::write(data.path().join("inputs/algoCustomData.json"), parameters).expect("written");
    for name in ["column-stats.p1.wasm", "column-stats.p2.wasm"] {
        let (single, path) = (run(&guest(name), parameters, &[]), data.path().display().to_string());
        let ended = Trial::file(&guest(name)).with(&["--require-isolation", "--data", &path]).run();
        ended.assert_succeeded();
        assert_eq!(ended.outputs(), single.outputs(), "{name}");
        assert_eq!(ended.report().inputs, single.report().inputs, "{name}");
    }
}

#[test]
fn column_stats_leaves_small_groups_out() {
    let ended = run(&guest("column-stats.p1.wasm"), r#"{"groupBy":"species","minimumGroupSize":100}"#, &[]);
    let tables = json(&ended, "statistics.json");
    let names: Vec<&str> =
        tables[0]["groups"].as_array().expect("groups").iter().filter_map(|group| group["group"].as_str()).collect();
    assert_eq!(names, ["Adelie", "Gentoo"]);
    assert_eq!(tables[0]["suppressed"]["groups"], 1);
    for (path, content) in ended.outputs() {
        assert!(!String::from_utf8_lossy(&content).contains("Chinstrap"), "{path} names a group that was left out");
    }
}

/// At the maximum of the likelihood the residuals are orthogonal to every column: that is what the estimate is.
#[test]
fn logistic_regression_finds_the_maximum() {
    let features = ["body_mass_g", "bill_length_mm"];
    let parameters = r#"{"target":"sex","features":["body_mass_g","bill_length_mm"],"positive":"male"}"#;
    let ended = run(&guest("logistic-regression.wasm"), parameters, &[]);
    let report = json(&ended, "coefficients.json");
    let estimates: Vec<f64> = report["coefficients"]
        .as_array()
        .expect("coefficients")
        .iter()
        .map(|coefficient| coefficient["estimate"].as_f64().expect("an estimate"))
        .collect();
    assert_eq!(report["n"], 333);
    let (sex, columns) = (column("sex"), features.map(column));
    let mut scores = [0.0; 3];
    for row in table().iter().skip(1).filter(|row| row[sex] != "NA") {
        let [mass, bill] = columns.map(|column| row[column].parse::<f64>().expect("a number"));
        let linear = estimates[0] + estimates[1] * mass + estimates[2] * bill;
        let residual = f64::from(u8::from(row[sex] == "male")) - 1.0 / (1.0 + (-linear).exp());
        for (score, value) in scores.iter_mut().zip([1.0, mass, bill]) {
            *score += residual * value;
        }
    }
    for (score, scale) in scores.iter().zip([1.0, 4207.0, 44.0]) {
        assert!((score / scale).abs() < 1e-6, "the likelihood still rises: {scores:?}");
    }
    assert_eq!(format!("{:.2} {:.6} {:.4}", estimates[0], estimates[1], estimates[2]), "-6.91 0.001015 0.0611");
}

#[test]
fn histogram_draws_every_species() {
    let ended = run(&guest("histogram.wasm"), r#"{"column":"body_mass_g","groupBy":"species"}"#, &[]);
    let svg = String::from_utf8(ended.output("histogram.svg")).expect("text");
    let elements = well_formed(&svg);
    assert!(elements["rect"] > 20 && elements["svg"] == 1, "{elements:?}");
    for (species, _) in SPECIES {
        assert!(svg.contains(&format!(">{species} (")), "no panel for {species}");
    }
    let bar = numbers("Adelie", "body_mass_g").iter().filter(|mass| (3400.0..3600.0).contains(*mass)).count();
    assert!(svg.contains(&format!("3400 to 3600: {bar} rows")), "no bar of {bar} Adelies");
}

/// Counts the elements of an XML text without prologue, comments and CDATA, and panics if it is not well-formed.
fn well_formed(text: &str) -> BTreeMap<&str, usize> {
    let (mut open, mut counts) = (Vec::new(), BTreeMap::new());
    for piece in text.split('<').skip(1) {
        let (tag, content) = piece.split_once('>').expect("a tag ends");
        assert!(
            !content.replace("&amp;", "").replace("&lt;", "").replace("&gt;", "").contains('&'),
            "bare & in {content}"
        );
        assert_eq!(tag.matches('"').count() % 2, 0, "quotes of {tag}");
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "what is closed was opened last");
        } else {
            let name = tag.split([' ', '/']).next().expect("a name");
            *counts.entry(name).or_default() += 1;
            if !tag.ends_with('/') {
                open.push(name);
            }
        }
    }
    assert_eq!(open, Vec::<&str>::new(), "what was opened is closed");
    assert!(text.trim_end().ends_with("</svg>"));
    counts
}

#[test]
fn line_counters_count_lines() {
    let (lines, bytes) = (penguins().lines().count(), penguins().len());
    for name in ["line-count-c.wasm", "line-count-go.wasm"] {
        let Some(guest) = guest_if_built(name) else { continue };
        let counts = json(&run(&guest, "{}", &[]), "counts.json");
        let expected = serde_json::json!([{ "dataset": "penguins", "file": "0", "lines": lines, "bytes": bytes }]);
        assert_eq!(counts, expected, "{name}");
    }
}

#[test]
fn python_counts_rows() {
    install_python();
    let ended = run(&root().join("algorithms/python-hello/algorithm.py"), "{}", &["--runtime", "python"]);
    assert_eq!(json(&ended, "rows.json"), serde_json::json!({ "penguins/0": table().len() - 1 }));
    let report = ended.report();
    assert_eq!(report.algorithm.runtime.as_ref().expect("a runtime").name, "python");
    // What was given is listed; the interpreter's own files are no inputs.
    let read: Vec<&str> = report.inputs.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(read, ["inputs/algoCustomData.json", "inputs/penguins/0", "transformations/algorithm"]);
}

#[test]
fn python_describes_and_predicts() {
    install_python();
    let script = root().join("algorithms/python-summary/algorithm.py");
    let ended = run(&script, r#"{"minimumGroupSize":100}"#, &["--runtime", "python"]);
    let result = json(&ended, "result.json");
    assert_eq!(result["groups"], serde_json::json!(["Adelie", "Gentoo"]));
    assert_eq!(result["suppressed"]["groups"], 1);
    for model in ["logisticRegression", "decisionTree"] {
        let accuracy = result["accuracy"][model].as_f64().expect("an accuracy");
        assert!((0.95..=1.0).contains(&accuracy), "{model}: these two species are easy to tell apart, not {accuracy}");
    }
    let summary = String::from_utf8(ended.output("summary.csv")).expect("text");
    assert!(!summary.contains("Chinstrap"));
    let header: Vec<&str> = summary.lines().next().expect("a header").split(',').collect();
    assert_eq!(header[..4], ["group", "column", "count", "mean"]);
    for species in ["Adelie", "Gentoo"] {
        let line = summary.lines().find(|line| line.starts_with(&format!("{species},body_mass_g,"))).expect("a line");
        let cells: Vec<&str> = line.split(',').collect();
        let values = numbers(species, "body_mass_g");
        assert_eq!(cells[2], values.len().to_string());
        let found: f64 = cells[3].parse().expect("a mean");
        assert!((found - mean(&values)).abs() < 1e-5, "{found}");
    }
}
