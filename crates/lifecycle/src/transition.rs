use crate::{AssetRevision, LogFate, Recorded, Release, ResultList, Retention, StoreAway};
use cloister_model::{
    AuditEvent, Event, FailureDetail, JobStatus, Phase, Reason, Report, Review, StatusError, Timestamp,
};

/// How long a stored change must last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// It survives a power cut (fsync).
    Disk,
    /// It survives a crash of this process, and no more: what it describes can be done again.
    Process,
}

/// A step of a job: everything in it is stored together, or nothing of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Transition {
    /// What happened to the job, in order.
    pub events: Vec<Event>,
    /// Why it ends; none if it does not, or if it finishes.
    pub reason: Option<Reason>,
    /// What is known beyond the reason, for some readers.
    pub detail: Option<FailureDetail>,
    /// The reviewer's decision that is the step.
    pub review: Option<Review>,
    /// What goes on record with it.
    pub records: Vec<Recorded>,
    /// The report of the run, to be stored.
    pub report: Option<Box<Report>>,
    /// The files that filtering let pass, to be stored until they are published.
    pub checked: Option<ResultList>,
    /// What becomes readable.
    pub release: Option<Box<Release>>,
    /// The assets that the job may use as long as they have these revisions. Engines hand [`Transition::apply`] the present
    /// ones. Empty: the step does not depend on any.
    pub revisions: Vec<AssetRevision>,
    /// That the result store is away or refuses the results, so that the job waits for it where it is.
    pub store_away: Option<StoreAway>,
    /// How long it must last.
    pub durability: Durability,
    /// What becomes of the log, if the job ends.
    pub log: LogFate,
    /// Whether files that publishing has stored must be deleted, once the transition is stored.
    pub discard_results: bool,
}

/// A transition, applied to a status.
#[derive(Clone, Debug, PartialEq)]
pub struct Applied {
    /// The status after it.
    pub status: JobStatus,
    /// What goes on record with it.
    pub records: Vec<AuditEvent>,
}

/// Why a transition does not apply to a status. Nothing has changed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotApplied {
    /// A request to stop the job is stored: stopping it is the only step left.
    #[error("the job was asked to stop; stop it instead")]
    Stopping,
    /// An asset that the job uses has changed since its permission was asked. Ask again.
    #[error("an asset of the job has changed; ask for its permission again")]
    AssetsChanged,
    /// The status has moved on since the facts were observed.
    #[error(transparent)]
    Impossible(#[from] StatusError),
}

impl Transition {
    /// A step that does not end the job.
    pub(crate) fn step(events: &[Event], durability: Durability) -> Self {
        Self {
            events: events.to_vec(),
            reason: None,
            detail: None,
            review: None,
            records: Vec::new(),
            report: None,
            checked: None,
            release: None,
            revisions: Vec::new(),
            store_away: None,
            durability,
            log: LogFate::Discarded,
            discard_results: false,
        }
    }

    /// A step that ends the job other than well. It lasts: a job that has ended is not taken up again.
    pub(crate) fn end(events: &[Event], reason: Reason, log: LogFate) -> Self {
        Self { reason: Some(reason), log, ..Self::step(events, Durability::Disk) }
    }

    /// The status after this step, which happens at this moment.
    ///
    /// The step is checked against the status as it is stored, in the transaction that stores the result: since the facts were
    /// observed, the job may have been stopped.
    ///
    /// `revisions` are those of the assets of [`Transition::revisions`], read in the same transaction, where the store can do
    /// that. Otherwise, an asset that changes between the look and the write counts as changed afterwards.
    ///
    /// # Errors
    /// [`NotApplied`].
    pub fn apply(
        &self,
        before: &JobStatus,
        at: Timestamp,
        retention: Retention,
        revisions: &[AssetRevision],
    ) -> Result<Applied, NotApplied> {
        // A clock that was set back must not make a history run backwards.
        let at = at.max(before.changed);
        let mut after = before.clone();
        for event in &self.events {
            if before.stop_requested.is_some() && *event != Event::Stop {
                return Err(NotApplied::Stopping);
            }
            after = after.after(*event, at, self.reason.clone())?;
        }
        if self.events.is_empty() {
            // It stays where it is, and followers hear of it.
            if before.stop_requested.is_some() {
                return Err(NotApplied::Stopping);
            }
            after.revision += 1;
        }
        if self.revisions != revisions {
            return Err(NotApplied::AssetsChanged);
        }
        if let Some(review) = &self.review {
            after.review = Some(review.clone());
        }
        if let Some(away) = &self.store_away {
            after.store_wait = Some(away.wait(before, at));
        }
        if let Some(ended) = after.ended {
            let registered = self.release.as_ref().is_some_and(|release| release.asset.is_some());
            after.detail.clone_from(&self.detail);
            after.withheld_log = self.log.withheld();
            after.expires = Retention { needed: retention.needed || registered, ..retention }.expires(ended);
        }
        let records = self.records.iter().map(|record| record.event(after.id, at)).collect();
        Ok(Applied { status: after, records })
    }

    /// Where a job in this phase is after it; none if it cannot take the step.
    #[must_use]
    pub fn leads_to(&self, phase: Phase) -> Option<Phase> {
        self.events.iter().try_fold(phase, |phase, event| phase.next(*event).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;
    use cloister_model::Fault;

    fn failed() -> Transition {
        Transition::end(&[Event::Failed], Reason::new("why", Fault::System), LogFate::Kept)
    }

    #[test]
    fn a_stored_stop_leaves_no_other_step() {
        let asked = JobStatus { stop_requested: Some(at(1)), ..running() };
        assert_eq!(failed().apply(&asked, at(5000), keep(), &[]), Err(NotApplied::Stopping));
        let stop = Transition::end(&[Event::Stop], Reason::new("stopped", Fault::Nobody), LogFate::Kept);
        assert!(stop.apply(&asked, at(5000), keep(), &[]).is_ok());
    }

    #[test]
    fn old_news_changes_nothing() {
        let impossible = failed().apply(&filtering(), at(5000), keep(), &[]);
        assert!(matches!(impossible, Err(NotApplied::Impossible(_))), "{impossible:?}");
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_turn_a_history_round() {
        let before = running();
        let after = failed().apply(&before, at(1), keep(), &[]).expect("applied").status;
        assert_eq!((after.changed, after.ended), (before.changed, Some(before.changed)));
        assert!(after.history.is_sorted_by_key(|step| step.at));
    }

    #[test]
    fn an_ended_job_expires_unless_an_asset_needs_it() {
        let end = |retention| failed().apply(&running(), at(5000), retention, &[]).expect("applied").status.expires;
        assert_eq!(end(keep()), Some(at(6000)));
        assert_eq!(end(Retention { keep_ms: u64::MAX, needed: false }), Some(at(u64::MAX)));
        assert_eq!(end(Retention { needed: true, ..keep() }), None);
        let step = Transition::step(&[Event::Succeeded], Durability::Process);
        assert_eq!(step.apply(&running(), at(5000), keep(), &[]).expect("applied").status.expires, None);
    }
}
