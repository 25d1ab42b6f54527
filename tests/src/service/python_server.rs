//! A server that Python runs beside a test. It says first where it is, and answers each line with a line, both JSON.

use super::tool;
use serde_json::Value;
use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::Mutex,
};

/// The process. It ends with this value.
#[derive(Debug)]
pub(super) struct PythonServer {
    child: Child,
    pipes: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
}

impl PythonServer {
    /// Starts a program, and gives what it says first.
    pub(super) fn start(program: &str) -> (Self, Value) {
        let mut command = Command::new(tool("python"));
        command.arg("-c").arg(program).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("Python starts");
        let mut pipes = (child.stdin.take().expect("a pipe"), BufReader::new(child.stdout.take().expect("a pipe")));
        let said = read(&mut pipes.1);
        (Self { child, pipes: Mutex::new(pipes) }, said)
    }

    /// Tells it something, and gives what it answers.
    pub(super) fn ask(&self, command: &Value) -> Value {
        let mut pipes = self.pipes.lock().expect("pipes");
        writeln!(pipes.0, "{command}").expect("the server runs");
        read(&mut pipes.1)
    }
}

fn read(reader: &mut BufReader<ChildStdout>) -> Value {
    let mut line = String::new();
    reader.read_line(&mut line).expect("the server answers");
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("the server said `{line}`: {error}"))
}

impl Drop for PythonServer {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
