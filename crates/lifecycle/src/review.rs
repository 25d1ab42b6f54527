use crate::{Durability, LogFate, Recorded, Transition};
use cloister_model::{Account, Approval, Event, Fault, JobSpec, Reason, Review, ReviewVerdict, Timestamp};

/// What a reviewer's word is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReviewStep {
    /// The first of two approvals: the job waits for the second one.
    First(Approval),
    /// It decides.
    Decided(Review),
}

/// Two different accounts have to approve, and this one has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this account has approved already; another one has to")]
pub struct AlreadyApproved;

/// What the word of `by` about a job in review is worth, if `first` has approved it before.
///
/// # Errors
/// [`AlreadyApproved`].
pub fn review_step(
    spec: &JobSpec,
    first: Option<&Approval>,
    verdict: &ReviewVerdict,
    by: Account,
    at: Timestamp,
) -> Result<ReviewStep, AlreadyApproved> {
    let approved = *verdict == ReviewVerdict::Approve;
    match first {
        None if approved && spec.terms.release.needs_two() => Ok(ReviewStep::First(Approval { by, at })),
        Some(first) if approved && first.by == by => Err(AlreadyApproved),
        first => Ok(ReviewStep::Decided(Review { approved, by, at, first: first.cloned() })),
    }
}

/// The first of two approvals, for an engine that keeps it in the status of the job: it stays in its phase.
#[must_use]
pub fn approved_first(Approval { by, at }: Approval) -> Transition {
    let review = Review { approved: true, by, at, first: None };
    Transition { review: Some(review), ..Transition::step(&[], Durability::Disk) }
}

/// What a reviewer's decision means for a job in [`Phase::InReview`](cloister_model::Phase::InReview). The engine stores the
/// service's record of the decision together with the transition; `review` says the same as that record.
#[must_use]
pub fn reviewed(spec: &JobSpec, verdict: &ReviewVerdict, review: Review) -> Transition {
    match verdict {
        ReviewVerdict::Approve => {
            Transition { review: Some(review), ..Transition::step(&[Event::Approved], Durability::Disk) }
        }
        ReviewVerdict::Refuse(why) => {
            let reason = Reason::new(&format!("refused in review: {why}"), Fault::Algorithm);
            let ended = Transition::end(&[Event::Refused], reason, LogFate::without_release(spec));
            Transition { review: Some(review), records: vec![Recorded::refused("review")], ..ended }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;
    use cloister_model::Phase;

    #[test]
    fn the_decision_stands_in_the_status_and_a_refusal_on_record() {
        let spec = reviewed_spec();
        let review = |approved| Review { approved, by: "bob".parse().expect("an account"), at: at(3000), first: None };
        for (verdict, approved, phase, records) in [
            (ReviewVerdict::Approve, true, Phase::Publishing, 0),
            (ReviewVerdict::Refuse("too\nfine".to_owned()), false, Phase::OutputRefused, 1),
        ] {
            let transition = reviewed(&spec, &verdict, review(approved));
            let applied = transition.apply(&in_review(), at(3000), keep(), &[]).expect("applied");
            assert_eq!((applied.status.phase, applied.status.review), (phase, Some(review(approved))));
            assert_eq!(applied.records.len(), records);
            // The consumer does not read a held log unless the outputs are released.
            assert_eq!(applied.status.withheld_log.is_some(), !approved);
        }
    }

    #[test]
    fn the_second_decision_does_not_count() {
        let review = Review { approved: true, by: "bob".parse().expect("an account"), at: at(3000), first: None };
        let approve = reviewed(&reviewed_spec(), &ReviewVerdict::Approve, review);
        let once = approve.apply(&in_review(), at(3000), keep(), &[]).expect("applied").status;
        assert!(approve.apply(&once, at(3001), keep(), &[]).is_err());
    }

    #[test]
    fn two_accounts_approve_and_one_refuses() {
        let account = |name: &str| name.parse::<Account>().expect("an account");
        let mut spec = reviewed_spec();
        let step = |spec: &JobSpec, first: Option<&Approval>, verdict: &ReviewVerdict, by: &str| {
            review_step(spec, first, verdict, account(by), at(3000))
        };
        let (yes, no) = (ReviewVerdict::Approve, ReviewVerdict::Refuse("no".to_owned()));
        assert!(
            matches!(step(&spec, None, &yes, "alice"), Ok(ReviewStep::Decided(_))),
            "one is enough unless two have to"
        );
        spec.terms.release.reviewers = [account("dora")].into();
        let first = Approval { by: account("alice"), at: at(3000) };
        assert_eq!(step(&spec, None, &yes, "alice"), Ok(ReviewStep::First(first.clone())));
        assert_eq!(step(&spec, Some(&first), &yes, "alice"), Err(AlreadyApproved));
        let decided = |approved, by: &str| {
            let review = Review { approved, by: account(by), at: at(3000), first: Some(first.clone()) };
            Ok(ReviewStep::Decided(review))
        };
        assert_eq!(step(&spec, Some(&first), &yes, "dora"), decided(true, "dora"));
        for by in ["alice", "dora"] {
            assert_eq!(step(&spec, Some(&first), &no, by), decided(false, by));
        }
        let refused = step(&spec, None, &no, "dora");
        assert!(matches!(refused, Ok(ReviewStep::Decided(Review { approved: false, first: None, .. }))));

        let noted = approved_first(first.clone()).apply(&in_review(), at(4000), keep(), &[]).expect("applied").status;
        let before = in_review();
        assert_eq!((noted.phase, noted.changed, noted.revision), (before.phase, before.changed, before.revision + 1));
        let stopping = cloister_model::JobStatus { stop_requested: Some(at(1)), ..in_review() };
        assert!(approved_first(first).apply(&stopping, at(4000), keep(), &[]).is_err());
    }
}
