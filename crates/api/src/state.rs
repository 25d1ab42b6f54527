use crate::{
    auth::{Places, Rates},
    metrics::Metrics,
    oidc,
    receipt::Signer,
    settings::{Settings, SettingsError, is_origin},
};
use cloister_model::{Backend, Timestamp};
use std::{fmt, ops::Deref, sync::Arc};
use tokio_util::sync::CancellationToken;

/// Uploads of one account at once: each may hold the largest size there is on the disk until it is counted as theirs.
const MOST_UPLOADS: usize = 16;

/// Events and logs that one account follows at once: each holds a connection.
const MOST_FOLLOWED: usize = 128;

/// The door of one Cloister.
#[derive(Clone, Debug)]
pub struct Service {
    pub(crate) shared: Shared,
}

/// What every request needs.
#[derive(Clone)]
pub(crate) struct Shared(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) settings: Settings,
    pub(crate) oidc: oidc::Verifier,
    pub(crate) rates: Rates,
    /// Files that are being sent.
    pub(crate) uploading: Arc<Places>,
    /// Events and logs that are being followed.
    pub(crate) following: Arc<Places>,
    pub(crate) metrics: Metrics,
    pub(crate) signer: Signer,
    /// Cancelled when the service shuts down: streams end then.
    pub(crate) closing: CancellationToken,
}

impl Service {
    /// A door in front of a backend.
    ///
    /// # Errors
    /// What of the settings cannot be used.
    pub fn new(backend: Arc<dyn Backend>, settings: Settings) -> Result<Self, SettingsError> {
        let oidc = oidc::Verifier::new(settings.oidc.clone(), settings.get_json.clone())?;
        if let Some(wrong) = settings.cors_origins.iter().find(|origin| !is_origin(origin)) {
            return Err(SettingsError::Origin(wrong.clone()));
        }
        let rates = Rates::new(settings.rates)?;
        let signer = Signer::new(settings.receipt_key.expose())?;
        let closing = CancellationToken::new();
        let (uploading, following) = (Places::new(MOST_UPLOADS, "uploads"), Places::new(MOST_FOLLOWED, "streams"));
        let metrics = Metrics::new();
        let inner = Inner { backend, settings, oidc, rates, uploading, following, metrics, signer, closing };
        Ok(Self { shared: Shared(Arc::new(inner)) })
    }

    /// What ends streams when it is cancelled: events and logs that are followed.
    #[must_use]
    pub fn closing(&self) -> CancellationToken {
        self.shared.closing.clone()
    }
}

impl Shared {
    /// What time it is.
    pub(crate) fn now(&self) -> Timestamp {
        (self.settings.clock)()
    }
}

impl Deref for Shared {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("settings", &self.settings).finish_non_exhaustive()
    }
}
