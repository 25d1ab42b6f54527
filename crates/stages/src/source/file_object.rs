use super::{Place, fields::Fields};
use crate::FetchError;
use cloister_model::{MOST_FILES, Sha256};
use serde_json::{Map, Value};
use sha2::Digest as _;

/// One file, as an asset describes it.
#[derive(Debug)]
pub(crate) struct FileObject {
    /// Where it is.
    pub(crate) place: Place,
    /// What it must be, if that is said.
    pub(crate) sha256: Option<Sha256>,
    /// How large it must be, if that is said.
    pub(crate) bytes: Option<u64>,
    /// Digest of all that says where it is: who knows as much is the same source.
    pub(crate) origin: Sha256,
}

/// Reads a list of file objects: one or more.
pub(crate) fn read_all(files: &Value) -> Result<Vec<FileObject>, FetchError> {
    // Ocean wraps the list in an object with the addresses of the asset.
    let list = files.get("files").unwrap_or(files);
    let list = list.as_array().ok_or_else(|| FetchError::Files("they must be a list".to_owned()))?;
    if !(1..=MOST_FILES).contains(&list.len()) {
        return Err(FetchError::Files(format!("there must be 1 to {MOST_FILES}, here are {}", list.len())));
    }
    let read = |(index, value)| FileObject::read(value).map_err(|problem| FetchError::Object { index, problem });
    list.iter().enumerate().map(read).collect()
}

impl FileObject {
    fn read(value: &Value) -> Result<Self, String> {
        let mut fields = Fields::of(value, "")?;
        let sha256 = fields.text("sha256", 64)?.map(str::parse).transpose();
        let sha256: Option<Sha256> = sha256.map_err(|_| fields.wrong("sha256", "64 hexadecimal digits"))?;
        let bytes = fields.number("bytes")?;
        let place = Place::read(&mut fields)?;
        fields.end()?;
        let sha256 = match (&place, sha256) {
            // An upload's name is its digest already.
            (Place::Upload(name), _) => Some(*name),
            (_, sha256) => sha256,
        };
        Ok(Self { place, sha256, bytes, origin: origin(value) })
    }
}

/// `serde_json` sorts the fields of objects, so the same source gives the same digest.
fn origin(value: &Value) -> Sha256 {
    let mut where_it_is: Map<String, Value> = value.as_object().cloned().unwrap_or_default();
    where_it_is.remove("bytes");
    if where_it_is.get("type").is_none_or(|kind| kind != "upload") {
        where_it_is.remove("sha256");
    }
    let mut hash = sha2::Sha256::new_with_prefix(b"file object\n");
    hash.update(Value::Object(sorted(where_it_is)).to_string());
    Sha256::from_bytes(hash.finalize().into())
}

/// Sorted even if another crate switches on `serde_json`'s order of insertion.
fn sorted(fields: Map<String, Value>) -> Map<String, Value> {
    let mut fields: Vec<(String, Value)> = fields
        .into_iter()
        .map(|(name, value)| match value {
            Value::Object(inner) => (name, Value::Object(sorted(inner))),
            other => (name, other),
        })
        .collect();
    fields.sort_by(|one, other| one.0.cmp(&other.0));
    fields.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn one(value: Value) -> Result<FileObject, String> {
        match read_all(&json!([value])) {
            Ok(mut files) => Ok(files.remove(0)),
            Err(FetchError::Object { index: 0, problem }) => Err(problem),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn every_type_is_read() {
        let access = json!({"endpoint": "https://s3.example", "bucket": "data", "objectKey": "a/b.csv",
            "region": "eu-west-1", "accessKeyId": "id", "secretAccessKey": "key", "forcePathStyle": true});
        for value in [
            json!({"type": "url", "url": "https://a.example/x"}),
            json!({"type": "url", "url": "http://a.example/x", "method": "POST", "headers": {"X-Key": "v"}, "body": "{}"}),
            json!({"type": "url", "url": "http://a.example/x", "method": "get", "headers": [{"X-Key": "v"}]}),
            json!({"type": "ipfs", "hash": "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG"}),
            json!({"type": "ipfs", "hash": "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi/a b.csv"}),
            json!({"type": "s3", "s3Access": access}),
            json!({"type": "s3", "s3Access": {"endpoint": "https://s3.example", "bucket": "data", "objectKey": "k"}}),
            json!({"type": "local", "path": "/srv/a.csv", "bytes": 5}),
            json!({"type": "inline", "content": ""}),
            json!({"type": "inline", "base64": "aGVsbG8="}),
            json!({"type": "upload", "sha256": "ab".repeat(32)}),
            json!({"type": "result", "job": "0123456789abcdef0123456789abcdef", "index": 0, "sha256": "ab".repeat(32)}),
        ] {
            let read = one(value.clone());
            assert!(read.is_ok(), "{value}: {read:?}");
        }
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
            (json!("SECRET"), "must be an object"),
            (json!({}), "`type`"),
            (json!({"type": "ftp", "url": "ftp://SECRET"}), "`type`"),
            (json!({"type": "url"}), "`url`"),
            (url("url", json!("file:///SECRET")), "`url`"),
            (url("url", json!("SECRET")), "`url`"),
            (url("method", json!("PUT")), "`method`"),
            (url("headers", json!({"Host": "SECRET"})), "`headers`"),
            (url("headers", json!({"Range": "SECRET"})), "`headers`"),
            (url("headers", json!({"X": "SECRET\r\nY: Z"})), "`headers`"),
            (url("headers", json!(["SECRET"])), "`headers`"),
            (url("body", json!("SECRET")), "`body`"),
            (url("sha256", json!("SECRET")), "`sha256`"),
            (url("bytes", json!(-1)), "`bytes`"),
            (url("checksum", json!("SECRET")), "`checksum`"),
            (json!({"type": "ipfs", "hash": "../SECRET"}), "`hash`"),
            (json!({"type": "ipfs", "hash": "Qm/../x"}), "`hash`"),
            (json!({"type": "s3", "s3Access": "SECRET"}), "`s3Access`"),
            (s3("endpoint", json!("s3.example")), "`s3Access.endpoint`"),
            (s3("endpoint", json!("https://SECRET@s3.example")), "`s3Access.endpoint`"),
            (s3("bucket", json!("a/b")), "`s3Access.bucket`"),
            (s3("accessKeyId", json!("SECRET")), "`s3Access.secretAccessKey`"),
            (s3("sessionToken", json!("SECRET")), "`s3Access.sessionToken`"),
            (json!({"type": "local", "path": "srv/a"}), "`path`"),
            (json!({"type": "local", "path": "/srv/../a"}), "`path`"),
            (json!({"type": "inline"}), "`content`"),
            (json!({"type": "inline", "content": "SECRET", "base64": "SECRET"}), "`content`"),
            (json!({"type": "inline", "base64": "SECRET!"}), "`base64`"),
            (json!({"type": "upload"}), "`sha256`"),
            (json!({"type": "result", "job": "SECRET", "index": 0}), "`job`"),
            (json!({"type": "result", "job": "0123456789abcdef0123456789abcdef"}), "`index`"),
        ] {
            let problem = one(value.clone()).expect_err(named);
            assert!(problem.contains(named) && !problem.contains("SECRET"), "{value}: {problem}");
        }
        for list in [json!([]), json!("x"), json!({}), json!(vec![json!({}); MOST_FILES + 1])] {
            assert!(matches!(read_all(&list), Err(FetchError::Files(_))));
        }
    }

    #[test]
    fn nothing_secret_is_shown() {
        let file = one(json!({"type": "url", "url": "https://user:SECRET@a.example/SECRET?SECRET", "method": "post",
            "headers": {"X": "SECRET"}, "body": "SECRET"}))
        .expect("a file");
        let access = json!({"endpoint": "https://s3.example/SECRET", "bucket": "secret", "objectKey": "SECRET",
            "accessKeyId": "SECRET", "secretAccessKey": "SECRET"});
        let object = one(json!({"type": "s3", "s3Access": access})).expect("a file");
        let shown = format!("{file:?} {} {object:?} {}", file.place.name(), object.place.name());
        assert!(!shown.to_lowercase().contains("secret"), "{shown}");
        assert_eq!(
            (file.place.name().as_str(), object.place.name().as_str()),
            ("https://a.example", "S3 at https://s3.example")
        );
    }

    #[test]
    fn the_same_source_has_the_same_origin_whatever_it_promises() {
        let origin = |value| one(value).expect("a file").origin;
        let plain = origin(json!({"type": "url", "url": "https://a.example/"}));
        assert_eq!(
            plain,
            origin(json!({"bytes": 1, "sha256": "ab".repeat(32), "url": "https://a.example/", "type": "url"}))
        );
        assert_ne!(plain, origin(json!({"type": "url", "url": "https://a.example/", "headers": {"X": "other"}})));
        let upload = |byte: &str| origin(json!({"type": "upload", "sha256": byte.repeat(32)}));
        assert_ne!(upload("ab"), upload("cd"));
    }

    proptest! {
        #[test]
        fn any_json_is_read_without_harm(kind in "url|ipfs|s3|local|inline|upload|result|x", name in "[a-zA-Z0-9]{0,9}", text in "\\PC{0,40}") {
            let _ = read_all(&json!([{"type": kind, name: text, "url": text, "hash": text, "path": text, "job": text}]));
        }
    }
}
