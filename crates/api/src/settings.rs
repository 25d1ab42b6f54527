use crate::operator::OperatorSettings;
use cloister_model::{Role, Secret, TimeLimits, Timestamp};
use serde_json::Value;
use std::{collections::BTreeMap, fmt, path::PathBuf, pin::Pin, sync::Arc, time::Duration};

/// A guarded HTTP GET of a JSON document: the way to an issuer's keys. Errors are texts for the log.
pub type GetJson = Arc<dyn Fn(String) -> Pin<Box<dyn Future<Output = Result<Value, String>> + Send>> + Send + Sync>;

/// What an operator decides about the door. Every default is the safe one.
#[derive(Clone)]
pub struct Settings {
    /// Where the service is reached, such as `https://cloister.example.org`. Requests that are signed with an Ethereum
    /// account must then be signed for it; none: they are good for any service that takes the account.
    pub public_url: Option<String>,
    /// Issuers of tokens that are taken.
    pub oidc: Vec<Issuer>,
    /// How their keys are fetched; none: no issuer can be used.
    pub get_json: Option<GetJson>,
    /// What whoever signs with an Ethereum account may do; none: such signatures are not taken. Accounts can be given
    /// more by `ethereum_roles`.
    pub ethereum_role: Option<Role>,
    /// What single Ethereum accounts may do, by their address in lower case.
    pub ethereum_roles: BTreeMap<String, Role>,
    /// How old the nonce of a signed request may be, and how far ahead.
    pub nonce_window: Duration,
    /// Image names and the installed interpreter that runs their scripts. `wasm` is always there.
    pub images: BTreeMap<String, String>,
    /// What job names are derived with from idempotency keys. 32 random bytes that stay the same.
    pub secret: Secret<[u8; 32]>,
    /// The seed of the Ed25519 key that signs receipts: 32 random bytes that stay the same.
    pub receipt_key: Secret<[u8; 32]>,
    /// Web pages (`https://console.example.org`) whose scripts may call; none by default.
    pub cors_origins: Vec<String>,
    /// How many requests are taken.
    pub rates: RateLimits,
    /// Whether `X-Forwarded-For` of a proxy in front is believed: the last entry is the client then.
    pub behind_proxy: bool,
    /// The folders of this machine whose files an account may name as its own, by the account's key; `*`: any account.
    /// What is in none of them belongs to nobody here. (That a path does not lead out by links is the engine's care.)
    pub local_roots: BTreeMap<String, Vec<PathBuf>>,
    /// What jobs may take of time outside their runs.
    pub times: TimeLimits,
    /// The most bytes of an upload.
    pub max_upload_bytes: u64,
    /// The longest that a request may take that streams nothing.
    pub request_timeout: Duration,
    /// Whether `/metrics` is answered.
    pub metrics: bool,
    /// Ocean's operator API.
    pub operator: OperatorSettings,
    /// What time it is.
    pub clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

/// How many requests are taken, on average and at once.
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
    /// Where its keys are; none: its discovery document says.
    pub jwks_url: Option<String>,
    /// The claim that is the account: `sub`, unless said otherwise.
    pub account_claim: String,
    /// What is written before the claim, so that accounts of different issuers stay apart.
    pub account_prefix: String,
    /// The claim that says what they may do, such as `realm_access.roles`: a text or a list of texts.
    pub role_claim: Option<String>,
    /// What its values stand for.
    pub roles: BTreeMap<String, Role>,
    /// What somebody without any of these may do; none: nothing.
    pub default_role: Option<Role>,
}

/// Settings that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The receipt key is no Ed25519 seed.
    #[error("the receipt key cannot be used; give 32 random bytes")]
    ReceiptKey,
    /// An origin is none.
    #[error("`{0}` is not the origin of a web page; write `https://host` or `https://host:port`, without a path")]
    Origin(String),
    /// A rate of zero.
    #[error("rate limit `{0}` is 0, so that nobody could ask anything; give at least 1")]
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
    /// Safe ones with these two secrets: API keys only, no web pages of others.
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
            metrics: true,
            operator: OperatorSettings::default(),
            clock: Arc::new(system_clock),
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
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_unix_ms(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
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
