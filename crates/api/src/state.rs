//! What handlers work with: the use cases, authentication (identity), and what surrounds answers (HTTP). Each handler takes the
//! part that it needs.

use crate::{
    auth::Identity,
    metrics::Metrics,
    settings::{Issuer, MetricsFor, OperatorSettings, Settings, SettingsError, is_origin},
};
use axum::extract::FromRef;
use cloister_model::{Account, AssetKind, AssetName, Backend, Claims, Did, EngineError, Manifest, StoreError};
use cloister_service::{AssetError, Options, Permits, ReviewNotice, UploadError, UseCases};
use std::{fmt, sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// Streams of events and logs of one account at once: each holds a connection.
const MOST_STREAMS: usize = 128;

/// The time that a request has left for its answer when its use case stops waiting for files that are being fetched.
const TO_ANSWER: Duration = Duration::from_secs(5);

/// The HTTP service of one Cloister.
#[derive(Clone, Debug)]
pub struct Service {
    pub(crate) state: AppState,
}

/// The state of the router. Handlers take a part of it.
#[derive(Clone, Debug)]
pub(crate) struct AppState {
    pub(crate) use_cases: UseCases,
    pub(crate) identity: Identity,
    pub(crate) http: Http,
    pub(crate) ocean: Arc<OperatorSettings>,
    /// Where command lines can sign in.
    pub(crate) issuers: Arc<[Issuer]>,
}

/// What surrounds answers.
#[derive(Clone)]
pub(crate) struct Http {
    pub(crate) metrics: Arc<Metrics>,
    /// Permits for streams.
    pub(crate) streams: Arc<Permits>,
    /// Cancelled when the service shuts down: streams end then.
    pub(crate) closing: CancellationToken,
    /// The longest that a request may take, streams and uploads excepted.
    pub(crate) request_timeout: Duration,
    /// Whom `/metrics` answers.
    pub(crate) metrics_for: MetricsFor,
    /// The address at which clients reach the service, if it is known.
    pub(crate) public_url: Option<String>,
    /// Web pages whose scripts may call.
    pub(crate) cors_origins: Arc<[String]>,
}

impl Service {
    /// The service over an engine.
    ///
    /// # Errors
    /// What of the settings cannot be used.
    pub fn new(backend: Arc<dyn Backend>, settings: Settings) -> Result<Self, SettingsError> {
        if let Some(wrong) = settings.cors_origins.iter().find(|origin| !is_origin(origin)) {
            return Err(SettingsError::Origin(wrong.clone()));
        }
        let mut quotas = settings.quotas.clone();
        quotas.known.extend(settings.ethereum_roles.keys().cloned());
        let options = Options {
            secret: settings.secret.clone(),
            receipt_key: settings.receipt_key.clone(),
            images: settings.images.clone(),
            local_roots: settings.local_roots.clone(),
            times: settings.times,
            max_upload_bytes: settings.max_upload_bytes,
            patience: settings.request_timeout.saturating_sub(TO_ANSWER).max(settings.request_timeout / 2),
            key_lifetimes: settings.key_lifetimes,
            quotas,
            audit_keep: settings.audit_keep,
            clock: Arc::clone(&settings.clock),
        };
        let claims: Arc<dyn Claims> = Arc::clone(&backend) as Arc<dyn Claims>;
        let use_cases = UseCases::new(backend, options)?;
        let identity = Identity::new(use_cases.clone(), claims, &settings)?;
        let http = Http {
            metrics: Arc::new(Metrics::new(settings.commit)),
            streams: Permits::new(MOST_STREAMS, "streams"),
            closing: CancellationToken::new(),
            request_timeout: settings.request_timeout,
            metrics_for: settings.metrics,
            public_url: settings.public_url.clone(),
            cors_origins: settings.cors_origins.into(),
        };
        let (ocean, issuers) = (Arc::new(settings.operator), settings.oidc.into());
        Ok(Self { state: AppState { use_cases, identity, http, ocean, issuers } })
    }

    /// Publishes a manifest that the operator of a cluster let an account apply there, as `POST` of it does.
    ///
    /// # Errors
    /// Why not.
    pub async fn publish_manifest(&self, owner: &Account, manifest: &Manifest) -> Result<Did, AssetError> {
        let published = self.state.use_cases.publish_manifest(owner, manifest).await?;
        Ok(published.asset.ddo.id().clone())
    }

    /// Withdraws what such a manifest has published, so that no job can use it; nothing changes if there is nothing of it.
    ///
    /// # Errors
    /// Why not.
    pub async fn withdraw_manifest(
        &self,
        owner: &Account,
        kind: AssetKind,
        name: &AssetName,
    ) -> Result<(), AssetError> {
        self.state.use_cases.withdraw_manifest(owner, kind, name).await
    }

    /// Deletes all uploads whose time is over ([`Settings::quotas`]) and that nothing needs, and says how many. To be called from
    /// time to time.
    ///
    /// # Errors
    /// If the engine cannot be reached. What is left goes the next time.
    pub async fn remove_expired_uploads(&self) -> Result<u64, UploadError> {
        self.state.use_cases.remove_expired_uploads().await
    }

    /// The jobs whose outputs wait for a review, for the task that tells reviewers.
    ///
    /// # Errors
    /// If the engine cannot be reached.
    pub async fn review_notices(&self) -> Result<Vec<ReviewNotice>, EngineError> {
        self.state.use_cases.review_notices().await
    }

    /// Whether no replica has sent a message about this before. From now on, one has.
    ///
    /// # Errors
    /// If the store cannot be reached.
    pub async fn claim_notice(&self, notice: &ReviewNotice) -> Result<bool, StoreError> {
        self.state.use_cases.claim_notice(notice).await
    }

    /// The token that ends streams of events and logs when it is cancelled.
    #[must_use]
    pub fn closing(&self) -> CancellationToken {
        self.state.http.closing.clone()
    }
}

impl FromRef<AppState> for UseCases {
    fn from_ref(state: &AppState) -> Self {
        state.use_cases.clone()
    }
}

impl FromRef<AppState> for Identity {
    fn from_ref(state: &AppState) -> Self {
        state.identity.clone()
    }
}

impl FromRef<AppState> for Http {
    fn from_ref(state: &AppState) -> Self {
        state.http.clone()
    }
}

impl FromRef<AppState> for Arc<OperatorSettings> {
    fn from_ref(state: &AppState) -> Self {
        Self::clone(&state.ocean)
    }
}

impl FromRef<AppState> for Arc<[Issuer]> {
    fn from_ref(state: &AppState) -> Self {
        Self::clone(&state.issuers)
    }
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").field("request_timeout", &self.request_timeout).finish_non_exhaustive()
    }
}
