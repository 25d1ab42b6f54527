use super::{
    Clients, Failure, HttpFile, Meter, SourcePolicy, TooLarge,
    arriving::{Arriving, Resume},
    backoff,
    http_headers::Validator,
    s3::S3File,
};
use crate::cache::{Fresh, Partial};
use bytes::Bytes;
use cloister_model::{FileDigest, Sha256};
use futures_util::StreamExt;
use sha2::Digest as _;
use std::time::Duration;
use tokio::{
    sync::SemaphorePermit,
    time::{Instant, sleep, timeout, timeout_at},
};

/// A file of another machine.
pub(crate) enum Remote {
    /// Behind a URL, IPFS included.
    Http(Box<HttpFile>),
    /// In an S3 store.
    S3(Box<S3File>),
}

/// What a file must be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) max_bytes: u64,
    pub(crate) bytes: Option<u64>,
    pub(crate) sha256: Option<Sha256>,
    /// Its number at the meter.
    pub(crate) file: usize,
}

/// Bytes of a file that a look at it reads at most, to compare its digest.
pub(crate) const MOST_COMPARED_BYTES: u64 = 16 * 1024 * 1024;

/// What a look at a file found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LookedAt {
    /// Its size; none if the source does not say.
    pub(crate) bytes: Option<u64>,
    /// Its digest, if it was compared.
    pub(crate) sha256: Option<Sha256>,
}

/// What has come so far.
struct Have<'a> {
    bytes: u64,
    validator: Option<Validator>,
    partial: Partial,
    bounds: Bounds,
    meter: &'a Meter,
}

/// Fetches a file, in as many attempts as it takes: each goes on where the last one was cut, if the source can do that
/// and still has the same file, and begins again if not. Dropped, it leaves nothing.
///
/// It takes one of the job's turns for every attempt, and none while it waits for the next attempt.
pub(crate) async fn transfer(
    remote: &Remote,
    clients: &Clients,
    policy: &SourcePolicy,
    partial: Partial,
    bounds: Bounds,
    meter: &Meter,
) -> Result<Fresh, Failure> {
    // Waiting for the first turn is not the source's time.
    let turn = meter.turn().await?;
    let deadline = Instant::now() + policy.deadline;
    let have = Have { bytes: 0, validator: None, partial, bounds, meter };
    let all = attempts(remote, clients, policy, have, turn);
    timeout_at(deadline, all).await.unwrap_or_else(|_| {
        Err(Failure::Source(format!("it did not give the file within {} s", policy.deadline.as_secs())))
    })
}

async fn attempts(
    remote: &Remote,
    clients: &Clients,
    policy: &SourcePolicy,
    mut have: Have<'_>,
    mut turn: SemaphorePermit<'_>,
) -> Result<Fresh, Failure> {
    let (mut most, mut fruitless) = (0, 0);
    loop {
        let failure = match attempt(remote, clients, policy, &mut have).await {
            Ok(()) => return have.finish().await,
            Err(failure) => failure,
        };
        let (cause, wish) = match failure {
            Failure::Passing(cause, wish) => (cause, wish),
            Failure::Changed(cause) => {
                have.validator = None;
                (cause, None)
            }
            lasting => return Err(lasting),
        };
        // Only more than ever before is progress: a server that always cuts at the same byte must not keep us.
        fruitless = if have.bytes > most { 0 } else { fruitless + 1 };
        most = most.max(have.bytes);
        if fruitless >= policy.attempts {
            return Err(Failure::Source(format!("{cause}, and {fruitless} attempts in a row brought nothing new")));
        }
        drop(turn);
        sleep(backoff::pause(fruitless, backoff::chance(), wish)).await;
        turn = have.meter.turn().await?;
    }
}

async fn attempt(
    remote: &Remote,
    clients: &Clients,
    policy: &SourcePolicy,
    have: &mut Have<'_>,
) -> Result<(), Failure> {
    let resume = have.validator.clone().filter(|_| have.bytes > 0);
    let resume = resume.map(|validator| Resume { offset: have.bytes, validator });
    let mut arriving = remote.open(clients, policy, resume.as_ref()).await?;
    if arriving.start != have.bytes {
        have.start_over().await?;
        if arriving.start != 0 {
            return Err(Failure::Changed("it answered with another part than the one asked for".to_owned()));
        }
    }
    have.validator = arriving.validator.take();
    if let Some(total) = arriving.total {
        have.declared(total)?;
    }
    while let Some(chunk) =
        timeout(policy.idle_timeout, arriving.body.next()).await.map_err(|_| silent(policy.idle_timeout))?
    {
        have.take(chunk?, arriving.total).await?;
    }
    match arriving.total {
        Some(total) if have.bytes < total => Err(Failure::passing("the connection was cut".to_owned())),
        _ => Ok(()),
    }
}

/// The first bytes of a file, in one attempt; all of a small one whose digest is known. Nothing of it is kept.
pub(crate) async fn look(
    remote: &Remote,
    clients: &Clients,
    policy: &SourcePolicy,
    bounds: Bounds,
) -> Result<LookedAt, Failure> {
    let mut arriving = remote.open(clients, policy, None).await?;
    if let Some(total) = arriving.total {
        bounds.has_size(total)?;
    }
    let small = arriving.total.or(bounds.bytes).is_none_or(|bytes| bytes <= MOST_COMPARED_BYTES);
    let compares = small && bounds.sha256.is_some();
    let (mut hash, mut bytes) = (sha2::Sha256::new(), 0_u64);
    while let Some(chunk) =
        timeout(policy.idle_timeout, arriving.body.next()).await.map_err(|_| silent(policy.idle_timeout))?
    {
        let chunk = chunk?;
        bytes = bytes.saturating_add(u64::try_from(chunk.len()).unwrap_or(u64::MAX));
        bounds.fits(bytes)?;
        if bytes > 0 && (!compares || bytes > MOST_COMPARED_BYTES) {
            return Ok(LookedAt { bytes: arriving.total, sha256: None });
        }
        hash.update(&chunk);
    }
    if arriving.total.is_some_and(|total| bytes < total) {
        return Err(Failure::passing("the connection was cut".to_owned()));
    }
    bounds.check(FileDigest { sha256: Sha256::from_bytes(hash.finalize().into()), bytes })?;
    Ok(LookedAt { bytes: Some(bytes), sha256: bounds.sha256 })
}

impl Remote {
    /// One attempt at it, from its beginning or from where the last one was cut.
    async fn open(
        &self,
        clients: &Clients,
        policy: &SourcePolicy,
        resume: Option<&Resume>,
    ) -> Result<Arriving, Failure> {
        let open = async {
            match self {
                Self::Http(file) => file.open(clients, policy.max_redirects, resume).await,
                Self::S3(file) => file.open(resume).await,
            }
        };
        // Connecting and waiting for the first byte have bounds of their own, but redirects can string them together.
        let patience =
            (policy.connect_timeout + policy.idle_timeout).saturating_mul(policy.max_redirects.saturating_add(1));
        timeout(patience, open).await.map_err(|_| silent(policy.idle_timeout))?
    }
}

fn silent(idle: Duration) -> Failure {
    Failure::passing(format!("it sent nothing for {} s", idle.as_secs_f32()))
}

impl Have<'_> {
    async fn start_over(&mut self) -> Result<(), Failure> {
        self.meter.take_back(self.bytes);
        self.bytes = 0;
        self.validator = None;
        self.partial.start_over().await.map_err(|error| Failure::disk(&error))
    }

    /// What the source says of the size.
    fn declared(&self, total: u64) -> Result<(), Failure> {
        self.bounds.has_size(total)?;
        self.meter.total(self.bounds.file, total);
        Ok(())
    }

    async fn take(&mut self, chunk: Bytes, total: Option<u64>) -> Result<(), Failure> {
        let length = u64::try_from(chunk.len()).unwrap_or(u64::MAX);
        self.bytes = self.bytes.saturating_add(length);
        self.bounds.fits(self.bytes)?;
        if total.is_some_and(|total| self.bytes > total) {
            return Err(Failure::Source("it sent more than it said".to_owned()));
        }
        if let Some(bytes) = self.bounds.bytes.filter(|bytes| self.bytes > *bytes) {
            return Err(Failure::Content(format!("{bytes} bytes are expected, the source sends more")));
        }
        self.meter.charge(length)?;
        self.partial.write(chunk).await.map_err(|error| Failure::disk(&error))
    }

    async fn finish(self) -> Result<Fresh, Failure> {
        let fresh = self.partial.finish().await.map_err(|error| Failure::disk(&error))?;
        self.bounds.check(fresh.file())?;
        Ok(fresh)
    }
}

impl Bounds {
    /// Whether a file may be so large.
    pub(crate) fn fits(&self, bytes: u64) -> Result<(), Failure> {
        let most = self.max_bytes;
        if bytes <= most { Ok(()) } else { Err(Failure::TooLarge(TooLarge::File(most))) }
    }

    /// Whether a file may have the size that its source says.
    pub(crate) fn has_size(&self, total: u64) -> Result<(), Failure> {
        self.fits(total)?;
        match self.bytes.filter(|bytes| *bytes != total) {
            Some(bytes) => Err(Failure::Content(format!("{bytes} bytes are expected, the source has {total}"))),
            None => Ok(()),
        }
    }

    /// Whether a file is the one that was agreed.
    pub(crate) fn check(&self, file: FileDigest) -> Result<(), Failure> {
        self.fits(file.bytes)?;
        if let Some(bytes) = self.bytes.filter(|bytes| *bytes != file.bytes) {
            return Err(Failure::Content(format!("{bytes} bytes are expected, these are {}", file.bytes)));
        }
        if let Some(sha256) = self.sha256.filter(|sha256| *sha256 != file.sha256) {
            return Err(Failure::Content(format!("the SHA-256 {sha256} is expected, this has {}", file.sha256)));
        }
        Ok(())
    }
}
