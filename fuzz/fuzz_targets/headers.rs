//! What strangers write into headers: any bytes are read or refused, and what is read means what was written. The first byte
//! chooses the parser.

#![no_main]
#![allow(dead_code, reason = "the service uses the rest")]

// The modules by themselves: the whole service would bring an HTTP server along, to be compiled with coverage. Where they name
// `axum` or `cloister_service`, they find here what those hand on.
extern crate self as axum;
extern crate self as cloister_service;

#[path = "../../crates/service/src/address.rs"]
mod address;
#[path = "../../crates/api/src/download/conditions.rs"]
mod conditions;
#[path = "../../crates/api/src/extract/digest.rs"]
mod digest;
#[path = "../../crates/service/src/key_text.rs"]
mod key_text;
#[path = "../../crates/api/src/ethereum/nonce.rs"]
mod nonce;
#[path = "../../crates/api/src/oidc/error.rs"]
mod oidc_error;
#[path = "../../crates/service/src/assets/precondition.rs"]
mod precondition;
#[path = "../../crates/api/src/download/range.rs"]
mod range;
#[path = "../../crates/api/src/ethereum/request.rs"]
mod request;
#[path = "../../crates/api/src/ethereum/signature.rs"]
mod signature;
#[path = "../../crates/api/src/oidc/token.rs"]
mod token;

pub(crate) use ::http;
pub(crate) use address::{AddressError, EthereumAddress};
pub(crate) use nonce::{Nonce, NonceError, NonceWindow};
pub(crate) use oidc_error::OidcError;
pub(crate) use precondition::Precondition;
pub(crate) use signature::{Signature, SignatureError, text_digest};

/// Stands for the answer that the sender gets.
mod problem {
    #[derive(Debug, PartialEq, Eq)]
    pub(crate) struct Problem;

    impl Problem {
        pub(crate) fn malformed(_: impl Into<String>) -> Self {
            Self
        }
    }
}

use cloister_model::{Sha256, Timestamp};
use conditions::EntityTag;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use libfuzzer_sys::fuzz_target;
use range::Part;
use request::SignedRequest;
use token::Unverified;

fuzz_target!(|bytes: &[u8]| {
    let Some((parser, bytes)) = bytes.split_first() else { return };
    match parser % 7 {
        0 => part_of_a_file(bytes),
        1 => entity_tags(bytes),
        2 => content_digest(bytes),
        3 => text(bytes, nonce_of_a_signature),
        4 => text(bytes, signed_request),
        5 => text(bytes, token_of_an_issuer),
        _ => text(bytes, api_key),
    }
});

fn text(bytes: &[u8], check: fn(&str)) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        check(text);
    }
}

fn headers(name: HeaderName, value: &[u8]) -> Option<HeaderMap> {
    Some(HeaderMap::from_iter([(name, HeaderValue::from_bytes(value).ok()?)]))
}

fn part_of_a_file(bytes: &[u8]) {
    let Some((size, header)) = bytes.split_first_chunk() else { return };
    let size = u64::from_le_bytes(*size);
    let Ok(header) = std::str::from_utf8(header) else { return };
    if let Part::Bytes { first, last } = range::part(header, size) {
        assert!(first <= last && last < size);
    }
}

fn entity_tags(value: &[u8]) {
    let Some(none_match) = headers(header::IF_NONE_MATCH, value) else { return };
    let tag = EntityTag::new("abc");
    if tag.is_known(&none_match) {
        let value = String::from_utf8_lossy(value);
        assert!(value.contains("\"abc\"") || value.contains('*'), "{value}");
    }
    let if_range = headers(header::IF_RANGE, value).expect("a value");
    assert_eq!(tag.may_be_parted(&if_range), value == tag.as_str().as_bytes());
    let if_match = headers(header::IF_MATCH, value).expect("a value");
    match conditions::precondition(&if_match) {
        Precondition::Any => assert!(value.contains(&b'*')),
        Precondition::Revisions(revisions) => {
            let value = String::from_utf8_lossy(value);
            assert!(revisions.iter().all(|revision| value.contains(EntityTag::new(revision).as_str())), "{value}");
        }
    }
}

fn content_digest(value: &[u8]) {
    let Some(headers) = headers(HeaderName::from_static("content-digest"), value) else { return };
    if let Ok(Some(sha256)) = digest::content_digest(&headers) {
        let value = String::from_utf8_lossy(value);
        assert!(value.contains(&digest::repr_digest(&sha256)), "{value}: another digest has no other spelling");
    }
}

fn nonce_of_a_signature(text: &str) {
    let Ok(nonce) = text.parse::<Nonce>() else { return };
    assert_eq!(nonce.as_str(), text);
    let window = NonceWindow::default();
    for now in [0, 1_795_363_289_000, u64::MAX / 2] {
        let now = Timestamp::from_unix_ms(now);
        if let Ok(until) = window.admit(&nonce, now) {
            assert!(until > now && window.admit(&nonce, until).is_err(), "it is good once");
        }
    }
}

fn signed_request(header: &str) {
    let Some(Ok(request)) = SignedRequest::from_header(header) else { return };
    assert!(header.contains(request.nonce.as_str()) && header.len() < 600);
    let address = request.address.to_string();
    assert!(header.to_lowercase().contains(&address[2..]), "{address}");
    // Another text was signed than at least one of these.
    let body = Sha256::from_bytes([0; 32]);
    let good = ["/a", "/b"].map(|target| request.verify(None, "GET", target, &body).is_ok());
    assert_ne!(good, [true, true]);
}

fn token_of_an_issuer(text: &str) {
    if let Ok(token) = Unverified::read(text) {
        assert!(text.split('.').count() == 3 && text.len() <= 16 * 1024);
        let _ = (token.key_id(), token.issuer());
        assert!(token.verify(&[], "cloister", Timestamp::from_unix_ms(0)).is_err(), "no key verifies it");
    }
}

fn api_key(text: &str) {
    if let Some(id) = key_text::id_of(text) {
        let public = format!("clk_{id}_");
        assert!(text.starts_with(&public) && text.len() == public.len() + 43);
    }
}
