//! The names of functions in a module, which nothing here uses.

use std::ops::Range;
use wasmparser::{Parser, Payload};

/// A valid core module without the names of its functions. The engine would keep them in the compiled code twice, and every run
/// verifies all of that: in an interpreter they have tens of megabytes.
///
/// What cannot be read is returned as it is.
#[must_use]
pub fn without_names(mut module: Vec<u8>) -> Vec<u8> {
    for section in sections_of_names(&module).unwrap_or_default().into_iter().rev() {
        module.drain(section);
    }
    module
}

/// Where they are. None if the module cannot be read.
fn sections_of_names(module: &[u8]) -> Option<Vec<Range<usize>>> {
    let mut found = Vec::new();
    // Before the first section are the magic bytes and the version.
    let mut end: usize = 8;
    for payload in Parser::new(0).parse_all(module) {
        let payload = payload.ok()?;
        let Some((_, content)) = payload.as_section() else { continue };
        let next = content.end;
        if matches!(&payload, Payload::CustomSection(section) if section.name() == "name") {
            found.push(end..next);
        }
        end = next;
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::binary;

    #[test]
    fn names_are_left_out_and_nothing_else_is() {
        let with = r#"(module $m (import "a" "b" (func $f)) (memory (export "memory") 1) (@custom "name2" "kept")
            (func $main (export "_start") call $f) (data (i32.const 0) "name"))"#;
        let without = r#"(module (import "a" "b" (func)) (memory (export "memory") 1) (@custom "name2" "kept")
            (func (export "_start") call 0) (data (i32.const 0) "name"))"#;
        let (with, without) = (binary(with), binary(without));
        assert!(with.len() > without.len());
        assert_eq!(without_names(with.clone()), without);
        assert_eq!(without_names(without.clone()), without);
        // Two of them, and one in the middle.
        let twice = [&with[..], &with[without.len()..]].concat();
        assert_eq!(without_names(twice), without);
        for damaged in [&with[..with.len() - 1], b"\0asm", b"", b"\0asm\x01\0\0\0\xff"] {
            assert_eq!(without_names(damaged.to_vec()), damaged);
        }
    }
}
