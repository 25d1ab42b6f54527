use crate::{Durability, LogFate, Recorded, Transition};
use cloister_model::{Event, Fault, JobSpec, Reason, Review, ReviewVerdict};

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
        let review = |approved| Review { approved, by: "bob".parse().expect("an account"), at: at(3000) };
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
        let review = Review { approved: true, by: "bob".parse().expect("an account"), at: at(3000) };
        let approve = reviewed(&reviewed_spec(), &ReviewVerdict::Approve, review);
        let once = approve.apply(&in_review(), at(3000), keep(), &[]).expect("applied").status;
        assert!(approve.apply(&once, at(3001), keep(), &[]).is_err());
    }
}
