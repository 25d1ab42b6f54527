//! Small programs for jobs, as WAT texts.

/// Ends well at once.
pub const NOTHING: &str = r#"(module (memory (export "memory") 1) (func (export "_start")))"#;

/// Runs until it is stopped.
pub const ENDLESS: &str = r#"(module (memory (export "memory") 1) (func (export "_start") (loop (br 0))))"#;

/// Prints a line, and sleeps for a minute of the machine's clock, however slow that machine is. It wants the standard profile, which
/// has that clock.
pub const PRINTS_AND_SLEEPS: &str = r#"(module
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\20\00\00\00\04\00\00\00")
  (data (i32.const 32) "x,y\0a")
  (data (i32.const 264) "\00")
  (data (i32.const 272) "\01\00\00\00")
  (data (i32.const 280) "\00\58\47\f8\0d\00\00\00")
  (func (export "_start")
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 20)))
    (drop (call $poll (i32.const 256) (i32.const 512) (i32.const 1) (i32.const 8)))))"#;

/// Ends with exit code 7.
pub const EXITS_WITH_7: &str = r#"(module
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (memory (export "memory") 1)
    (func (export "_start") (call $exit (i32.const 7))))"#;

/// Prints its standard input.
pub const CAT: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 2)
    (func (export "_start")
        (loop $again
            (i32.store (i32.const 0) (i32.const 1024))
            (i32.store (i32.const 4) (i32.const 65536))
            (if (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 4)) (then unreachable))
            (if (i32.load (i32.const 4)) (then
                (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
                (br $again))))))"#;

/// A program that prints this.
#[must_use]
pub fn printing(text: &str) -> String {
    let mut program = Program::default();
    program.write("(i32.const 1)", text.as_bytes());
    program.text("")
}

/// A program that prints this, and then runs until it is stopped.
#[must_use]
pub fn printing_for_ever(text: &str) -> String {
    let mut program = Program::default();
    program.write("(i32.const 1)", text.as_bytes());
    program.text("(loop (br 0))")
}

/// A program that writes these files below `/data/outputs`.
#[must_use]
pub fn writing(files: &[(&str, &str)]) -> String {
    let mut program = Program::default();
    for (name, content) in files {
        program.open(&format!("data/outputs/{name}"), "(i32.const 1)", "(i64.const 64)"); // O_CREAT, to write
        program.write("(i32.load (i32.const 16))", content.as_bytes());
    }
    program.text("")
}

/// A program that writes the first 60000 bytes of a file below `/data` to `/data/outputs/copy`.
#[must_use]
pub fn copying(path: &str) -> String {
    let mut program = Program::default();
    program.open(&format!("data/{path}"), "(i32.const 0)", "(i64.const 2)"); // to read
    program.code += r"(i32.store (i32.const 0) (i32.const 65536)) (i32.store (i32.const 4) (i32.const 60000))
        (call $done (call $read (i32.load (i32.const 16)) (i32.const 0) (i32.const 1) (i32.const 4)))
        ";
    program.open("data/outputs/copy", "(i32.const 1)", "(i64.const 64)");
    program.code += r"(call $done (call $write (i32.load (i32.const 16)) (i32.const 0) (i32.const 1) (i32.const 8)))
        ";
    program.text("")
}

/// A program under construction: what is in memory from 64 on, and what it does. A vector for reads and writes is at 0,
/// the file that was opened last at 16.
#[derive(Default)]
struct Program {
    data: String,
    code: String,
    used: usize,
}

impl Program {
    /// Puts bytes into memory: where, and how many.
    fn place(&mut self, bytes: &[u8]) -> (usize, usize) {
        let at = 64 + self.used;
        self.used += bytes.len().next_multiple_of(8);
        let escaped: String = bytes.iter().map(|byte| format!("\\{byte:02x}")).collect();
        self.data += &format!("(data (i32.const {at}) \"{escaped}\")\n    ");
        (at, bytes.len())
    }

    fn open(&mut self, path: &str, flags: &str, rights: &str) {
        let (at, length) = self.place(path.as_bytes());
        self.code += &format!(
            "(call $done (call $open (i32.const 3) (i32.const 0) (i32.const {at}) (i32.const {length}) {flags}
            {rights} (i64.const 0) (i32.const 0) (i32.const 16)))
        "
        );
    }

    fn write(&mut self, descriptor: &str, bytes: &[u8]) {
        let (at, length) = self.place(bytes);
        self.code += &format!(
            "(i32.store (i32.const 0) (i32.const {at})) (i32.store (i32.const 4) (i32.const {length}))
        (call $done (call $write {descriptor} (i32.const 0) (i32.const 1) (i32.const 8)))
        "
        );
    }

    fn text(self, then: &str) -> String {
        let Self { data, code, used } = self;
        assert!(used < 60000, "a small program");
        format!(
            r#"(module
    (import "wasi_snapshot_preview1" "path_open"
        (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 2)
    {data}(func $done (param $errno i32) (if (local.get $errno) (then unreachable)))
    (func (export "_start")
        {code}{then}))"#
        )
    }
}
