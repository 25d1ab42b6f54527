use super::*;
use crate::{JobId, MOST_FILES, Sha256};
use proptest::prelude::*;
use serde_json::{Value, json};

fn one(value: Value) -> Result<Source, String> {
    match Sources::from_value("files", &json!([value])) {
        Ok(files) => Ok(files.files()[0].clone()),
        Err(error) => Err(error.to_string()),
    }
}

fn s3() -> Value {
    json!({"endpoint": "https://s3.example/", "bucket": "data", "objectKey": "a/b.csv", "region": "eu-west-1",
        "accessKeyId": "id", "secretAccessKey": "key", "forcePathStyle": true})
}

#[test]
fn both_spellings_give_the_list() {
    let file = json!({"type": "url", "url": "https://example.org/a.csv"});
    for files in [json!([file]), json!({"datatokenAddress": "0x", "files": [file]})] {
        let read = Sources::from_value("files", &files).expect("files");
        assert_eq!(serde_json::to_value(&read).expect("json"), json!([file]));
    }
}

/// What is written is what was read, so that stored jobs keep their form.
#[test]
fn every_type_is_read_and_written_as_it_was() {
    for value in [
        json!({"type": "url", "url": "https://a.example/x"}),
        json!({"type": "url", "url": "http://a.example/x", "method": "post", "headers": {"X-Key": "v"}, "body": "{}"}),
        json!({"type": "url", "url": "http://a.example/x", "headers": [{"X-Key": "v"}, {"X-Key": "w"}]}),
        json!({"type": "url", "url": "https://u:p@a.example:8443/x?y=z", "sha256": "ab".repeat(32), "bytes": 5}),
        json!({"type": "ipfs", "hash": "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG"}),
        json!({"type": "ipfs", "hash": "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi/a b.csv"}),
        json!({"type": "s3", "s3Access": s3()}),
        json!({"type": "local", "path": "/srv/a.csv", "bytes": 5}),
        json!({"type": "inline", "content": ""}),
        json!({"type": "inline", "base64": "/wA="}),
        json!({"type": "upload", "sha256": "ab".repeat(32)}),
        json!({"type": "result", "job": "0123456789abcdef0123456789abcdef", "index": 0, "sha256": "ab".repeat(32)}),
    ] {
        let read = one(value.clone()).expect("a source");
        assert_eq!(serde_json::to_value(&read).expect("json"), value);
        assert_eq!(serde_json::from_value::<Source>(value).expect("a source"), read);
    }
}

#[test]
fn the_types_are_those_that_are_read() {
    for kind in Location::TYPES {
        let error = one(json!({"type": kind})).map(drop).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(!error.contains("`ipfs`"), "{kind}: {error}");
    }
    let error = one(json!({"type": "locl"})).expect_err("no type").to_string();
    for kind in Location::TYPES {
        assert!(error.contains(&format!("`{kind}`")), "{kind}: {error}");
    }
}

#[test]
fn spellings_that_mean_the_same_are_one_source() {
    let url = |more: Value| {
        let mut value = json!({"type": "url", "url": "https://a.example"});
        value.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        one(value).expect("a source")
    };
    let plain = url(json!({}));
    for more in [
        json!({"url": "HTTPS://a.example/#part"}),
        json!({"method": "GET"}),
        json!({"method": null, "headers": null, "body": null, "sha256": null, "bytes": null}),
        json!({"headers": []}),
    ] {
        assert_eq!(url(more), plain);
    }
    assert_eq!(
        one(json!({"type": "inline", "base64": "aGVsbG8="})),
        one(json!({"type": "inline", "content": "hello"}))
    );
    let sparse = json!({"type": "s3", "s3Access": {"endpoint": "https://s3.example", "bucket": "b", "objectKey": "k",
        "region": "", "accessKeyId": "", "secretAccessKey": ""}});
    let Ok(Location::S3(object)) = one(sparse).map(|source| source.location().clone()) else { panic!("an S3 object") };
    assert_eq!((object.region.as_str(), &object.credentials, object.force_path_style), ("us-east-1", &None, false));
}

#[test]
fn anything_else_is_refused_with_the_field() {
    let url = |name: &str, value: Value| {
        let mut object = json!({"type": "url", "url": "https://a.example/?SECRET"});
        object[name] = value;
        object
    };
    let s3 = |name: &str, value: Value| {
        let mut access = json!({"endpoint": "https://s3.example", "bucket": "data", "objectKey": "SECRET"});
        access[name] = value;
        json!({"type": "s3", "s3Access": access})
    };
    for (value, named) in [
        (json!("SECRET"), "`files[0]`"),
        (json!({}), "`files[0].type` is missing"),
        (json!({"type": "ftp", "url": "ftp://SECRET"}), "`files[0].type`"),
        (json!({"type": "graphql", "query": "SECRET"}), "`files[0].type`"),
        (json!({"type": "url"}), "`files[0].url` is missing"),
        (url("url", json!("")), "`files[0].url` is missing"),
        (url("url", json!("file:///SECRET")), "`files[0].url`"),
        (url("url", json!("SECRET")), "`files[0].url`"),
        (url("url", json!("https://SECRET host/")), "`files[0].url`"),
        (url("url", json!(format!("https://a.example/{}", "x".repeat(8192)))), "`files[0].url`"),
        (url("method", json!("PUT")), "`files[0].method`"),
        (url("headers", json!({"Host": "SECRET"})), "`files[0].headers`"),
        (url("headers", json!({"range": "SECRET"})), "`files[0].headers`"),
        (url("headers", json!({"Accept-Encoding": "SECRET"})), "`files[0].headers`"),
        (url("headers", json!({"X": "SECRET\r\nY: Z"})), "`files[0].headers`"),
        (url("headers", json!({"X Y": "SECRET"})), "`files[0].headers`"),
        (url("headers", json!({"": "SECRET"})), "`files[0].headers`"),
        (url("headers", json!({"X": 1})), "`files[0].headers`"),
        (url("headers", json!(["SECRET"])), "`files[0].headers[0]`"),
        (url("headers", json!(vec![json!({"X": "SECRET"}); 33])), "`files[0].headers`"),
        (url("body", json!("SECRET")), "`files[0].body`"),
        (url("sha256", json!("SECRET")), "`files[0].sha256`"),
        (url("bytes", json!(-1)), "`files[0].bytes`"),
        (url("checksum", json!("SECRET")), "`files[0]` has a field `checksum`"),
        (url("path", json!("SECRET")), "`files[0]` has a field `path`"),
        (json!({"type": "ipfs", "hash": "../SECRET"}), "`files[0].hash`"),
        (json!({"type": "ipfs", "hash": "Qm/../x"}), "`files[0].hash`"),
        (json!({"type": "s3", "s3Access": "SECRET"}), "`files[0].s3Access`"),
        (json!({"type": "s3"}), "`files[0].s3Access` is missing"),
        (s3("endpoint", json!("s3.example")), "`files[0].s3Access.endpoint`"),
        (s3("endpoint", json!("https://SECRET@s3.example")), "`files[0].s3Access.endpoint`"),
        (s3("bucket", json!("a/b")), "`files[0].s3Access.bucket`"),
        (s3("accessKeyId", json!("SECRET")), "`files[0].s3Access.secretAccessKey` is missing"),
        (s3("secretAccessKey", json!("SECRET")), "`files[0].s3Access.accessKeyId` is missing"),
        (s3("sessionToken", json!("SECRET")), "`files[0].s3Access` has a field `sessionToken`"),
        (json!({"type": "local", "path": "srv/a"}), "`files[0].path`"),
        (json!({"type": "local", "path": "/srv/../a"}), "`files[0].path`"),
        (json!({"type": "local", "path": "/srv/a\0"}), "`files[0].path`"),
        (json!({"type": "inline"}), "`files[0]`"),
        (json!({"type": "inline", "content": "SECRET", "base64": "SECRET"}), "`files[0]`"),
        (json!({"type": "inline", "base64": "SECRET!"}), "`files[0].base64`"),
        (json!({"type": "upload"}), "`files[0].sha256` is missing"),
        (json!({"type": "upload", "sha256": "00"}), "`files[0].sha256`"),
        (json!({"type": "result", "job": "SECRET", "index": 0}), "`files[0].job`"),
        (json!({"type": "result", "job": "0123456789abcdef0123456789abcdef"}), "`files[0].index` is missing"),
        (
            json!({"type": "result", "job": "0123456789abcdef0123456789abcdef", "index": 4_294_967_296_u64}),
            "`files[0].index`",
        ),
    ] {
        let problem = one(value.clone()).expect_err(named);
        assert!(problem.contains(named) && !problem.contains("SECRET"), "{value}: {problem}");
    }
    for list in [json!([]), json!("0xencrypted"), json!({}), json!(vec![json!({}); MOST_FILES + 1])] {
        assert!(Sources::from_value("files", &list).is_err(), "{list}");
    }
    assert!(Sources::new(Vec::new()).is_err());
    let one = Source::result(JobId::from_bytes([1; 16]), 0);
    assert!(Sources::new(vec![one.clone(); MOST_FILES]).is_ok() && Sources::new(vec![one; MOST_FILES + 1]).is_err());
}

#[test]
fn nothing_secret_is_shown() {
    let file = one(json!({"type": "url", "url": "https://user:SECRET@a.example/SECRET?SECRET", "method": "post",
        "headers": {"X": "SECRET"}, "body": "SECRET"}))
    .expect("a file");
    let access = json!({"endpoint": "https://s3.example/SECRET", "bucket": "secret", "objectKey": "SECRET",
        "accessKeyId": "SECRET", "secretAccessKey": "SECRET"});
    let object = one(json!({"type": "s3", "s3Access": access})).expect("a file");
    let Location::Url(http) = file.location() else { panic!("a URL") };
    let Location::S3(s3) = object.location() else { panic!("an S3 object") };
    let shown =
        format!("{file:?} {object:?} {http:?} {:?} {:?} {s3:?} {:?}", http.method, http.headers, s3.credentials);
    let shown = shown.replace("Secret(..)", "").replace("secret_access_key", "");
    assert!(!shown.to_lowercase().contains("secret"), "{shown}");
    assert_eq!(file.location().describe(), "https://a.example");
    assert_eq!(object.location().describe(), "S3 at https://s3.example");
    for value in [json!({"type": "inline", "content": "SECRET"}), json!({"type": "local", "path": "/SECRET"})] {
        let source = one(value).expect("a file");
        assert!(!format!("{source:?}").contains("SECRET"));
    }
}

#[test]
fn made_sources_are_what_is_read() {
    let sha256: Sha256 = "ab".repeat(32).parse().expect("a digest");
    let job = JobId::from_bytes([7; 16]);
    let url: HttpUrl = "https://a.example/x".parse().expect("a URL");
    for (made, written) in [
        (Source::upload(sha256), json!({"type": "upload", "sha256": sha256})),
        (Source::result(job, 3), json!({"type": "result", "job": job, "index": 3})),
        (Source::url(url), json!({"type": "url", "url": "https://a.example/x"})),
    ] {
        assert_eq!(one(written), Ok(made));
    }
}

proptest! {
    #[test]
    fn what_is_read_is_written_and_read_again(
        kind in "url|ipfs|s3|local|inline|upload|result|x",
        name in "sha256|bytes|method|body|content|base64|[a-zA-Z0-9]{0,9}",
        text in "\\PC{0,40}",
        host in "[a-z0-9.%:@-]{1,20}",
        value in "[ -~\\t]{0,20}",
    ) {
        let object = json!({"type": kind, name: text, "url": format!("http://{host}/{text}"), "headers": {&text: value}});
        for object in [object, json!({"type": kind, "hash": text, "path": format!("/{text}"), "content": text})] {
            let mut only = object.clone();
            let own: &[&str] = match kind.as_str() {
                "url" => &["type", "url", "headers"],
                "ipfs" => &["type", "hash"],
                "local" => &["type", "path"],
                "inline" => &["type", "content"],
                _ => &["type"],
            };
            only.as_object_mut().expect("an object").retain(|name, _| own.contains(&name.as_str()));
            for object in [object, only] {
                if let Ok(source) = one(object) {
                    let written = serde_json::to_value(&source).expect("json");
                    prop_assert_eq!(one(written), Ok(source));
                }
            }
        }
    }
}
