use crate::{
    principal::Principal,
    problem::Problem,
    state::Shared,
    submission::{OWNER, Record},
};
use cloister_model::{JobId, JobSpec, JobStatus, Phase, Report, Role};

/// What somebody wants with a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// See how it is doing, and what it did: its owner, publishers of its datasets, operators.
    Read,
    /// Stop or remove it, and read its log: its owner and operators.
    Control,
    /// Read its results: its owner alone. An operator who may administer need not see what was computed.
    Results,
    /// See outputs before they leave, and decide: whoever's datasets ask for it, and operators.
    Review,
}

/// A job that somebody may have something to do with.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    /// As it was submitted.
    pub(crate) spec: JobSpec,
    /// How it is doing.
    pub(crate) status: JobStatus,
}

/// The job, if it is there and the principal may do this with it. Everything else is the same *not found*.
pub(crate) async fn find(shared: &Shared, principal: &Principal, job: JobId, access: Access) -> Result<Found, Problem> {
    let spec = shared.backend.spec(job).await?;
    let record = Record::of(&spec).ok_or_else(Problem::not_found)?;
    if !may(principal, &spec, &record, access) {
        return Err(Problem::not_found());
    }
    let status = shared.backend.status(job).await?;
    Ok(Found { spec, status })
}

/// How a job is doing, if the principal may know. Asked more often than anything else: owners, by the label that the door
/// gave the job, and operators are answered without reading what was submitted.
pub(crate) async fn status(shared: &Shared, principal: &Principal, job: JobId) -> Result<JobStatus, Problem> {
    let status = shared.backend.status(job).await?;
    let owner = status.labels.get(OWNER);
    if owner == Some(principal.account.key()) || (owner.is_some() && principal.is(Role::Operator)) {
        return Ok(status);
    }
    Ok(find(shared, principal, job, Access::Read).await?.status)
}

/// What the host reports of a run, if there is a report yet.
///
/// Names of outputs are the algorithm's own text, and a digest of little tells what it is of: until results are released,
/// and for good where they never are, the report says nothing of them.
pub(crate) async fn report(shared: &Shared, found: &Found) -> Result<Option<Report>, Problem> {
    let report = shared.backend.report(found.status.id).await?;
    let released = found.status.phase == Phase::Finished;
    Ok(report.map(|report| if released { report } else { Report { outputs: Vec::new(), ..report } }))
}

fn may(principal: &Principal, spec: &JobSpec, record: &Record, access: Access) -> bool {
    let Principal { account, role: _, via: _ } = principal;
    let owns = record.owner == *account;
    let operates = principal.is(Role::Operator);
    match access {
        Access::Read => owns || operates || record.published_by(account),
        Access::Control => owns || operates,
        Access::Results => owns,
        Access::Review => operates || record.reviewed_by(account, &spec.terms),
    }
}
