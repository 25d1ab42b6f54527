//! What this service is and where jobs run: without credentials, as with Ocean.

use super::error::OperatorError;
use crate::state::AppState;
use axum::{Json, extract::State};
use cloister_model::{EnvironmentStatus, Phase, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

/// Bytes of a gigabyte as Ocean counts them, for Kubernetes.
const GIB: u64 = 1 << 30;

/// The zero address.
const ZERO: &str = "0x0000000000000000000000000000000000000000";

/// The answer to `GET /`. Ocean takes the last three from its process environment: texts, or null.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Discovery {
    /// What clients look for.
    software: &'static str,
    version: &'static str,
    /// Not Ocean's: what it really is.
    implementation: &'static str,
    address: Option<String>,
    /// Seconds that an algorithm may run.
    algo_time_limit: Option<String>,
    /// Seconds that results are kept.
    storage_expiry: String,
}

/// One environment, as Ocean's engine announces it.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct EnvironmentBody {
    id: String,
    cpu_number: u32,
    cpu_type: &'static str,
    gpu_number: u32,
    gpu_type: &'static str,
    /// Of one job.
    #[serde(rename = "ramGB")]
    ram_gb: f64,
    #[serde(rename = "diskGB")]
    disk_gb: f64,
    price_min: u32,
    desc: String,
    current_jobs: u64,
    max_jobs: u64,
    /// Whom orders must name as consumer.
    consumer_address: String,
    /// Seconds that results are kept.
    storage_expiry: u64,
    /// Seconds that an algorithm may run.
    max_job_duration: u64,
    last_seen: String,
}

impl EnvironmentBody {
    fn new(environment: EnvironmentStatus, consumer_address: String, keep_ms: u64, now: Timestamp) -> Self {
        let EnvironmentStatus {
            id,
            description,
            offers: _,
            interpreters: _,
            cpus,
            memory_bytes: _,
            job_memory_bytes,
            max_wall_ms,
            max_jobs,
            max_queued: _,
            phases,
        } = environment;
        let active = |phase: &Phase| !phase.has_ended() && !matches!(phase, Phase::Queued | Phase::InReview);
        Self {
            id: id.to_string(),
            cpu_number: cpus,
            cpu_type: "",
            gpu_number: 0,
            gpu_type: "",
            ram_gb: gigabytes(job_memory_bytes),
            disk_gb: 1.0,
            price_min: 0,
            desc: description,
            current_jobs: phases.iter().filter(|(phase, _)| active(phase)).map(|(_, jobs)| jobs).sum(),
            max_jobs,
            consumer_address,
            storage_expiry: keep_ms / 1000,
            max_job_duration: max_wall_ms / 1000,
            last_seen: now.to_string(),
        }
    }
}

/// With two digits after the point.
fn gigabytes(bytes: u64) -> f64 {
    let hundredths = u32::try_from(u128::from(bytes) * 100 / u128::from(GIB)).unwrap_or(u32::MAX);
    f64::from(hundredths) / 100.0
}

/// Says what this service is.
#[utoipa::path(get, path = "/", tag = "operation", responses((status = 200, body = Discovery)))]
pub(super) async fn discovery(State(state): State<AppState>) -> Result<Json<Discovery>, OperatorError> {
    let environments = state.use_cases.environments().await?;
    Ok(Json(Discovery {
        software: "Operator service",
        version: env!("CARGO_PKG_VERSION"),
        implementation: "cloister",
        address: state.ocean.address.as_ref().map(ToString::to_string),
        algo_time_limit: environments.first().map(|first| (first.max_wall_ms / 1000).to_string()),
        storage_expiry: (state.use_cases.options().times.keep_ms / 1000).to_string(),
    }))
}

/// Lists the environments. All of them serve every chain: none is asked.
#[utoipa::path(get, path = "/api/v1/operator/environments", tag = "operation",
    params(("chainId" = Option<String>, Query, description = "Accepted and ignored")),
    responses((status = 200, body = Vec<EnvironmentBody>)))]
pub(super) async fn list(State(state): State<AppState>) -> Result<Json<Vec<EnvironmentBody>>, OperatorError> {
    let address = state.ocean.address.as_ref().map_or_else(|| ZERO.to_owned(), ToString::to_string);
    let (now, keep_ms) = (state.use_cases.now(), state.use_cases.options().times.keep_ms);
    let environments = state.use_cases.environments().await?;
    Ok(Json(environments.into_iter().map(|one| EnvironmentBody::new(one, address.clone(), keep_ms, now)).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_model::Environment;
    use serde_json::json;
    use std::collections::BTreeMap;

    #[test]
    fn an_environment_has_oceans_fields() {
        let environment = EnvironmentStatus {
            id: "ocean-compute".parse().expect("a name"),
            description: "a machine".to_owned(),
            offers: Environment::default(),
            interpreters: ["python".parse().expect("a name")].into(),
            cpus: 2,
            memory_bytes: 8 * GIB,
            job_memory_bytes: GIB / 2,
            max_wall_ms: 3_600_000,
            max_jobs: 4,
            max_queued: 100,
            phases: BTreeMap::from([
                (Phase::Queued, 3),
                (Phase::Running, 1),
                (Phase::Configuring, 1),
                (Phase::Finished, 9),
            ]),
        };
        let body = EnvironmentBody::new(
            environment,
            ZERO.to_owned(),
            2_592_000_000,
            Timestamp::from_unix_ms(1_795_363_289_021),
        );
        assert_eq!(
            serde_json::to_value(body).expect("json"),
            json!({
                "id": "ocean-compute", "cpuNumber": 2, "cpuType": "", "gpuNumber": 0, "gpuType": "", "ramGB": 0.5,
                "diskGB": 1.0, "priceMin": 0, "desc": "a machine", "currentJobs": 2, "maxJobs": 4,
                "consumerAddress": ZERO, "storageExpiry": 2_592_000, "maxJobDuration": 3600, "lastSeen": "1795363289.021"
            })
        );
    }
}
