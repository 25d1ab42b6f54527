use crate::{
    client::{ClientError, is_loopback},
    output::shown,
};
use cloister_model::{Secret, escape};
use reqwest::{
    RequestBuilder,
    header::{ACCEPT, CONTENT_TYPE},
    redirect,
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use std::time::Duration;
use url::{Url, form_urlencoded};

/// Maximum size of an answer, in bytes: some tokens list hundreds of groups.
const MOST: usize = 1024 * 1024;

/// How long an issuer may take for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a code is good for at most, whatever the issuer says.
const LONGEST_CODE: Duration = Duration::from_secs(60 * 60);

/// An OpenID Connect issuer.
#[derive(Debug)]
pub(super) struct IssuerClient {
    http: reqwest::Client,
    issuer: String,
}

/// Where an issuer answers (OpenID Connect Discovery 1.0).
#[derive(Debug)]
pub(super) struct Endpoints {
    /// Where codes are asked for; none: the issuer has no device authorization grant.
    pub(super) device: Option<Url>,
    pub(super) token: Url,
    /// Whether the issuer knows the scope `offline_access`.
    pub(super) refreshes: bool,
}

/// A code for people, and what is asked with until it was entered.
#[derive(Debug)]
pub(super) struct Code {
    pub(super) device_code: Secret<String>,
    pub(super) user_code: String,
    pub(super) verification_uri: Url,
    pub(super) verification_uri_complete: Option<Url>,
    pub(super) lifetime: Duration,
    pub(super) interval: Duration,
}

/// What the issuer answers to a question for tokens.
#[derive(Debug)]
pub(super) enum Answer {
    Tokens(Tokens),
    /// An error of OAuth (RFC 6749, section 5.2; RFC 8628, section 3.5).
    Refused {
        error: String,
        description: Option<String>,
    },
    /// It did not answer, or not now.
    Unreachable(String),
}

/// Tokens of an issuer.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Tokens {
    pub(super) access_token: Option<Secret<String>>,
    pub(super) id_token: Option<Secret<String>>,
    pub(super) refresh_token: Option<Secret<String>>,
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    device_authorization_endpoint: Option<String>,
    token_endpoint: String,
    #[serde(default)]
    scopes_supported: Vec<String>,
}

#[derive(Deserialize)]
struct WrittenCode {
    device_code: Secret<String>,
    user_code: String,
    verification_uri: String,
    verification_uri_complete: Option<String>,
    expires_in: u64,
    interval: Option<u64>,
}

impl IssuerClient {
    /// A client of the issuer. `authorities` are trusted besides the authorities of this machine.
    ///
    /// # Errors
    /// If the address of the issuer, or the authorities, cannot be used.
    pub(super) fn new(issuer: &str, authorities: Option<&[u8]>) -> Result<Self, ClientError> {
        let url = safe_url(issuer).ok_or_else(|| {
            let text = "an issuer must be `https://`; `http://` only on this machine";
            ClientError::SignIn(format!("the service names the issuer {}: {text}", shown(issuer)))
        })?;
        let certificates = reqwest::Certificate::from_pem_bundle(authorities.unwrap_or_default())
            .map_err(|_| ClientError::Unexpected("the file of --ca contains no certificates".to_owned()))?;
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("cloister/", env!("CARGO_PKG_VERSION")))
            .timeout(PATIENCE)
            // A redirect must not carry a code or a token to another server.
            .redirect(redirect::Policy::none())
            .tls_certs_merge(certificates);
        if is_loopback(&url) {
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(|error| ClientError::issuer(issuer, &error))?;
        Ok(Self { http, issuer: issuer.to_owned() })
    }

    /// Reads where it answers.
    ///
    /// # Errors
    /// If it does not say, or says it of another issuer.
    pub(super) async fn discover(&self) -> Result<Endpoints, ClientError> {
        let url = format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/'));
        let (status, answer) = self.exchange(self.http.get(url)).await?;
        let wrong = |problem: &str| self.unusable(&format!("its discovery document {problem}"));
        if status != 200 {
            return Err(wrong(&format!("cannot be read (status {status})")));
        }
        let Discovery { issuer, device_authorization_endpoint, token_endpoint, scopes_supported } =
            from_value(answer).ok_or_else(|| wrong("is not one"))?;
        if issuer != self.issuer {
            return Err(wrong(&format!("is one of {}", shown(&issuer))));
        }
        let safe = |url: &str| safe_url(url).ok_or_else(|| wrong("names an address that is not `https://`"));
        Ok(Endpoints {
            device: device_authorization_endpoint.as_deref().map(safe).transpose()?,
            token: safe(&token_endpoint)?,
            refreshes: scopes_supported.iter().any(|scope| scope == "offline_access"),
        })
    }

    /// Asks for a code (RFC 8628, section 3.1).
    ///
    /// # Errors
    /// If there is none.
    pub(super) async fn begin(&self, at: &Url, client_id: &str, scope: &str) -> Result<Code, ClientError> {
        let request = self.form(at, &[("client_id", client_id), ("scope", scope)]);
        let (status, answer) = self.exchange(request).await?;
        if status != 200 {
            let (error, description) = refusal(&answer);
            let description = description.map(|text| format!(": {}", shown(&text))).unwrap_or_default();
            let error = error.map_or_else(|| format!("status {status}"), |error| shown(&error));
            return Err(self.unusable(&format!("it gives no code ({error}{description})")));
        }
        let wrong = || self.unusable("its answer to the question for a code cannot be used");
        let written: WrittenCode = from_value(answer).ok_or_else(wrong)?;
        let WrittenCode { device_code, user_code, verification_uri, verification_uri_complete, expires_in, interval } =
            written;
        if user_code.is_empty() || user_code.len() > 100 {
            return Err(wrong());
        }
        Ok(Code {
            device_code,
            user_code,
            verification_uri: safe_url(&verification_uri).ok_or_else(wrong)?,
            verification_uri_complete: verification_uri_complete.as_deref().and_then(safe_url),
            lifetime: Duration::from_secs(expires_in).min(LONGEST_CODE),
            interval: Duration::from_secs(interval.unwrap_or(5)),
        })
    }

    /// Asks whether the code was entered (RFC 8628, section 3.4).
    pub(super) async fn ask(&self, at: &Url, client_id: &str, device_code: &Secret<String>) -> Answer {
        let grant = "urn:ietf:params:oauth:grant-type:device_code";
        self.tokens(at, &[("grant_type", grant), ("client_id", client_id), ("device_code", device_code.expose())]).await
    }

    /// Asks for new tokens (RFC 6749, section 6).
    pub(super) async fn refresh(&self, at: &Url, client_id: &str, token: &Secret<String>) -> Answer {
        let fields = [("grant_type", "refresh_token"), ("client_id", client_id), ("refresh_token", token.expose())];
        self.tokens(at, &fields).await
    }

    async fn tokens(&self, at: &Url, fields: &[(&str, &str)]) -> Answer {
        let (status, answer) = match self.exchange(self.form(at, fields)).await {
            Ok(answer) => answer,
            Err(error) => return Answer::Unreachable(error.to_string()),
        };
        match (status, refusal(&answer)) {
            (200, _) => match from_value::<Tokens>(answer) {
                Some(tokens) => Answer::Tokens(tokens),
                None => Answer::Refused { error: "an answer without tokens".to_owned(), description: None },
            },
            (429 | 500.., _) => Answer::Unreachable(format!("it answers with status {status}")),
            (_, (Some(error), description)) => Answer::Refused { error, description },
            (_, (None, _)) => Answer::Refused { error: format!("status {status}"), description: None },
        }
    }

    fn form(&self, at: &Url, fields: &[(&str, &str)]) -> RequestBuilder {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.http.post(at.clone()).header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(body)
    }

    /// The status and the JSON document of an answer; null if it is not JSON.
    async fn exchange(&self, request: RequestBuilder) -> Result<(u16, Value), ClientError> {
        let fault = |error: reqwest::Error| ClientError::issuer(&self.issuer, &error);
        let mut response = request.header(ACCEPT, "application/json").send().await.map_err(fault)?;
        let (status, mut body) = (response.status().as_u16(), Vec::new());
        while let Some(chunk) = response.chunk().await.map_err(fault)? {
            if body.len() + chunk.len() > MOST {
                return Err(self.unusable("an answer is too large"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok((status, serde_json::from_slice(&body).unwrap_or_default()))
    }

    fn unusable(&self, problem: &str) -> ClientError {
        ClientError::SignIn(format!("the issuer {} cannot be used: {problem}", shown(&self.issuer)))
    }
}

/// What OAuth calls an error.
fn refusal(answer: &Value) -> (Option<String>, Option<String>) {
    let text = |field: &str| answer[field].as_str().map(|text| escape(text.as_bytes(), 300).to_string());
    (text("error"), text("error_description"))
}

fn from_value<T: DeserializeOwned>(answer: Value) -> Option<T> {
    // What the parser says can quote a token.
    serde_json::from_value(answer).ok()
}

/// An address whose answers cannot be changed on the way.
fn safe_url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let is_safe = match url.scheme() {
        "https" => url.has_host(),
        "http" => is_loopback(&url),
        _ => false,
    };
    (is_safe && url.username().is_empty() && url.password().is_none()).then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_tokens_go_over_safe_connections_only() {
        for url in ["https://login.example/x", "http://127.0.0.1:80/", "http://[::1]:1/x", "http://localhost/x"] {
            assert!(safe_url(url).is_some(), "{url}");
        }
        for url in [
            "http://login.example",
            "http://127.0.0.1.evil.example",
            "https://user@login.example",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "login.example",
            "",
        ] {
            assert!(safe_url(url).is_none() && IssuerClient::new(url, None).is_err(), "{url}");
        }
    }
}
