use super::{
    Clients, Failure,
    arriving::{Arriving, Resume},
    client::failure,
    encoding::{Encoding, gunzipped},
    http_headers::Validator,
};
use cloister_model::{S3Credentials, S3Object};
use futures_util::StreamExt;
use object_store::{
    Attribute, Error, GetOptions, GetRange, ObjectStore, RetryConfig,
    aws::{AmazonS3, AmazonS3Builder},
    path::Path,
};
use reqwest::header::HeaderValue;
use std::time::Duration;
use url::Host;

/// An object of an S3 store.
pub(crate) struct S3File {
    store: AmazonS3,
    key: Path,
}

impl S3File {
    /// The object that a source means. Only the credentials that it brings are used; none: the request is not signed.
    pub(crate) fn new(access: &S3Object, clients: &Clients) -> Result<Self, Failure> {
        let S3Object { endpoint, region, bucket, object_key, credentials, force_path_style } = access;
        let unusable = |what: &str| Failure::Source(format!("{what} cannot be used"));
        let key = Path::parse(object_key).map_err(|_| unusable("its object key"))?;
        let mut endpoint = endpoint.url().clone();
        // As AWS's own clients choose: a bucket is a name below the endpoint's where that can be a name at all.
        let virtual_host = !force_path_style
            && matches!(endpoint.host(), Some(Host::Domain(host)) if host.contains('.'))
            && !bucket.contains('.');
        if virtual_host {
            let host = endpoint.host_str().map(|host| format!("{bucket}.{host}"));
            endpoint.set_host(host.as_deref()).map_err(|_| unusable("its endpoint"))?;
        }
        let retry = RetryConfig { max_retries: 0, retry_timeout: Duration::from_secs(1), ..RetryConfig::default() };
        let builder = AmazonS3Builder::new()
            .with_endpoint(endpoint.as_str().trim_end_matches('/'))
            .with_region(region.as_str())
            .with_bucket_name(bucket.as_str())
            .with_virtual_hosted_style_request(virtual_host)
            // Whether plain http may be asked is the address's matter, as for any URL.
            .with_allow_http(true)
            .with_retry(retry)
            .with_http_connector(clients.guarded.clone());
        let builder = match credentials {
            Some(S3Credentials { access_key_id, secret_access_key }) => builder
                .with_access_key_id(access_key_id.expose().as_str())
                .with_secret_access_key(secret_access_key.expose().as_str()),
            None => builder.with_skip_signature(true),
        };
        Ok(Self { store: builder.build().map_err(|_| unusable("its endpoint"))?, key })
    }

    /// One attempt.
    pub(crate) async fn open(&self, resume: Option<&Resume>) -> Result<Arriving, Failure> {
        let mut options = GetOptions::new();
        if let Some(Resume { offset, validator }) = resume {
            options.range = Some(GetRange::Offset(*offset));
            options.if_match = validator.if_range().and_then(|tag| tag.to_str().ok()).map(str::to_owned);
        }
        let result = self.store.get_opts(&self.key, options).await.map_err(store_failure)?;
        let tag = result.meta.e_tag.as_deref().filter(|tag| !tag.starts_with("W/"));
        let validator = tag.and_then(|tag| HeaderValue::from_str(tag).ok()).map(Validator::Tag);
        if let Some(Resume { validator: Validator::Tag(wanted), .. }) = resume
            && validator.as_ref() != Some(&Validator::Tag(wanted.clone()))
        {
            return Err(Failure::Changed("its object changed while it was read".to_owned()));
        }
        let (start, total) = (result.range.start, result.meta.size);
        let encoding = result.attributes.get(&Attribute::ContentEncoding).map(|value| value.to_string());
        let body = result.into_stream().map(|chunk| chunk.map_err(store_failure)).boxed();
        match Encoding::of(encoding.as_deref().map(str::as_bytes))? {
            Encoding::None => Ok(Arriving { start, total: Some(total), validator, body }),
            Encoding::Gzip if start > 0 => {
                Err(Failure::Changed("it answered with a part of the object, compressed".to_owned()))
            }
            Encoding::Gzip => Ok(Arriving { start, total: None, validator: None, body: gunzipped(body) }),
        }
    }
}

/// What a store's error means. Its text can hold URLs and keys, so none of it is repeated.
fn store_failure(error: Error) -> Failure {
    match error {
        Error::NotFound { .. } => Failure::Source("there is no such object".to_owned()),
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
            Failure::Source("it does not let these keys read the object".to_owned())
        }
        Error::Precondition { .. } | Error::NotModified { .. } => {
            Failure::Changed("its object changed while it was read".to_owned())
        }
        Error::Generic { ref source, .. } => failure(source.as_ref()),
        _ => Failure::passing("the request failed".to_owned()),
    }
}
