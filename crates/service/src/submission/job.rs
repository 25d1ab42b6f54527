//! From a decision to the job that an engine gets: its name, its record, its labels, its claims.

use super::{AlgorithmRef, Identity, RawSource, Register, Submission, SubmitError, decide::Decided, resolve::Dataset};
use crate::{
    Actor, Provider, UseCases,
    labels::{LabelledBy, labels, with_reviewers},
};
use aws_lc_rs::hmac;
use cloister_model::{
    Account, Asset, AssetKind, AssetLimit, Claim, Ddo, Delivery, JobAlgorithm, JobId, JobInput, JobRecord, JobSpec,
    Manifest, OutputContract, RecordedAsset, RecordedDataset, Secret, Service, ServiceKind, Sha256, Terms, TimeLimits,
    Timestamp,
};
use serde_json::{Value, json};

/// The name of a job, the request that it is made by if the request may come again, and when it was allowed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Named {
    pub(super) id: JobId,
    pub(super) request: Option<Sha256>,
    pub(super) now: Timestamp,
}

impl Named {
    /// The name of the job that a request makes.
    pub(super) fn new(use_cases: &UseCases, owner: &Account, identity: &Identity) -> Result<Self, SubmitError> {
        let now = use_cases.now();
        match identity {
            Identity::Random => {
                let mut bytes = [0; 16];
                getrandom::fill(&mut bytes).map_err(|_| SubmitError::Internal("no random bytes for a job's name"))?;
                Ok(Self { id: JobId::from_bytes(bytes), request: None, now })
            }
            Identity::Key { key, request } => {
                let id = derived(use_cases.options().secret.expose(), owner, key);
                Ok(Self { id, request: Some(*request), now })
            }
        }
    }
}

/// The name that follows from an idempotency key. Without the secret, the name of another account's job cannot be computed
/// from its key. An account's key has no line feed, so no two pairs give the same text.
fn derived(secret: &[u8; 32], owner: &Account, key: &str) -> JobId {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), format!("job\n{}\n{key}", owner.key()).as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&tag.as_ref()[..16]);
    JobId::from_bytes(bytes)
}

/// The job of a request that was allowed, and the claims that it needs.
pub(super) async fn job(
    use_cases: &UseCases,
    (actor, owner): (&Actor, &Account),
    submission: &Submission,
    decided: Decided,
    terms: Terms,
    named: Named,
) -> Result<(JobSpec, Vec<Claim>), SubmitError> {
    let Named { id, request, now } = named;
    let record = JobRecord {
        owner: owner.clone(),
        request,
        attempt: getrandom::u64().map_err(|_| SubmitError::Internal("no random bytes"))?,
        datasets: decided.datasets.iter().map(recorded_dataset).collect(),
        algorithm: decided.program.published.as_ref().map(|(asset, service)| recorded(asset, service)),
        provider: actor.ocean_provider(),
    };
    let register = match &submission.register {
        Some(register) => Some(Box::new(prepare(use_cases, owner, register, now).await?)),
        None => None,
    };
    let claims = claims(use_cases, actor, owner, submission);
    let Decided { decision: _, environment, datasets, program, interpreter, lacking: _, parameters, limits } = decided;
    let published = program.published.as_ref().map(|(asset, _)| asset);
    let upload = match &submission.algorithm {
        AlgorithmRef::Raw { source: RawSource::Upload(sha256), .. } => Some(sha256.to_string()),
        _ => None,
    };
    let by = LabelledBy {
        owner,
        environment: environment.id.as_str(),
        algorithm: published.map(|asset| asset.ddo.id()),
        upload: upload.as_deref(),
        agreement: submission.agreement.as_ref().map(super::Agreement::as_str),
        label: submission.label.as_ref(),
        provider: actor.provider().map(|provider| (owner.as_str(), provider.account.as_ref())),
    };
    let labels = labels(by, datasets.iter().map(|dataset| (dataset.asset.ddo.id(), &dataset.asset.owner)))
        .and_then(|labels| with_reviewers(labels, &terms.release.reviewers))
        .map_err(|_| SubmitError::Internal("a job cannot be labelled"))?;
    let times = use_cases.options().times;
    let job = JobSpec {
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
    };
    Ok((job, claims))
}

/// What no other job may have at the same time: its agreement, and the name under which its results are registered.
fn claims(use_cases: &UseCases, actor: &Actor, owner: &Account, submission: &Submission) -> Vec<Claim> {
    let agreement = submission.agreement.as_ref().map(|agreement| {
        let provider = actor.provider().and_then(|Provider { account, .. }| account.as_ref());
        Claim::agreement_of(provider, agreement.as_str())
    });
    let name = submission.register.as_ref();
    let limit = || AssetLimit { owner: owner.clone(), most: use_cases.options().quotas.assets };
    let name =
        name.map(|register| Claim::asset_name(owner, AssetKind::Dataset, register.name.as_str()).within(limit()));
    agreement.into_iter().chain(name).collect()
}

/// The dataset that results become: only its owner may use it, with any program.
async fn prepare(
    use_cases: &UseCases,
    owner: &Account,
    register: &Register,
    now: Timestamp,
) -> Result<Asset, SubmitError> {
    let Register { name, title } = register;
    let did = Manifest::did(owner, AssetKind::Dataset, name);
    let by_name = use_cases.backend().asset_named(owner.clone(), AssetKind::Dataset, name.to_string()).await?;
    if by_name.is_some() || use_cases.backend().asset(did.clone()).await?.is_some() {
        return Err(name_taken());
    }
    // The owner has the files already, and reads the logs of all jobs on them.
    let rules = json!({"allowRawAlgorithm": true, "outputContract": OutputContract::default()});
    let document = json!({
        "@context": ["https://w3id.org/did/v1"], "id": did, "version": "4.1.0",
        "metadata": {"type": "dataset", "name": title.as_deref().unwrap_or(name.as_str())},
        "services": [{"id": "compute", "type": "compute", "files": [], "compute": rules}],
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

pub(super) fn name_taken() -> SubmitError {
    let problem = "you have a dataset of this name, or a job that will register one; choose another name";
    SubmitError::field("register.name", problem)
}

/// What was asked for, for the record.
pub(super) fn summary(decided: &Decided) -> Value {
    let datasets: Vec<Value> = decided
        .datasets
        .iter()
        .map(|dataset| json!({"did": dataset.asset.ddo.id(), "service": dataset.service.id}))
        .collect();
    let algorithm = match &decided.program.published {
        Some((asset, service)) => json!({"did": asset.ddo.id(), "service": service.id}),
        None => json!("raw"),
    };
    json!({"datasets": datasets, "algorithm": algorithm, "environment": decided.environment.id})
}

fn recorded_dataset(Dataset { asset, service, source: _ }: &Dataset) -> RecordedDataset {
    let (review, log_bytes) = match &service.kind {
        ServiceKind::Compute(permissions) => {
            let policy = &permissions.output_contract;
            (policy.release.review, policy.log_bytes())
        }
        // The files can be downloaded, so that a log tells nothing more.
        ServiceKind::Access => (false, OutputContract::default().max_log_bytes),
    };
    RecordedDataset { asset: recorded(asset, service), review, log_bytes }
}

fn recorded(asset: &Asset, service: &Service) -> RecordedAsset {
    RecordedAsset {
        did: asset.ddo.id().clone(),
        service: service.id.clone(),
        publisher: asset.owner.clone(),
        revision: asset.revision,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_key_of_one_account_is_one_name() {
        let account = |text: &str| text.parse::<Account>().expect("an account");
        let one = derived(&[1; 32], &account("alice"), "k");
        assert_eq!(one, derived(&[1; 32], &account("alice"), "k"));
        assert_ne!(one, derived(&[1; 32], &account("bob"), "k"));
        assert_ne!(one, derived(&[1; 32], &account("alice"), "l"));
        assert_ne!(one, derived(&[2; 32], &account("alice"), "k"));
    }
}
