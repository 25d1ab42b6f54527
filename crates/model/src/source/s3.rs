use super::HttpUrl;
use crate::{
    Secret,
    json::{FieldError, FieldProblem, Node},
};
use serde_json::{Value, json};
use std::fmt;

/// The region that is meant if none is named. Most S3-compatible stores ignore it.
const DEFAULT_REGION: &str = "us-east-1";

/// An object of an S3 store (`s3Access`, in Ocean's fields).
#[derive(Clone, PartialEq, Eq)]
pub struct S3Object {
    /// Where the store is: a URL without user and query.
    pub endpoint: HttpUrl,
    /// Its region; `us-east-1` if none was given.
    pub region: String,
    /// The bucket.
    pub bucket: String,
    /// The object's key in it, at most 1024 bytes.
    pub object_key: String,
    /// Who asks for it; none: the request is not signed.
    pub credentials: Option<S3Credentials>,
    /// Whether the bucket is a part of the path even where it could be a part of the host name.
    pub force_path_style: bool,
}

/// The access key of an S3 store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3Credentials {
    /// Its id.
    pub access_key_id: Secret<String>,
    /// Its secret.
    pub secret_access_key: Secret<String>,
}

impl S3Object {
    pub(super) fn read(node: &Node<'_>) -> Result<Self, FieldError> {
        const FIELDS: &[&str] =
            &["endpoint", "region", "bucket", "objectKey", "accessKeyId", "secretAccessKey", "forcePathStyle"];
        node.refuse_unknown(FIELDS)?;
        let field = node.get("endpoint");
        let endpoint = HttpUrl::read(&field)?;
        let url = endpoint.url();
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
            return Err(field.expected("an http or https URL without user and query"));
        }
        let field = node.get("bucket");
        let bucket = field.needed(63)?;
        let bucket_byte = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        if !bucket.bytes().all(bucket_byte) || bucket.starts_with('.') {
            return Err(field.expected("the name of a bucket"));
        }
        let field = node.get("region");
        let region = field.text_or_absent(64)?.filter(|region| !region.is_empty()).unwrap_or(DEFAULT_REGION);
        if !region.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return Err(field.expected("the name of a region"));
        }
        Ok(Self {
            region: region.to_owned(),
            bucket: bucket.to_owned(),
            object_key: node.get("objectKey").needed(1024)?.to_owned(),
            credentials: S3Credentials::read(node)?,
            force_path_style: node.get("forcePathStyle").flag()?,
            endpoint,
        })
    }

    pub(super) fn to_value(&self) -> Value {
        let Self { endpoint, region, bucket, object_key, credentials, force_path_style } = self;
        let mut value = json!({
            "endpoint": endpoint.url().as_str(), "region": region, "bucket": bucket, "objectKey": object_key,
            "forcePathStyle": force_path_style,
        });
        if let Some(S3Credentials { access_key_id, secret_access_key }) = credentials {
            value["accessKeyId"] = access_key_id.expose().as_str().into();
            value["secretAccessKey"] = secret_access_key.expose().as_str().into();
        }
        value
    }
}

impl fmt::Debug for S3Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "S3Object({})", self.endpoint.site())
    }
}

impl S3Credentials {
    fn read(node: &Node<'_>) -> Result<Option<Self>, FieldError> {
        let nonempty = |text: &&str| !text.is_empty();
        let (id, secret) = (node.get("accessKeyId"), node.get("secretAccessKey"));
        let given = (id.text_or_absent(256)?.filter(nonempty), secret.text_or_absent(1024)?.filter(nonempty));
        match given {
            (Some(id), Some(secret)) => Ok(Some(Self {
                access_key_id: Secret::new(id.to_owned()),
                secret_access_key: Secret::new(secret.to_owned()),
            })),
            (None, None) => Ok(None),
            (Some(_), None) => Err(secret.error(FieldProblem::Missing)),
            (None, Some(_)) => Err(id.error(FieldProblem::Missing)),
        }
    }
}
