use super::*;
use serde_json::json;
use std::sync::atomic::{AtomicU32, Ordering};

const START: u64 = 1_795_363_289_000;

/// An issuer whose answers are set while it runs.
#[derive(Clone, Default)]
struct Source {
    answer: Arc<Mutex<Option<Value>>>,
    asked: Arc<AtomicU32>,
    urls: Arc<Mutex<Vec<String>>>,
}

impl Source {
    fn cache(&self, jwks_url: Option<&str>) -> KeyCache {
        let this = self.clone();
        let get_json: GetJson = Arc::new(move |IssuerDocument { issuer: _, url }| {
            let this = this.clone();
            Box::pin(async move {
                this.asked.fetch_add(1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                let discovery = url.ends_with("/.well-known/openid-configuration");
                this.urls.lock().expect("urls").push(url);
                if discovery {
                    return Ok(json!({"issuer": "https://a.example/", "jwks_uri": "https://a.example/keys"}));
                }
                this.answer.lock().expect("answer").clone().ok_or_else(|| "down\n".to_owned())
            })
        });
        KeyCache::new("https://a.example/".to_owned(), jwks_url.map(str::to_owned), get_json)
    }

    fn publish(&self, kids: &[&str]) {
        let keys: Vec<Value> =
            kids.iter().map(|kid| json!({"kty": "OKP", "crv": "Ed25519", "x": "AA", "kid": kid})).collect();
        *self.answer.lock().expect("answer") = Some(json!({"keys": keys}));
    }

    fn asked(&self) -> u32 {
        self.asked.load(Ordering::SeqCst)
    }
}

fn at(ms: u64) -> Timestamp {
    Timestamp::from_unix_ms(START + ms)
}

#[tokio::test]
async fn keys_are_fetched_once_and_again_for_an_unknown_one_but_not_often() {
    let source = Source::default();
    source.publish(&["old"]);
    let cache = source.cache(Some("https://a.example/keys"));
    for ms in 0..5 {
        assert!(cache.with("old", at(ms)).await.is_ok_and(|keys| keys.contains_key("old")));
    }
    assert_eq!(source.asked(), 1);
    source.publish(&["old", "new"]);
    for ms in [5, 100, RETRY_MS - 1] {
        assert_eq!(cache.with("new", at(ms)).await.err(), Some(OidcError::Key), "{ms}");
    }
    assert_eq!(source.asked(), 1);
    assert!(cache.with("new", at(RETRY_MS)).await.is_ok());
    for ms in 0..100 {
        assert_eq!(cache.with(&format!("flood {ms}"), at(RETRY_MS + ms)).await.err(), Some(OidcError::Key));
    }
    assert_eq!(source.asked(), 2);
}

#[tokio::test]
async fn a_key_that_was_taken_back_stops_working() {
    let source = Source::default();
    source.publish(&["leaked"]);
    let cache = source.cache(Some("https://a.example/keys"));
    assert!(cache.with("leaked", at(0)).await.is_ok());
    source.publish(&["new"]);
    assert!(cache.with("leaked", at(FRESH_MS - 1)).await.is_ok());
    assert_eq!(cache.with("leaked", at(FRESH_MS)).await.err(), Some(OidcError::Key));
}

#[tokio::test]
async fn keys_outlive_an_outage_of_their_issuer_for_a_day() {
    let source = Source::default();
    let cache = source.cache(Some("https://a.example/keys"));
    assert_eq!(cache.with("a", at(0)).await.err(), Some(OidcError::Keys(r"down\n".to_owned())));
    source.publish(&["a"]);
    assert!(cache.with("a", at(RETRY_MS)).await.is_ok());
    *source.answer.lock().expect("answer") = None;
    assert!(cache.with("a", at(RETRY_MS + USABLE_MS - 1)).await.is_ok());
    let late = cache.with("a", at(RETRY_MS + USABLE_MS + RETRY_MS)).await;
    assert_eq!(late.err(), Some(OidcError::Keys(r"down\n".to_owned())));
}

#[tokio::test]
async fn tokens_that_come_together_fetch_together() {
    let source = Source::default();
    source.publish(&["a"]);
    let cache = source.cache(Some("https://a.example/keys"));
    let (one, two, other) = tokio::join!(cache.with("a", at(0)), cache.with("a", at(0)), cache.with("b", at(0)));
    assert!(one.is_ok() && two.is_ok());
    assert_eq!((other.err(), source.asked()), (Some(OidcError::Key), 1));
}

#[tokio::test]
async fn the_discovery_document_says_where_keys_are() {
    let source = Source::default();
    source.publish(&["a"]);
    assert!(source.cache(None).with("a", at(0)).await.is_ok());
    let urls = source.urls.lock().expect("urls").clone();
    assert_eq!(urls, ["https://a.example/.well-known/openid-configuration", "https://a.example/keys"]);
}

#[test]
fn a_discovery_document_of_another_issuer_is_not_followed() {
    let document = json!({"issuer": "https://a.example", "jwks_uri": "https://keys.example/x"});
    assert_eq!(discovered(&document, "https://a.example").as_deref(), Ok("https://keys.example/x"));
    assert!(discovered(&document, "https://b.example").is_err());
    for uri in [json!("http://keys.example"), json!(1), Value::Null] {
        assert!(discovered(&json!({"issuer": "a", "jwks_uri": uri}), "a").is_err());
    }
}

#[test]
fn one_bad_key_does_not_spoil_the_set() {
    let good = json!({"kty": "OKP", "crv": "Ed25519", "x": "AA", "kid": "good"});
    let document = json!({"keys": [1, null, {"kid": 1}, {"kty": "RSA"}, {"kid": "x".repeat(MOST_KID_BYTES + 1), "kty": "RSA"}, good]});
    assert_eq!(read(&document).expect("a set").keys().collect::<Vec<_>>(), ["good"]);
    for document in [json!({}), json!([]), json!({"keys": {}}), json!({"keys": vec![1; MOST_KEYS + 1]})] {
        assert!(read(&document).is_err(), "{document}");
    }
}
