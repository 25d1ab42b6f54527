use super::stage::Stage;
use crate::{
    exit::{DENIED, NOT_FOUND},
    output::{Table, print_line},
};
use anyhow::Context as _;
use serde_json::Value;
use std::{fs, path::Path, time::Instant};

const ALICE: [&str; 2] = ["--key", "alice.key"];
const BOB: [&str; 2] = ["--key", "bob.key"];
const EVE: [&str; 2] = ["--key", "eve.key"];

/// The steps of the demo, in order.
pub(super) fn tell(folder: &Path, sandbox_home: Option<&Path>, python: bool) -> anyhow::Result<()> {
    let began = Instant::now();
    step("A service in an empty folder")?;
    let stage = Stage::open(folder, sandbox_home)?;

    step("Three users: Alice has data, Bob has a question, Eve is not involved")?;
    for (who, role) in [("alice", "publisher"), ("bob", "author"), ("eve", "consumer")] {
        stage.write(&["key", "create", "--account", who, "--role", role], &format!("{who}.key"))?;
    }

    step("Alice publishes a dataset. No one can download it, and no one may compute on it yet")?;
    stage.run(&[&ALICE[..], &["dataset", "apply", "-f", "penguins.yaml"]].concat(), 0)?;

    step("Bob publishes an algorithm, a WebAssembly program, and tries to run it on Alice's data: denied")?;
    stage.run(&[&BOB[..], &["algorithm", "apply", "-f", "column-stats.yaml"]].concat(), 0)?;
    let submit = ["job", "submit", "--dataset", "alice/penguins", "--algorithm"];
    let submit = |algorithm: &'static str| [&BOB[..], &submit, &[algorithm]].concat();
    stage.run(&[&submit("column-stats")[..], &["--param", "groupBy=species"]].concat(), i32::from(DENIED))?;

    step("Alice has reviewed the algorithm, and allows exactly these bytes")?;
    allow(&stage, "bob/column-stats")?;

    step("Now it runs next to the data, and only its results leave")?;
    let job = run_job(&stage, &[&submit("column-stats")[..], &["--param", "groupBy=species"]].concat(), "statistics")?;
    statistics(&folder.join("statistics/statistics.csv"))?;

    step("What ran on what data, and what came out: the host's report, and a receipt signed by the service")?;
    stage.write(&[&BOB[..], &["job", "report", &job]].concat(), "report.json")?;
    stage.write(&[&BOB[..], &["job", "receipt", &job]].concat(), "receipt.json")?;
    stage.run(&["job", "receipt", "--file", "receipt.json", "--verify"], 0)?;

    if python {
        step("The same with a Python script that uses pandas and scikit-learn")?;
        stage.run(&[&BOB[..], &["algorithm", "apply", "-f", "summary.yaml"]].concat(), 0)?;
        allow(&stage, "bob/summary")?;
        run_job(&stage, &submit("summary"), "summary")?;
        models(&folder.join("summary/result.json"))?;
    }

    step("For Eve, none of this exists")?;
    stage.run(&[&EVE[..], &["job", "show", &job]].concat(), i32::from(NOT_FOUND))?;
    stage.run(&[&EVE[..], &["job", "results", &job]].concat(), i32::from(NOT_FOUND))?;

    step("A hostile algorithm that Alice allows by mistake: it reads the data, and cannot send it anywhere")?;
    stage.run(&[&BOB[..], &["algorithm", "apply", "-f", "hostile.yaml"]].concat(), 0)?;
    allow(&stage, "bob/exfiltrate")?;
    stage.run(&[&submit("exfiltrate")[..], &["--follow"]].concat(), 0)?;

    step("The same program as a component: it asks for sockets, and each call is answered with an error")?;
    allow(&stage, "bob/exfiltrate-component")?;
    stage.run(&[&submit("exfiltrate-component")[..], &["--follow"]].concat(), 0)?;

    step("Everything is in the audit log, a hash chain that shows every change")?;
    stage.run(&["audit", "verify"], 0)?;

    step("The end")?;
    stage.close()?;
    print_line(&format!("   done in {} seconds", began.elapsed().as_secs()))?;
    Ok(())
}

/// Alice allows an algorithm as it is shown to her.
fn allow(stage: &Stage, algorithm: &str) -> anyhow::Result<()> {
    let checksum = stage.checksum(&ALICE, algorithm)?;
    let allow = ["dataset", "allow", "penguins", algorithm, "--checksum", &checksum];
    stage.run(&[&ALICE[..], &allow].concat(), 0)
}

/// Submits a job, follows it, and downloads its results.
fn run_job(stage: &Stage, submit: &[&str], into: &str) -> anyhow::Result<String> {
    let job = stage.read(submit)?;
    stage.run(&[&BOB[..], &["job", "follow", &job]].concat(), 0)?;
    stage.run(&[&BOB[..], &["job", "results", &job, "--dir", into]].concat(), 0)?;
    Ok(job)
}

fn step(text: &str) -> anyhow::Result<()> {
    Ok(print_line(&format!("\n== {text}"))?)
}

/// Prints a few columns of the statistics.
fn statistics(path: &Path) -> anyhow::Result<()> {
    let text = fs::read_to_string(path).with_context(|| format!("`{}`", path.display()))?;
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap_or_default().split(',').collect();
    let place =
        |name: &str| header.iter().position(|found| *found == name).with_context(|| format!("no column `{name}`"));
    let places = [place("group")?, place("column")?, place("count")?, place("mean")?, place("sd")?, place("median")?];
    let mut table = Table::new(["SPECIES", "", "COUNT", "MEAN", "SD", "MEDIAN"]);
    for line in lines {
        let cells: Vec<&str> = line.split(',').collect();
        let cells = places.map(|place| cells.get(place).copied().unwrap_or_default());
        if cells[1] == "year" {
            continue;
        }
        let rounded =
            |cell: &str| cell.parse::<f64>().map_or_else(|_| cell.to_owned(), |number| format!("{number:.1}"));
        let [group, column, count, mean, sd, median] = cells;
        table.row([group.to_owned(), column.to_owned(), count.to_owned(), rounded(mean), rounded(sd), rounded(median)]);
    }
    print_line("")?;
    Ok(table.print("no statistics")?)
}

/// Prints the accuracy of the models.
fn models(path: &Path) -> anyhow::Result<()> {
    let text = fs::read_to_string(path).with_context(|| format!("`{}`", path.display()))?;
    let result: Value = serde_json::from_str(&text).context("the result is not JSON")?;
    let mut table = Table::new(["MODEL", "ACCURACY"]);
    for (name, title) in [
        ("mostFrequent", "always the most frequent species"),
        ("logisticRegression", "logistic regression"),
        ("decisionTree", "decision tree"),
    ] {
        let share =
            find(&result, name).and_then(Value::as_f64).with_context(|| format!("no `{name}` in the result"))?;
        table.row([title.to_owned(), format!("{:.1} %", 100.0 * share)]);
    }
    print_line("")?;
    Ok(table.print("no models")?)
}

/// The first field of this name, however deep.
fn find<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    let fields = value.as_object()?;
    fields.get(name).or_else(|| fields.values().find_map(|inner| find(inner, name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unexpected_results_are_errors() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("r");
        fs::write(&path, "file,group,column,count,mean,sd,median\nx,A,mass,3,1.25,\u{1b}[2J,\n").expect("written");
        statistics(&path).expect("a table");
        fs::write(&path, "a,b\n").expect("written");
        statistics(&path).expect_err("another table");
        fs::write(&path, r#"{"models": {"mostFrequent": 0.4, "logisticRegression": 0.9, "decisionTree": 0.9}}"#)
            .expect("written");
        models(&path).expect("models");
        fs::write(&path, "[]").expect("written");
        models(&path).expect_err("no models");
    }
}
