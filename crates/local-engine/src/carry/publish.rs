use super::{Next, Work, end};
use crate::{
    program::OUTPUTS,
    store::{DbError, Durability, Fail, Write, assets, audit, jobs, jobs::Refused},
    times::now,
};
use cloister_model::{
    Asset, AuditAction, AuditEvent, Ddo, Event, Fault, FileDigest, JobId, Reason, ResultFile, ResultKind, Sha256,
    StoreError,
};
use cloister_stages::{Outgoing, PublishError, Watch};
use serde_json::{Value, json};
use sha2::Digest as _;
use std::sync::Arc;

/// Stores what may leave where the consumer can fetch it, and then, in one moment, lets it be seen.
pub(super) async fn publish(work: &Work) -> Result<Next, Refused> {
    let Work { core, spec, lease } = work;
    let job = work.job();
    let Some(files) = core.store.read(|db| jobs::outgoing(db, job))?.ok_or(Refused::Gone)? else {
        return Err(DbError::Damaged(format!("job {job} has nothing to publish")).into());
    };
    let outputs = core.home.job(job).join(OUTPUTS);
    let outgoing: Vec<Outgoing> = files
        .iter()
        .map(|file| Outgoing {
            name: file.name.clone(),
            kind: file.kind,
            path: if file.kind == ResultKind::Output { outputs.join(&file.name) } else { core.log_file(job) },
        })
        .collect();
    let watch = Watch { cancel: lease.cancel.child_token(), progress: Arc::new(|_| ()) };
    let encrypt_to = spec.delivery.encrypt_to.as_deref();
    let stored = match core.results.publish(job, &outgoing, encrypt_to, &watch).await {
        Ok(stored) => stored,
        Err(PublishError::Cancelled) if lease.cancel.is_cancelled() => return Err(Refused::Stopping),
        Err(error) => {
            let fault = if error == PublishError::Recipient { Fault::Algorithm } else { Fault::System };
            return failed(work, Reason::new(&format!("the results could not be stored: {error}"), fault)).await;
        }
    };
    let same = |(stored, checked): (&ResultFile, &ResultFile)| {
        stored.sha256 == checked.sha256 && stored.bytes == checked.bytes
    };
    if stored.len() != files.len() || (encrypt_to.is_none() && !stored.iter().zip(&files).all(same)) {
        let text = "the results that were stored are not the ones that were checked";
        return failed(work, Reason::new(text, Fault::System)).await;
    }
    let asset = match spec.delivery.register.as_deref().map(|asset| registered(asset, job, &stored)).transpose() {
        Ok(asset) => asset,
        Err(error) => {
            let text = format!("the results cannot be registered as a dataset: {error}");
            return failed(work, Reason::new(&text, Fault::Algorithm)).await;
        }
    };
    end::move_log(core, spec).await?;
    let released = core.store.write(Durability::Disk, move |write| release(write, job, &stored, asset.as_ref())).await;
    match released {
        Ok(()) => Ok(Next::Done),
        Err(Unreleased::Refused(refused)) => Err(refused),
        Err(Unreleased::Taken) => {
            let text = "the results cannot be registered: their owner has another dataset of that name";
            failed(work, Reason::new(text, Fault::Algorithm)).await
        }
    }
}

async fn failed(work: &Work, reason: Reason) -> Result<Next, Refused> {
    let Work { core, spec, lease: _ } = work;
    end::fail(core, spec, &[Event::PublishFailed], reason, |_| Ok(())).await?;
    if let Err(error) = core.results.remove(spec.id).await {
        tracing::warn!(job = %spec.id, %error, "a part of its results stays until the next start");
    }
    Ok(Next::Done)
}

enum Unreleased {
    Refused(Refused),
    /// The name of the asset.
    Taken,
}

impl From<DbError> for Unreleased {
    fn from(error: DbError) -> Self {
        Self::Refused(error.into())
    }
}

/// The release: results, phase, dataset and record, or nothing of it.
fn release(
    write: &mut Write<'_>,
    job: JobId,
    files: &[ResultFile],
    asset: Option<&Asset>,
) -> Result<(), Fail<Unreleased>> {
    if let Some(asset) = asset {
        assets::put(write, asset, Some(job)).map_err(|error| match error {
            Fail::Rejected(StoreError::Conflict) => Fail::Rejected(Unreleased::Taken),
            Fail::Rejected(other) => Fail::Db(DbError::Other(other.to_string())),
            Fail::Db(error) => Fail::Db(error),
        })?;
    }
    let did = asset.map(|asset| asset.ddo.id());
    jobs::put_results(write, job, files, did)?;
    let at = now();
    jobs::step(write, job, &[Event::Published], at, None).map_err(|error| match error {
        Fail::Rejected(refused) => Fail::Rejected(Unreleased::Refused(refused)),
        Fail::Db(error) => Fail::Db(error),
    })?;
    let list = serde_json::to_vec(files)?;
    let detail = json!({
        "files": files.len(),
        "bytes": files.iter().map(|file| file.bytes).sum::<u64>(),
        "resultsSha256": Sha256::from_bytes(sha2::Sha256::digest(list).into()),
        "registered": did,
    });
    let (actor, subject) = ("engine".to_owned(), job.to_string());
    audit::record(write, AuditEvent { at, actor, action: AuditAction::Released, subject, detail: detail.to_string() })?;
    Ok(())
}

/// The asset that the door has prepared, with the outputs as its files.
fn registered(asset: &Asset, job: JobId, results: &[ResultFile]) -> Result<Asset, String> {
    let outputs = || results.iter().enumerate().filter(|(_, file)| file.kind == ResultKind::Output);
    let sources: Vec<Value> =
        outputs().map(|(index, _)| json!({"type": "result", "job": job, "index": index})).collect();
    let mut document = serde_json::to_value(&asset.ddo).map_err(|error| error.to_string())?;
    for service in document.get_mut("services").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(service) = service.as_object_mut() {
            service.insert("files".to_owned(), Value::from(sources.clone()));
        }
    }
    let digests = outputs().map(|(_, file)| FileDigest { sha256: file.sha256, bytes: file.bytes }).collect();
    let ddo = Ddo::from_value(document).map_err(|error| error.to_string())?;
    Ok(Asset { ddo, files: Some(digests), ..asset.clone() })
}
