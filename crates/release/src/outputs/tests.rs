use super::*;
use cloister_model::{
    AlgorithmReport, EngineReport, FileReport, JobId, Limits, LogReport, Outcome, OutputContract, Profile,
    REPORT_VERSION, Report, StepVersion, Usage,
};
use proptest::{collection::btree_map, prelude::*};
use serde_json::json;
use std::{fs, os::unix::fs::symlink};
use tempfile::TempDir;

struct Case {
    home: TempDir,
    contract: OutputContract,
    rules: ReleaseRules,
}

impl Case {
    fn new() -> Self {
        let home = tempfile::tempdir().expect("a folder");
        fs::create_dir(home.path().join("outputs")).expect("a folder");
        Self { home, contract: OutputContract::default(), rules: ReleaseRules::default() }
    }

    fn with(content: impl AsRef<[u8]>, name: &str, rules: serde_json::Value) -> Self {
        let mut case = Self::new();
        case.write(name, content);
        case.rules = serde_json::from_value(rules).expect("rules");
        case
    }

    fn at(&self, name: &str) -> PathBuf {
        self.home.path().join("outputs").join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::create_dir_all(self.at(name).parent().expect("a parent")).expect("a folder");
        fs::write(self.at(name), content).expect("a file");
    }

    /// What an honest supervisor would say of the folder.
    fn report(&self) -> Report {
        let mut report = Report {
            version: REPORT_VERSION.to_owned(),
            outcome: Outcome::Succeeded,
            algorithm: AlgorithmReport { sha256: Sha256::from_bytes([0; 32]), bytes: 0, kind: None, runtime: None },
            engine: EngineReport {
                name: String::new(),
                version: String::new(),
                config_sha256: Sha256::from_bytes([0; 32]),
            },
            profile: Profile::Deterministic,
            limits: Limits::default(),
            output_contract: self.contract.clone(),
            usage: Usage::default(),
            isolation: None,
            datasets: vec![],
            inputs: vec![],
            outputs: vec![],
            output_directories: 0,
            log: LogReport::default(),
        };
        let mut waiting = vec![self.at("")];
        while let Some(folder) = waiting.pop() {
            for entry in fs::read_dir(folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                let name = path.strip_prefix(self.at("")).expect("below").to_string_lossy().into_owned();
                if path.is_dir() && !path.is_symlink() {
                    report.output_directories += 1;
                    waiting.push(path);
                } else if path.is_file() {
                    let file = cloister_files::digest_of(&fs::read(path).expect("a file"));
                    report.outputs.push(FileReport { path: name, bytes: file.bytes, sha256: file.sha256 });
                }
            }
        }
        report.outputs.sort();
        report
    }

    fn order(&self) -> FilterOrder {
        self.order_of(self.report())
    }

    fn order_of(&self, report: Report) -> FilterOrder {
        FilterOrder {
            version: StepVersion::V1,
            job: JobId::from_bytes([1; 16]),
            contract: self.contract.clone(),
            release: self.rules.clone(),
            check_limits: Limits::default(),
            outputs: report.outputs,
            output_directories: report.output_directories,
            unreported: false,
        }
    }

    fn check(&self) -> Result<Vec<OutputFile>, OutputRefusal> {
        check_outputs(&self.at(""), &self.order())
    }

    #[track_caller]
    fn refused(&self, rule: &str, about: &str) {
        let refusal = self.check().expect_err(rule);
        assert_eq!(refusal.rule, rule, "{refusal}");
        assert!(refusal.text.contains(about), "{refusal}");
    }
}

#[test]
fn what_keeps_the_contract_may_leave() {
    let case = Case::new();
    assert_eq!(case.check(), Ok(vec![]));
    case.write("b.txt", "hello");
    case.write("a/é.csv", "x");
    let names: Vec<String> = case.check().expect("allowed").into_iter().map(|file| file.name).collect();
    assert_eq!(names, ["a/é.csv", "b.txt"]);
    assert_eq!(case.check().expect("allowed")[1].path, case.at("b.txt"));
}

/// A container writes no report that counts: what it left is what is in the folder, and every other rule holds for that.
#[test]
fn the_outputs_of_a_container_are_what_is_in_the_folder() {
    let mut case = Case::new();
    case.contract.names = vec!["*.csv".parse().expect("a pattern")];
    case.write("a.csv", "x");
    let order = FilterOrder { outputs: vec![], output_directories: 0, unreported: true, ..case.order() };
    let reported = FilterOrder { unreported: false, ..order.clone() };
    assert_eq!(check_outputs(&case.at(""), &reported).expect_err("no report").rule, "output-report");
    let names = |order: &FilterOrder| -> Result<Vec<String>, &'static str> {
        let found = check_outputs(&case.at(""), order).map_err(|refusal| refusal.rule)?;
        Ok(found.into_iter().map(|file| file.name).collect())
    };
    assert_eq!(names(&order), Ok(vec!["a.csv".to_owned()]));
    case.write("b.txt", "x");
    assert_eq!(names(&order), Err("output-name"));
    fs::remove_file(case.at("b.txt")).expect("removed");
    symlink("/etc/passwd", case.at("c.csv")).expect("a link");
    assert_eq!(names(&order), Err("output-kind"));
}

#[test]
fn only_plain_files_with_one_name_leave() {
    let case = Case::new();
    fs::write(case.home.path().join("secret"), "SECRET").expect("a file");
    symlink("../secret", case.at("link")).expect("a link");
    case.refused("output-kind", "`link`");
    fs::remove_file(case.at("link")).expect("removed");
    symlink("..", case.at("up")).expect("a link");
    case.refused("output-kind", "`up`");
    fs::remove_file(case.at("up")).expect("removed");
    fs::hard_link(case.home.path().join("secret"), case.at("hard")).expect("a link");
    case.refused("output-link", "`hard`");
    fs::remove_file(case.at("hard")).expect("removed");
    rustix::fs::mkfifoat(rustix::fs::CWD, case.at("fifo"), rustix::fs::Mode::RUSR).expect("a FIFO");
    case.refused("output-kind", "`fifo`");
    fs::remove_file(case.at("fifo")).expect("removed");
    let _listener = std::os::unix::net::UnixListener::bind(case.at("socket")).expect("a socket");
    case.refused("output-kind", "`socket`");
}

#[test]
fn the_folder_itself_is_no_link() {
    let case = Case::new();
    let link = case.home.path().join("other");
    symlink(case.at(""), &link).expect("a link");
    let refusal = check_outputs(&link, &case.order()).expect_err("a link");
    assert_eq!(refusal.rule, "output-unreadable");
}

#[test]
fn every_budget_holds() {
    let mut case = Case::new();
    case.write("d/a", "12345");
    case.write("b", "12345");
    let whole = case.contract.clone();
    case.contract = OutputContract { max_bytes: 9, ..whole.clone() };
    case.refused("output-bytes", "9 bytes");
    case.contract = OutputContract { max_files: 1, ..whole.clone() };
    case.refused("output-files", "1 files");
    case.contract = OutputContract { max_directories: 0, ..whole.clone() };
    case.refused("output-directories", "0 directories");
    case.contract = OutputContract { max_depth: 1, ..whole.clone() };
    case.refused("output-path", "`d/a`");
    case.contract = OutputContract { max_path_bytes: 2, ..whole.clone() };
    case.refused("output-path", "`d/a`");
    case.contract = OutputContract { names: vec!["*".parse().expect("a pattern")], ..whole.clone() };
    case.refused("output-name", "`d`");
    case.contract =
        OutputContract { max_bytes: 10, max_files: 2, max_directories: 1, max_depth: 2, max_path_bytes: 3, ..whole };
    case.check().expect("just within");
}

#[test]
fn a_hole_counts_like_data() {
    let mut case = Case::new();
    fs::File::create(case.at("hole")).expect("a file").set_len(1 << 40).expect("a hole");
    case.contract.max_bytes = 1 << 30;
    let refusal = check_outputs(&case.at(""), &case.order_of(Case::new().report())).expect_err("too large");
    assert_eq!(refusal.rule, "output-bytes");
}

#[test]
fn names_are_safe_in_refusals() {
    let mut case = Case::new();
    case.contract.max_files = 1000;
    case.write(&format!("\u{1b}[31m{}", "x".repeat(200)), "x");
    let text = case.check().expect_err("a control character").text;
    assert!(text.contains(r"\u{1b}") && !text.contains('\u{1b}') && text.len() < 400, "{text}");
    let case = Case::new();
    use std::os::unix::ffi::OsStrExt;
    fs::write(case.at("").join(std::ffi::OsStr::from_bytes(b"\xff")), "x").expect("a file");
    let refusal = check_outputs(&case.at(""), &case.order_of(Case::new().report())).expect_err("no UTF-8");
    assert_eq!(refusal.rule, "output-path");
}

#[test]
fn a_refusal_can_be_explained_without_text_of_the_guest() {
    let case = Case::with("patient 4711 is ill,n\na,1\n", "Bob.csv", json!({"csv": {"columns": ["g", "n"]}}));
    let refusal = case.check().expect_err("another column");
    assert!(refusal.text.contains("patient 4711") && refusal.text.contains("Bob"), "{refusal}");
    let told = refusal.without_words_of_the_guest();
    assert_eq!(told.rule, "csv-column-names");
    assert!(!told.text.contains("4711") && !told.text.contains("Bob"), "{told}");
}

#[test]
fn the_report_must_say_the_same() {
    let case = Case::new();
    case.write("a", "hello");
    let with = |change: &dyn Fn(&mut Report)| {
        let mut report = case.report();
        change(&mut report);
        check_outputs(&case.at(""), &case.order_of(report)).expect_err("another report").rule
    };
    let other = FileReport { path: "b".to_owned(), bytes: 0, sha256: Sha256::from_bytes([0; 32]) };
    let before = FileReport { path: "0".to_owned(), ..other.clone() };
    assert_eq!(with(&|report| report.outputs.clear()), "output-report");
    assert_eq!(with(&|report| report.outputs.push(other.clone())), "output-report");
    assert_eq!(with(&|report| report.outputs.push(before.clone())), "output-report");
    assert_eq!(with(&|report| report.outputs[0].sha256 = other.sha256), "output-report");
    assert_eq!(with(&|report| report.outputs[0].bytes = 4), "output-report");
    assert_eq!(with(&|report| report.output_directories = 1), "output-report");
}

#[test]
fn types_are_recognised_by_content() {
    let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0\x1f\x15\xc4\x89".as_slice();
    let zip_behind = [png, b"\0PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"].concat();
    let pdf_inside = [png, b"%PDF-1.7\n\0"].concat();
    let deep = "[".repeat(5000) + &"]".repeat(5000);
    for (content, expected) in [
        (b"".as_slice(), "application/x-empty"),
        (b"a,b\n1,2\n", "text/csv"),
        (b"{\"a\": 1}", "application/json"),
        (b"[1,2]\n", "application/json"),
        (b"plain words\nand more\n", "text/plain"),
        (b"1\n2\n3\n", "text/plain"),
        (b"a\tb\n1\t2\n", "text/plain"),
        (b"<html><body>", "text/html"),
        (b" <svg onload=alert(1)>", "image/svg+xml"),
        (png, "image/png"),
        (&zip_behind, "application/octet-stream"),
        (&pdf_inside, "application/octet-stream"),
        (b"GIF89a,b\n1,2\n", "application/octet-stream"),
        (b"a,b\n1,\x002\n", "application/octet-stream"),
        (b"\xff\xfe\xfd", "application/octet-stream"),
        (b"a\x1b[31mb", "application/octet-stream"),
        (deep.as_bytes(), "application/octet-stream"),
        (b"PK\x03\x04\x14\0\0\0\x08\0", "application/zip"),
    ] {
        // The name says something else, and it does not matter.
        let allowed = Case::with(content, "a.png", json!({"mediaTypes": [expected]}));
        allowed.check().unwrap_or_else(|refusal| panic!("{refusal}"));
        let refused = Case::with(content, "a.png", json!({"mediaTypes": ["audio/*"]}));
        refused.refused("media-type", expected);
    }
}

#[test]
fn csv_rules_hold() {
    let rules = json!({"csv": {"maxRows": 2, "maxColumns": 2, "maxCellBytes": 5, "columns": ["g", "n"],
        "minimum": [{"column": "n", "least": 10}]}});
    let case = |text: &str| Case::with(text, "a.csv", rules.clone());
    case("g,n\na,10\nb,11\n").check().expect("allowed");
    case("\u{feff}g,n\na,10\n").check().expect("a byte order mark does not belong to a name");
    for (text, rule, about) in [
        ("g,n\na,10\nb,11\nc,12\n", "csv-rows", "2 rows"),
        ("g,n,m\na,10,1\n", "csv-columns", "2 columns"),
        ("g,n\nabcdef,10\n", "csv-cell", "5 bytes"),
        ("abcdef,n\na,10\n", "csv-cell", "5 bytes"),
        ("g,x\na,10\n", "csv-column-names", "`x`"),
        ("n,n\n10,9\n", "csv-column-names", "twice"),
        ("g\na\n", "csv-minimum", "`n`"),
        ("g,n\na,10\nb,9\n", "csv-minimum", "row 2"),
        ("g,n\na,ten\n", "csv-minimum", "row 1"),
        ("g,n\na,\n", "csv-minimum", "row 1"),
        ("", "csv-minimum", "`n`"),
        ("g,n\na\n", "csv-parse", "not CSV"),
        ("g,n\na,\"10\n", "csv-parse", "not CSV"),
        ("g,n\na,\0\n", "csv-parse", "not CSV"),
    ] {
        case(text).refused(rule, about);
    }
    // Every number, in whatever column, and in what is taken for a header; words may be there.
    let rules =
        json!({"csv": {"everyNumber": {"least": 10}}, "json": {"everyNumber": {"least": 10, "zero": "allowed"}}});
    for (text, name, refused) in [
        ("g,n,m\na,10,\nb,11.5,words\n", "a.csv", None),
        ("g,n\na,10\nb,9\n", "a.csv", Some(("csv-every-number", "row 2"))),
        ("g,n\na,0\n", "a.csv", Some(("csv-every-number", "row 1"))),
        ("g,3\na,10\n", "a.csv", Some(("csv-every-number", "the header"))),
        (r#"{"3": [10, 0, "3", true], "b": {"c": 1e3}}"#, "a.json", None),
        ("[10, 9]", "a.json", Some(("json-every-number", "0 or at least 10"))),
        ("[-1]", "a.json", Some(("json-every-number", "0 or at least 10"))),
    ] {
        let case = Case::with(text, name, rules.clone());
        match refused {
            None => drop(case.check().unwrap_or_else(|refusal| panic!("{text}: {refusal}"))),
            Some((rule, about)) => case.refused(rule, about),
        }
    }
    let long = format!("[{}]", "7".repeat(41));
    Case::with(&long, "a.json", rules).refused("json-every-number", "at least 10");
    let allowed = json!({"csv": {"minimum": [{"column": "n", "least": 10, "zero": "allowed"}]}});
    Case::with("g,n\na,0\nb,10\n", "a.csv", allowed.clone()).check().expect("zero");
    Case::with("g,n\na,1\n", "a.csv", allowed).refused("csv-minimum", "0 or at least 10");
    // By content, whatever its name; and by its name, whatever its content.
    let rules = json!({"csv": {"maxRows": 2, "maxColumns": 2, "maxCellBytes": 5, "columns": ["g", "n"],
        "minimum": [{"column": "n", "least": 10}]}});
    Case::with("g,n\na,1\n", "a.txt", rules.clone()).refused("csv-minimum", "row 1");
    Case::with("[1, 2]", "A.CSV", rules.clone()).refused("csv-column-names", "[1");
    // What no rule looks at does not leave, unless the publisher lists its type.
    Case::with("words", "a.txt", rules.clone()).refused("media-type", "it is text/plain; allowed: text/csv");
    Case::with("[1]", "a.json", rules.clone()).refused("media-type", "application/json");
    let mut listed = rules;
    listed["mediaTypes"] = json!(["text/*"]);
    Case::with("words", "a.txt", listed).check().expect("listed");
}

#[test]
fn json_rules_hold() {
    let rules = json!({"json": {"maxDepth": 3, "maxValues": 3, "maxTextBytes": 4}});
    let case = |text: &str| Case::with(text, "a.json", rules.clone());
    case(r#"{"aaaa": [1, "bbbb", null]}"#).check().expect("allowed");
    for (text, rule) in [
        ("[[[1]]]", "json-depth"),
        ("[1, 2, 3, 4]", "json-values"),
        (r#"["bbbbb"]"#, "json-text"),
        (r#"{"aaaaa": 1}"#, "json-text"),
        (r#"["\u20ac\u20ac"]"#, "json-text"),
        ("{", "json-parse"),
        ("", "json-parse"),
        ("\u{0}", "json-parse"),
    ] {
        case(text).refused(rule, "");
    }
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    case(&deep).refused("json-depth", "3 deep");
    Case::with(&deep, "a.txt", rules.clone()).refused("json-depth", "3 deep");
    Case::with("[[[1]]]", "a.txt", rules.clone()).refused("json-depth", "3 deep");
    Case::with("g,n\na,1\n", "a.csv", rules).refused("media-type", "it is text/csv; allowed: application/json");
}

#[test]
fn fields_of_json_have_a_minimum() {
    let rules =
        json!({"json": {"minimum": [{"field": "n", "least": 10}, {"field": "m", "least": 5, "zero": "allowed"}]}});
    let case = |text: &str| Case::with(text, "a.json", rules.clone());
    for text in [
        r#"{"n": 10, "m": 0, "o": 1}"#,
        r#"[{"n": 10, "m": 5}, {"n": 1e3, "other": "x"}]"#,
        r#"{"n": [10, {"a": 11}, []], "m": {"9": 5}}"#,
    ] {
        case(text).check().unwrap_or_else(|refusal| panic!("{text}: {refusal}"));
    }
    for (text, about) in [
        (r#"{"n": 9, "m": 5}"#, "every value in a field `n` must be at least 10"),
        (r#"{"n": 10, "m": 4}"#, "every value in a field `m` must be 0 or at least 5"),
        (r#"{"n": 0, "m": 5}"#, "`n`"),
        (r#"{"n": 10, "m": 5, "n": 9}"#, "`n`"),
        (r#"{"n": 9, "m": 5, "n": 10}"#, "`n`"),
        (r#"{"n": 10, "\u006e": 9, "m": 5}"#, "`n`"),
        (r#"{"n": "10", "m": 5}"#, "`n`"),
        (r#"{"n": null, "m": 5}"#, "`n`"),
        (r#"{"n": [10, [9]], "m": 5}"#, "`n`"),
        (r#"{"n": [10, "<5"], "m": 5}"#, "`n`"),
        (r#"{"n": {"m": 5}}"#, "`n`"),
        (r#"{"a": [{"b": {"n": 9}}], "m": 5}"#, "`n`"),
        // Another name for it would be a way around the rule.
        (r#"{"N": 9, "m": 5}"#, "a field `n` with a number must be there"),
        (r#"{"n": [], "m": 5}"#, "a field `n` with a number must be there"),
        ("[]", "a field"),
        ("9", "a field"),
    ] {
        case(text).refused("json-minimum", about);
    }
    let long = format!(r#"{{"n": {}, "m": 5}}"#, "7".repeat(41));
    case(&long).refused("json-minimum", "`n`");
    // By content, whatever its name. Two minima of one field both hold.
    Case::with(r#"{"n": 9, "m": 5}"#, "a.txt", rules.clone()).refused("json-minimum", "`n`");
    let both = json!({"json": {"minimum": [{"field": "n", "least": 5}, {"field": "n", "least": 10}]}});
    Case::with(r#"{"n": 9}"#, "a.json", both).refused("json-minimum", "at least 10");
}

#[test]
fn large_files_are_read_in_pieces() {
    // One cell and one text of twenty megabytes: neither is held.
    let mut text = String::from("\"");
    text.push_str(&"x".repeat(20 << 20));
    text.push('"');
    let mut case = Case::with(&text, "a.json", json!({"json": {"maxTextBytes": 5}}));
    case.contract.max_bytes = 1 << 30;
    case.refused("json-text", "20971520");
}

proptest! {
    /// Whatever files there are: allowed exactly if they keep the budgets, and then all of them, as they are.
    #[test]
    fn allowed_exactly_within_the_budgets(
        files in btree_map("[ab]{1,2}(/[cd]{1,2}){0,2}", proptest::collection::vec(any::<u8>(), 0..20), 0..6),
        max_bytes in 0..60_u64, max_files in 0..6_u64, max_directories in 0..4_u64
    ) {
        let mut case = Case::new();
        case.contract = OutputContract { max_bytes, max_files, max_directories, max_depth: 2, ..OutputContract::default() };
        for (name, content) in &files {
            let taken = case.at(name).parent().is_some_and(|parent| fs::create_dir_all(parent).is_err());
            if !taken && !case.at(name).is_dir() {
                case.write(name, content);
            }
        }
        let report = case.report();
        let fits = report.outputs.iter().map(|file| file.bytes).sum::<u64>() <= max_bytes
            && report.outputs.len() as u64 <= max_files
            && report.output_directories <= max_directories
            && report.outputs.iter().all(|file| file.path.split('/').count() <= 2);
        match case.check() {
            Ok(allowed) => {
                prop_assert!(fits);
                let allowed: Vec<FileReport> =
                    allowed.into_iter().map(|file| FileReport { path: file.name, bytes: file.bytes, sha256: file.sha256 }).collect();
                prop_assert_eq!(allowed, report.outputs);
            }
            Err(refusal) => prop_assert!(!fits, "{}", refusal),
        }
    }
}
