use super::MANAGED_BY;
use crate::cluster::{CallError, Cluster, call, exactly};
use cloister_model::{Claim, ClaimKind, Did, JobId, Timestamp};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api,
    api::{ListParams, ObjectMeta, PostParams},
};
use std::{collections::BTreeMap, fmt};

/// The label by which the assets of an owner, and the claims on their names, are found.
pub(crate) const OWNER: &str = "cloister.dev/owner";

/// The label of a claim.
const LABEL: &str = "cloister.dev/claim";

/// Claims in one page of a list.
const PAGE: u32 = 500;

/// What the name of a claim on an agreement begins with.
const AGREEMENT: &str = "claim-agreement-";

/// The key of a claim's holder.
const HOLDER: &str = "holder";

/// Who holds a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    /// A caller that no process knows any more: until the claim is given up.
    Caller,
    /// A job, until it has ended.
    Job(JobId),
    /// An asset, for ever.
    Asset(Did),
    /// Something that a later version wrote.
    Other(String),
}

/// The answer to a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It is the caller's.
    Now,
    /// It was the caller's before.
    Already,
    /// Another one has it.
    By(Holder),
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Caller => f.write_str("caller"),
            Self::Job(job) => write!(f, "job/{job}"),
            Self::Asset(did) => write!(f, "asset/{}", did.id()),
            Self::Other(text) => f.write_str(text),
        }
    }
}

impl Holder {
    fn read(text: &str) -> Self {
        let known = match text.split_once('/') {
            None if text == "caller" => Some(Self::Caller),
            Some(("job", job)) => job.parse().ok().map(Self::Job),
            Some(("asset", did)) => did.parse().ok().map(Self::Asset),
            _ => None,
        };
        known.unwrap_or_else(|| Self::Other(text.to_owned()))
    }
}

/// The name of the object that is the claim: that a name can be created once is the claim.
pub(crate) fn claim_name(claim: &Claim) -> String {
    let kind = match claim.kind() {
        ClaimKind::Nonce => "claim-nonce-",
        ClaimKind::Agreement => AGREEMENT,
        ClaimKind::AssetName => "claim-asset-name-",
    };
    format!("{kind}{}", claim.key())
}

/// The answer to one attempt to take a claim.
#[derive(Debug)]
pub(crate) enum Attempt {
    /// It is the caller's.
    Taken(Taken),
    /// Another holder has it.
    Held(Box<Held>),
    /// It was given up in this moment.
    Again,
}

/// A claim that another holder has.
#[derive(Debug)]
pub(crate) struct Held {
    /// Who.
    pub(crate) holder: Holder,
    /// Since when, in milliseconds.
    pub(crate) age_ms: u64,
    object: ConfigMap,
}

impl Held {
    fn read(object: ConfigMap, now: Timestamp) -> Self {
        let taken =
            object.metadata.creation_timestamp.as_ref().and_then(|at| u64::try_from(at.0.as_millisecond()).ok());
        let age_ms = now.unix_ms().saturating_sub(taken.unwrap_or_default());
        Self { holder: holder_of(&object), age_ms, object }
    }

    /// The job that has it, if it is a claim on an agreement.
    fn job_on_agreement(&self) -> Option<JobId> {
        let name = self.object.metadata.name.as_deref()?;
        match self.holder {
            Holder::Job(job) => Some(job).filter(|_| name.starts_with(AGREEMENT)),
            Holder::Caller | Holder::Asset(_) | Holder::Other(_) => None,
        }
    }
}

/// Tries to take a claim for a holder.
pub(crate) async fn attempt(
    cluster: &Cluster,
    claim: &Claim,
    holder: &Holder,
    owner: Option<&str>,
    now: Timestamp,
) -> Result<Attempt, CallError> {
    let api: Api<ConfigMap> = cluster.system();
    let name = claim_name(claim);
    let labels = [(LABEL, "true"), MANAGED_BY].into_iter().chain(owner.map(|owner| (OWNER, owner)));
    let labels: BTreeMap<_, _> = labels.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let object = ConfigMap {
        metadata: ObjectMeta { name: Some(name.clone()), labels: Some(labels), ..ObjectMeta::default() },
        data: Some([(HOLDER.to_owned(), holder.to_string())].into()),
        immutable: Some(true),
        ..ConfigMap::default()
    };
    match call("take a claim", || async { api.create(&PostParams::default(), &object).await }).await {
        Ok(_) => return Ok(Attempt::Taken(Taken::Now)),
        Err(CallError::Exists) => {}
        Err(error) => return Err(error),
    }
    let found = call("read a claim", || async { api.get_opt(&name).await }).await?;
    let Some(object) = found else { return Ok(Attempt::Again) };
    let other = holder_of(&object);
    if other == *holder && *holder != Holder::Caller {
        return Ok(Attempt::Taken(Taken::Already));
    }
    Ok(Attempt::Held(Box::new(Held::read(object, now))))
}

/// Frees a claim whose holder has given it up.
pub(crate) async fn free(cluster: &Cluster, held: &Held) -> Result<(), CallError> {
    delete(&cluster.system(), &held.object).await
}

fn holder_of(object: &ConfigMap) -> Holder {
    Holder::read(object.data.as_ref().and_then(|data| data.get(HOLDER)).map_or("", String::as_str))
}

/// All claims that were taken for an account, by its label.
pub(crate) async fn held_for(cluster: &Cluster, owner: &str, now: Timestamp) -> Result<Vec<Held>, CallError> {
    list(cluster, &format!("{LABEL}=true,{OWNER}={owner}"), now).await
}

/// All claims of jobs on agreements.
pub(crate) async fn on_agreements(cluster: &Cluster, now: Timestamp) -> Result<Vec<(JobId, Held)>, CallError> {
    let all = list(cluster, &format!("{LABEL}=true"), now).await?;
    Ok(all.into_iter().filter_map(|held| Some((held.job_on_agreement()?, held))).collect())
}

async fn list(cluster: &Cluster, labels: &str, now: Timestamp) -> Result<Vec<Held>, CallError> {
    let api: Api<ConfigMap> = cluster.system();
    let mut page = ListParams::default().labels(labels).limit(PAGE);
    let mut found = Vec::new();
    loop {
        let listed = call("list claims", || async { api.list(&page).await }).await?;
        found.extend(listed.items.into_iter().map(|object| Held::read(object, now)));
        match listed.metadata.continue_.filter(|next| !next.is_empty()) {
            Some(next) => page = page.continue_token(&next),
            None => return Ok(found),
        }
    }
}

/// Gives up a claim, if this holder has it.
pub(crate) async fn give_up(cluster: &Cluster, claim: &Claim, holder: &Holder) -> Result<(), CallError> {
    let api: Api<ConfigMap> = cluster.system();
    let Some(found) = call("read a claim", || async { api.get_opt(&claim_name(claim)).await }).await? else {
        return Ok(());
    };
    if holder_of(&found) == *holder { delete(&api, &found).await } else { Ok(()) }
}

async fn delete(api: &Api<ConfigMap>, object: &ConfigMap) -> Result<(), CallError> {
    let name = object.metadata.name.as_deref().unwrap_or_default();
    let this = exactly(object.metadata.uid.clone());
    match call("give up a claim", || async { api.delete(name, &this).await }).await {
        Ok(_) | Err(CallError::Missing | CallError::Conflict) => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_testkit::{account, job_id};

    #[test]
    fn holders_are_text_and_back() {
        let did: Did = "abc".parse().expect("a DID");
        for holder in [Holder::Caller, Holder::Job(job_id(7)), Holder::Asset(did), Holder::Other("room/1".to_owned())] {
            assert_eq!(Holder::read(&holder.to_string()), holder);
        }
    }

    #[test]
    fn names_of_claims_are_names_of_objects() {
        let claims =
            [Claim::agreement("0x1"), Claim::asset_name(&account("alice"), cloister_model::AssetKind::Dataset, "a")];
        for claim in claims {
            let name = claim_name(&claim);
            assert!(
                name.len() <= 253
                    && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            );
        }
    }
}
