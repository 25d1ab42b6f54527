use super::{ClusterStore, Inner, registry::owner_label};
use crate::{
    clock::now,
    cluster::{CallError, call},
    resources::ComputeJob,
    store::{Attempt, Held, Holder, Taken, attempt, free, on_agreements},
};
use cloister_model::{Claim, ClaimKind, Claims, Phase, StoreFuture};

/// How long a job may be absent whose claims are taken already: it is about to be created.
const CREATION_MS: u64 = 60_000;

/// How often a claim that became free is tried again.
const ATTEMPTS: u32 = 5;

impl Claims for ClusterStore {
    fn claim(&self, claim: Claim) -> StoreFuture<'_, bool> {
        Box::pin(async move {
            let taken = match (claim.kind(), claim.until()) {
                (ClaimKind::Nonce, until) => {
                    let until = until.unwrap_or(cloister_model::Timestamp::from_unix_ms(u64::MAX));
                    self.inner.nonces.claim(claim.key(), until, now()).await?
                }
                _ => self.inner.take(&claim, &Holder::Caller).await? == Taken::Now,
            };
            Ok(taken)
        })
    }
}

impl Inner {
    /// Takes a claim; one whose job has ended is free. One with a limit is found by the label of the account that it counts for.
    pub(super) async fn take(&self, claim: &Claim, holder: &Holder) -> Result<Taken, CallError> {
        let owner = claim.limit().map(|limit| owner_label(&limit.owner));
        self.take_for(claim, holder, owner.as_deref()).await
    }

    /// The same. The claim is found by the label of the account that it is taken for.
    pub(super) async fn take_for(
        &self,
        claim: &Claim,
        holder: &Holder,
        owner: Option<&str>,
    ) -> Result<Taken, CallError> {
        for _ in 0..ATTEMPTS {
            match attempt(&self.cluster, claim, holder, owner, now()).await? {
                Attempt::Taken(taken) => return Ok(taken),
                Attempt::Again => {}
                Attempt::Held(held) if self.is_free(claim.kind(), &held).await? => free(&self.cluster, &held).await?,
                Attempt::Held(held) => return Ok(Taken::By(held.holder)),
            }
        }
        let words = "it is taken and given up again and again".to_owned();
        Err(CallError::Unreachable { what: "take a claim", words })
    }

    /// Removes claims on agreements of jobs that have left the API server: these have ended, so that the claims are free, and would stay
    /// until a job wants the same agreement again.
    pub(super) async fn free_agreements(&self) -> Result<(), CallError> {
        for (job, held) in on_agreements(&self.cluster, now()).await? {
            let has_left = self.archive.get(job).is_some() || self.archive.has_sealed(job);
            if has_left && !self.jobs.has(&job.to_string()) {
                free(&self.cluster, &held).await?;
            }
        }
        Ok(())
    }

    pub(super) async fn is_free(&self, kind: ClaimKind, held: &Held) -> Result<bool, CallError> {
        let Holder::Job(job) = &held.holder else { return Ok(false) };
        let (api, name) = (self.cluster.jobs::<ComputeJob>(), job.to_string());
        let job = call("read a job", || async { api.get_opt(&name).await }).await?;
        Ok(job.map_or(held.age_ms > CREATION_MS, |job| has_given_up(kind, &job)))
    }
}

/// Whether a job has given up its claims of this kind.
fn has_given_up(kind: ClaimKind, job: &ComputeJob) -> bool {
    let phase = job.phase();
    // Once the request to stop is stored, no write that begins the job can be fenced by a version before it.
    let never_begins = phase == Phase::Queued && job.spec.stop.is_some();
    // The asset of a finished job has its name.
    let needed = kind == ClaimKind::AssetName
        && phase.is_success()
        && job.job().is_ok_and(|job| job.delivery.register.is_some());
    job.spec.removal.is_some() || never_begins || (phase.has_ended() && !needed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::{ComputeJobSpec, ComputeJobStatus, Order, StopRequest};
    use cloister_model::{ConfigureOrder, Timestamp};

    fn job(phase: Phase, register: bool) -> ComputeJob {
        let mut job = cloister_testkit::job(1, Timestamp::from_unix_ms(5));
        if register {
            job.delivery.register = Some(Box::new(cloister_testkit::dataset("e", "alice", "results")));
        }
        let (payload, _) = crate::resources::Payload::cut(&ConfigureOrder::of(&job)).expect("a payload");
        let order = Order::of(&job, payload).expect("an order");
        let mut resource = ComputeJob::new(&job.id.to_string(), ComputeJobSpec::of(order));
        let status = cloister_testkit::status_in(phase, job.id, job.created);
        resource.status = Some(ComputeJobStatus::of(&status, None, None));
        resource
    }

    #[test]
    fn a_job_holds_its_claims_until_it_has_ended_and_a_name_for_as_long_as_its_asset() {
        for phase in Phase::ALL {
            assert_eq!(has_given_up(ClaimKind::Agreement, &job(phase, true)), phase.has_ended(), "{phase}");
            let named = has_given_up(ClaimKind::AssetName, &job(phase, true));
            assert_eq!(named, phase.has_ended() && phase != Phase::Finished, "{phase}");
            assert_eq!(has_given_up(ClaimKind::AssetName, &job(phase, false)), phase.has_ended(), "{phase}");
        }
        let mut stopped = job(Phase::Queued, false);
        stopped.spec.stop = Some(StopRequest { at: Timestamp::from_unix_ms(6).into(), by: "alice".to_owned() });
        assert!(has_given_up(ClaimKind::Agreement, &stopped));
        let mut running = job(Phase::Running, false);
        running.spec.stop = stopped.spec.stop;
        assert!(!has_given_up(ClaimKind::Agreement, &running));
    }
}
