use super::{Decided, Record, Register, Submission, SubmitError, labels};
use crate::state::Shared;
use cloister_model::{
    Account, Asset, AssetKind, Ddo, Delivery, JobAlgorithm, JobId, JobInput, JobSpec, Manifest, Secret, Sha256, Terms,
    TimeLimits, Timestamp,
};
use serde_json::json;

/// What a job is called, by which request, and when it was allowed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Named {
    pub(super) id: JobId,
    pub(super) request: Option<Sha256>,
    pub(super) now: Timestamp,
}

/// The job of a request that was allowed.
pub(super) async fn write(
    shared: &Shared,
    owner: &Account,
    submission: &Submission,
    decided: Decided,
    terms: Terms,
    named: Named,
) -> Result<JobSpec, SubmitError> {
    let Named { id, request, now } = named;
    let attempt = getrandom::u64().map_err(|_| SubmitError::Internal("no random bytes"))?;
    let record = Record::new(owner, request, attempt, &decided).write()?;
    let register = match &submission.register {
        Some(register) => Some(Box::new(prepare(shared, owner, register, now).await?)),
        None => None,
    };
    let Decided { decision: _, environment, datasets, program, interpreter, parameters, limits } = decided;
    let published = program.published.as_ref().map(|(asset, _)| asset);
    let labels = labels::write(
        submission.labels.clone(),
        owner,
        environment.id.as_str(),
        published.map(|asset| asset.ddo.id()),
        datasets.iter().map(|dataset| dataset.asset.ddo.id()),
    )?;
    let times = shared.settings.times;
    Ok(JobSpec {
        id,
        created: now,
        environment: environment.id,
        queue: owner.key().to_owned(),
        algorithm: JobAlgorithm {
            did: published.map(|asset| asset.ddo.id().clone()),
            ddo: published.map(|asset| asset.ddo.without_open_sources()),
            container: program.container,
            interpreter,
            source: program.source,
        },
        inputs: datasets
            .into_iter()
            .map(|dataset| JobInput {
                did: dataset.asset.ddo.id().clone(),
                ddo: Some(dataset.asset.ddo.without_open_sources()),
                source: dataset.source,
            })
            .collect(),
        parameters: parameters.map(Secret::new),
        terms,
        // Room to run as long as it may, beside waiting and fetching.
        times: TimeLimits { total_ms: times.total_ms.saturating_add(limits.wall_ms), ..times },
        limits,
        delivery: Delivery { encrypt_to: submission.encrypt_to.clone(), register },
        labels,
        record,
    })
}

/// The dataset that results become: its owner's alone, who may run any program on it.
async fn prepare(shared: &Shared, owner: &Account, register: &Register, now: Timestamp) -> Result<Asset, SubmitError> {
    let Register { name, title } = register;
    let did = Manifest::did(owner, AssetKind::Dataset, name);
    let by_name = shared.backend.asset_named(owner.clone(), AssetKind::Dataset, name.to_string()).await?;
    if by_name.is_some() || shared.backend.asset(did.clone()).await?.is_some() {
        return Err(SubmitError::field("register.name", "you have a dataset of this name; choose another"));
    }
    let document = json!({
        "@context": ["https://w3id.org/did/v1"], "id": did, "version": "4.1.0",
        "metadata": {"type": "dataset", "name": title.as_deref().unwrap_or(name.as_str())},
        "services": [{"id": "compute", "type": "compute", "files": [], "compute": {"allowRawAlgorithm": true}}],
        "credentials": {"allow": [{"type": "address", "values": [owner]}]}
    });
    let ddo = Ddo::from_value(document).map_err(|error| SubmitError::field("register.title", error.to_string()))?;
    Ok(Asset {
        ddo,
        owner: owner.clone(),
        name: name.to_string(),
        created: now,
        updated: now,
        revision: 1,
        withdrawn: None,
        files: None,
    })
}
