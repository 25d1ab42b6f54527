//! A real S3 server (moto), which checks signatures.

use super::python_server::PythonServer;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

const PROGRAM: &str = include_str!("s3_server.py");

/// One server, with a bucket and a user.
#[derive(Debug)]
pub struct S3 {
    server: PythonServer,
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
        let (server, said) = PythonServer::start(PROGRAM);
        let text = |name: &str| said[name].as_str().unwrap_or_else(|| panic!("the S3 server said {said}")).to_owned();
        Self {
            endpoint: text("endpoint"),
            bucket: text("bucket"),
            access_key_id: text("accessKeyId"),
            secret_access_key: text("secretAccessKey"),
            server,
        }
    }

    /// Stores an object.
    pub fn put(&self, key: &str, body: &[u8]) {
        let _ = self.server.ask(&json!({"put": key, "body": BASE64_STANDARD.encode(body)}));
    }

    /// Stores an object with a `Content-Encoding`, with which the server sends it to everybody.
    pub fn put_encoded(&self, key: &str, body: &[u8], encoding: &str) {
        let _ = self.server.ask(&json!({"put": key, "body": BASE64_STANDARD.encode(body), "encoding": encoding}));
    }

    /// The keys that begin like this.
    ///
    /// # Panics
    /// If the server does not answer.
    #[must_use]
    pub fn list(&self, prefix: &str) -> Vec<String> {
        let keys = self.server.ask(&json!({ "list": prefix }))["keys"].clone();
        serde_json::from_value(keys).expect("keys")
    }

    /// An object.
    ///
    /// # Panics
    /// If it is not there.
    #[must_use]
    pub fn get(&self, key: &str) -> Vec<u8> {
        let body = self.server.ask(&json!({ "get": key }))["body"].as_str().map(str::to_owned).expect("an object");
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
