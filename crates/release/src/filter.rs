//! The whole step: outputs, checks, log.

use crate::{CheckRun, OutputFile, check_outputs, checks};
use cloister_files::hash_reader;
use cloister_model::{
    Check, Fault, FileDigest, FilterOrder, Reason, Report, ResultFile, ResultKind, StepFailure, StepName, StepReport,
    StepResult,
};
use std::{
    fs::OpenOptions,
    io::{self, Read as _},
    path::Path,
};

/// What the algorithm log is called among results.
pub const LOG_NAME: &str = "algorithm.log";

/// Runs one program over the outputs in a sandbox, by its place in the order, and gives the report of that run, or says why
/// there is none.
pub type RunCheck<'a> = dyn FnMut(usize, &Check, &CheckRun, &[OutputFile]) -> Result<Report, String> + 'a;

/// Decides whether the outputs of a run may leave, and how much of its log. Blocking.
pub fn filter(order: &FilterOrder, outputs: &Path, log: &Path, run_check: &mut RunCheck<'_>) -> StepReport {
    let result = match decide(order, outputs, log, run_check) {
        Ok(files) => StepResult::Passed { files },
        Err((rule, reason)) => {
            StepResult::Failed { failure: StepFailure::Outputs, rule: Some(rule), reason, detail: None }
        }
    };
    StepReport::new(order.job, StepName::Filter, result)
}

fn decide(
    order: &FilterOrder,
    outputs: &Path,
    log: &Path,
    run_check: &mut RunCheck<'_>,
) -> Result<Vec<ResultFile>, (String, Reason)> {
    let files = check_outputs(outputs, order).map_err(|refusal| {
        let shown = if order.may_quote_the_guest() { refusal.clone() } else { refusal.without_words_of_the_guest() };
        (refusal.rule.to_owned(), Reason::new(&format!("the outputs may not leave: {shown}"), Fault::Algorithm))
    })?;
    let run = CheckRun::of(order);
    for (number, check) in order.release.checks.iter().enumerate() {
        let refused = |reason| ("check".to_owned(), reason);
        let report = run_check(number, check, &run, &files)
            .map_err(|problem| refused(checks::check_failed(check, &problem, Fault::System)))?;
        checks::judge(check, &report).map_err(refused)?;
    }
    let FileDigest { sha256, bytes } = leaving_log(log, order.contract.max_log_bytes).map_err(|error| {
        let text = format!("the outputs may not leave: the log cannot be read ({})", error.kind());
        ("log".to_owned(), Reason::new(&text, Fault::System))
    })?;
    let log = ResultFile { name: LOG_NAME.to_owned(), kind: ResultKind::AlgorithmLog, bytes, sha256 };
    Ok(files.into_iter().map(ResultFile::from).chain([log]).collect())
}

/// What leaves of a log: its first bytes, at most so many. The log itself stays whole, for the publishers of the datasets. A
/// log that is missing becomes an empty one.
fn leaving_log(log: &Path, most_bytes: u64) -> io::Result<FileDigest> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(log)?;
    hash_reader(&mut file.take(most_bytes))
}

impl From<OutputFile> for ResultFile {
    fn from(file: OutputFile) -> Self {
        let OutputFile { name, path: _, bytes, sha256 } = file;
        Self { name, kind: ResultKind::Output, bytes, sha256 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_model::{JobId, Limits, OutputContract, ReleaseRules, Sha256, StepVersion};
    use std::fs;

    fn order(files: &[(&str, &[u8])]) -> FilterOrder {
        let mut outputs: Vec<_> = files
            .iter()
            .map(|(name, content)| {
                let FileDigest { sha256, bytes } = cloister_files::digest_of(content);
                cloister_model::FileReport { path: (*name).to_owned(), bytes, sha256 }
            })
            .collect();
        outputs.sort();
        FilterOrder {
            version: StepVersion::V1,
            job: JobId::from_bytes([1; 16]),
            contract: OutputContract { max_log_bytes: 4, ..OutputContract::default() },
            release: ReleaseRules::default(),
            check_limits: Limits::default(),
            outputs,
            output_directories: 0,
            unreported: false,
        }
    }

    #[test]
    fn what_passes_is_listed_with_what_leaves_of_the_log_last() {
        let home = tempfile::tempdir().expect("a folder");
        let (outputs, log) = (home.path().join("outputs"), home.path().join("log"));
        fs::create_dir(&outputs).expect("a folder");
        fs::write(outputs.join("b"), "two").expect("a file");
        fs::write(outputs.join("a"), "one").expect("a file");
        fs::write(&log, "printed").expect("a file");
        let order = order(&[("a", b"one"), ("b", b"two")]);
        let report = filter(&order, &outputs, &log, &mut |_, _, _, _| Err("no check was asked for".to_owned()));
        let StepResult::Passed { files } = &report.result else { panic!("{report:?}") };
        let names: Vec<_> = files.iter().map(|file| (file.name.as_str(), file.bytes)).collect();
        assert_eq!(names, [("a", 3), ("b", 3), (LOG_NAME, 4)]);
        // The rest stays for the publishers.
        assert_eq!(fs::read(&log).expect("a log"), b"printed");
        assert_eq!(files[2].sha256, cloister_files::digest_of(b"prin").sha256);
    }

    #[test]
    fn a_refusal_names_the_rule_and_quotes_the_guest_only_where_its_log_leaves_unseen() {
        let home = tempfile::tempdir().expect("a folder");
        let outputs = home.path().join("outputs");
        fs::create_dir(&outputs).expect("a folder");
        fs::write(outputs.join("SECRET"), "one").expect("a file");
        let mut order = order(&[]);
        for (review, quotes) in [(false, true), (true, false)] {
            order.release.review = review;
            let report = filter(&order, &outputs, &home.path().join("log"), &mut |_, _, _, _| Err(String::new()));
            let StepResult::Failed { failure: StepFailure::Outputs, rule, reason, .. } = report.result else {
                panic!()
            };
            assert_eq!((rule.as_deref(), reason.fault()), (Some("output-report"), Fault::Algorithm));
            assert_eq!(reason.text().contains("SECRET"), quotes, "{}", reason.text());
        }
    }

    #[test]
    fn every_check_is_asked_in_order_until_one_does_not_agree() {
        let home = tempfile::tempdir().expect("a folder");
        let outputs = home.path().join("outputs");
        fs::create_dir(&outputs).expect("a folder");
        let mut order = order(&[]);
        let check = |name: &str| Check { name: name.to_owned(), sha256: Sha256::from_bytes([9; 32]) };
        order.release.checks = vec![check("first"), check("second")];
        let mut asked = Vec::new();
        let report = filter(&order, &outputs, &home.path().join("log"), &mut |number, check, run, files| {
            assert_eq!((run.contract.max_bytes, run.contract.max_log_bytes, files.len()), (0, 0, 0));
            asked.push((number, check.name.clone()));
            Err("the sandbox is not there".to_owned())
        });
        assert_eq!(asked, [(0, "first".to_owned())]);
        let StepResult::Failed { rule, reason, .. } = report.result else { panic!() };
        assert_eq!((rule.as_deref(), reason.fault()), (Some("check"), Fault::System));
        assert!(reason.text().contains("check `first`: the sandbox is not there"), "{}", reason.text());
    }
}
