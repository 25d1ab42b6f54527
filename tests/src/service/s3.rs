//! A real S3 server (moto), which checks signatures.

use super::tool;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::Mutex,
};

const PROGRAM: &str = include_str!("s3_server.py");

/// One server, with a bucket and a user.
#[derive(Debug)]
pub struct S3 {
    child: Child,
    pipes: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
    /// `http://127.0.0.1:port`.
    pub endpoint: String,
    /// The bucket.
    pub bucket: String,
    /// The public part of the user's key.
    pub access_key_id: String,
    /// The secret part.
    pub secret_access_key: String,
}

impl S3 {
    /// Starts one.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start() -> Self {
        let mut command = Command::new(tool("python"));
        command.arg("-c").arg(PROGRAM).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("Python starts");
        let pipes = (child.stdin.take().expect("a pipe"), BufReader::new(child.stdout.take().expect("a pipe")));
        let pipes = Mutex::new(pipes);
        let said = read(&mut pipes.lock().expect("pipes").1);
        let text = |name: &str| said[name].as_str().unwrap_or_else(|| panic!("the S3 server said {said}")).to_owned();
        Self {
            endpoint: text("endpoint"),
            bucket: text("bucket"),
            access_key_id: text("accessKeyId"),
            secret_access_key: text("secretAccessKey"),
            child,
            pipes,
        }
    }

    fn ask(&self, command: &Value) -> Value {
        let mut pipes = self.pipes.lock().expect("pipes");
        writeln!(pipes.0, "{command}").expect("the S3 server runs");
        read(&mut pipes.1)
    }

    /// Stores an object.
    pub fn put(&self, key: &str, body: &[u8]) {
        let _ = self.ask(&json!({"put": key, "body": BASE64_STANDARD.encode(body)}));
    }

    /// The keys that begin like this.
    ///
    /// # Panics
    /// If the server does not answer.
    #[must_use]
    pub fn list(&self, prefix: &str) -> Vec<String> {
        let keys = self.ask(&json!({ "list": prefix }))["keys"].clone();
        serde_json::from_value(keys).expect("keys")
    }

    /// An object.
    ///
    /// # Panics
    /// If it is not there.
    #[must_use]
    pub fn get(&self, key: &str) -> Vec<u8> {
        let body = self.ask(&json!({ "get": key }))["body"].as_str().map(str::to_owned).expect("an object");
        BASE64_STANDARD.decode(body).expect("base64")
    }

    /// How a dataset names an object, with the user's keys.
    #[must_use]
    pub fn source(&self, key: &str) -> Value {
        json!({"type": "s3", "s3Access": {
            "endpoint": self.endpoint, "region": "us-east-1", "bucket": self.bucket, "objectKey": key,
            "accessKeyId": self.access_key_id, "secretAccessKey": self.secret_access_key, "forcePathStyle": true
        }})
    }
}

fn read(reader: &mut BufReader<ChildStdout>) -> Value {
    let mut line = String::new();
    reader.read_line(&mut line).expect("the S3 server answers");
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("the S3 server said `{line}`: {error}"))
}

impl Drop for S3 {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
