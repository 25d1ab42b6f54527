use crate::exit;
use cloister_model::escape;
use serde_json::{Value, json};
use std::fmt;

/// Maximum length of one text of a problem document, in characters.
const MOST: usize = 2000;

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// The request needs a key, and there is none.
    #[error(
        "not signed in: `cloister login --url URL` signs in with your identity provider, and with --key FILE stores a key for \
         all commands; --key FILE or CLOISTER_KEY give one to this command; on the machine of the service, --home FOLDER finds the operator's key"
    )]
    NoKey,
    /// The service does not answer.
    #[error("cannot reach the service at {url}: {problem}; is it running? (--url, CLOISTER_URL)")]
    Unreachable { url: String, problem: String },
    /// There is no token to send.
    #[error("{0}")]
    SignIn(String),
    /// The issuer of the token does not answer.
    #[error("cannot reach the issuer {issuer}: {problem}")]
    IssuerUnreachable { issuer: String, problem: String },
    /// The connection broke during the answer.
    #[error("the connection broke: {0}; try again")]
    Broken(String),
    /// The service refused.
    #[error("{0}")]
    Problem(Box<Problem>),
    /// The answer is not one that this program understands.
    #[error("unexpected answer of the service ({0}); is a Cloister service of this version at that address?")]
    Unexpected(String),
}

impl ClientError {
    /// Classifies a failed request by whether it reached the service.
    pub(crate) fn transport(url: &str, error: &reqwest::Error) -> Self {
        let problem = innermost(error);
        if error.is_body() || error.is_decode() {
            Self::Broken(problem)
        } else if error.is_timeout() {
            Self::Unreachable { url: url.to_owned(), problem: "no answer in time".to_owned() }
        } else {
            Self::Unreachable { url: url.to_owned(), problem }
        }
    }

    /// A request to an issuer that failed.
    pub(crate) fn issuer(issuer: &str, error: &reqwest::Error) -> Self {
        let problem = if error.is_timeout() { "no answer in time".to_owned() } else { innermost(error) };
        Self::IssuerUnreachable { issuer: escape(issuer.as_bytes(), MOST).to_string(), problem }
    }

    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::NoKey | Self::SignIn(_) => exit::DENIED,
            Self::Unreachable { .. } | Self::IssuerUnreachable { .. } | Self::Broken(_) => exit::UNREACHABLE,
            Self::Unexpected(_) => exit::FAULT,
            Self::Problem(problem) => match problem.status {
                401 | 403 => exit::DENIED,
                404 | 410 => exit::NOT_FOUND,
                409 | 412 => exit::CONFLICT,
                408 | 429 | 503 => exit::BUSY,
                400..=499 => exit::USAGE,
                _ => exit::FAULT,
            },
        }
    }

    /// Whether repeating the request may help.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::IssuerUnreachable { .. } | Self::Broken(_) => true,
            Self::Problem(problem) => matches!(problem.status, 429 | 502 | 503 | 504),
            Self::NoKey | Self::SignIn(_) | Self::Unexpected(_) => false,
        }
    }
}

/// The innermost cause. The outer ones repeat the address, which may contain a password.
fn innermost(error: &reqwest::Error) -> String {
    let mut problem = String::new();
    let mut cause: Option<&dyn std::error::Error> = std::error::Error::source(error);
    while let Some(inner) = cause {
        problem = inner.to_string();
        cause = inner.source();
    }
    escape(if problem.is_empty() { "no answer" } else { &problem }.as_bytes(), 300).to_string()
}

/// A problem document (RFC 9457): a refusal of the service.
#[derive(Clone, Debug, Default)]
pub(crate) struct Problem {
    pub(crate) status: u16,
    /// The kind of problem, a URI.
    kind: String,
    title: String,
    detail: String,
    field: Option<String>,
    rules: Vec<Rule>,
}

/// A rule that refused a job.
#[derive(Clone, Debug)]
struct Rule {
    name: String,
    subject: Option<String>,
    text: String,
    advice: String,
}

impl Problem {
    /// A problem without details.
    pub(crate) fn new(status: u16, title: &str) -> Self {
        Self { status, title: title.to_owned(), ..Self::default() }
    }

    /// Reads the body of a refusal. Any body becomes a problem.
    pub(crate) fn read(status: u16, body: &[u8]) -> Self {
        let Ok(document) = serde_json::from_slice::<Value>(body) else {
            return Self { detail: text(Some(&Value::from(String::from_utf8_lossy(body)))), ..Self::of(status) };
        };
        Self {
            kind: text(document.get("type")),
            title: document.get("title").map_or_else(|| Self::of(status).title, |title| text(Some(title))),
            detail: text(document.get("detail")),
            field: document.get("field").filter(|field| field.is_string()).map(|field| text(Some(field))),
            rules: rules(document.get("rules")),
            ..Self::of(status)
        }
    }

    /// Whether it is of this kind, by the last part of its URI.
    pub(crate) fn is(&self, kind: &str) -> bool {
        self.kind.rsplit('/').next() == Some(kind)
    }

    /// For programs. Its texts are those that people see.
    pub(crate) fn document(&self) -> Value {
        let rules = self
            .rules
            .iter()
            .map(|rule| json!({"rule": rule.name, "subject": rule.subject, "text": rule.text, "advice": rule.advice}));
        json!({
            "type": self.kind,
            "status": self.status,
            "title": self.title,
            "detail": self.detail,
            "field": self.field,
            "rules": rules.collect::<Vec<_>>(),
        })
    }

    fn of(status: u16) -> Self {
        let title = match status {
            401 => "not authenticated",
            403 => "denied",
            404 => "not found",
            429 => "too many requests",
            500..=599 => "the service failed",
            _ => "refused",
        };
        Self::new(status, title)
    }
}

/// The rules that refused, one per line: `rule: what is wrong (subject); what to do`.
pub(crate) fn show_rules(value: Option<&Value>) -> Vec<String> {
    rules(value).iter().map(ToString::to_string).collect()
}

fn rules(value: Option<&Value>) -> Vec<Rule> {
    let read = |rule: &Value| Rule {
        name: text(rule.get("rule")),
        subject: rule.get("subject").filter(|subject| subject.is_string()).map(|subject| text(Some(subject))),
        text: text(rule.get("text")),
        advice: text(rule.get("advice")),
    };
    value.and_then(Value::as_array).map(|rules| rules.iter().take(100).map(read).collect()).unwrap_or_default()
}

/// A text of the service, escaped.
fn text(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => escape(text.as_bytes(), MOST).to_string(),
        Some(Value::Null) | None => String::new(),
        Some(other) => escape(other.to_string().as_bytes(), MOST).to_string(),
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, subject, text, advice } = self;
        write!(f, "{name}: {text}")?;
        if let Some(subject) = subject {
            write!(f, " ({subject})")?;
        }
        if advice.is_empty() { Ok(()) } else { write!(f, "; {advice}") }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, title, detail, field, rules, kind: _ } = self;
        write!(f, "{title} ({status})")?;
        if let Some(field) = field {
            write!(f, ", field `{field}`")?;
        }
        if !detail.is_empty() && detail != title {
            write!(f, ": {detail}")?;
        }
        for rule in rules {
            write!(f, "\n  - {rule}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_refusal_names_its_rules() {
        let body = json!({"title": "Denied", "status": 403, "detail": "the job may not run", "rules": [
            {"rule": "raw-algorithm", "subject": "did:op:a", "text": "no raw algorithms", "advice": "publish it"}]});
        let shown = Problem::read(403, body.to_string().as_bytes()).to_string();
        assert_eq!(
            shown,
            "Denied (403): the job may not run\n  - raw-algorithm: no raw algorithms (did:op:a); publish it"
        );
    }

    #[test]
    fn programs_are_told_the_kind() {
        let problem = Problem::read(409, br#"{"type": "https://cloister.dev/problems/not-in-review", "status": 409}"#);
        assert!(problem.is("not-in-review") && !problem.is("review") && !Problem::read(409, b"").is("not-in-review"));
        assert_eq!(problem.document()["type"], "https://cloister.dev/problems/not-in-review");
    }

    #[test]
    fn any_body_is_a_problem_and_safe_to_show() {
        for body in [&b"\x1b[2J<html>"[..], b"", b"[]", b"{\"title\":\"\x1b\"}", b"{\"title\":3,\"rules\":\"no\"}"] {
            let shown = Problem::read(502, body).to_string();
            assert!(shown.contains("502") && !shown.contains('\x1b'), "{shown}");
        }
        let hostile = json!({"title": "a\u{1b}[31m", "detail": "\u{202e}", "rules": [{"rule": "\r\nok"}]});
        let shown = Problem::read(400, hostile.to_string().as_bytes()).to_string();
        assert!(!shown.contains(['\u{1b}', '\u{202e}', '\r']), "{shown}");
    }
}
