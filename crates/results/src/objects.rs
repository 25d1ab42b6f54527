use super::{
    PublishError,
    backend::{Key, MOST_WHOLE_BYTES, Shipment},
};
use bytes::Bytes;
use cloister_model::{FileDigest, JobId, escape};
use futures_util::{StreamExt, TryStreamExt};
use object_store::{
    ClientConfigKey, ClientOptions, Error, GetOptions, GetRange, GetResult, ObjectStore, ObjectStoreExt, PutMode,
    WriteMultipart,
    aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey},
    client::{
        HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody, HttpService,
    },
    list::{PaginatedListOptions, PaginatedListResult, PaginatedListStore as _},
    path::Path,
};
use reqwest::{Method, header::CONTENT_RANGE};
use std::{
    collections::BTreeMap,
    fmt,
    io::{self, Write},
    pin::Pin,
    time::Duration,
};
use tokio::{
    sync::mpsc,
    time::{timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;

/// Bytes of a part of an upload; S3 wants at least 5 MiB, and takes 10,000: so files up to 80 GB.
const PART_BYTES: usize = 8 * 1024 * 1024;
/// Parts that are under way at a time, and in memory.
const PARTS_AT_ONCE: usize = 2;
/// Bytes of an answer that says why a request has failed.
const MOST_FAILURE_BYTES: usize = 16 * 1024;
/// For how long the rest of such an answer is waited for.
const FAILURE: Duration = Duration::from_secs(10);
/// Bytes of an answer that is no object: a list of a thousand names, or what became of an upload.
const MOST_DOCUMENT_BYTES: usize = 16 * 1024 * 1024;
/// Names in a list. A store that sends more does not end its lists, to fill the memory of this program.
const MOST_NAMES: usize = 10_000_000;
/// Removals that are under way at a time.
const REMOVALS_AT_ONCE: usize = 8;
/// What is left to say to a store after its caller gave up.
const LAST_WORD: Duration = Duration::from_millis(300);
/// Options that make the store look for keys by itself, on this machine or at a metadata service.
const AMBIENT: &[AmazonS3ConfigKey] = &[
    AmazonS3ConfigKey::ImdsV1Fallback,
    AmazonS3ConfigKey::MetadataEndpoint,
    AmazonS3ConfigKey::ContainerCredentialsRelativeUri,
    AmazonS3ConfigKey::ContainerCredentialsFullUri,
    AmazonS3ConfigKey::ContainerAuthorizationTokenFile,
    AmazonS3ConfigKey::WebIdentityTokenFile,
    AmazonS3ConfigKey::RoleArn,
    AmazonS3ConfigKey::RoleSessionName,
    AmazonS3ConfigKey::StsEndpoint,
];

/// Results in an S3 store.
pub(super) struct Objects {
    store: AmazonS3,
    prefix: String,
}

impl fmt::Debug for Objects {
    /// The store shows its keys, so it is not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Objects").finish_non_exhaustive()
    }
}

/// Requests without proxies of the environment. The store is the operator's own, so it may be anywhere.
#[derive(Clone, Debug)]
struct Direct(reqwest::Client);

impl HttpConnector for Direct {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

impl HttpService for Direct {
    fn call<'a, 'async_trait>(
        &'a self,
        request: HttpRequest,
    ) -> Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'async_trait>>
    where
        'a: 'async_trait,
        Self: 'async_trait,
    {
        Box::pin(async move {
            // Lists, and what becomes of an upload in parts: object_store takes all of these answers, and those that say why a request
            // has failed. Objects it reads as they come, and other answers not at all.
            let is_document = match *request.method() {
                Method::GET => request.uri().query().is_some(),
                Method::POST => true,
                _ => false,
            };
            let (head, body) = self.0.call(request).await?.into_parts();
            let range = head.headers.get(CONTENT_RANGE).and_then(|range| range.to_str().ok());
            // object_store adds one to the last byte of a range, and would panic.
            if range.is_some_and(|range| range.contains(&u64::MAX.to_string())) {
                return Err(HttpError::new(HttpErrorKind::Decode, Unusable));
            }
            let body = match head.status.is_success() {
                true if is_document => document(body).await?.into(),
                true => body,
                false => beginning(body).await.into(),
            };
            Ok(HttpResponse::from_parts(head, body))
        })
    }
}

impl Objects {
    pub(super) fn open(bucket: &str, prefix: &str, options: &BTreeMap<String, String>) -> Result<Self, PublishError> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(10))
            .read_timeout(Duration::from_secs(60))
            .build()
            .map_err(|_| PublishError::Config("requests cannot be made".to_owned()))?;
        let mut builder = AmazonS3Builder::new().with_bucket_name(bucket).with_http_connector(Direct(client));
        let (mut keys, mut signs) = (0, true);
        for (name, value) in options {
            let shown = escape(name.as_bytes(), 60);
            let unknown = |_| PublishError::Config(format!("`{shown}` is not an option of S3 stores"));
            let key: AmazonS3ConfigKey = name.to_ascii_lowercase().parse().map_err(unknown)?;
            if AMBIENT.contains(&key) {
                let text = format!("`{shown}` would look for keys on this machine; give them as options");
                return Err(PublishError::Config(text));
            }
            match &key {
                AmazonS3ConfigKey::Client(ClientConfigKey::AllowHttp) if matches!(value.as_str(), "true" | "false") => {
                }
                AmazonS3ConfigKey::Client(_) => {
                    return Err(PublishError::Config(format!("`{shown}` has no such value, or is not used here")));
                }
                _ => {}
            }
            keys += i32::from(matches!(key, AmazonS3ConfigKey::AccessKeyId | AmazonS3ConfigKey::SecretAccessKey));
            signs &= !matches!(key, AmazonS3ConfigKey::SkipSignature);
            if matches!(key, AmazonS3ConfigKey::Endpoint | AmazonS3ConfigKey::S3Endpoint)
                && value.starts_with("http://")
            {
                builder = builder.with_allow_http(true);
            }
            builder = builder.with_config(key, value);
        }
        match (keys, signs) {
            (2, _) => {}
            // Without keys it would ask the machine's metadata service for some.
            (0, true) => builder = builder.with_skip_signature(true),
            (0, false) => {}
            _ => {
                let text = "`access_key_id` and `secret_access_key` go together";
                return Err(PublishError::Config(text.to_owned()));
            }
        }
        let unusable = |_| PublishError::Config("the options of the S3 store cannot be used together".to_owned());
        Ok(Self { store: builder.build().map_err(unusable)?, prefix: prefix.to_owned() })
    }

    pub(super) async fn send(&self, job: JobId, key: Key, shipment: Shipment) -> Result<FileDigest, PublishError> {
        self.ship(self.path(job, key), shipment).await
    }

    /// As [`Objects::send`], of what other processes may be writing at the same time.
    pub(super) async fn send_to(&self, path: &str, shipment: Shipment) -> Result<FileDigest, PublishError> {
        self.ship(self.below(path), shipment).await
    }

    async fn ship(&self, path: Path, shipment: Shipment) -> Result<FileDigest, PublishError> {
        let (sender, mut chunks) = mpsc::channel(1);
        let cancel = shipment.cancel.clone();
        let reader = tokio::task::spawn_blocking(move || {
            let Shipment { file, recipient, progress, cancel, alone: _alone } = shipment;
            let (mut pipe, digest) = file.pour(Pipe::new(sender), recipient.as_ref(), &progress, &cancel)?;
            pipe.flush().map_err(|error| PublishError::folder(&error))?;
            Ok(digest)
        });
        let failed = |error: Error| PublishError::objects(&error);
        let first: Bytes = chunks.recv().await.unwrap_or_default();
        if first.len() < PART_BYTES {
            // All of it, or all there will ever be.
            let digest = joined(reader.await)?;
            until(&cancel, async { self.store.put(&path, first.into()).await.map_err(failed) }).await?;
            return Ok(digest);
        }
        let upload = until(&cancel, async { self.store.put_multipart(&path).await.map_err(failed) }).await?;
        let mut upload = WriteMultipart::new_with_chunk_size(upload, PART_BYTES);
        let mut chunk = Some(first);
        let sent = until(&cancel, async {
            while let Some(bytes) = chunk {
                upload.wait_for_capacity(PARTS_AT_ONCE).await.map_err(failed)?;
                upload.put(bytes);
                chunk = chunks.recv().await;
            }
            Ok(())
        })
        .await;
        // The upload's word first: once it has failed, the reader only knows that nobody takes what it reads.
        drop(chunks);
        let digest = match (sent, joined(reader.await)) {
            (Ok(()), Ok(digest)) => digest,
            (Err(error), _) | (Ok(()), Err(error)) => {
                let _ = timeout(LAST_WORD, upload.abort()).await;
                return Err(error);
            }
        };
        until(&cancel, async { upload.finish().await.map_err(failed) }).await?;
        Ok(digest)
    }

    pub(super) async fn put(&self, job: JobId, key: Key, content: Vec<u8>) -> Result<(), PublishError> {
        self.store.put(&self.path(job, key), content.into()).await.map_err(|error| PublishError::objects(&error))?;
        Ok(())
    }

    pub(super) async fn get(&self, job: JobId, key: Key) -> Result<Option<Vec<u8>>, PublishError> {
        self.fetch(&self.path(job, key)).await
    }

    pub(super) async fn size(&self, job: JobId, key: Key) -> Result<Option<u64>, PublishError> {
        if_there(self.store.head(&self.path(job, key)).await.map(|found| found.size))
    }

    pub(super) async fn read(&self, job: JobId, key: Key, offset: u64, length: u32) -> Result<Vec<u8>, PublishError> {
        self.fetch_range(&self.path(job, key), offset, length).await?.ok_or(PublishError::Missing(job))
    }

    pub(super) async fn remove(&self, job: JobId, key: Key) -> Result<(), PublishError> {
        if_there(self.store.delete(&self.path(job, key)).await).map(|_| ())
    }

    pub(super) async fn remove_below(&self, job: JobId, folder: &str) -> Result<(), PublishError> {
        let failed = |error: Error| PublishError::objects(&error);
        let found = self.store.list(Some(&self.below(&format!("{job}/{folder}"))));
        let remove = |path: Path| async move { if_there(self.store.delete(&path).await).map(|_| ()) };
        found
            .map_err(failed)
            .map_ok(|found| remove(found.location))
            .try_buffer_unordered(REMOVALS_AT_ONCE)
            .try_collect::<()>()
            .await
    }

    pub(super) async fn jobs(&self) -> Result<Vec<JobId>, PublishError> {
        let prefix = self.below("");
        let prefix = if prefix.as_ref().is_empty() { None } else { Some(format!("{prefix}/")) };
        let (mut jobs, mut count, mut page) = (Vec::new(), 0_usize, None);
        loop {
            let options = PaginatedListOptions {
                delimiter: Some("/".into()),
                page_token: page,
                ..PaginatedListOptions::default()
            };
            let found = self.store.list_paginated(prefix.as_deref(), options).await;
            let PaginatedListResult { result, page_token } = found.map_err(|error| PublishError::objects(&error))?;
            // A page without a name is one, too: there may be no end of them.
            count += 1 + result.common_prefixes.len() + result.objects.len();
            if count > MOST_NAMES {
                return Err(PublishError::Foreign);
            }
            let name = |path: &Path| path.filename().and_then(|name| name.parse::<JobId>().ok());
            jobs.extend(result.common_prefixes.iter().filter_map(name));
            page = page_token.filter(|token| !token.is_empty());
            if page.is_none() {
                return Ok(jobs);
            }
        }
    }

    /// Stores a small thing, unless there is one: then it answers false.
    pub(super) async fn put_new(&self, path: &str, content: Vec<u8>) -> Result<bool, PublishError> {
        let (path, content) = (self.below(path), Bytes::from(content));
        match self.store.put_opts(&path, content.clone().into(), PutMode::Create.into()).await {
            Ok(_) => Ok(true),
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Ok(false),
            // A store without conditional writes: of two at the same moment, the last one stays.
            Err(_) => match if_there(self.store.head(&path).await)? {
                Some(_) => Ok(false),
                None => {
                    self.store.put(&path, content.into()).await.map_err(|error| PublishError::objects(&error))?;
                    Ok(true)
                }
            },
        }
    }

    /// Stores a small thing. It takes the place of the one that is there.
    pub(super) async fn put_over(&self, path: &str, content: Vec<u8>) -> Result<(), PublishError> {
        let stored = self.store.put(&self.below(path), Bytes::from(content).into()).await;
        stored.map(|_| ()).map_err(|error| PublishError::objects(&error))
    }

    pub(super) async fn get_at(&self, path: &str) -> Result<Option<Vec<u8>>, PublishError> {
        self.fetch(&self.below(path)).await
    }

    pub(super) async fn size_at(&self, path: &str) -> Result<Option<u64>, PublishError> {
        if_there(self.store.head(&self.below(path)).await.map(|found| found.size))
    }

    pub(super) async fn read_at(&self, path: &str, offset: u64, length: u32) -> Result<Option<Vec<u8>>, PublishError> {
        self.fetch_range(&self.below(path), offset, length).await
    }

    pub(super) async fn remove_at(&self, path: &str) -> Result<(), PublishError> {
        if_there(self.store.delete(&self.below(path)).await).map(|_| ())
    }

    /// Names of the things in one of its folders, so many at most; none if the folder is not there.
    pub(super) async fn names(&self, path: &str, at_most: usize) -> Result<Vec<String>, PublishError> {
        self.listed(path, at_most, |found| found.filename().map(str::to_owned)).await
    }

    /// All things in the folders of a folder: the name of the folder, and the name of the thing in it.
    pub(super) async fn names_below(&self, path: &str) -> Result<Vec<(String, String)>, PublishError> {
        let names = |found: &Path| {
            let mut parts = found.as_ref().rsplit('/');
            let name = parts.next()?.to_owned();
            Some((parts.next()?.to_owned(), name))
        };
        self.listed(path, usize::MAX, names).await
    }

    /// What is below a folder, so many at most, as `name` has it.
    async fn listed<T>(
        &self,
        path: &str,
        at_most: usize,
        name: fn(&Path) -> Option<T>,
    ) -> Result<Vec<T>, PublishError> {
        let mut found = self.store.list(Some(&self.below(path))).take(at_most);
        let (mut names, mut count) = (Vec::new(), 0_usize);
        while let Some(next) = found.next().await {
            let next = next.map_err(|error| PublishError::objects(&error))?;
            count += 1;
            if count > MOST_NAMES {
                return Err(PublishError::Foreign);
            }
            names.extend(name(&next.location));
        }
        Ok(names)
    }

    async fn fetch(&self, path: &Path) -> Result<Option<Vec<u8>>, PublishError> {
        let Some(found) = if_there(self.store.get(path).await)? else { return Ok(None) };
        if found.meta.size > MOST_WHOLE_BYTES {
            return Err(PublishError::Foreign);
        }
        gathered(found, MOST_WHOLE_BYTES).await.map(Some)
    }

    async fn fetch_range(&self, path: &Path, offset: u64, length: u32) -> Result<Option<Vec<u8>>, PublishError> {
        let range = GetRange::Bounded(offset..offset.saturating_add(u64::from(length)));
        let options = GetOptions { range: Some(range), ..GetOptions::new() };
        let Some(found) = if_there(self.store.get_opts(path, options).await)? else { return Ok(None) };
        gathered(found, u64::from(length)).await.map(Some)
    }

    fn path(&self, job: JobId, key: Key) -> Path {
        self.below(&format!("{job}/{key}"))
    }

    fn below(&self, rest: &str) -> Path {
        Path::from(format!("{}/{rest}", self.prefix))
    }
}

/// Hands over what is written in parts of one size; the last one may be smaller.
struct Pipe {
    sender: mpsc::Sender<Bytes>,
    part: Vec<u8>,
}

impl Pipe {
    fn new(sender: mpsc::Sender<Bytes>) -> Self {
        Self { sender, part: Vec::with_capacity(PART_BYTES) }
    }

    fn hand_over(&mut self, next: usize) -> io::Result<()> {
        let part = std::mem::replace(&mut self.part, Vec::with_capacity(next));
        // The receiver is gone: the upload has failed, and its own error says why.
        self.sender.blocking_send(part.into()).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Write for Pipe {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let taken = buffer.len().min(PART_BYTES - self.part.len());
        self.part.extend_from_slice(&buffer[..taken]);
        if self.part.len() == PART_BYTES {
            self.hand_over(PART_BYTES)?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.part.is_empty() { Ok(()) } else { self.hand_over(0) }
    }
}

fn joined(
    result: Result<Result<FileDigest, PublishError>, tokio::task::JoinError>,
) -> Result<FileDigest, PublishError> {
    result.unwrap_or_else(|_| Err(PublishError::Store("a step of publishing broke".to_owned())))
}

async fn until<T>(
    cancel: &CancellationToken,
    work: impl Future<Output = Result<T, PublishError>>,
) -> Result<T, PublishError> {
    tokio::select! {
        biased;
        () = cancel.cancelled() => Err(PublishError::Cancelled),
        done = work => done,
    }
}

/// The content of an answer. What a store sends can be more than it said: no more than what was asked for is taken into memory.
async fn gathered(found: GetResult, at_most: u64) -> Result<Vec<u8>, PublishError> {
    let (mut content, mut chunks) = (Vec::new(), found.into_stream());
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| PublishError::objects(&error))?;
        content.extend_from_slice(&chunk);
        if u64::try_from(content.len()).is_ok_and(|bytes| bytes > at_most) {
            return Err(PublishError::Foreign);
        }
    }
    Ok(content)
}

/// An answer that is no object: object_store takes all of it into memory, and as much at once as its head announces, which can end
/// this program.
async fn document(body: HttpResponseBody) -> Result<Vec<u8>, HttpError> {
    let (mut content, mut chunks) = (Vec::new(), body.bytes_stream());
    while let Some(chunk) = chunks.next().await {
        content.extend_from_slice(&chunk?);
        if content.len() > MOST_DOCUMENT_BYTES {
            return Err(HttpError::new(HttpErrorKind::Decode, Unusable));
        }
    }
    Ok(content)
}

/// The beginning of an answer that says why a request has failed: it has the word that S3 has for the fault. object_store keeps it as a
/// text, and would not take one that was cut within a character.
async fn beginning(body: HttpResponseBody) -> Vec<u8> {
    let (mut content, mut chunks) = (Vec::new(), body.bytes_stream());
    let end = tokio::time::Instant::now() + FAILURE;
    while let Ok(Some(Ok(chunk))) = timeout_at(end, chunks.next()).await {
        let room = MOST_FAILURE_BYTES - content.len();
        content.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if content.len() == MOST_FAILURE_BYTES {
            break;
        }
    }
    String::from_utf8_lossy(&content).into_owned().into_bytes()
}

/// An answer that object_store would break at.
#[derive(Debug, thiserror::Error)]
#[error("the answer cannot be used")]
struct Unusable;

fn if_there<T>(result: Result<T, Error>) -> Result<Option<T>, PublishError> {
    match result {
        Err(Error::NotFound { .. }) => Ok(None),
        other => other.map(Some).map_err(|error| PublishError::objects(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(options: &[(&str, &str)]) -> Result<Objects, PublishError> {
        let options = options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Objects::open("bucket", "", &options)
    }

    #[test]
    fn keys_are_given_or_there_are_none() {
        open(&[]).expect("anonymous");
        open(&[("endpoint", "http://127.0.0.1:1"), ("access_key_id", "SECRET"), ("secret_access_key", "SECRET")])
            .expect("signed");
        for options in [
            [("access_key_id", "SECRET")].as_slice(),
            &[("secret_access_key", "SECRET")],
            &[("web_identity_token_file", "/SECRET")],
            &[("metadata_endpoint", "http://SECRET")],
            &[("SECRET_OPTION_x", "SECRET")],
            &[("allow_http", "SECRET")],
            &[("proxy_url", "http://SECRET")],
        ] {
            let text = open(options).expect_err("refused").to_string();
            assert!(!text.contains("SECRET") || text.contains("SECRET_OPTION"), "{text}");
        }
    }

    #[test]
    fn parts_have_one_size() {
        let (sender, mut parts) = mpsc::channel(9);
        let mut pipe = Pipe::new(sender);
        pipe.write_all(&vec![1; PART_BYTES + 5]).expect("written");
        pipe.flush().expect("flushed");
        drop(pipe);
        let sizes: Vec<usize> = std::iter::from_fn(|| parts.try_recv().ok()).map(|part| part.len()).collect();
        assert_eq!(sizes, [PART_BYTES, 5]);
    }
}
