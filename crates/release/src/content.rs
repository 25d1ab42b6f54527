//! One reading of a file: its digest, and what can be told of its bytes on the way.

use super::{OutputRefusal, refusal::refuse, walk::Found};
use cloister_files::hash_chunks;
use cloister_model::FileDigest;
use std::{
    io::{self, Read},
    str,
};

/// Bytes of a beginning that are kept: what magic numbers are looked for in.
const HEAD_BYTES: usize = 8192;
/// Bytes of an end that are kept: a ZIP archive ends in a directory with a comment of at most 64 KiB.
const TAIL_BYTES: usize = 66 * 1024;

/// What one reading tells of a file.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) empty: bool,
    /// UTF-8 without control characters other than tabs and line ends.
    pub(super) text: bool,
    pub(super) head: Vec<u8>,
    pub(super) tail: Vec<u8>,
}

/// Whether bytes that come in pieces are text.
#[derive(Debug)]
pub(super) struct TextCheck {
    good: bool,
    /// The beginning of a character whose end has not come: at most three bytes.
    open: Vec<u8>,
}

pub(super) fn read(file: &Found) -> Result<(FileDigest, Facts), OutputRefusal> {
    let mut source = file.open()?;
    observe(&mut source).map_err(|error| unreadable(&file.name, &error))
}

pub(super) fn unreadable(name: &str, error: &io::Error) -> OutputRefusal {
    refuse("output-unreadable", Some(name), &format!("it cannot be read ({})", error.kind()))
}

fn observe(source: &mut impl Read) -> io::Result<(FileDigest, Facts)> {
    let mut facts = Facts::default();
    let mut text = TextCheck::new();
    let digest = hash_chunks(source, |chunk| {
        text.add(chunk);
        let wanted = HEAD_BYTES.saturating_sub(facts.head.len()).min(chunk.len());
        facts.head.extend_from_slice(&chunk[..wanted]);
        facts.tail.extend_from_slice(&chunk[chunk.len().saturating_sub(TAIL_BYTES)..]);
        let surplus = facts.tail.len().saturating_sub(TAIL_BYTES);
        facts.tail.drain(..surplus);
    })?;
    facts.empty = digest.bytes == 0;
    facts.text = text.end();
    Ok((digest, facts))
}

impl TextCheck {
    pub(super) fn new() -> Self {
        Self { good: true, open: Vec::new() }
    }

    pub(super) fn add(&mut self, chunk: &[u8]) {
        if !self.good {
            return;
        }
        let mut rest = chunk;
        // A character that began before: byte by byte, until it is whole or wrong.
        while let (false, [byte, after @ ..]) = (self.open.is_empty(), rest) {
            self.open.push(*byte);
            rest = after;
            match str::from_utf8(&self.open) {
                Ok(text) => {
                    self.good &= plain(text);
                    self.open.clear();
                }
                Err(error) if error.error_len().is_none() => {}
                Err(_) => {
                    self.good = false;
                    return;
                }
            }
        }
        match str::from_utf8(rest) {
            Ok(text) => self.good &= plain(text),
            Err(error) if error.error_len().is_none() => {
                let (whole, open) = rest.split_at(error.valid_up_to());
                self.good &= str::from_utf8(whole).is_ok_and(plain);
                self.open.extend_from_slice(open);
            }
            Err(_) => self.good = false,
        }
    }

    pub(super) fn end(self) -> bool {
        self.good && self.open.is_empty()
    }
}

fn plain(text: &str) -> bool {
    text.bytes().all(|byte| byte >= 0x20 && byte != 0x7f || matches!(byte, b'\t' | b'\n' | b'\r'))
        && (text.is_ascii() || !text.chars().any(|character| ('\u{80}'..='\u{9f}').contains(&character)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};

    fn whole(bytes: &[u8]) -> bool {
        str::from_utf8(bytes).is_ok_and(|text| text.chars().all(|c| !c.is_control() || matches!(c, '\t' | '\n' | '\r')))
    }

    proptest! {
        #[test]
        fn pieces_are_judged_like_the_whole(pieces in vec(prop_oneof!["\\PC{0,5}", "[a\u{80}é\u{1}\n€😀]{0,5}"], 0..9), cut in 1..5_usize, noise in vec(any::<u8>(), 0..3)) {
            let mut bytes = pieces.concat().into_bytes();
            bytes.extend(noise);
            let mut check = TextCheck::new();
            bytes.chunks(cut).for_each(|chunk| check.add(chunk));
            prop_assert_eq!(check.end(), whole(&bytes));
        }

        #[test]
        fn digests_and_ends_are_those_of_the_whole(bytes in vec(any::<u8>(), 0..300)) {
            let (digest, facts) = observe(&mut bytes.as_slice()).expect("memory");
            prop_assert_eq!(digest, cloister_files::digest_of(&bytes));
            prop_assert_eq!((&facts.head, &facts.tail, facts.empty), (&bytes, &bytes, bytes.is_empty()));
        }
    }
}
