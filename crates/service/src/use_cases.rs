use crate::{
    KeyLifetimes, Quotas, assets::RecentFiles, denials::Denials, downloads::RecordedDownloads, permits::Permits,
    receipts::Signer, submission::Shares,
};
use cloister_model::{
    Account, AuditEvent, Backend, EngineError, EngineFigures, EnvironmentStatus, Quota, QuotaExceeded, Secret,
    StoreError, TimeLimits, Timestamp,
};
use std::{collections::BTreeMap, fmt, path::PathBuf, sync::Arc, time::Duration};
use tokio::sync::Semaphore;

/// Uploads of one account at once: each may hold the largest size there is on the disk until it counts as theirs.
const MOST_UPLOADS: usize = 16;

/// Uploads of all strangers together at once: they leave room for those who are known here.
const MOST_STRANGERS: usize = 64;

/// What tells the time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What the use cases need to know, beside the engine.
#[derive(Clone)]
pub struct Options {
    /// The secret that derives names of jobs from idempotency keys: 32 random bytes that stay the same.
    pub secret: Secret<[u8; 32]>,
    /// The seed of the Ed25519 key that signs receipts: 32 random bytes that stay the same.
    pub receipt_key: Secret<[u8; 32]>,
    /// Image names, and the installed interpreter that runs their scripts.
    pub images: BTreeMap<String, String>,
    /// The folders of this machine whose files an account may use as sources, by the account's key; `*`: any account. A
    /// file outside all of them cannot be used. (The engine checks that no link leads out.)
    pub local_roots: BTreeMap<String, Vec<PathBuf>>,
    /// How long jobs may take outside their runs.
    pub times: TimeLimits,
    /// The most bytes of an upload.
    pub max_upload_bytes: u64,
    /// How long a use case waits for files that are being fetched before it answers that they are still pending.
    pub patience: Duration,
    /// How long keys last that accounts make.
    pub key_lifetimes: KeyLifetimes,
    /// How much one account may have.
    pub quotas: Quotas,
    /// How old an audit record is at least that is taken out of the log once it is archived.
    pub audit_keep: Duration,
    /// What tells the time.
    pub clock: Clock,
}

/// Options that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// The receipt key is not an Ed25519 seed.
    #[error("the receipt key cannot be used; give 32 random bytes")]
    ReceiptKey,
}

/// The use cases of one Cloister. Cheap to clone.
#[derive(Clone)]
pub struct UseCases(Arc<Inner>);

struct Inner {
    backend: Arc<dyn Backend>,
    options: Options,
    signer: Signer,
    uploading: Arc<Permits>,
    strangers: Arc<Semaphore>,
    /// Finding out what needs an upload reads all assets of its owner.
    removing: Arc<Permits>,
    /// Programs are read whole to be examined: one at a time.
    examining: Semaphore,
    downloads: RecordedDownloads,
    recent_files: RecentFiles,
    denials: Denials,
    shares: Shares,
}

impl UseCases {
    /// The use cases over this engine.
    ///
    /// # Errors
    /// What is wrong with the options.
    pub fn new(backend: Arc<dyn Backend>, options: Options) -> Result<Self, OptionsError> {
        let signer = Signer::new(options.receipt_key.expose())?;
        Ok(Self(Arc::new(Inner {
            backend,
            options,
            signer,
            uploading: Permits::new(MOST_UPLOADS, "uploads"),
            strangers: Arc::new(Semaphore::new(MOST_STRANGERS)),
            removing: Permits::new(1, "deletions of uploads"),
            examining: Semaphore::new(1),
            downloads: RecordedDownloads::default(),
            recent_files: RecentFiles::default(),
            denials: Denials::default(),
            shares: Shares::default(),
        })))
    }

    pub(crate) fn backend(&self) -> &dyn Backend {
        &*self.0.backend
    }

    pub(crate) fn signer(&self) -> &Signer {
        &self.0.signer
    }

    pub(crate) fn uploading(&self) -> &Arc<Permits> {
        &self.0.uploading
    }

    pub(crate) fn strangers(&self) -> &Arc<Semaphore> {
        &self.0.strangers
    }

    pub(crate) fn removing(&self) -> &Arc<Permits> {
        &self.0.removing
    }

    pub(crate) fn examining(&self) -> &Semaphore {
        &self.0.examining
    }

    pub(crate) fn downloads(&self) -> &RecordedDownloads {
        &self.0.downloads
    }

    pub(crate) fn denials(&self) -> &Denials {
        &self.0.denials
    }

    pub(crate) fn shares(&self) -> &Shares {
        &self.0.shares
    }

    pub(crate) fn recent_files(&self) -> &RecentFiles {
        &self.0.recent_files
    }

    /// What the use cases were made with.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.0.options
    }

    /// The present time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        (self.0.options.clock)()
    }

    /// The environments of the engine, and how busy they are.
    ///
    /// # Errors
    /// [`EngineError::Unavailable`].
    pub async fn environments(&self) -> Result<Vec<EnvironmentStatus>, EngineError> {
        self.backend().environments().await
    }

    /// What the engine has counted, for metrics.
    ///
    /// # Errors
    /// [`EngineError::Unavailable`].
    pub async fn figures(&self) -> Result<EngineFigures, EngineError> {
        self.backend().figures().await
    }

    /// Whether the engine can take work now.
    ///
    /// # Errors
    /// [`EngineError::Unavailable`].
    pub async fn ready(&self) -> Result<(), EngineError> {
        self.backend().ready().await
    }

    /// Checks that an account may have one more asset.
    pub(crate) async fn check_asset_quota(&self, owner: &Account) -> Result<(), StoreError> {
        let (limit, used) = (self.options().quotas.assets, self.backend().asset_count(owner.clone()).await?);
        if used < limit { Ok(()) } else { Err(QuotaExceeded { quota: Quota::Assets, limit, used }.into()) }
    }

    /// Records an event that comes with no change: a denial, a download.
    pub(crate) async fn record(&self, event: AuditEvent) -> Result<(), StoreError> {
        self.backend().record(vec![event]).await
    }
}

impl fmt::Debug for UseCases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UseCases").field("options", self.options()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("images", &self.images).field("times", &self.times).finish_non_exhaustive()
    }
}
