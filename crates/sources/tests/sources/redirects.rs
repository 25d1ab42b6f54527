use crate::{
    place::{Place, digest, policy},
    server::{Answer, Server},
};
use cloister_sources::{DocumentFetcher, FetchError, SourcePolicy};
use serde_json::json;

#[track_caller]
fn refused(result: Result<cloister_model::FileDigest, FetchError>) -> String {
    assert!(matches!(result, Err(FetchError::Refused { .. })), "{result:?}");
    result.expect_err("refused").to_string()
}

#[tokio::test]
async fn addresses_that_are_not_public_are_refused() {
    let server = Server::start(|_, _| Answer::ok(b"SECRET")).await;
    let place = Place::with(SourcePolicy { allow_networks: vec![], ..policy() });
    for host in [
        "127.0.0.1",
        "localhost",
        "2130706433",
        "0x7f.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
        "169.254.169.254",
        "10.0.0.1",
        "192.168.1.1",
        "172.16.0.1",
        "100.100.100.200",
        "[fd00:ec2::254]",
        "[64:ff9b::7f00:1]",
        "[fe80::1]",
    ] {
        let text = refused(place.fetch_url(&format!("http://{host}:{}/SECRET?SECRET", server.port)).await);
        assert!(!text.contains("SECRET"), "{text}");
    }
    // The same policy for S3: what object_store connects to is checked, too.
    for endpoint in [server.url(""), format!("http://localhost:{}", server.port), "http://169.254.169.254".to_owned()] {
        let access = json!({"endpoint": endpoint, "bucket": "data", "objectKey": "SECRET", "accessKeyId": "SECRET", "secretAccessKey": "SECRET"});
        let text = refused(place.fetch(json!({"type": "s3", "s3Access": access})).await);
        assert!(!text.contains("SECRET"), "{text}");
    }
    let documents = DocumentFetcher::new(&SourcePolicy::default()).expect("a fetcher");
    let document = documents.get_json(&server.url("/jwks"), 1000).await;
    assert!(matches!(document, Err(FetchError::Refused { .. })));
    let posted = documents.post_json(&server.url("/hook"), &[], "{}".to_owned()).await;
    assert!(matches!(posted, Err(FetchError::Refused { .. })));
    assert_eq!(server.asked().len(), 0, "nothing was sent");
}

#[tokio::test]
async fn a_web_hook_is_sent_a_document_once_and_led_nowhere() {
    let server = Server::start(|request, _| match request.target.as_str() {
        "/good" => Answer::new("204 No Content", &[], b""),
        "/elsewhere" => Answer::redirect("307 Temporary Redirect", "/good"),
        _ => Answer::new("503 Service Unavailable", &[], b"TEXT"),
    })
    .await;
    let documents = DocumentFetcher::new(&policy()).expect("a fetcher");
    let post = async |path: &str| {
        documents.post_json(&server.url(path), &[("webhook-id", "1".to_owned())], "{}".to_owned()).await
    };
    assert_eq!(post("/good").await, Ok(()));
    let asked = &server.asked()[0];
    assert_eq!(
        (asked.method.as_str(), asked.header("webhook-id"), asked.body.as_slice()),
        ("POST", Some("1"), &b"{}"[..])
    );
    assert_eq!(asked.header("content-type"), Some("application/json"));
    for path in ["/elsewhere", "/away"] {
        let error = post(path).await.expect_err("no success").to_string();
        assert!(error.contains("it answered") && !error.contains("TEXT"), "{error}");
    }
    assert_eq!(server.asked().len(), 3);
}

#[tokio::test]
async fn every_redirect_is_checked_like_the_first_request() {
    let inner = Server::start(|_, _| Answer::ok(b"SECRET")).await;
    // Only this one address is allowed; others of this machine are not.
    let only = SourcePolicy { allow_networks: vec!["127.0.0.1/32".parse().expect("a network")], ..policy() };
    let place = Place::with(only);
    for to in [
        format!("http://127.0.0.2:{}/", inner.port),
        "http://169.254.169.254/latest/meta-data/SECRET".to_owned(),
        "http://[::1]/SECRET".to_owned(),
        "http://10.0.0.1/SECRET".to_owned(),
        "http://0x7f000002/SECRET".to_owned(),
        "file:///etc/passwd".to_owned(),
        "ftp://127.0.0.1/SECRET".to_owned(),
        "gopher://127.0.0.1/SECRET".to_owned(),
    ] {
        let server = Server::start(move |_, _| Answer::redirect("302 Found", &to)).await;
        let text = refused(place.fetch_url(&server.url("/")).await);
        assert!(!text.contains("SECRET"), "{text}");
        assert_eq!(server.asked().len(), 1, "not asked again");
    }
    assert_eq!(inner.asked().len(), 0);
}

#[tokio::test]
async fn redirects_are_followed_a_few_times() {
    let server = Server::start(|request, _| match request.target.trim_start_matches('/').parse::<u32>() {
        Ok(0) => Answer::ok(b"hello"),
        Ok(left) => Answer::redirect("307 Temporary Redirect", &format!("/{}", left - 1)),
        Err(_) => Answer::redirect("302 Found", "/loop"),
    })
    .await;
    let place = Place::with(SourcePolicy { max_redirects: 3, ..policy() });
    assert_eq!(place.fetch_url(&server.url("/3")).await, Ok(digest(b"hello")));
    for path in ["/4", "/loop"] {
        let error = place.fetch_url(&server.url(path)).await.expect_err("too many");
        assert!(matches!(&error, FetchError::Source { cause, .. } if cause.contains("3 times")), "{error}");
    }
}

#[tokio::test]
async fn what_is_secret_stays_with_its_origin() {
    let other = Server::start(|_, _| Answer::ok(b"hello")).await;
    let to = format!("http://127.0.0.1:{}/elsewhere", other.port);
    let server = Server::start(move |request, _| {
        let mut answer = if request.target == "/first?token=SECRET" {
            Answer::redirect("302 Found", "/second")
        } else {
            Answer::redirect("302 Found", &to)
        };
        answer.head.push_str("Set-Cookie: session=SECRET; Path=/\r\n");
        answer
    })
    .await;
    let file = json!({"type": "url", "url": format!("http://user:SECRET@127.0.0.1:{}/first?token=SECRET", server.port),
        "headers": {"X-Api-Key": "SECRET"}});
    assert_eq!(Place::new().fetch(file).await, Ok(digest(b"hello")));
    let asked = server.asked();
    assert_eq!(
        (asked[0].header("x-api-key"), asked[0].header("authorization")),
        (Some("SECRET"), Some("Basic dXNlcjpTRUNSRVQ="))
    );
    assert_eq!(asked[1].header("x-api-key"), Some("SECRET"), "the same origin");
    let elsewhere = &other.asked()[0];
    assert!(!format!("{elsewhere:?}").contains("SECRET"), "{elsewhere:?}");
    assert!(
        asked
            .iter()
            .chain([elsewhere])
            .all(|request| request.header("cookie").is_none() && request.header("referer").is_none())
    );
}

#[tokio::test]
async fn a_body_is_posted_and_not_passed_on() {
    let server = Server::start(|request, _| match request.target.as_str() {
        "/away" => Answer::redirect("307 Temporary Redirect", "http://127.0.0.9:1/"),
        _ => Answer::ok(&[request.method.as_bytes(), b" ", &request.body].concat()),
    })
    .await;
    let place = Place::new();
    let post =
        |path: &str| json!({"type": "url", "url": server.url(path), "method": "post", "body": "{\"SECRET\": 1}"});
    assert_eq!(place.fetch(post("/")).await, Ok(digest(b"POST {\"SECRET\": 1}")));
    let text = refused(place.fetch(post("/away")).await);
    assert!(!text.contains("SECRET"), "{text}");
}

#[tokio::test]
async fn proxies_of_the_environment_are_not_used() {
    // Not set here, where other tests run: `no_proxy` is what keeps it, and a request reaches its server directly.
    let server = Server::start(|request, _| Answer::ok(request.target.as_bytes())).await;
    let file = Place::new().fetch_url(&server.url("/direct")).await.expect("fetched");
    assert_eq!(file, digest(b"/direct"), "a proxy would see a whole URL");
}

#[tokio::test]
async fn documents_are_small_json() {
    let server = Server::start(|request, _| match request.target.as_str() {
        "/jwks" => Answer::ok(br#"{"keys": []}"#),
        "/large" => Answer { head: "HTTP/1.1 200 OK\r\n".to_owned(), parts: vec![crate::server::Part::Zeros(1 << 40)] },
        "/moved" => Answer::redirect("301 Moved Permanently", "/jwks"),
        _ => Answer::ok(b"<html>SECRET"),
    })
    .await;
    let fetcher = DocumentFetcher::new(&policy()).expect("a fetcher");
    for path in ["/jwks", "/moved"] {
        assert_eq!(fetcher.get_json(&server.url(path), 1000).await, Ok(json!({"keys": []})));
    }
    assert!(matches!(fetcher.get_json(&server.url("/large"), 1000).await, Err(FetchError::Refused { .. })));
    let error = fetcher.get_json(&server.url("/html?SECRET"), 1000).await.expect_err("no JSON");
    assert!(matches!(error, FetchError::Content { .. }) && !error.to_string().contains("SECRET"), "{error}");
    assert!(matches!(fetcher.get_json("file:///etc/passwd", 1000).await, Err(FetchError::Refused { .. })));
}
