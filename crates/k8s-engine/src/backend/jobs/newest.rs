use cloister_model::{JobId, JobStatus, Timestamp};
use std::collections::BTreeMap;

/// The newest of many jobs, of which no more are in memory than are asked for: an account may have had a hundred thousand, and ask for
/// fifty of them in each of many requests at once.
#[derive(Debug)]
pub(super) struct Newest {
    most: usize,
    found: BTreeMap<(Timestamp, JobId), JobStatus>,
}

impl Newest {
    pub(super) fn new(most: usize) -> Self {
        Self { most, found: BTreeMap::new() }
    }

    /// Takes note of a job. It is copied only if it is one of the newest so far.
    pub(super) fn offer(&mut self, status: &JobStatus) {
        let place = (status.created, status.id);
        if self.found.len() >= self.most {
            match self.found.first_entry() {
                Some(oldest) if *oldest.key() < place => drop(oldest.remove()),
                Some(_) | None => return,
            }
        }
        self.found.insert(place, status.clone());
    }

    /// The newest first.
    pub(super) fn into_list(self) -> Vec<JobStatus> {
        self.found.into_values().rev().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_model::Labels;
    use cloister_testkit::job_id;

    #[test]
    fn no_more_are_kept_than_are_asked_for() {
        let status =
            |number: u64| JobStatus::queued(job_id(number), Labels::new(), Timestamp::from_unix_ms(1000 + number / 2));
        for most in [0, 1, 7, 1000] {
            let mut newest = Newest::new(most);
            // In an order that is none.
            for number in (0..100).map(|number| number * 37 % 100) {
                newest.offer(&status(number));
                assert!(newest.found.len() <= most, "{most}");
            }
            let mut expected: Vec<JobStatus> = (0..100).map(status).collect();
            expected.sort_by_key(|status| std::cmp::Reverse((status.created, status.id)));
            expected.truncate(most);
            assert_eq!(newest.into_list(), expected, "{most}");
        }
    }
}
