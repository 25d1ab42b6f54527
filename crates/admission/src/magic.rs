//! Recognises other file formats by their first bytes, so that the refusal can say what the file is.

use cloister_model::{Refusal, Rule};
use wasmparser::{Encoding, Parser};

/// Other formats that people submit: the first bytes, the format, the advice.
const FORMATS: &[(&[u8], &str, &str)] = &[
    (b"\x7fELF", "a native program for Linux (ELF)", COMPILE),
    (b"\xfe\xed\xfa\xce", "a native program for macOS", COMPILE),
    (b"\xfe\xed\xfa\xcf", "a native program for macOS", COMPILE),
    (b"\xce\xfa\xed\xfe", "a native program for macOS", COMPILE),
    (b"\xcf\xfa\xed\xfe", "a native program for macOS", COMPILE),
    (b"\xca\xfe\xba\xbe", "a Java class or a native program for macOS", COMPILE),
    (b"MZ", "a native program for Windows", COMPILE),
    (b"!<arch>\n", "a static library", "Link a program from it for wasm32-wasip1"),
    (b"BC\xc0\xde", "LLVM bitcode", COMPILE),
    (b"PK\x03\x04", "a zip archive (a wheel, a jar or a bundle)", UNPACK),
    (b"PK\x05\x06", "an empty zip archive", UNPACK),
    (b"\x1f\x8b", "gzip data", UNPACK),
    (b"\x28\xb5\x2f\xfd", "zstd data", UNPACK),
    (b"\xfd7zXZ\0", "xz data", UNPACK),
    (b"BZh", "bzip2 data", UNPACK),
    (b"#!", "a script", SCRIPT),
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself", "Fetch the file with `git lfs pull`"),
    (b"<", "HTML or XML", "Check the address it was fetched from: a server may have answered with an error page"),
];

const COMPILE: &str = "Compile it for wasm32-wasip1 or wasm32-wasip2";
const UNPACK: &str = "Submit the .wasm file itself";
const SCRIPT: &str = "Name a runtime that runs scripts, or compile it to WebAssembly";

/// Byte 7 (the operating system) of an ELF file that wasmtime produced.
const ELF_OS_WASMTIME: u8 = 200;

/// Decides whether the bytes are a module or a component, or why they are neither.
pub(crate) fn recognise(bytes: &[u8]) -> Result<Encoding, Refusal> {
    if Parser::is_core_wasm(bytes) {
        return Ok(Encoding::Module);
    }
    if Parser::is_component(bytes) {
        return Ok(Encoding::Component);
    }
    Err(match bytes {
        [] => Refusal::new(Rule::NotWebAssembly, "an empty file", "Check that the upload or the build finished"),
        [0, b'a', b's', b'm', version @ ..] => unknown_version(version),
        _ if is_precompiled(bytes) => Refusal::new(
            Rule::Precompiled,
            "machine code compiled from WebAssembly elsewhere",
            "Submit the .wasm file it was compiled from: machine code is not checked by any sandbox",
        ),
        _ => other_format(bytes),
    })
}

fn unknown_version(version: &[u8]) -> Refusal {
    let (subject, advice) = match version {
        [_, _, _, _, ..] if version[2] == 1 => {
            ("a component in a format from before WASI 0.2", "Build it again with current tools")
        }
        [_, _, _, _, ..] => ("an unknown version of WebAssembly", "Build it for wasm32-wasip1 or wasm32-wasip2"),
        _ => ("WebAssembly that ends inside its header", "Check that the upload or the build finished"),
    };
    Refusal::new(Rule::Invalid, subject, advice)
}

fn is_precompiled(bytes: &[u8]) -> bool {
    (bytes.starts_with(b"\x7fELF") && bytes.get(7) == Some(&ELF_OS_WASMTIME)) || bytes.starts_with(b"wasmer-universal")
}

fn other_format(bytes: &[u8]) -> Refusal {
    let refuse = |subject, advice: &str| Refusal::new(Rule::NotWebAssembly, subject, advice);
    if let Some((_, subject, advice)) = FORMATS.iter().find(|(magic, ..)| bytes.starts_with(magic)) {
        return refuse(subject, advice);
    }
    if bytes.get(257..262) == Some(b"ustar") {
        return refuse("a tar archive", UNPACK);
    }
    let head = &bytes[..bytes.len().min(512)];
    let text = head.utf8_chunks().next().map_or("", |chunk| chunk.valid());
    let is_text = text.len() + 3 >= head.len() && !text.contains('\0');
    if is_text && (text.trim_start().starts_with('(') || text.trim_start().starts_with(";;")) {
        return refuse("WebAssembly in text form", "Translate it with `wasm-tools parse`");
    }
    if is_text {
        return refuse("text, perhaps source code", SCRIPT);
    }
    refuse("bytes of an unknown format", COMPILE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(bytes: &[u8]) -> Refusal {
        recognise(bytes).expect_err("not WebAssembly")
    }

    #[test]
    fn knows_modules_and_components() {
        assert_eq!(recognise(b"\0asm\x01\0\0\0"), Ok(Encoding::Module));
        assert_eq!(recognise(b"\0asm\x0d\0\x01\0"), Ok(Encoding::Component));
    }

    #[test]
    fn distinguishes_precompiled_webassembly_from_native_programs() {
        let mut elf = *b"\x7fELF\x02\x01\x01\xc8\0\0\0\0\0\0\0\0";
        assert_eq!(refused(&elf).rule, Rule::Precompiled);
        elf[7] = 0;
        assert_eq!(refused(&elf).rule, Rule::NotWebAssembly);
        assert!(refused(&elf).subject.contains("ELF"));
        assert_eq!(refused(b"\x7fELF").rule, Rule::NotWebAssembly);
    }

    #[test]
    fn names_other_formats() {
        for (bytes, word) in [
            (&b""[..], "empty"),
            (b"MZ\x90", "Windows"),
            (b"\xcf\xfa\xed\xfe\x07", "macOS"),
            (b"PK\x03\x04wheel", "zip"),
            (b"\x1f\x8b\x08", "gzip"),
            (b"#!/usr/bin/env python3\n", "script"),
            (b"\n ;; a comment\n(module)", "text form"),
            (b"(module)", "text form"),
            (b"import pandas as pd\n", "source code"),
            ("größe = 1\n".as_bytes(), "source code"),
            (b"<!DOCTYPE html>", "HTML"),
            (b"\x80\x81\x82\x83\x84", "unknown format"),
        ] {
            let refusal = refused(bytes);
            assert_eq!(refusal.rule, Rule::NotWebAssembly);
            assert!(refusal.subject.contains(word), "{bytes:?}: {refusal}");
        }
    }

    #[test]
    fn other_versions_are_invalid() {
        for bytes in [&b"\0asm"[..], b"\0asm\x01", b"\0asm\x01\0\0", b"\0asm\x02\0\0\0", b"\0asm\x0c\0\x01\0"] {
            assert_eq!(refused(bytes).rule, Rule::Invalid, "{bytes:?}");
        }
        assert!(refused(b"\0asm\x0a\0\x01\0").subject.contains("before WASI 0.2"));
    }
}
