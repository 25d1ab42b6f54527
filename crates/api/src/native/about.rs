use super::views::List;
use crate::{auth::Caller, problem::Problem};
use axum::{Json, extract::State};
use cloister_model::{EnvironmentStatus, Phase};
use cloister_service::UseCases;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// Who you are here.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Whoami {
    account: String,
    /// `consumer`, `publisher` or `operator`.
    role: String,
    /// `key`, `token` or `signature`.
    via: String,
}

/// Who you are here
#[utoipa::path(get, path = "/v1/whoami", tag = "about", responses((status = 200, body = Whoami)))]
pub(super) async fn whoami(Caller(who): Caller) -> Json<Whoami> {
    Json(Whoami { account: who.account.to_string(), role: who.role.to_string(), via: who.via.to_string() })
}

/// Where jobs run.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Environment)]
pub(super) struct EnvironmentView {
    id: String,
    description: String,
    /// What algorithms can run in: `wasm`, `container`.
    runtimes: Value,
    /// What they can learn of time and chance: `deterministic`, `standard`.
    profiles: Value,
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
            runtimes: json!(offers.runtimes),
            profiles: json!(offers.profiles),
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

/// Where jobs run, and how much is going on there
#[utoipa::path(get, path = "/v1/environments", tag = "about", responses((status = 200, body = List<EnvironmentView>)))]
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
    /// `Ed25519`.
    algorithm: &'static str,
    /// 32 bytes in base64.
    public_key: String,
}

/// The public key of receipts
#[utoipa::path(get, path = "/v1/receipt-key", tag = "about", security(()), responses((status = 200, body = ReceiptKey)))]
pub(super) async fn receipt_key(State(use_cases): State<UseCases>) -> Json<ReceiptKey> {
    Json(ReceiptKey { algorithm: "Ed25519", public_key: use_cases.receipt_key() })
}
