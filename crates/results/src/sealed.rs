//! What an engine without a place of its own moves here when a job has ended long ago: records of jobs, many in one thing, and
//! the parameters of each. Both are sealed, because credentials of the store are also in pods that read and write results, and
//! those may neither read parameters nor make up the record of a job.

use super::PublishError;
use crate::ResultStore;
use age::{Decryptor, Encryptor, secrecy::ExposeSecret as _, x25519::Identity};
use cloister_model::{JobId, Secret, Sha256};
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use sha2::Digest as _;
use std::{
    fmt,
    io::{self, Read as _, Write as _},
    iter,
    ops::Deref,
    sync::Arc,
};
use tokio::sync::OwnedSemaphorePermit;

/// Bytes that one thing may have once it is unpacked: more is refused.
const MOST_BYTES: u64 = 256 << 20;

/// As many archived things are unpacked at once. Each can have megabytes, and requests for them come as their senders like.
pub(super) const MOST_UNSEALED: usize = 2;

/// Records that were archived, as they were. While they are held, few others can be: a reader releases them soon, and reads no
/// others meanwhile.
pub struct Unsealed {
    records: Vec<u8>,
    _turn: OwnedSemaphorePermit,
}

impl Deref for Unsealed {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.records
    }
}

impl fmt::Debug for Unsealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unsealed").field("bytes", &self.records.len()).finish_non_exhaustive()
    }
}

/// The key that seals. Only its holders can read what is sealed, and only they can make something that it opens.
#[derive(Clone)]
pub struct SealingKey(Identity);

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealingKey(..)")
    }
}

impl SealingKey {
    /// A new one.
    #[must_use]
    pub fn generate() -> Self {
        Self(Identity::generate())
    }

    /// The key that was written with [`SealingKey::secret`]; none if the text is not one.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }

    /// The key as text, to be kept where this service alone can read it. It is an age identity.
    #[must_use]
    pub fn secret(&self) -> Secret<String> {
        Secret::new(self.0.to_string().expose_secret().to_owned())
    }

    fn seal(&self, content: &[u8]) -> io::Result<Vec<u8>> {
        let recipient = self.0.to_public();
        let encryptor =
            Encryptor::with_recipients(iter::once(&recipient as &dyn age::Recipient)).map_err(io::Error::other)?;
        let mut packed = GzEncoder::new(encryptor.wrap_output(Vec::new())?, Compression::default());
        packed.write_all(content)?;
        packed.finish()?.finish()
    }

    fn open(&self, sealed: &[u8]) -> io::Result<Vec<u8>> {
        let decryptor = Decryptor::new_buffered(sealed).map_err(io::Error::other)?;
        let opened = decryptor.decrypt(iter::once(&self.0 as &dyn age::Identity)).map_err(io::Error::other)?;
        let mut content = Vec::new();
        let read = GzDecoder::new(opened).take(MOST_BYTES + 1).read_to_end(&mut content)?;
        if read as u64 > MOST_BYTES {
            return Err(io::Error::other("it is too large"));
        }
        Ok(content)
    }
}

impl ResultStore {
    /// Archives records under a name that nothing has yet. The digest of what is stored, by which it is read again.
    ///
    /// # Errors
    /// If the store fails, or has something of this name.
    pub async fn archive(&self, name: &str, records: Vec<u8>, key: &SealingKey) -> Result<Sha256, PublishError> {
        let sealed = on_a_thread(key, move |key| key.seal(&records)).await?;
        let sha256 = digest(&sealed);
        if self.backend.put_new(&archive_path(name), sealed).await? {
            return Ok(sha256);
        }
        Err(PublishError::Store("something of this name is archived already".to_owned()))
    }

    /// The records that were archived under a name; none if they are missing, or are not those that were archived. Waits while others are
    /// held that were read before.
    ///
    /// # Errors
    /// If the store fails, or the key is another one.
    pub async fn archived(
        &self,
        name: &str,
        sha256: Sha256,
        key: &SealingKey,
    ) -> Result<Option<Unsealed>, PublishError> {
        let turn = Arc::clone(&self.unsealing).acquire_owned().await.map_err(|_| PublishError::Cancelled)?;
        let sealed = match self.backend.get_at(&archive_path(name)).await {
            // Whatever is in its place, it is not what was archived.
            Err(PublishError::Foreign) => None,
            found => found?,
        };
        let Some(sealed) = sealed.filter(|sealed| digest(sealed) == sha256) else { return Ok(None) };
        let records = on_a_thread(key, move |key| key.open(&sealed)).await?;
        Ok(Some(Unsealed { records, _turn: turn }))
    }

    /// Removes what was archived under a name. It is not an error if there is nothing.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn remove_archived(&self, name: &str) -> Result<(), PublishError> {
        self.backend.remove_at(&archive_path(name)).await
    }

    /// Keeps the parameters of a job, which never change. They go with its results ([`ResultStore::remove`]).
    ///
    /// # Errors
    /// If the store fails.
    pub async fn keep_parameters(&self, job: JobId, parameters: Vec<u8>, key: &SealingKey) -> Result<(), PublishError> {
        // Bound to their job: nothing else says whose they are.
        let bound = [job.to_string().into_bytes(), parameters].concat();
        let sealed = on_a_thread(key, move |key| key.seal(&bound)).await?;
        self.backend.put_new(&parameters_path(job), sealed).await.map(drop)
    }

    /// The parameters that were kept; none if none were.
    ///
    /// # Errors
    /// If the store fails, or they are not those of this job.
    pub async fn parameters(&self, job: JobId, key: &SealingKey) -> Result<Option<Vec<u8>>, PublishError> {
        let Some(sealed) = self.backend.get_at(&parameters_path(job)).await? else { return Ok(None) };
        let bound = on_a_thread(key, move |key| key.open(&sealed)).await?;
        let parameters = bound.strip_prefix(job.to_string().as_bytes()).map(<[u8]>::to_vec);
        let foreign =
            || PublishError::Store(format!("what it has as the parameters of job {job} are those of another"));
        parameters.ok_or_else(foreign).map(Some)
    }

    /// Removes the parameters of a job whose results stay. It is not an error if there are none.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn remove_parameters(&self, job: JobId) -> Result<(), PublishError> {
        self.backend.remove_at(&parameters_path(job)).await
    }
}

fn archive_path(name: &str) -> String {
    format!("archive/{name}")
}

fn parameters_path(job: JobId) -> String {
    format!("{job}/parameters")
}

fn digest(bytes: &[u8]) -> Sha256 {
    Sha256::from_bytes(sha2::Sha256::digest(bytes).into())
}

/// Seals or opens on a thread that may be busy for a while.
async fn on_a_thread(
    key: &SealingKey,
    work: impl FnOnce(&SealingKey) -> io::Result<Vec<u8>> + Send + 'static,
) -> Result<Vec<u8>, PublishError> {
    let key = key.clone();
    let done = tokio::task::spawn_blocking(move || work(&key)).await;
    done.map_err(io::Error::other).flatten().map_err(|_| {
        PublishError::Store(
            "something sealed cannot be written or opened; it was changed, or the key is another".to_owned(),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_is_read_with_its_key_alone_and_as_it_was() {
        let (key, other) = (SealingKey::generate(), SealingKey::generate());
        let content = b"a record ".repeat(10_000);
        let sealed = key.seal(&content).expect("sealed");
        assert!(sealed.len() < content.len() / 10, "{} bytes", sealed.len());
        assert_eq!(key.open(&sealed).expect("opened"), content);
        let kept = SealingKey::read(key.secret().expose()).expect("a key");
        assert_eq!(kept.open(&sealed).expect("opened"), content);
        assert!(other.open(&sealed).is_err());
        for at in (0..sealed.len()).step_by(7) {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(key.open(&changed).is_err(), "changed at {at}");
            assert!(key.open(&sealed[..at]).is_err(), "cut at {at}");
        }
        assert!(SealingKey::read("AGE-SECRET-KEY-1").is_none());
        assert_eq!(format!("{key:?}"), "SealingKey(..)");
    }
}
