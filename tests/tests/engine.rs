//! `cloister engine` where there is no API server, and `cloister secrets`.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    process::{Command, Stdio},
};

fn cloister() -> Command {
    Command::new(cloister_testkit::program("cloister").expect("the program"))
}

const NOBODY: &str = r#"
apiVersion: v1
kind: Config
current-context: a
contexts: [{name: a, context: {cluster: a, user: a}}]
clusters: [{name: a, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: a, user: {token: a}}]
"#;

#[test]
fn an_engine_whose_api_server_is_away_waits_for_it_and_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let kubeconfig = folder.path().join("kubeconfig");
    std::fs::write(&kubeconfig, NOBODY).expect("written");
    let mut child = cloister()
        .args(["engine", "--listen", "127.0.0.1:0", "--log-format", "json", "--kubeconfig"])
        .arg(&kubeconfig)
        .args(["--set", "k8s.unpinned_images=true", "--set", "k8s.cloister_image=a", "--set", "k8s.sandbox_image=b"])
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines().map_while(Result::ok);
    let line = lines.find(|line| line.contains("address")).expect("it says where it listens");
    let line: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    let address = line["address"].as_str().expect("an address").to_owned();
    let get = |path: &str| {
        let mut stream = TcpStream::connect(&address).expect("it listens");
        write!(stream, "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").expect("asked");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    };
    assert!(get("/livez").starts_with("HTTP/1.1 200 "));
    assert!(get("/readyz").starts_with("HTTP/1.1 503 "));
    assert!(get("/metrics").contains("cloister_engine_working 0"));
    assert!(lines.any(|line| line.contains("it is tried again")), "it says nothing of it");
    assert!(child.try_wait().expect("a state").is_none(), "it gave up");
    let asked = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().expect("kill");
    assert!(asked.success());
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}

#[test]
fn an_engine_with_unpinned_images_does_not_start() {
    let output = cloister().args(["engine", "--set", "k8s.cloister_image=cloister:latest"]).output().expect("it ends");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("`k8s.cloister_image` is not pinned") && text.contains("@sha256:"), "{text}");
}
