//! Measures the sandbox beside a bare embedding of the same engine, beside native code, and beside what else is
//! installed, in one run and as ratios; and the service beside the sandbox, the disk and nginx.
//!
//! `make bench ARGS="[--quick] [--json FILE] [--only NAME]... [--no-build]"`
//!
//! A target that is missed is a line that says so, never a failure: figures from a busy machine must not turn a build
//! red. What cannot be measured here, because something is not installed, says so too.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a table on stdout is what this program makes")]

mod cluster;
mod data;
mod idle;
mod job;
mod machine;
mod options;
mod places;
mod process;
mod series;
mod service;
mod suite;
mod table;

use anyhow::Result;
use options::Options;
use places::Places;
use std::process::ExitCode;
use table::Table;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == suite::container::HELPER) {
        return outcome(suite::container::help(&arguments[1..]));
    }
    match Options::parse(&arguments) {
        Ok(Some(options)) => outcome(bench(&options)),
        Ok(None) => {
            println!("{}", options::help());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("bench: {error}\n{}", options::help());
            ExitCode::from(2)
        }
    }
}

fn outcome(result: Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn bench(options: &Options) -> Result<()> {
    let places = Places::prepare(options.build)?;
    let mut table = Table::default();
    for (name, measure) in suite::ALL {
        if options.wants(name) {
            eprintln!("bench: {name}");
            let rows = measure(&places, options).unwrap_or_else(|error| vec![table::Row::failed(*name, &error)]);
            table.add(name, rows);
        }
    }
    println!("{table}");
    let json = options.json.clone().unwrap_or_else(|| places.target.join("bench.json"));
    std::fs::write(&json, serde_json::to_string_pretty(&table.json(options.scale, &machine::describe()))?)?;
    println!("written to {}", json.display());
    Ok(())
}
