use super::{OidcError, issuer::is_safe_url};
use crate::settings::{GetJson, IssuerDocument};
use cloister_model::{Timestamp, escape};
use jsonwebtoken::jwk::Jwk;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// The keys of an issuer, by their `kid`. More than one with a name is rare, and allowed for different kinds.
pub(super) type KeySet = BTreeMap<String, Vec<Jwk>>;

/// After which the keys are fetched again when a token comes: a key that was taken back works no longer than this.
const FRESH_MS: u64 = 60 * 60 * 1000;

/// After which keys are not used any more if they could not be fetched again meanwhile.
const USABLE_MS: u64 = 24 * FRESH_MS;

/// Between two tries to fetch, however many tokens of unknown keys come.
const RETRY_MS: u64 = 30 * 1000;

/// The longest that a fetch may take.
const FETCH: Duration = Duration::from_secs(10);

/// Keys of one issuer, and bytes of the name of one.
const MOST_KEYS: usize = 200;
const MOST_KID_BYTES: usize = 256;

/// The keys that an issuer publishes, as far as they are known.
pub(super) struct KeyCache {
    issuer: String,
    jwks_url: Option<String>,
    get_json: GetJson,
    known: Mutex<Known>,
    /// Held while keys are fetched.
    fetching: tokio::sync::Mutex<()>,
}

#[derive(Clone, Default)]
struct Known {
    keys: Arc<KeySet>,
    fetched: Option<Timestamp>,
    tried: Option<Timestamp>,
    problem: String,
}

/// What to do about a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Use what is known.
    Use,
    /// Use what is known, if another request is fetching.
    UseOrFetch,
    /// Fetch first.
    Fetch,
    /// It was tried a moment ago.
    Refuse,
}

impl Known {
    fn step(&self, key_id: &str, now: Timestamp) -> Step {
        let age = |at: Option<Timestamp>| at.map(|at| now.unix_ms().abs_diff(at.unix_ms()));
        let fetched = age(self.fetched);
        let has = self.keys.contains_key(key_id) && fetched.is_some_and(|age| age < USABLE_MS);
        let may_fetch = age(self.tried).is_none_or(|age| age >= RETRY_MS);
        match (has, may_fetch) {
            (true, _) if fetched.is_some_and(|age| age < FRESH_MS) => Step::Use,
            (true, true) => Step::UseOrFetch,
            (true, false) => Step::Use,
            (false, true) => Step::Fetch,
            (false, false) => Step::Refuse,
        }
    }
}

impl KeyCache {
    pub(super) fn new(issuer: String, jwks_url: Option<String>, get_json: GetJson) -> Self {
        Self { issuer, jwks_url, get_json, known: Mutex::default(), fetching: tokio::sync::Mutex::new(()) }
    }

    /// The keys, with the named one among them if the issuer has it.
    ///
    /// # Errors
    /// [`OidcError::Keys`] if they were never fetched or too long ago, [`OidcError::Key`] if there is no such key.
    pub(super) async fn with(&self, key_id: &str, now: Timestamp) -> Result<Arc<KeySet>, OidcError> {
        let _fetching = match self.known().step(key_id, now) {
            Step::Use => return Ok(self.known().keys),
            Step::Refuse => return Err(self.refusal(now)),
            Step::UseOrFetch => match self.fetching.try_lock() {
                Ok(lock) => lock,
                Err(_) => return Ok(self.known().keys),
            },
            Step::Fetch => self.fetching.lock().await,
        };
        // Another request may have fetched while this one waited.
        match self.known().step(key_id, now) {
            Step::Use => return Ok(self.known().keys),
            Step::Refuse => return Err(self.refusal(now)),
            Step::UseOrFetch | Step::Fetch => {}
        }
        let fetched = match tokio::time::timeout(FETCH, self.fetch()).await {
            Ok(fetched) => fetched,
            Err(_) => Err(format!("no answer within {} s", FETCH.as_secs())),
        };
        self.keep(fetched, now);
        match self.known().step(key_id, now) {
            Step::Use => Ok(self.known().keys),
            Step::UseOrFetch | Step::Fetch | Step::Refuse => Err(self.refusal(now)),
        }
    }

    fn known(&self) -> Known {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn keep(&self, fetched: Result<KeySet, String>, now: Timestamp) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.tried = Some(now);
        match fetched {
            Ok(keys) => {
                known.problem.clear();
                known.keys = Arc::new(keys);
                known.fetched = Some(now);
            }
            Err(problem) => {
                let problem = escape(problem.as_bytes(), 300).to_string();
                tracing::warn!(issuer = %self.issuer, %problem, "an issuer's keys cannot be fetched");
                known.problem = problem;
            }
        }
    }

    fn refusal(&self, now: Timestamp) -> OidcError {
        let Known { fetched, problem, .. } = self.known();
        match fetched {
            Some(at) if now.unix_ms().abs_diff(at.unix_ms()) < USABLE_MS => OidcError::Key,
            _ => OidcError::Keys(problem),
        }
    }

    async fn fetch(&self) -> Result<KeySet, String> {
        let url = match &self.jwks_url {
            Some(url) => url.clone(),
            None => {
                let issuer = self.issuer.trim_end_matches('/');
                let document = self.get(format!("{issuer}/.well-known/openid-configuration")).await?;
                discovered(&document, &self.issuer)?
            }
        };
        read(&self.get(url).await?)
    }

    async fn get(&self, url: String) -> Result<Value, String> {
        (self.get_json)(IssuerDocument { issuer: self.issuer.clone(), url }).await
    }
}

/// Where the keys are, by the issuer's discovery document.
fn discovered(document: &Value, issuer: &str) -> Result<String, String> {
    if document["issuer"] != *issuer {
        return Err("its discovery document is another issuer's".to_owned());
    }
    match document["jwks_uri"].as_str() {
        Some(url) if is_safe_url(url) => Ok(url.to_owned()),
        _ => Err("its discovery document has no safe `jwks_uri`".to_owned()),
    }
}

/// The keys of a set that can be used. One that is of a new kind, or malformed, does not spoil the others.
fn read(document: &Value) -> Result<KeySet, String> {
    let keys = document["keys"].as_array().ok_or("it publishes no list `keys`")?;
    if keys.len() > MOST_KEYS {
        return Err(format!("it publishes more than {MOST_KEYS} keys"));
    }
    let mut set = KeySet::new();
    for key in keys {
        let Ok(key) = serde_json::from_value::<Jwk>(key.clone()) else { continue };
        if let Some(kid) = key.common.key_id.clone().filter(|kid| kid.len() <= MOST_KID_BYTES) {
            set.entry(kid).or_default().push(key);
        }
    }
    Ok(set)
}

#[cfg(test)]
mod tests;
