use super::*;
use crate::client::{Connection, ResultFile};
use cloister_model::{ResultKind, Secret};
use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::TcpListener,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
};

fn listed(index: u32, name: &str, content: &[u8]) -> ResultFile {
    ResultFile {
        index,
        name: name.to_owned(),
        kind: ResultKind::Output,
        bytes: content.len() as u64,
        sha256: Sha256::from_bytes(sha2::Sha256::digest(content).into()),
    }
}

/// A service that answers one request per connection, with these answers in turn.
fn service(answers: Vec<Vec<u8>>) -> (Client, std::thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let thread = std::thread::spawn(move || {
        let mut heads = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().expect("a connection");
            let lines = BufReader::new(stream.try_clone().expect("a stream")).lines();
            let head: Vec<_> = lines.map(|line| line.expect("a line")).take_while(|line| !line.is_empty()).collect();
            heads.push(head.join("\n").to_lowercase() + "\n");
            stream.write_all(&answer).expect("written");
        }
        heads
    });
    let key = Some(Secret::new("clk_test".to_owned()));
    let connection = Connection { url: url.parse().expect("an address"), key, certificates: None, renewal: None };
    (Client::new(connection).expect("a client"), thread)
}

fn answer(status: &str, length: usize, body: &[u8]) -> Vec<u8> {
    let mut answer = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n").into_bytes();
    answer.extend_from_slice(body);
    answer
}

fn run(client: &Client, list: &[ResultFile], folder: &Path) -> anyhow::Result<Vec<String>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let folder = Folder::open(folder)?;
    runtime.block_on(fetch_all(client, &["v1", "jobs", "j", "results"], "j", list, &folder, false))
}

#[test]
fn an_interrupted_download_resumes() {
    let content = b"0123456789";
    let folder = tempfile::tempdir().expect("a folder");
    let (client, service) =
        service(vec![answer("200 OK", 10, &content[..4]), answer("206 Partial Content", 6, &content[4..])]);
    let names = run(&client, &[listed(0, "sub/a", content)], folder.path()).expect("fetched");
    assert_eq!(names, ["sub/a"]);
    let path = folder.path().join("sub/a");
    assert_eq!(fs::read(&path).expect("a file"), content);
    assert_eq!(fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(folder.path().join("sub")).expect("a folder").count(), 1);
    let heads = service.join().expect("the service");
    assert!(!heads[0].contains("\nrange:") && heads[1].contains("\nrange: bytes=4-\n"), "{heads:?}");
    assert!(heads[1].contains("if-range: \"") && heads[1].contains("authorization: bearer clk_test"), "{heads:?}");
    // A second run asks for nothing: the service has ended.
    run(&client, &[listed(0, "sub/a", content)], folder.path()).expect("complete");
}

#[test]
fn bytes_that_were_not_listed_are_deleted() {
    let folder = tempfile::tempdir().expect("a folder");
    for (body, listed_as) in [(&b"evil"[..], &b"good"[..]), (b"too long", b"long")] {
        let (client, service) = service(vec![answer("200 OK", body.len(), body)]);
        let error = run(&client, &[listed(0, "a", listed_as)], folder.path()).expect_err("not what was listed");
        assert_eq!(crate::failure::code_of(&error), FAILED);
        assert!(!folder.path().join("a").exists());
        service.join().expect("the service");
    }
}

#[test]
fn links_in_the_folder_are_not_followed() {
    let (outside, folder) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    symlink(outside.path(), folder.path().join("sub")).expect("a link");
    symlink(outside.path().join("target"), folder.path().join("a")).expect("a link");
    symlink(outside.path().join("target"), folder.path().join(".cloister-j-0.part")).expect("a link");
    let (client, _service) = service(Vec::new());
    for name in ["sub/a", "a", "b"] {
        let error = run(&client, &[listed(0, name, b"x")], folder.path()).expect_err("a link");
        assert_eq!(crate::failure::code_of(&error), crate::exit::USAGE, "{error:#}");
    }
    assert_eq!(fs::read_dir(outside.path()).expect("a folder").count(), 0);
}

#[test]
fn existing_files_are_not_replaced_without_force() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("a"), "mine").expect("written");
    let (client, _service) = service(Vec::new());
    let error = run(&client, &[listed(0, "a", b"x")], folder.path()).expect_err("it exists").to_string();
    assert!(error.contains("--force"), "{error}");
    assert_eq!(fs::read(folder.path().join("a")).expect("a file"), b"mine");
}
