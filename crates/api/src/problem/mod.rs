//! Why a request was not done, as RFC 9457 writes it.

mod conversions;

use crate::oidc::OidcError;
use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use cloister_model::{Denial, QuotaExceeded, escape};
use cloister_service::KeyRefusal;
use serde::Serialize;
use std::fmt;

/// The beginning of the `type` of every problem.
const TYPES: &str = "https://cloister.dev/problems/";

/// Why a request was not done, for its sender (RFC 9457). Safe to show: it holds no secret, and strangers' texts are
/// escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// The HTTP status.
    pub(crate) status: StatusCode,
    /// The last part of its `type`.
    pub(crate) slug: &'static str,
    /// The kind of problem in a few words: the same for every problem of the kind.
    pub(crate) title: &'static str,
    /// What happened here, and what to do.
    pub(crate) detail: String,
    /// The field of the request that it is about.
    pub(crate) field: Option<Box<str>>,
    /// The rules that refused a job.
    pub(crate) rules: Vec<Denial>,
    /// The quota that is used up.
    pub(crate) quota: Option<Box<QuotaExceeded>>,
    /// Seconds after which to try again.
    pub(crate) retry_after: Option<u32>,
}

impl Problem {
    /// A problem of this kind.
    pub(crate) fn new(status: StatusCode, slug: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self { status, slug, title, detail, field: None, rules: Vec::new(), quota: None, retry_after: None }
    }

    /// The same, about a field of the request.
    #[must_use]
    pub(crate) fn about(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into().into_boxed_str());
        self
    }

    /// There is nothing that the caller may see: the same answer whether it exists or not.
    #[must_use]
    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "Not found", "there is nothing here that you may see")
    }

    /// The request has no valid credentials.
    #[must_use]
    pub(crate) fn unauthenticated() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "unauthenticated",
            "Unauthenticated",
            "the request has no valid credentials; send an API key or a token as `Authorization: Bearer ...`, or sign it",
        )
    }

    /// A key is refused. More than that it is not valid is told to the holder of the whole key alone, who has proved that.
    #[must_use]
    pub(crate) fn of_key(refusal: KeyRefusal) -> Self {
        let (kind, detail) = match refusal {
            KeyRefusal::Unknown => return Self::unauthenticated(),
            KeyRefusal::Revoked => {
                ("key-revoked", "this API key was revoked; use another one, or ask the operator for one")
            }
            KeyRefusal::Expired => {
                ("key-expired", "this API key has expired; use another one, or ask the operator for one")
            }
        };
        Self::new(StatusCode::UNAUTHORIZED, kind, "Unauthenticated", detail)
    }

    /// A token is refused. What is wrong with a token that its issuer has signed, its holder may know; of others, only whether
    /// the issuer could be asked.
    #[must_use]
    pub(crate) fn of_token(error: &OidcError) -> Self {
        let (kind, detail) = match error {
            OidcError::Expired => {
                ("token-expired", "this token has expired; sign in with your identity provider again")
            }
            OidcError::Role => {
                ("token-role", "this token gives you no role here; ask the operator which group or role you need")
            }
            OidcError::Keys(_) => (
                "issuer-unavailable",
                "the identity provider that issued this token cannot be reached now; try again, and ask the operator if it stays \
                 so",
            ),
            _ => return Self::unauthenticated(),
        };
        Self::new(StatusCode::UNAUTHORIZED, kind, "Unauthenticated", detail)
    }

    /// The role of the caller does not allow it.
    #[must_use]
    pub(crate) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "Forbidden", detail)
    }

    /// The request cannot be read.
    #[must_use]
    pub(crate) fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", "Malformed request", detail)
    }

    /// A field of the request cannot be used.
    #[must_use]
    pub(crate) fn field(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", "Invalid field", detail).about(field)
    }

    /// It conflicts with the present state.
    #[must_use]
    pub(crate) fn conflict(slug: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, slug, "Conflict", detail)
    }

    /// The account has as much of something as it may.
    #[must_use]
    pub(crate) fn quota(exceeded: QuotaExceeded) -> Self {
        let problem = Self::new(StatusCode::CONFLICT, "quota-exceeded", "Quota exceeded", exceeded.to_string());
        Self { quota: Some(Box::new(exceeded)), ..problem }
    }

    /// The body is too large.
    #[must_use]
    pub(crate) fn too_large(most_bytes: u64) -> Self {
        let detail = format!("the body is larger than {most_bytes} bytes, which is the most that is accepted here");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "Content too large", detail)
    }

    /// The body is of another media type than the one that is accepted here.
    #[must_use]
    pub(crate) fn media_type(expected: &str) -> Self {
        let detail = format!("send the body as `Content-Type: {expected}`");
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media-type", "Unsupported media type", detail)
    }

    /// Too many requests.
    #[must_use]
    pub(crate) fn rate_limited(seconds: u32) -> Self {
        let detail = format!("too many requests; try again in {seconds} s");
        let problem = Self::new(StatusCode::TOO_MANY_REQUESTS, "rate-limited", "Too many requests", detail);
        Self { retry_after: Some(seconds), ..problem }
    }

    /// The service did not answer in time. Not 408, which is about slow clients: some clients and proxies repeat such a
    /// request by themselves, and the request may have taken effect.
    #[must_use]
    pub(crate) fn too_slow(limit: std::time::Duration) -> Self {
        let detail = format!(
            "the request was not answered within {} s; check whether it took effect before you try again",
            limit.as_secs()
        );
        let problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, "too-slow", "Timed out", detail);
        Self { retry_after: Some(5), ..problem }
    }

    /// The client stopped sending in the middle of a body.
    #[must_use]
    pub(crate) fn client_too_slow(limit: std::time::Duration) -> Self {
        let detail = format!("no byte of the body came for {} s; send it again", limit.as_secs());
        Self::new(StatusCode::REQUEST_TIMEOUT, "too-slow", "Timed out", detail)
    }

    /// It cannot be done now; trying again in a moment may help.
    #[must_use]
    pub(crate) fn unavailable(detail: impl Into<String>) -> Self {
        let problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Service unavailable", detail);
        Self { retry_after: Some(5), ..problem }
    }

    /// A fault of this program. The log says which; the answer does not.
    #[must_use]
    pub(crate) fn internal() -> Self {
        let detail = "the service failed; tell the operator the value of the `X-Request-Id` header";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error", detail)
    }

    /// A job that may not run: every rule it met, and the interpreter that is lacking, if that is one of them.
    #[must_use]
    pub(crate) fn denied(rules: Vec<Denial>, interpreter: Option<&str>) -> Self {
        let lacking = interpreter.map(lacking).unwrap_or_default();
        let detail = format!("the job may not run{lacking}; each of `rules` says what to do about it");
        Self { rules, ..Self::new(StatusCode::FORBIDDEN, "denied", "Job denied", detail) }
    }
}

/// Names an interpreter that is not installed, after what is said of a job. The name is the operator's.
pub(crate) fn lacking(interpreter: &str) -> String {
    format!(", because the interpreter `{}` is not installed here", escape(interpreter.as_bytes(), 100))
}

/// The body, as it is written.
#[derive(Serialize)]
struct Body<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rules: Vec<RuleBody<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quota: Option<QuotaBody>,
}

#[derive(Serialize)]
struct QuotaBody {
    name: &'static str,
    limit: u64,
    used: u64,
}

#[derive(Serialize)]
struct RuleBody<'a> {
    rule: &'a cloister_model::DenialRule,
    subject: Option<String>,
    text: &'static str,
    advice: &'static str,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Self { status, slug, title, detail, field, rules, quota, retry_after } = &self;
        let body = Body {
            r#type: format!("{TYPES}{slug}"),
            title,
            status: status.as_u16(),
            detail,
            field: field.as_deref(),
            rules: rules
                .iter()
                .map(|Denial { rule, subject }| RuleBody {
                    rule,
                    subject: subject.as_ref().map(ToString::to_string),
                    text: rule.describe(),
                    advice: rule.advice(),
                })
                .collect(),
            quota: quota.as_deref().map(|QuotaExceeded { quota, limit, used }| QuotaBody {
                name: quota.as_str(),
                limit: *limit,
                used: *used,
            }),
        };
        let json = serde_json::to_vec(&body).unwrap_or_default();
        let mut response = (*status, [(header::CONTENT_TYPE, "application/problem+json")], json).into_response();
        if *status == StatusCode::UNAUTHORIZED {
            let schemes = HeaderValue::from_static(r#"Bearer realm="cloister", Ethereum realm="cloister""#);
            response.headers_mut().insert(header::WWW_AUTHENTICATE, schemes);
        }
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(*seconds));
        }
        response
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.title, self.detail)
    }
}
