//! Frames of Zstandard that are damaged by chance and on purpose. They come with a dataset or with parameters, and our own decoder reads them:
//! a script must get an error, and a few bytes must not take its memory or its time.

use cloister_tests::{Trial, install_python, root};
use std::fs;

#[test]
fn damaged_frames_are_read_or_refused() {
    install_python();
    let read = |path: &str| fs::read(root().join(path)).expect("a file");
    let script = [read("tests/fixtures/zstd/contents.py"), read("tests/tests/hostile/zstandard.py")].concat();
    let frames = read("tests/fixtures/zstd/frames.json");
    let limits = "memory=768MiB,wall=15m,cpu=15m";
    let ended =
        Trial::bytes(&script).dataset("frames", &frames).with(&["--runtime", "python", "--limits", limits]).run();
    ended.assert_succeeded();
    assert_eq!(String::from_utf8_lossy(&ended.log), "done True\n");
}
