//! An OpenID Connect issuer at which command lines can sign in.

use super::python_server::PythonServer;
use serde_json::{Value, json};

const PROGRAM: &str = include_str!("issuer.py");

/// An issuer. What it can be told is in `issuer.py`.
#[derive(Debug)]
pub struct Issuer {
    server: PythonServer,
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
        let (server, said) = PythonServer::start(PROGRAM);
        let url = said["issuer"].as_str().expect("an address").to_owned();
        Self { server, url }
    }

    /// Tells it something, and gives what it answers.
    ///
    /// # Panics
    /// If it does not answer.
    pub fn tell(&self, command: &Value) -> Value {
        self.server.ask(command)
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
