use crate::{Permit, Principal, TooMany, UseCases, UsedBy};
use cloister_model::{Admission, ByteRange, EngineError, Limits, Quota, QuotaExceeded, Sha256, StoreError, Upload};
use sha2::Digest as _;
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

/// Bytes that are handed to the engine at once, and read back at once.
const CHUNK_BYTES: u32 = 512 * 1024;

/// The first bytes of a WebAssembly program.
const MAGIC: &[u8] = b"\0asm";

/// A file that was sent.
#[derive(Clone, Debug)]
pub struct Uploaded {
    /// What it is.
    pub upload: Upload,
    /// For a WebAssembly program of usual size: what it asks for, and whether it may run.
    pub admission: Option<Admission>,
}

/// Why a file was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UploadError {
    /// It is larger than this many bytes.
    #[error("the file is larger than {0} bytes, which is the most that is taken here")]
    TooLarge(u64),
    /// The account sends too many files at once.
    #[error(transparent)]
    TooMany(#[from] TooMany),
    /// Accounts that the operator has not named send as many files at once as they may together.
    #[error(
        "accounts that are not known here send too many files at once; try again later, or ask the operator to name yours"
    )]
    Strangers,
    /// There is no such upload of the account's.
    #[error("you have no such upload")]
    NotFound,
    /// Something of the account's needs the upload.
    #[error("{0}")]
    InUse(UsedBy),
    /// It is empty.
    #[error("the body is empty; send the file as the body")]
    Empty,
    /// Its digest is not the one that was announced.
    #[error("the body is not the one of `Content-Digest`")]
    OtherFile,
    /// The engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A fault of this program.
    #[error("the service failed: {0}")]
    Internal(&'static str),
}

/// A file that is being sent. Dropped before it is finished, it leaves nothing behind.
#[derive(Debug)]
pub struct UploadInProgress {
    use_cases: UseCases,
    who: Principal,
    /// None once it is finished.
    number: Option<u64>,
    expected: Option<Sha256>,
    hash: sha2::Sha256,
    taken: u64,
    begin: Vec<u8>,
    pending: Vec<u8>,
    _permit: Permit,
    _stranger: Option<OwnedSemaphorePermit>,
}

impl UseCases {
    /// Begins to take a file from an account. `length` is the number of bytes that it will have, `expected` the digest, as
    /// far as the sender has said so.
    ///
    /// # Errors
    /// Why not.
    pub async fn begin_upload(
        &self,
        who: &Principal,
        length: Option<u64>,
        expected: Option<Sha256>,
    ) -> Result<UploadInProgress, UploadError> {
        let permit = self.uploading().take(&who.account)?;
        let stranger = match self.options().quotas.is_stranger(&who.account) {
            true => Some(Arc::clone(self.strangers()).try_acquire_owned().map_err(|_| UploadError::Strangers)?),
            false => None,
        };
        self.check_length(who, length.unwrap_or(0)).await?;
        let number = Some(self.backend().begin_upload().await?);
        let (use_cases, who, hash) = (self.clone(), who.clone(), sha2::Sha256::new());
        let (begin, pending) = (Vec::new(), Vec::new());
        Ok(UploadInProgress {
            use_cases,
            who,
            number,
            expected,
            hash,
            taken: 0,
            begin,
            pending,
            _permit: permit,
            _stranger: stranger,
        })
    }

    /// Checks that a file of so many bytes may be taken. Whether it fits beside the other uploads of the account shows when it
    /// is whole, because the same file again costs nothing.
    async fn check_length(&self, who: &Principal, length: u64) -> Result<(), UploadError> {
        let most = self.options().max_upload_bytes;
        if length > most {
            return Err(UploadError::TooLarge(most));
        }
        let limit = self.options().quotas.upload_bytes(&who.account);
        if length > limit {
            let used = self.backend().upload_bytes(who.account.clone()).await?;
            return Err(StoreError::from(QuotaExceeded { quota: Quota::UploadBytes, limit, used }).into());
        }
        Ok(())
    }

    async fn examine(&self, sha256: Sha256, bytes: u64) -> Result<Admission, UploadError> {
        let permit = self.examining().acquire().await.map_err(|_| UploadError::Internal("no permit"))?;
        let mut program = Vec::with_capacity(usize::try_from(bytes).unwrap_or_default());
        loop {
            let offset = u64::try_from(program.len()).unwrap_or(u64::MAX);
            let part = self.backend().read_inspected(sha256, ByteRange { offset, at_most: CHUNK_BYTES }).await?;
            if part.is_empty() {
                break;
            }
            program.extend_from_slice(&part);
        }
        let admission = tokio::task::spawn_blocking(move || {
            let limits = Limits::default();
            cloister_admission::admit(&cloister_admission::Request {
                bytes: &program,
                limits: &limits,
                role: cloister_admission::Role::Algorithm,
            })
        });
        let admission = admission.await.map_err(|_| UploadError::Internal("a program cannot be examined"))?;
        drop(permit);
        Ok(admission)
    }
}

impl UploadInProgress {
    /// Takes the next bytes.
    ///
    /// # Errors
    /// [`UploadError::TooLarge`], [`UploadError::Store`].
    pub async fn append(&mut self, bytes: &[u8]) -> Result<(), UploadError> {
        self.taken = self.taken.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        self.use_cases.check_length(&self.who, self.taken).await?;
        let missing = MAGIC.len().saturating_sub(self.begin.len()).min(bytes.len());
        self.begin.extend_from_slice(&bytes[..missing]);
        if self.expected.is_some() {
            self.hash.update(bytes);
        }
        self.pending.extend_from_slice(bytes);
        if self.pending.len() >= CHUNK_BYTES as usize { self.flush().await } else { Ok(()) }
    }

    async fn flush(&mut self) -> Result<(), UploadError> {
        let Some(number) = self.number.filter(|_| !self.pending.is_empty()) else { return Ok(()) };
        Ok(self.use_cases.backend().append_upload(number, std::mem::take(&mut self.pending)).await?)
    }

    /// Ends the upload: from now on, the account can name the file. A WebAssembly program is examined as well.
    ///
    /// # Errors
    /// Why the file was not taken. Then it leaves nothing behind.
    pub async fn finish(mut self) -> Result<Uploaded, UploadError> {
        if self.taken == 0 {
            return Err(UploadError::Empty);
        }
        self.flush().await?;
        let digest = Sha256::from_bytes(std::mem::take(&mut self.hash).finalize().into());
        if self.expected.is_some_and(|expected| expected != digest) {
            return Err(UploadError::OtherFile);
        }
        let number = self.number.ok_or(UploadError::Internal("an upload was finished twice"))?;
        let (use_cases, owner) = (self.use_cases.clone(), self.who.account.clone());
        let limits = use_cases.options().quotas.upload_limits(&owner);
        let upload = use_cases.backend().finish_upload(number, owner, use_cases.now(), limits).await?;
        self.number = None;
        let admission = if self.begin == MAGIC && upload.file.bytes <= Limits::default().module_bytes {
            Some(use_cases.examine(upload.file.sha256, upload.file.bytes).await?)
        } else {
            None
        };
        Ok(Uploaded { upload, admission })
    }
}

impl Drop for UploadInProgress {
    fn drop(&mut self) {
        // The sender may also have gone away in the middle.
        if let (Some(number), Ok(runtime)) = (self.number, tokio::runtime::Handle::try_current()) {
            let use_cases = self.use_cases.clone();
            runtime.spawn(async move {
                if let Err(error) = use_cases.backend().drop_upload(number).await {
                    tracing::debug!(%error, "an upload was not dropped");
                }
            });
        }
    }
}
