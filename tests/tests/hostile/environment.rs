//! A guest sees the arguments and variables that it was given, and none of the host's.

use crate::runs::{assert_safe, fixture, wait};
use std::{collections::BTreeMap, process::Stdio, time::Duration};

#[test]
pub(crate) fn environment() {
    let mut trial = fixture("environment");
    let mut command = trial.command();
    command
        .env("HOSTILE_SECRET", "do not tell")
        .env("LD_LIBRARY_PATH", "/nowhere")
        .env("WASMTIME_BACKTRACE_DETAILS", "1");
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts");
    let code = wait(child, Duration::from_secs(60));
    let ended = trial.ended(code, b"", b"");
    ended.assert_succeeded();
    let text = String::from_utf8(ended.log.clone()).expect("text");
    let mut strings = text.strip_suffix('\0').expect("C strings").split('\0');
    assert_eq!(strings.next(), Some("algorithm"));
    let variables: BTreeMap<&str, &str> = strings.map(|line| line.split_once('=').expect("a variable")).collect();
    let digest = ended.report().algorithm.sha256.to_string();
    let expected = [
        ("DIDS", r#"["d"]"#),
        ("INPUTS", "/data/inputs"),
        ("LOGS", "/data/logs"),
        ("OUTPUTS", "/data/outputs"),
        ("TRANSFORMATION_DID", digest.as_str()),
        ("VOLUME", "/data"),
    ];
    assert_eq!(variables, BTreeMap::from(expected));
    assert_safe(ended.stderr.as_bytes());
}

#[test]
fn a_published_algorithm_knows_its_name() {
    let ended = fixture("environment").with(&["--did", "did:op:algo"]).run();
    ended.assert_succeeded();
    let text = String::from_utf8(ended.log.clone()).expect("text");
    assert!(text.split('\0').any(|line| line == "TRANSFORMATION_DID=algo"), "{text:?}");
}
