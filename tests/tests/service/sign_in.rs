//! `cloister login` without a key: signing in at an issuer with a code (RFC 8628), and how the token is renewed.

use cloister_tests::{
    root,
    service::{Issuer, Service, Setup, cloister, tool},
};
use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Child, ChildStderr, Command, Output, Stdio},
};

fn service_of(issuer: &Issuer) -> Service {
    Setup::new().set("auth.oidc", &issuer.setting()).start()
}

/// A command of a user whose home this is.
fn command(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(cloister());
    command.args(arguments).current_dir(home).env_clear().env("HOME", home).stdin(Stdio::null());
    command
}

/// What a command printed that has to end with this code, and what it said beside.
#[track_caller]
fn ends(command: &mut Command, code: i32) -> (String, String) {
    let Output { status, stdout, stderr } = command.output().expect("the program starts");
    let (said, noted) = (String::from_utf8_lossy(&stdout).into_owned(), String::from_utf8_lossy(&stderr).into_owned());
    assert_eq!(status.code(), Some(code), "{command:?}\n{said}\n{noted}");
    (said, noted)
}

/// A login that waits for somebody to enter its code.
struct Waiting {
    child: Child,
    notes: BufReader<ChildStderr>,
    said: String,
    code: String,
}

impl Waiting {
    /// Starts it, and reads its code.
    fn start(home: &Path, service: &Service, more: &[&str]) -> Self {
        let url = service.url();
        let mut command = command(home, &[&["login", "--url", &url], more].concat());
        let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().expect("the program starts");
        let mut notes = BufReader::new(child.stderr.take().expect("standard error"));
        let mut said = String::new();
        let code = loop {
            let mut line = String::new();
            assert_ne!(notes.read_line(&mut line).expect("text"), 0, "{said}");
            said += &line;
            if let Some(code) = line.trim().strip_prefix("enter ") {
                break code.trim().to_owned();
            }
        };
        Self { child, notes, said, code }
    }

    /// Waits for its end, and gives what it said.
    #[track_caller]
    fn ends(mut self, code: i32) -> String {
        self.notes.read_to_string(&mut self.said).expect("text");
        let ended = self.child.wait().expect("it ends");
        assert_eq!(ended.code(), Some(code), "{}", self.said);
        self.said
    }
}

fn stored(home: &Path) -> String {
    fs::read_to_string(home.join(".config/cloister/config.yaml")).unwrap_or_default()
}

#[test]
fn a_code_that_is_entered_signs_in() {
    let issuer = Issuer::start();
    let service = service_of(&issuer);
    let home = tempfile::tempdir().expect("a folder");
    let home = home.path();
    // The issuer is busy, wants to be asked less often, and then has an answer. It knows that before it is asked for the first time.
    let _ = issuer.tell(&json!({"next": [503, "slow_down"]}));
    let waiting = Waiting::start(home, &service, &[]);
    let _ = issuer.tell(&json!({"approve": waiting.code, "as": "carol"}));
    let code = waiting.code.clone();
    let said = waiting.ends(0);
    assert!(said.contains(&format!("{}/device", issuer.url)) && said.contains(&code), "{said}");
    assert!(said.contains("lab|carol (consumer)"), "{said}");

    let seen = issuer.seen();
    assert_eq!((&seen["early"], &seen["authorizations"]), (&json!(0), &json!(0)), "{seen}");
    assert_eq!(seen["asked"].as_array().expect("questions").len(), 3, "{seen}");
    assert_eq!(seen["scopes"], json!(["openid offline_access groups"]));

    // The token is stored as a key is, shown nowhere, and is sent from now on.
    let path = home.join(".config/cloister/config.yaml");
    assert_eq!(fs::metadata(&path).expect("stored").permissions().mode() & 0o777, 0o600);
    let (who, _) = ends(&mut command(home, &["whoami", "-o", "json"]), 0);
    let who: Value = serde_json::from_str(&who).expect("JSON");
    assert_eq!((&who["account"], &who["via"]), (&json!("lab|carol"), &json!("token")));
    // The client for Python sends it, too.
    let said_by_python = Command::new(tool("python"))
        .args(["-c", "from cloister_client import connect; print(connect().whoami()['account'])"])
        .env_clear()
        .envs([("HOME", home), ("PYTHONPATH", &root().join("clients/python"))])
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .expect("Python starts");
    assert_eq!(String::from_utf8_lossy(&said_by_python.stdout), "lab|carol\n", "{said_by_python:?}");
    let mut shown = said;
    for arguments in
        [&["context", "show"][..], &["context", "show", "-o", "json"], &["context", "list"], &["whoami", "-v"]]
    {
        let (said, noted) = ends(&mut command(home, arguments), 0);
        shown += &said;
        shown += &noted;
    }
    assert!(shown.contains(&issuer.url), "{shown}");
    for secret in stored(home).lines().filter(|line| line.contains("key:") || line.contains("refreshToken:")) {
        let (_, secret) = secret.split_once(':').expect("a field");
        assert!(secret.len() > 16 && !shown.contains(secret.trim().trim_matches(['"', '\''])), "{shown}");
    }
    assert_eq!(issuer.seen()["asked"].as_array().expect("questions").len(), 3, "a token is used while it is good");
}

#[test]
fn a_token_is_renewed_and_each_refresh_token_is_used_once() {
    let issuer = Issuer::start();
    let service = service_of(&issuer);
    let home = tempfile::tempdir().expect("a folder");
    let home = home.path();
    // So short that each command has to renew it.
    let _ = issuer.tell(&json!({"lifetime": 10}));
    let waiting = Waiting::start(home, &service, &["--context", "lab"]);
    let _ = issuer.tell(&json!({"approve": waiting.code, "as": "carol"}));
    let _ = waiting.ends(0);
    let first = stored(home);
    let (who, _) = ends(&mut command(home, &["whoami"]), 0);
    assert!(who.contains("lab|carol"), "{who}");
    assert_ne!(stored(home), first);
    // Several commands at once, as in a script: the issuer takes a refresh token once only.
    let spawn =
        |_| command(home, &["whoami"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let together: Vec<_> = (0..6).map(spawn).collect();
    for child in together {
        let output = child.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(issuer.seen()["reused"], 0, "{}", issuer.seen());

    // An issuer that is away for a moment ends nothing.
    let _ = issuer.tell(&json!({"next": [503]}));
    let (_, why) = ends(&mut command(home, &["whoami"]), 5);
    assert!(why.contains(&issuer.url), "{why}");
    let _ = ends(&mut command(home, &["whoami"]), 0);
    // An issuer that gives no more tokens does, and the command says what to do.
    let _ = issuer.tell(&json!({"revoke": true}));
    let (_, why) = ends(&mut command(home, &["whoami"]), 3);
    assert!(why.contains("cloister login --context lab"), "{why}");
    // The address is that of the context.
    let _ = issuer.tell(&json!({"lifetime": 300}));
    let mut again = command(home, &["login", "--context", "lab"]).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut notes = BufReader::new(again.stderr.take().expect("standard error"));
    let mut line = String::new();
    while !line.trim().starts_with("enter ") {
        line.clear();
        assert_ne!(notes.read_line(&mut line).expect("text"), 0);
    }
    let code = line.trim().trim_start_matches("enter ").trim();
    let _ = issuer.tell(&json!({"approve": code, "as": "dora"}));
    let mut rest = String::new();
    notes.read_to_string(&mut rest).expect("text");
    assert!(again.wait().expect("it ends").success() && rest.contains("lab|dora"), "{rest}");
}

#[test]
fn nothing_is_stored_unless_the_service_takes_the_token() {
    let issuer = Issuer::start();
    let service = service_of(&issuer);
    let home = tempfile::tempdir().expect("a folder");
    let home = home.path();
    let url = service.url();
    let login = ["login", "--url", url.as_str()];

    let waiting = Waiting::start(home, &service, &[]);
    let _ = issuer.tell(&json!({"refuse": waiting.code}));
    assert!(waiting.ends(3).contains("refused"));
    let waiting = Waiting::start(home, &service, &[]);
    let _ = issuer.tell(&json!({"next": ["expired_token"]}));
    assert!(waiting.ends(3).contains("in time"));
    // A token for another service is not shown to this one.
    for (access, id, expected) in [
        (json!({"aud": "another"}), Value::Null, "another"),
        (json!({}), json!({"aud": "cloister-cli"}), "cloister-cli"),
    ] {
        let _ = issuer.tell(&json!({"access": access, "id": id}));
        let waiting = Waiting::start(home, &service, &[]);
        let _ = issuer.tell(&json!({"approve": waiting.code, "as": "carol"}));
        let said = waiting.ends(3);
        assert!(said.contains(expected) && said.contains("`aud`"), "{said}");
    }
    // The ID token does, if it is the one for the service.
    let _ = issuer.tell(&json!({"access": {"aud": "another"}, "id": {"aud": ["x", "cloister"]}}));
    let other = tempfile::tempdir().expect("a folder");
    let waiting = Waiting::start(other.path(), &service, &["--issuer", &issuer.url]);
    let _ = issuer.tell(&json!({"approve": waiting.code, "as": "carol"}));
    let _ = waiting.ends(0);

    for (discovery, word) in [
        (json!({"issuer": "https://login.example"}), "https://login.example"),
        (json!({"issuer": issuer.url, "token_endpoint": "http://login.example/token"}), "https://"),
        (json!({"device_authorization_endpoint": null}), "8628"),
    ] {
        let _ = issuer.tell(&json!({"discovery": discovery}));
        let (_, why) = ends(&mut command(home, &login), 3);
        assert!(why.contains(word), "{why}");
    }
    let (_, why) = ends(&mut command(home, &[&login[..], &["--issuer", "https://login.example"]].concat()), 2);
    assert!(why.contains(&issuer.url), "{why}");
    drop(issuer);
    let _ = ends(&mut command(home, &login), 5);
    assert_eq!(stored(home), "");
}

/// Services of an operator who wants keys only.
#[test]
fn a_service_without_an_issuer_asks_for_a_key() {
    let service = Service::start();
    let home = tempfile::tempdir().expect("a folder");
    let url = service.url();
    let (_, why) = ends(&mut command(home.path(), &["login", "--url", &url]), 2);
    assert!(why.contains("--key"), "{why}");
}
