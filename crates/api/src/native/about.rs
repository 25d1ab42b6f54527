use super::{
    schemas::{ProfileSchema, RoleSchema, RuntimeSchema},
    views::List,
};
use crate::{
    auth::Caller,
    problem::Problem,
    settings::{Issuer, SignIn},
};
use axum::{Json, extract::State};
use cloister_model::{EnvironmentStatus, Phase, Profile, Role, RuntimeKind};
use cloister_service::{UseCases, Via};
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use utoipa::ToSchema;

/// Who you are here.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Whoami {
    account: String,
    #[schema(value_type = RoleSchema)]
    role: Role,
    via: ViaView,
}

/// How the caller was authenticated.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = Via)]
enum ViaView {
    /// With an API key.
    Key,
    /// With a token of an issuer that the operator trusts.
    Token,
    /// With an Ethereum signature over the request.
    Signature,
}

impl From<&Via> for ViaView {
    fn from(via: &Via) -> Self {
        match via {
            Via::Key(_) => Self::Key,
            Via::Token { expires: _ } => Self::Token,
            Via::Signature => Self::Signature,
        }
    }
}

/// Who you are here
#[utoipa::path(
    get, path = "/v1/whoami", operation_id = "whoami", tag = "about", responses((status = 200, body = Whoami))
)]
pub(super) async fn whoami(Caller(who): Caller) -> Json<Whoami> {
    Json(Whoami { account: who.account.to_string(), role: who.role, via: ViaView::from(&who.via) })
}

/// Where jobs run.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Environment)]
pub(super) struct EnvironmentView {
    id: String,
    description: String,
    /// What algorithms can run in.
    #[schema(value_type = Vec<RuntimeSchema>)]
    runtimes: BTreeSet<RuntimeKind>,
    /// Which clock and randomness they can get.
    #[schema(value_type = Vec<ProfileSchema>)]
    profiles: BTreeSet<Profile>,
    /// Installed interpreters.
    interpreters: Vec<String>,
    /// Image names, and what runs their scripts in the sandbox.
    images: BTreeMap<String, String>,
    /// Processors for all jobs.
    cpus: u32,
    /// Memory for all jobs.
    memory_bytes: u64,
    /// The most memory of one job.
    job_memory_bytes: u64,
    /// The longest run.
    max_wall_ms: u64,
    /// The most jobs at once.
    max_jobs: u64,
    /// The most jobs that wait.
    max_queued: u64,
    running: u64,
    queued: u64,
    /// How many jobs are in each phase.
    phases: BTreeMap<&'static str, u64>,
}

impl EnvironmentView {
    fn new(environment: EnvironmentStatus, images: &BTreeMap<String, String>) -> Self {
        let EnvironmentStatus {
            id,
            description,
            offers,
            interpreters,
            cpus,
            memory_bytes,
            job_memory_bytes,
            max_wall_ms,
            max_jobs,
            max_queued,
            phases,
        } = environment;
        let count =
            |wanted: fn(Phase) -> bool| phases.iter().filter(|(phase, _)| wanted(**phase)).map(|(_, n)| n).sum();
        let images = images.iter().filter(|(_, name)| *name == "wasm" || interpreters.contains(name.as_str()));
        Self {
            images: images.map(|(image, name)| (image.clone(), name.clone())).collect(),
            running: count(|phase| phase != Phase::Queued && !phase.has_ended()),
            queued: count(|phase| phase == Phase::Queued),
            phases: phases.iter().map(|(phase, count)| (phase.as_str(), *count)).collect(),
            runtimes: offers.runtimes,
            profiles: offers.profiles,
            interpreters: interpreters.iter().map(ToString::to_string).collect(),
            id: id.to_string(),
            description,
            cpus,
            memory_bytes,
            job_memory_bytes,
            max_wall_ms,
            max_jobs,
            max_queued,
        }
    }
}

/// List the environments and their present load
#[utoipa::path(
    get, path = "/v1/environments", operation_id = "list_environments", tag = "about",
    responses((status = 200, body = List<EnvironmentView>))
)]
pub(super) async fn environments(
    State(use_cases): State<UseCases>,
    _caller: Caller,
) -> Result<Json<List<EnvironmentView>>, Problem> {
    let all = use_cases.environments().await?;
    let view = |environment| EnvironmentView::new(environment, &use_cases.options().images);
    Ok(Json(List { items: all.into_iter().map(view).collect() }))
}

/// What signs receipts.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ReceiptKey {
    algorithm: SignatureAlgorithm,
    /// 32 bytes in base64.
    public_key: String,
}

/// How receipts are signed (RFC 8032).
#[derive(Debug, Serialize, ToSchema)]
enum SignatureAlgorithm {
    Ed25519,
}

/// The public key of receipts
#[utoipa::path(
    get, path = "/v1/receipt-key", operation_id = "get_receipt_key", tag = "about", security(()),
    responses((status = 200, body = ReceiptKey))
)]
pub(super) async fn receipt_key(State(use_cases): State<UseCases>) -> Json<ReceiptKey> {
    Json(ReceiptKey { algorithm: SignatureAlgorithm::Ed25519, public_key: use_cases.receipt_key() })
}

/// An issuer at which command lines can sign in.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SignInIssuer)]
pub(super) struct SignInView {
    /// Its URL; its discovery document is below it (OpenID Connect Discovery 1.0).
    issuer: String,
    /// The public client to sign in as.
    client_id: String,
    /// What the claim `aud` of a token for this service must name.
    audience: String,
    /// The scopes to ask for, besides `openid` and `offline_access`.
    scopes: Vec<String>,
}

/// Where command lines can sign in
///
/// The issuers that offer the device authorization grant (RFC 8628) to clients of this service, as its operator has
/// configured them. None: a key or a token is needed.
#[utoipa::path(
    get, path = "/v1/sign-in", operation_id = "list_sign_in_issuers", tag = "about", security(()),
    responses((status = 200, body = List<SignInView>))
)]
pub(super) async fn sign_in(State(issuers): State<Arc<[Issuer]>>) -> Json<List<SignInView>> {
    let view = |issuer: &Issuer| {
        let SignIn { client_id, scopes } = issuer.sign_in.clone()?;
        Some(SignInView { issuer: issuer.issuer.clone(), client_id, audience: issuer.audience.clone(), scopes })
    };
    Json(List { items: issuers.iter().filter_map(view).collect() })
}
