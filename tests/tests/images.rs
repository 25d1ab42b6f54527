//! The images of `deploy/images`: the Dockerfiles and the script that works without Docker make the same.

#![expect(clippy::panic, reason = "a helper of tests fails them by panicking")]

use cloister_tests::root;
use serde_json::Value;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// What the last stage of a Dockerfile says.
struct Dockerfile {
    files: BTreeSet<PathBuf>,
    user: String,
    entry_point: Vec<String>,
}

fn dockerfile(name: &str) -> Dockerfile {
    let path = root().join(format!("deploy/images/{name}.Dockerfile"));
    let text = fs::read_to_string(&path).expect("a Dockerfile");
    let (_, last) = text.rsplit_once("FROM scratch\n").expect("the image starts from nothing");
    let mut image = Dockerfile { files: BTreeSet::new(), user: String::new(), entry_point: Vec::new() };
    for line in last.lines() {
        match line.split_whitespace().collect::<Vec<_>>().as_slice() {
            ["COPY", "--from=build", _, to] => drop(image.files.insert(PathBuf::from(to))),
            ["USER", user] => image.user = (*user).to_owned(),
            ["ENTRYPOINT", json] => image.entry_point = serde_json::from_str(json).expect("a list"),
            _ => assert!(line.is_empty(), "{}: {line}", path.display()),
        }
    }
    image
}

fn files(folder: &Path, below: &Path, found: &mut BTreeSet<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let entry = entry.expect("an entry");
        if entry.file_type().expect("a type").is_dir() {
            files(&entry.path(), below, found);
        } else {
            let relative = entry.path().strip_prefix(below).expect("below").to_owned();
            found.insert(Path::new("/").join(relative));
        }
    }
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))).expect("JSON")
}

/// The blob that a descriptor of an OCI layout names.
fn blob(layout: &Path, descriptor: &Value) -> PathBuf {
    let digest = descriptor["digest"].as_str().expect("a digest").strip_prefix("sha256:").expect("SHA-256");
    layout.join("blobs/sha256").join(digest)
}

fn build() {
    let output = Command::new(root().join("deploy/images/build.sh")).output().expect("the script starts");
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn the_script_makes_what_the_dockerfiles_say() {
    build();
    let images = root().join("target/images");
    let digests =
        || ["sandbox", "cloister"].map(|name| fs::read(images.join(format!("{name}.digest"))).expect("a digest"));
    let first = digests();
    for name in ["sandbox", "cloister"] {
        let expected = dockerfile(name);
        let rootfs = images.join(format!("{name}.rootfs"));
        let mut found = BTreeSet::new();
        files(&rootfs, &rootfs, &mut found);
        assert_eq!(found, expected.files, "{name}");

        let layout = images.join(name);
        let manifest = json(&blob(&layout, &json(&layout.join("index.json"))["manifests"][0]));
        let config = json(&blob(&layout, &manifest["config"]));
        assert_eq!(config["config"]["User"], expected.user, "{name}");
        assert_eq!(config["config"]["Entrypoint"], serde_json::json!(expected.entry_point), "{name}");
        assert!(blob(&layout, &manifest["layers"][0]).is_file(), "{name}");
    }
    // Nothing in an image depends on when or where it is made.
    build();
    assert_eq!(digests(), first);
}
