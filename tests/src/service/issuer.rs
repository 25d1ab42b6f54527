//! An OpenID Connect issuer at which command lines can sign in.

use super::tool;
use serde_json::{Value, json};
use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::Mutex,
};

const PROGRAM: &str = include_str!("issuer.py");

/// An issuer. What it can be told is in `issuer.py`.
#[derive(Debug)]
pub struct Issuer {
    child: Child,
    pipes: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
    /// `http://127.0.0.1:port`.
    pub url: String,
}

impl Issuer {
    /// Starts one.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start() -> Self {
        let mut command = Command::new(tool("python"));
        command.arg("-c").arg(PROGRAM).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("Python starts");
        let mut pipes = (child.stdin.take().expect("a pipe"), BufReader::new(child.stdout.take().expect("a pipe")));
        let url = read(&mut pipes.1)["issuer"].as_str().expect("an address").to_owned();
        Self { child, pipes: Mutex::new(pipes), url }
    }

    /// Tells it something, and gives what it answers.
    ///
    /// # Panics
    /// If it does not answer.
    pub fn tell(&self, command: &Value) -> Value {
        let mut pipes = self.pipes.lock().expect("pipes");
        writeln!(pipes.0, "{command}").expect("the issuer runs");
        read(&mut pipes.1)
    }

    /// What it was asked.
    #[must_use]
    pub fn seen(&self) -> Value {
        self.tell(&json!({"seen": true}))
    }

    /// The setting `auth.oidc` of a service that takes its tokens.
    #[must_use]
    pub fn setting(&self) -> String {
        json!([{
            "issuer": self.url, "audience": "cloister", "account_prefix": "lab|", "default_role": "consumer",
            "client_id": "cloister-cli", "scopes": ["groups"], "networks": ["127.0.0.0/8"],
        }])
        .to_string()
    }
}

fn read(reader: &mut BufReader<ChildStdout>) -> Value {
    let mut line = String::new();
    reader.read_line(&mut line).expect("the issuer answers");
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("the issuer said `{line}`: {error}"))
}

impl Drop for Issuer {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
