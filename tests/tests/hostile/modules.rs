//! Bytes that are not a program, or a program that cannot be started.

use crate::runs::{Run as _, assert_refused, fixture, shape};
use cloister_model::{Outcome, Rule};
use cloister_tests::Trial;
use std::{fs, path::Path};

#[test]
pub(crate) fn start_missing() {
    assert_refused(&fixture("start_missing").finish(), Rule::EntryPoint);
}

#[test]
pub(crate) fn start_global() {
    assert_refused(&fixture("start_global").finish(), Rule::EntryPoint);
}

#[test]
pub(crate) fn start_wrong_type() {
    assert_refused(&fixture("start_wrong_type").finish(), Rule::EntryPoint);
}

#[test]
pub(crate) fn memory_not_exported() {
    assert_refused(&fixture("memory_not_exported").finish(), Rule::EntryPoint);
}

const EMPTY: &[u8] = b"\0asm\x01\0\0\0";

#[test]
fn what_is_no_web_assembly_is_refused() {
    let text = fs::read(cloister_tests::root().join("tests/hostile/endless_loop.wat")).expect("a fixture");
    let program = fs::read("/bin/true").or_else(|_| fs::read("/usr/bin/true")).expect("a program");
    for bytes in [&text, &program, b"".as_slice(), b"\0", b"#!/bin/sh\nid\n", b"PK\x03\x04", b"\x1f\x8b\x08\0"] {
        assert_refused(&Trial::bytes(bytes).finish(), Rule::NotWebAssembly);
    }
}

/// Machine code compiled by this host, submitted as an algorithm.
#[test]
fn a_compiled_artifact_is_refused() {
    let home = tempfile::tempdir().expect("a home");
    let home_path = home.path().join("home");
    let path = home_path.to_str().expect("text");
    fixture("memory_probe").with(&["--home", path]).finish().assert_succeeded();
    let artifact = fs::read_dir(home_path.join("artifacts"))
        .expect("artifacts")
        .map(|entry| entry.expect("listed").path())
        .find(|path| path.extension() == Some("cwasm".as_ref()))
        .expect("an artifact");
    assert_refused(&Trial::bytes(&fs::read(&artifact).expect("read")).finish(), Rule::Precompiled);
    assert_refused(&Trial::file(Path::new(&artifact)).finish(), Rule::Precompiled);
}

/// Every prefix of a real program, and the program with each byte changed, is either refused or runs.
#[test]
fn damaged_modules_are_refused_or_run() {
    let whole = wat::parse_str(
        "(module (memory (export \"memory\") 1) (func (export \"_start\") (i32.store (i32.const 0) (i32.const 1))))",
    )
    .expect("valid");
    for length in 0..whole.len() {
        let ended = Trial::bytes(&whole[..length]).finish();
        assert!(matches!(ended.outcome(), Outcome::Refused { .. }), "{length}: {}", shape(&ended));
        assert_eq!(ended.code, Some(4));
    }
    for place in (8..whole.len()).step_by(3) {
        let mut damaged = whole.clone();
        damaged[place] ^= 0xff;
        let ended = Trial::bytes(&damaged).finish();
        assert!(!matches!(ended.outcome(), Outcome::HostFault { .. }), "byte {place}: {}", shape(&ended));
    }
}

#[test]
fn bad_sections_are_refused() {
    let sections: [(Rule, &[u8]); 9] = [
        // A section longer than the file.
        (Rule::Invalid, &[1, 0x7f, 0x60]),
        // Four billion types, functions, exports, data segments in a few bytes.
        (Rule::TooLarge, &[1, 5, 0xff, 0xff, 0xff, 0xff, 0x0f]),
        (Rule::TooLarge, &[3, 5, 0xff, 0xff, 0xff, 0xff, 0x0f]),
        (Rule::TooLarge, &[7, 5, 0xff, 0xff, 0xff, 0xff, 0x0f]),
        (Rule::TooLarge, &[11, 5, 0xff, 0xff, 0xff, 0xff, 0x0f]),
        // A number without an end.
        (Rule::Invalid, &[1, 6, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80]),
        // An unknown section; a duplicate section; two sections in the wrong order.
        (Rule::Invalid, &[0x3f, 0]),
        (Rule::Invalid, &[5, 3, 1, 0, 1, 5, 3, 1, 0, 1]),
        (Rule::Invalid, &[5, 3, 1, 0, 1, 1, 1, 0]),
    ];
    for (rule, section) in sections {
        assert_refused(&Trial::bytes(&[EMPTY, section].concat()).finish(), rule);
    }
    assert_refused(&Trial::bytes(b"\0asm").finish(), Rule::Invalid);
    // Another version; a component header with another version.
    assert_refused(&Trial::bytes(b"\0asm\x02\0\0\0").finish(), Rule::Invalid);
    assert_refused(&Trial::bytes(b"\0asm\x0d\0\x01\0").finish(), Rule::EntryPoint);
}

#[test]
fn a_module_above_the_limit_is_refused_whatever_is_in_it() {
    // A custom section of a megabyte before all other sections.
    let mut module = [EMPTY, &[0, 0x80, 0x80, 0xc0, 0, 1, b'x']].concat();
    module.resize(EMPTY.len() + 5 + (1 << 20), 0);
    module.extend_from_slice(
        &wat::parse_str("(module (memory (export \"memory\") 1) (func (export \"_start\")))").expect("valid")[8..],
    );
    let ended = Trial::bytes(&module).with(&["--limits", "module=1MiB"]).finish();
    assert_refused(&ended, Rule::TooLarge);
    Trial::bytes(&module).with(&["--limits", "module=2MiB"]).finish().assert_succeeded();
    // The artifact that now exists makes no difference.
    assert_refused(&Trial::bytes(&module).with(&["--limits", "module=1MiB"]).finish(), Rule::TooLarge);
}
