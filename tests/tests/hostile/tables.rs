//! Tables in the formats that our own readers understand, damaged by chance and on purpose. They come with a dataset or with parameters, so
//! an algorithm that reads them must get an error: none may keep it for ever, or take its memory.

use cloister_tests::{Trial, install_python, root};
use std::fs;

#[test]
fn damaged_tables_are_read_or_refused() {
    install_python();
    let script = fs::read(root().join("tests/tests/hostile/tables.py")).expect("a script");
    let limits = "memory=768MiB,wall=15m,cpu=15m";
    let ended = Trial::bytes(&script).with(&["--runtime", "python", "--limits", limits]).run();
    ended.assert_succeeded();
    assert_eq!(String::from_utf8_lossy(&ended.log), "done True\n");
}
