//! A guest that consists of a list of preview 1 calls. It makes each call, records the result, and prints all results at
//! the end. The expected result is stated with each call.

pub(crate) use crate::preview1::*;
use crate::runs::{Run as _, shape};
use cloister_tests::{Ended, Trial};
use std::{fmt::Write as _, ops::Range};

/// The descriptor of `/`.
pub(crate) const ROOT: Arg = Arg::Small(3);

/// One argument of a call.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Arg {
    Small(u32),
    Large(u64),
    /// The 32 bits at this address: a descriptor that an earlier call put there.
    At(u32),
}

/// The expected result of a call.
#[derive(Clone, Debug)]
enum Expected {
    Exactly(u32),
    OneOf(Vec<u32>),
    AtMost(u32),
    /// Anything but success.
    Refused,
    Anything,
}

/// The layout of the script's memory: results, descriptors, texts, records.
const ANSWER: u32 = 16;
const DESCRIPTORS: Range<u32> = 1024..8192;
const TEXTS: u32 = 8192;
const BUFFER: u32 = 0x10_0000;
const NOTES: u32 = 0x20_0000;
/// In pages of 64 KiB.
const MEMORY: u32 = 64;

/// A guest under construction.
#[derive(Debug, Default)]
pub(crate) struct Script {
    data: Vec<u8>,
    body: String,
    expected: Vec<(String, Expected)>,
    descriptors: u32,
}

impl Script {
    /// Puts bytes into memory. Returns their address and length.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> [Arg; 2] {
        while !self.data.len().is_multiple_of(8) {
            self.data.push(0);
        }
        let at = TEXTS + u32::try_from(self.data.len()).expect("a small script");
        self.data.extend_from_slice(bytes);
        assert!(TEXTS as usize + self.data.len() < BUFFER as usize, "a script with too much text");
        [Arg::Small(at), Arg::Small(u32::try_from(bytes.len()).expect("a short text"))]
    }

    /// A place for a descriptor. Until a call fills it, it contains an invalid one.
    fn descriptor(&mut self) -> u32 {
        let at = DESCRIPTORS.start + 4 * self.descriptors;
        assert!(at < DESCRIPTORS.end, "a script with too many descriptors");
        self.descriptors += 1;
        let _ = writeln!(self.body, "(i32.store (i32.const {at}) (i32.const -1))");
        at
    }

    fn note(&mut self, label: String, value: &str, expected: Expected) {
        let _ = writeln!(self.body, "(call $note {value})");
        self.expected.push((label, expected));
    }

    fn make(&mut self, label: &str, call: &str, arguments: &[Arg], expected: Expected) {
        let mut text = format!("(call ${call}");
        for argument in arguments {
            let _ = match argument {
                Arg::Small(value) => write!(text, " (i32.const {value})"),
                Arg::Large(value) => write!(text, " (i64.const {value})"),
                Arg::At(address) => write!(text, " (i32.load (i32.const {address}))"),
            };
        }
        text.push(')');
        self.note(format!("{call} {label}"), &text, expected);
    }

    /// A call that must return exactly this.
    pub(crate) fn call(&mut self, expected: u32, label: &str, call: &str, arguments: &[Arg]) {
        self.make(label, call, arguments, Expected::Exactly(expected));
    }

    /// A call that must return one of these.
    pub(crate) fn call_either(&mut self, expected: &[u32], label: &str, call: &str, arguments: &[Arg]) {
        self.make(label, call, arguments, Expected::OneOf(expected.to_vec()));
    }

    /// A call that must not succeed.
    pub(crate) fn refused(&mut self, label: &str, call: &str, arguments: &[Arg]) {
        self.make(label, call, arguments, Expected::Refused);
    }

    /// A call that may return anything, but must have no other effect.
    pub(crate) fn whatever(&mut self, label: &str, call: &str, arguments: &[Arg]) {
        self.make(label, call, arguments, Expected::Anything);
    }

    /// The number that the last call returned must be this.
    pub(crate) fn answer(&mut self, expected: u32, label: &str) {
        self.note(
            format!("answer of {label}"),
            &format!("(i32.load (i32.const {ANSWER}))"),
            Expected::Exactly(expected),
        );
    }

    /// The number that the last call returned must be at most this.
    pub(crate) fn answer_at_most(&mut self, most: u32) {
        self.note("answer".to_owned(), &format!("(i32.load (i32.const {ANSWER}))"), Expected::AtMost(most));
    }

    /// The buffer of the last read must begin with these bytes.
    pub(crate) fn content(&mut self, expected: &[u8]) {
        for (chunk, at) in expected.chunks_exact(4).zip((BUFFER..).step_by(4)) {
            let word = u32::from_le_bytes(chunk.try_into().expect("four bytes"));
            self.note(
                format!("content at {}", at - BUFFER),
                &format!("(i32.load (i32.const {at}))"),
                Expected::Exactly(word),
            );
        }
    }

    /// Opens a path from the root.
    pub(crate) fn open(&mut self, expected: u32, path: &str, open: u32, rights: u64) -> Arg {
        self.open_with(expected, ROOT, path, open, rights, 0)
    }

    /// Opens a path.
    pub(crate) fn open_with(
        &mut self,
        expected: u32,
        from: Arg,
        path: &str,
        open: u32,
        rights: u64,
        flags: u32,
    ) -> Arg {
        self.open_expecting(Expected::Exactly(expected), from, path, open, rights, flags)
    }

    fn open_expecting(&mut self, expected: Expected, from: Arg, path: &str, open: u32, rights: u64, flags: u32) -> Arg {
        let [at, length] = self.bytes(path.as_bytes());
        let descriptor = self.descriptor();
        let arguments = [
            from,
            Arg::Small(1),
            at,
            length,
            Arg::Small(open),
            Arg::Large(rights),
            Arg::Large(rights),
            Arg::Small(flags),
            Arg::Small(descriptor),
        ];
        self.make(&format!("{path:?} {open} {rights:x} {flags}"), "path_open", &arguments, expected);
        Arg::At(descriptor)
    }

    /// Opens a path from the root; the result does not matter.
    pub(crate) fn open_anyhow(&mut self, path: &str, open: u32, rights: u64, flags: u32) -> Arg {
        self.open_expecting(Expected::Anything, ROOT, path, open, rights, flags)
    }

    /// Creates an output.
    pub(crate) fn create(&mut self, expected: u32, name: &str) -> Arg {
        self.open(expected, &format!("data/outputs/{name}"), CREATE, WRITE)
    }

    /// One buffer for a scattered write.
    fn source(&mut self, bytes: &[u8]) -> Arg {
        let [at, length] = self.bytes(bytes);
        let (Arg::Small(at), Arg::Small(length)) = (at, length) else { unreachable!("two numbers") };
        self.bytes(&[at.to_le_bytes(), length.to_le_bytes()].concat())[0]
    }

    /// One buffer for a scattered read.
    fn target(&mut self, length: u32) -> Arg {
        self.bytes(&[BUFFER.to_le_bytes(), length.to_le_bytes()].concat())[0]
    }

    /// Writes bytes at the position of the descriptor.
    pub(crate) fn write(&mut self, expected: u32, fd: Arg, bytes: &[u8]) {
        let source = self.source(bytes);
        let label = format!("{} bytes", bytes.len());
        self.call(expected, &label, "fd_write", &[fd, source, Arg::Small(1), Arg::Small(ANSWER)]);
    }

    /// Writes this many zeros, which may be more than a script can contain as text.
    pub(crate) fn write_zeros(&mut self, expected: u32, fd: Arg, length: u32) {
        assert!(length <= NOTES - BUFFER, "more zeros than the buffer holds");
        let source = self.target(length);
        let label = format!("{length} zeros");
        self.call(expected, &label, "fd_write", &[fd, source, Arg::Small(1), Arg::Small(ANSWER)]);
    }

    /// Writes this many zeros from each of two buffers.
    pub(crate) fn write_twice(&mut self, expected: u32, fd: Arg, length: u32) {
        let buffer = [BUFFER.to_le_bytes(), length.to_le_bytes()].concat();
        let source = self.bytes(&buffer.repeat(2))[0];
        self.call(expected, "two buffers", "fd_write", &[fd, source, Arg::Small(2), Arg::Small(ANSWER)]);
    }

    /// Writes bytes at an offset.
    pub(crate) fn pwrite(&mut self, expected: u32, fd: Arg, bytes: &[u8], offset: u64) {
        let source = self.source(bytes);
        let label = format!("{} bytes at {offset}", bytes.len());
        let arguments = [fd, source, Arg::Small(1), Arg::Large(offset), Arg::Small(ANSWER)];
        self.call(expected, &label, "fd_pwrite", &arguments);
    }

    /// Reads into the buffer.
    pub(crate) fn read(&mut self, expected: u32, fd: Arg, length: u32) {
        let target = self.target(length);
        self.call(expected, &format!("{length}"), "fd_read", &[fd, target, Arg::Small(1), Arg::Small(ANSWER)]);
    }

    /// Reads into the buffer from an offset.
    pub(crate) fn pread(&mut self, expected: u32, fd: Arg, length: u32, offset: u64) {
        let target = self.target(length);
        let arguments = [fd, target, Arg::Small(1), Arg::Large(offset), Arg::Small(ANSWER)];
        self.call(expected, &format!("{length} at {offset}"), "fd_pread", &arguments);
    }

    /// Lists a directory into the buffer.
    pub(crate) fn readdir(&mut self, expected: u32, fd: Arg, length: u32, cookie: u64) {
        let arguments = [fd, Arg::Small(BUFFER), Arg::Small(length), Arg::Large(cookie), Arg::Small(ANSWER)];
        self.call(expected, &format!("{length} from {cookie}"), "fd_readdir", &arguments);
    }

    /// A call whose only arguments are a descriptor and 64-bit numbers.
    pub(crate) fn on(&mut self, expected: u32, call: &str, fd: Arg, numbers: &[u64]) {
        let arguments: Vec<Arg> = [fd].into_iter().chain(numbers.iter().map(|number| Arg::Large(*number))).collect();
        self.call(expected, &format!("{numbers:?}"), call, &arguments);
    }

    /// A call with one path from the root: create or remove a directory, unlink a file.
    pub(crate) fn at(&mut self, expected: u32, call: &str, path: &str) {
        let [at, length] = self.bytes(path.as_bytes());
        self.call(expected, &format!("{path:?}"), call, &[ROOT, at, length]);
    }

    /// As [`Self::at`], but must not succeed.
    pub(crate) fn refused_at(&mut self, call: &str, path: &str) {
        let [at, length] = self.bytes(path.as_bytes());
        self.refused(&format!("{path:?}"), call, &[ROOT, at, length]);
    }

    /// Renames from the root to the root.
    pub(crate) fn rename(&mut self, expected: u32, from: &str, to: &str) {
        let ([from_at, from_length], [to_at, to_length]) = (self.bytes(from.as_bytes()), self.bytes(to.as_bytes()));
        let arguments = [ROOT, from_at, from_length, ROOT, to_at, to_length];
        self.call(expected, &format!("{from:?} to {to:?}"), "path_rename", &arguments);
    }

    /// Gets the metadata of a path. Follows a link at its end.
    pub(crate) fn stat(&mut self, expected: u32, path: &str) {
        let [at, length] = self.bytes(path.as_bytes());
        self.call(
            expected,
            &format!("{path:?}"),
            "path_filestat_get",
            &[ROOT, Arg::Small(1), at, length, Arg::Small(BUFFER)],
        );
    }

    /// As [`Self::stat`], but must not succeed.
    pub(crate) fn stat_refused(&mut self, path: &str) {
        let [at, length] = self.bytes(path.as_bytes());
        let arguments = [ROOT, Arg::Small(1), at, length, Arg::Small(BUFFER)];
        self.refused(&format!("{path:?}"), "path_filestat_get", &arguments);
    }

    /// The size in the last result of [`Self::stat`] or [`Self::stat_open`] must be this.
    pub(crate) fn size(&mut self, expected: u32) {
        let value = format!("(i32.load (i32.const {}))", BUFFER + 32);
        self.note("size".to_owned(), &value, Expected::Exactly(expected));
    }

    /// Gets the metadata of a descriptor.
    pub(crate) fn stat_open(&mut self, expected: u32, fd: Arg) {
        self.call(expected, "", "fd_filestat_get", &[fd, Arg::Small(BUFFER)]);
    }

    /// The program.
    fn text(&self) -> String {
        let mut text = String::from("(module\n");
        for (name, parameters) in CALLS {
            let types: Vec<&str> = parameters.chars().map(|c| if c == 'i' { "i32" } else { "i64" }).collect();
            let _ = writeln!(
                text,
                "(import \"wasi_snapshot_preview1\" \"{name}\" (func ${name} (param {}) (result i32)))",
                types.join(" ")
            );
        }
        let data: String = self.data.iter().map(|byte| format!("\\{byte:02x}")).collect();
        let _ = write!(
            text,
            "(memory (export \"memory\") {MEMORY})
            (data (i32.const {TEXTS}) \"{data}\")
            (global $next (mut i32) (i32.const {NOTES}))
            (func $note (param i32)
                (i32.store (global.get $next) (local.get 0))
                (global.set $next (i32.add (global.get $next) (i32.const 4))))
            (func (export \"_start\")
                {}
                (i32.store (i32.const 0) (i32.const {NOTES}))
                (i32.store (i32.const 4) (i32.sub (global.get $next) (i32.const {NOTES})))
                (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))",
            self.body
        );
        text
    }

    /// Runs it and compares every result. The caller checks whether the run as a whole succeeded.
    #[track_caller]
    pub(crate) fn run(self, prepare: impl FnOnce(Trial) -> Trial) -> Ended {
        let ended = prepare(Trial::wat(&self.text())).finish();
        let answers: Vec<u32> =
            ended.log.chunks_exact(4).map(|word| u32::from_le_bytes(word.try_into().expect("four bytes"))).collect();
        assert_eq!(answers.len(), self.expected.len(), "the script did not come to its end: {}", shape(&ended));
        let mut wrong = String::new();
        for ((label, expected), answer) in self.expected.iter().zip(answers) {
            let is_right = match expected {
                Expected::Exactly(value) => answer == *value,
                Expected::OneOf(values) => values.contains(&answer),
                Expected::AtMost(value) => answer <= *value,
                Expected::Refused => answer != 0,
                Expected::Anything => true,
            };
            if !is_right {
                let _ = writeln!(wrong, "{label}: {answer}, expected {expected:?}");
            }
        }
        assert!(wrong.is_empty(), "wrong answers:\n{wrong}");
        ended
    }
}
