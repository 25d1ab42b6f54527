//! Catalogs of sealed receipts: what the API server keeps in place of many objects with the ids of their jobs. The ids go to the store
//! of results, as a list with the digest of each thing that is sealed. The API server keeps the digest of that list, and a filter: some
//! ten bits for each job, which say for certain that a job is not in the list. So no id is free again if the list is lost.

use super::archive::Receipts;
use crate::cluster::CallError;
use cloister_model::{JobId, Sha256, Timestamp};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, sync::Arc};

/// The version of [`Form`] that this code writes. Readers refuse versions that they do not know.
const VERSION: &str = "cloister.dev/receipts-catalog/v1";

/// Bits of a filter for each job. With [`PLACES`], one of a hundred other jobs seems to be among them.
const BITS: usize = 10;

/// Bits of a filter that are set for a job.
const PLACES: usize = 7;

/// Sealed receipts that were listed together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Catalog {
    /// The name of the object, and of the list in the store.
    pub(crate) name: String,
    pub(crate) uid: Option<String>,
    /// The digest of the list; none: the catalog does not count, because it is being made.
    pub(crate) sha256: Option<Sha256>,
    /// Whose receipts may be in it.
    pub(crate) filter: Filter,
    /// The objects that it replaces, while it does not count.
    pub(crate) members: BTreeSet<String>,
    pub(crate) created: Timestamp,
    pub(crate) version: u64,
}

/// Says of a job that it is not among others, or that it may be (a Bloom filter).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Filter(Arc<[u8]>);

/// The list of a catalog, as it is sealed in the store.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Form {
    version: String,
    sealed: Vec<Member>,
}

/// Receipts that were sealed together.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Member {
    /// The name of what is in the store.
    name: String,
    /// Its digest.
    sha256: Sha256,
    jobs: Vec<JobId>,
}

impl Filter {
    /// One of these jobs.
    pub(crate) fn of(jobs: &BTreeSet<JobId>) -> Self {
        let mut bytes = vec![0_u8; (jobs.len() * BITS).div_ceil(8).max(1)];
        for job in jobs {
            for (byte, bit) in places(*job, bytes.len()) {
                if let Some(byte) = bytes.get_mut(byte) {
                    *byte |= bit;
                }
            }
        }
        Self(bytes.into())
    }

    /// One that was stored. An empty one excludes no job: it was changed.
    pub(crate) fn read(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether a job may be among those of the filter.
    pub(crate) fn may_have(&self, job: JobId) -> bool {
        let is_set = |(byte, bit): (usize, u8)| self.0.get(byte).is_none_or(|byte| byte & bit != 0);
        places(job, self.0.len()).into_iter().all(is_set)
    }
}

/// The bits of a job in a filter of so many bytes: which byte, and which bit of it. Ids are hashed: filters do not rely on how they
/// are made.
fn places(job: JobId, bytes: usize) -> Vec<(usize, u8)> {
    let digest = Sha256::of(job.as_bytes());
    let words = digest.as_bytes().as_chunks::<4>().0.iter().take(PLACES);
    let place = |word: &[u8; 4]| {
        let place = usize::try_from(u32::from_le_bytes(*word)).unwrap_or(usize::MAX) % (8 * bytes).max(1);
        (place / 8, 1_u8 << (place % 8))
    };
    words.map(place).collect()
}

impl Catalog {
    /// What a list that was read for this catalog says.
    ///
    /// # Errors
    /// If it is not such a list, or of another version.
    pub(crate) fn listed(&self, list: &[u8]) -> Result<Arc<[Receipts]>, CallError> {
        let form: Form = serde_json::from_slice(list).map_err(|_| unreadable("it is not one"))?;
        if form.version != VERSION {
            return Err(unreadable("it is of another version"));
        }
        let receipts = form.sealed.into_iter().map(|Member { name, sha256, jobs }| {
            let jobs: BTreeSet<JobId> = jobs.into_iter().collect();
            Receipts {
                name,
                uid: None,
                sha256: Some(sha256),
                // Sorted, as they are searched.
                jobs: jobs.into_iter().collect(),
                alone: true,
                created: self.created,
                version: self.version,
            }
        });
        Ok(receipts.collect())
    }
}

/// The list of a catalog of these receipts. Those that do not count are left out.
pub(crate) fn catalog_list(receipts: &[Receipts]) -> Result<Vec<u8>, CallError> {
    let member = |receipts: &Receipts| {
        let (name, jobs) = (receipts.name.clone(), receipts.jobs.to_vec());
        receipts.sha256.map(|sha256| Member { name, sha256, jobs })
    };
    let form = Form { version: VERSION.to_owned(), sealed: receipts.iter().filter_map(member).collect() };
    serde_json::to_vec(&form).map_err(|_| unreadable("it cannot be written as JSON"))
}

fn unreadable(words: &str) -> CallError {
    CallError::Refused { what: "give the list of sealed receipts", words: words.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_testkit::job_id;

    fn jobs(numbers: std::ops::Range<u64>) -> BTreeSet<JobId> {
        numbers.map(job_id).collect()
    }

    #[test]
    fn a_filter_excludes_most_other_jobs_and_none_of_its_own() {
        let filter = Filter::of(&jobs(0..2000));
        assert_eq!(filter.bytes().len(), 2500);
        let stored = Filter::read(filter.bytes());
        assert!(jobs(0..2000).iter().all(|job| stored.may_have(*job)), "an id is free again");
        let others = jobs(2000..12_000).into_iter().filter(|job| stored.may_have(*job)).count();
        assert!(others < 200, "{others} of 10,000");
        assert!(jobs(0..1).iter().all(|job| Filter::of(&jobs(0..1)).may_have(*job)));
        assert!(!Filter::of(&BTreeSet::new()).may_have(job_id(1)));
    }

    /// What an earlier version wrote excludes the same jobs for ever: the places do not change.
    #[test]
    fn a_job_has_the_places_that_its_digest_says() {
        let job = job_id(7);
        let digest = Sha256::of(job.as_bytes());
        let first = digest.as_bytes();
        let word = u32::from_le_bytes([first[0], first[1], first[2], first[3]]);
        let place = usize::try_from(word).expect("a place") % 800;
        let found = places(job, 100);
        assert_eq!(found.len(), PLACES);
        assert_eq!(found[0], (place / 8, 1 << (place % 8)));
        assert!(found.iter().all(|(byte, bit)| *byte < 100 && bit.count_ones() == 1));
    }

    #[test]
    fn a_filter_that_was_changed_frees_no_id() {
        assert!(Filter::read(&[]).may_have(job_id(1)));
    }

    #[test]
    fn a_list_says_what_was_put_into_it() {
        let (created, version) = (Timestamp::from_unix_ms(5), 6);
        let receipts = |number: u64, sha256| Receipts {
            name: format!("receipts-{number}"),
            uid: Some("a".to_owned()),
            sha256,
            jobs: jobs(10 * number..10 * number + 3).into_iter().collect(),
            alone: true,
            created,
            version,
        };
        let digest = |number: u64| Some(Sha256::of(&number.to_le_bytes()));
        let members = [receipts(1, digest(1)), receipts(2, None), receipts(3, digest(3))];
        let catalog = Catalog {
            name: "catalog-1".to_owned(),
            uid: None,
            sha256: digest(9),
            filter: Filter::of(&jobs(0..40)),
            members: BTreeSet::new(),
            created,
            version,
        };
        let written = catalog_list(&members).expect("a list");
        let expected: Vec<Receipts> =
            [&members[0], &members[2]].map(|receipts| Receipts { uid: None, ..receipts.clone() }).into();
        assert_eq!(catalog.listed(&written).expect("a list").to_vec(), expected);
        // Another version is not read as if it were this one.
        let other = String::from_utf8(written).expect("text").replace("/v1", "/v9");
        assert!(catalog.listed(other.as_bytes()).is_err());
        assert!(catalog.listed(b"").is_err());
    }
}
