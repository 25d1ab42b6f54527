//! Servers with certificates of a private authority, at private addresses.

use crate::place::{Place, digest, policy};
use cloister_sources::{DocumentFetcher, FetchError, KnownServer, SourcePolicy};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use serde_json::json;
use std::sync::Arc;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

const AUTHORITY: &[u8] = include_bytes!("../fixtures/ca.pem");

/// A server whose certificate is for `localhost`, of an authority that no machine trusts. Answers with a JSON document. Its port.
async fn server() -> u16 {
    server_with(include_bytes!("../fixtures/server.pem")).await
}

/// The same with this certificate.
async fn server_with(certificate: &[u8]) -> u16 {
    let certificate = CertificateDer::from_pem_slice(certificate).expect("a certificate");
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("../fixtures/server.key")).expect("a key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.expect("protocols").with_no_client_auth().with_single_cert(vec![certificate], key);
    let acceptor = TlsAcceptor::from(Arc::new(config.expect("a configuration")));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut head = [0; 4096];
                let _ = stream.read(&mut head).await;
                let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.shutdown().await;
            });
        }
    });
    port
}

fn known(host: &str) -> KnownServer {
    KnownServer {
        host: host.parse().expect("a host"),
        networks: vec!["127.0.0.0/8".parse().expect("a network")],
        ca: Some(AUTHORITY.to_vec()),
    }
}

/// No network is opened but to the names of these servers, and each file is asked for once.
fn closed(servers: Vec<KnownServer>) -> SourcePolicy {
    SourcePolicy { allow_networks: Vec::new(), servers, attempts: 1, ..policy() }
}

fn cause(error: FetchError) -> String {
    match error {
        FetchError::Source { cause, .. } => cause,
        other => unreachable!("{other:?}"),
    }
}

#[tokio::test]
async fn a_source_with_a_private_authority_is_read_if_the_operator_names_both() {
    let port = server().await;
    let url = format!("https://localhost:{port}/");
    assert_eq!(Place::with(closed(vec![known("localhost")])).fetch_url(&url).await, Ok(digest(b"{}")));

    let without_authority = KnownServer { ca: None, ..known("localhost") };
    let error = Place::with(closed(vec![without_authority])).fetch_url(&url).await.expect_err("not trusted");
    let cause = cause(error);
    assert!(cause.contains("TLS") && cause.contains("authority"), "{cause}");

    let unnamed = Place::with(closed(vec![])).fetch_url(&url).await.expect_err("private");
    assert!(matches!(unnamed, FetchError::Refused { .. }), "{unnamed:?}");
}

#[tokio::test]
async fn a_certificate_of_another_name_and_a_server_without_tls_are_distinguished() {
    let port = server().await;
    let place = Place::with(closed(vec![known("127.0.0.1")]));
    let other_name = cause(place.fetch_url(&format!("https://127.0.0.1:{port}/")).await.expect_err("another name"));
    assert!(other_name.contains("TLS") && other_name.contains("another name"), "{other_name}");
    let plain = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = plain.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = plain.accept().await {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    let no_tls = cause(place.fetch_url(&format!("https://127.0.0.1:{port}/")).await.expect_err("no TLS"));
    assert!(no_tls.contains("TLS"), "{no_tls}");
    let refused = cause(place.fetch_url("https://127.0.0.1:1/").await.expect_err("no server"));
    assert!(refused.contains("connection refused"), "{refused}");
}

/// The certificate is the publisher's to renew, and says so.
#[tokio::test]
async fn a_certificate_that_is_not_valid_now_says_whether_it_has_expired() {
    let ca = Some(include_bytes!("../fixtures/times-ca.pem").to_vec());
    let place = Place::with(closed(vec![KnownServer { ca, ..known("localhost") }]));
    for (certificate, expected) in [
        (&include_bytes!("../fixtures/expired.pem")[..], "its certificate has expired"),
        (&include_bytes!("../fixtures/early.pem")[..], "its certificate is not valid yet"),
    ] {
        let port = server_with(certificate).await;
        let cause = cause(place.fetch_url(&format!("https://localhost:{port}/")).await.expect_err("not valid now"));
        assert!(cause.contains("TLS") && cause.contains(expected), "{cause}");
    }
}

/// What an operator allows an issuer, no publisher gets: the fetcher of sources knows nothing of it.
#[tokio::test]
async fn an_issuers_documents_are_fetched_by_its_own_rules() {
    let port = server().await;
    let url = format!("https://localhost:{port}/.well-known/openid-configuration");
    let issuers = DocumentFetcher::new(&closed(vec![known("localhost")])).expect("a fetcher");
    assert_eq!(issuers.get_json(&url, 100).await, Ok(json!({})));
    let elsewhere = format!("https://127.0.0.1:{port}/keys");
    assert!(matches!(issuers.get_json(&elsewhere, 100).await, Err(FetchError::Refused { .. })));
    let others = DocumentFetcher::new(&closed(vec![])).expect("a fetcher");
    assert!(matches!(others.get_json(&url, 100).await, Err(FetchError::Refused { .. })));
}
