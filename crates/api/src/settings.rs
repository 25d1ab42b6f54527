use cloister_model::{Account, Role, Secret, TimeLimits, Timestamp};
use cloister_service::{Clock, KeyLifetimes, OptionsError, Quotas};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::PathBuf,
    pin::Pin,
    sync::Arc,
    time::Duration,
};

/// A document of an issuer that is to be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerDocument {
    /// The issuer, as in [`Issuer::issuer`]. Its operator may have named an authority or networks for it alone.
    pub issuer: String,
    /// Where the document is.
    pub url: String,
}

/// A guarded HTTP GET of a JSON document, to fetch the keys of an issuer. Errors are texts for the log.
pub type GetJson =
    Arc<dyn Fn(IssuerDocument) -> Pin<Box<dyn Future<Output = Result<Value, String>> + Send>> + Send + Sync>;

/// What an operator decides about the service. Every default is the safe one.
#[derive(Clone)]
pub struct Settings {
    /// The address at which clients reach the service, such as `https://cloister.example.org`. Requests that are signed with
    /// an Ethereum account must then be signed for this address; none: a signed request is good for any service that takes
    /// the account.
    pub public_url: Option<String>,
    /// The issuers whose tokens are accepted.
    pub oidc: Vec<Issuer>,
    /// How their keys are fetched; none: no issuer can be used.
    pub get_json: Option<GetJson>,
    /// The role of every Ethereum account that signs its requests; none: such signatures are not accepted. `ethereum_roles`
    /// can give single accounts more.
    pub ethereum_role: Option<Role>,
    /// The roles of single Ethereum accounts, by their address in lower case.
    pub ethereum_roles: BTreeMap<String, Role>,
    /// How old the nonce of a signed request may be, and how far ahead.
    pub nonce_window: Duration,
    /// Image names, and the installed interpreter that runs their scripts. `wasm` always works.
    pub images: BTreeMap<String, String>,
    /// The secret that derives names of jobs from idempotency keys: 32 random bytes that stay the same.
    pub secret: Secret<[u8; 32]>,
    /// The seed of the Ed25519 key that signs receipts: 32 random bytes that stay the same.
    pub receipt_key: Secret<[u8; 32]>,
    /// Web pages (`https://console.example.org`) whose scripts may call the service; none by default.
    pub cors_origins: Vec<String>,
    /// How many requests are accepted.
    pub rates: RateLimits,
    /// Whether to trust `X-Forwarded-For`, because a proxy stands in front: its last entry is the client then.
    pub behind_proxy: bool,
    /// The folders of this machine whose files an account may use as sources, by the account's key; `*`: any account. A
    /// file outside all of them cannot be used. (The engine checks that no link leads out.)
    pub local_roots: BTreeMap<String, Vec<PathBuf>>,
    /// How long jobs may take outside their runs.
    pub times: TimeLimits,
    /// The most bytes of an upload.
    pub max_upload_bytes: u64,
    /// The longest that a request may take, streams and uploads excepted.
    pub request_timeout: Duration,
    /// Whom `/metrics` answers.
    pub metrics: MetricsFor,
    /// Ocean's operator API.
    pub operator: OperatorSettings,
    /// How long keys last that accounts make.
    pub key_lifetimes: KeyLifetimes,
    /// How much one account may have. The accounts of `ethereum_roles` are no strangers.
    pub quotas: Quotas,
    /// How old an audit record is at least that is taken out of the log once it is archived.
    pub audit_keep: Duration,
    /// What tells the time.
    pub clock: Clock,
    /// The commit that the program was built from, for metrics; empty: unknown.
    pub commit: &'static str,
}

/// What an operator decides about Ocean's API. By default, nothing can be started or seen through it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OperatorSettings {
    /// The Ethereum accounts of the Providers that may vouch for their consumers. A Provider sees the jobs that it started,
    /// and no others.
    pub providers: BTreeSet<Account>,
    /// The Ethereum account that orders must name as consumer, and that `GET /` shows; none: the zero address.
    pub address: Option<Account>,
    /// Accept requests whose signature cannot be verified (Ocean's default). Anyone who can reach the port can then act as
    /// any consumer. Only from this machine, unless `insist`. For moving old clients over, and for Ocean's own test suite.
    pub unverified_signatures: bool,
    /// Accept such requests from other machines, too. Never do this where a stranger can send one.
    pub insist: bool,
    /// Values of the header `Admin` that are accepted besides operators' API keys, compared without letter case. Only while
    /// `unverified_signatures` is on.
    pub unverified_admins: Vec<Secret<String>>,
}

/// Whom `/metrics` answers. It tells how busy the service is, with which kinds of requests, and how decisions fall.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MetricsFor {
    /// No one: there is no such route.
    NoOne,
    /// Operators, with their keys or tokens.
    #[default]
    Operators,
    /// Everyone who can reach the service.
    Everyone,
}

/// How many requests are accepted, on average and at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimits {
    /// Requests per second of one account.
    pub account_per_second: u32,
    /// Requests of one account at once.
    pub account_burst: u32,
    /// Requests per second of one network address.
    pub address_per_second: u32,
    /// Requests of one network address at once.
    pub address_burst: u32,
}

/// An issuer of OpenID Connect tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer {
    /// Its URL, exactly as in the claim `iss`.
    pub issuer: String,
    /// What the claim `aud` must name.
    pub audience: String,
    /// The URL of its keys; none: its discovery document has it.
    pub jwks_url: Option<String>,
    /// The claim that is the account: `sub`, unless said otherwise.
    pub account_claim: String,
    /// A prefix for the claim, so that accounts of different issuers stay apart.
    pub account_prefix: String,
    /// The claim that holds roles, such as `realm_access.roles`: a text or a list of texts.
    pub role_claim: Option<String>,
    /// The roles that its values stand for.
    pub roles: BTreeMap<String, Role>,
    /// The role of a token without any of these; none: the token is not accepted.
    pub default_role: Option<Role>,
    /// How command lines sign in there; none: they need a key or a token.
    pub sign_in: Option<SignIn>,
}

/// What a command line needs to sign in at an issuer with the device authorization grant (RFC 8628). None of it is secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignIn {
    /// The public client that the issuer has registered for command lines.
    pub client_id: String,
    /// The scopes to ask for, besides `openid` and, where the issuer has it, `offline_access`.
    pub scopes: Vec<String>,
}

/// Settings that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// An option of the use cases.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// A text that is not an origin.
    #[error("`{0}` is not the origin of a web page; write `https://host` or `https://host:port`, without a path")]
    Origin(String),
    /// A rate of zero.
    #[error("rate limit `{0}` is 0, so that no request could be answered; give at least 1")]
    Rate(&'static str),
    /// An issuer.
    #[error("issuer `{issuer}`: {problem}")]
    Issuer {
        /// Which.
        issuer: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl Settings {
    /// Safe settings with these two secrets: API keys only, no foreign web pages.
    #[must_use]
    pub fn new(secret: [u8; 32], receipt_key: [u8; 32]) -> Self {
        Self {
            public_url: None,
            oidc: Vec::new(),
            get_json: None,
            ethereum_role: None,
            ethereum_roles: BTreeMap::new(),
            nonce_window: Duration::from_secs(300),
            images: BTreeMap::from([("python".to_owned(), "python".to_owned())]),
            secret: Secret::new(secret),
            receipt_key: Secret::new(receipt_key),
            cors_origins: Vec::new(),
            rates: RateLimits::default(),
            behind_proxy: false,
            local_roots: BTreeMap::new(),
            times: TimeLimits::default(),
            max_upload_bytes: 1024 * 1024 * 1024,
            request_timeout: Duration::from_secs(60),
            metrics: MetricsFor::default(),
            operator: OperatorSettings::default(),
            key_lifetimes: KeyLifetimes::default(),
            quotas: Quotas::default(),
            audit_keep: Duration::from_secs(90 * 24 * 60 * 60),
            clock: Arc::new(system_clock),
            commit: "",
        }
    }
}

/// Whether a text is the origin of a web page (RFC 6454): scheme, host and port, as browsers send it.
pub(crate) fn is_origin(text: &str) -> bool {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or_default();
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-:[]".contains(&byte);
    !host.is_empty() && host.bytes().all(fits)
}

fn system_clock() -> Timestamp {
    std::time::SystemTime::now().into()
}

impl Default for RateLimits {
    /// Enough for a person with scripts; a fifth of what one core answers.
    fn default() -> Self {
        Self { account_per_second: 50, account_burst: 200, address_per_second: 100, address_burst: 400 }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("public_url", &self.public_url)
            .field("oidc", &self.oidc)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_has_no_path() {
        assert!(is_origin("https://console.example.org") && is_origin("http://localhost:3000"));
        for text in ["", "*", "null", "https://", "https://a/", "https://A", "ftp://a", "https://a,https://b"] {
            assert!(!is_origin(text), "{text}");
        }
    }
}
