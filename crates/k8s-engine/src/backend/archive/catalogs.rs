//! Objects of sealed receipts become few: a catalog replaces many of them. It has the ids of their jobs and the digests of what is
//! sealed in a list in the store of results, and the API server keeps the digest of that list.
//!
//! The objects go once the catalog counts, every replica has had time to read its list, and the list was read again. A process that is
//! killed in between leaves both, which say the same.

use super::{
    Archive,
    moving::{AGAIN, delete, is_given_up, new_name, spread},
};
use crate::{
    backend::{Inner, outputs::failed, unusable},
    cluster::call,
    store::{Archived, Catalog, Receipts, SEALED_RECEIPTS, catalog_list, catalog_object, that_lists},
};
use cloister_model::{EngineError, JobId};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, api::PostParams};
use std::{collections::BTreeSet, sync::Arc};
use tokio::time::Instant;

/// After the start of a process, before it makes catalogs, in times that a job is in the archive before it leaves. During an upgrade, replicas
/// of an earlier version may still answer, which know no catalogs.
const UPGRADED: u32 = 5;

/// Which sealed receipts go into a catalog now: the oldest of those whose Secrets are gone, once they are enough. Those of other catalogs,
/// also of one that another replica is making, are left to these.
fn due(standing: Vec<Receipts>, listed: &BTreeSet<String>, enough: usize) -> Vec<Receipts> {
    let is_due = |receipts: &Receipts| receipts.alone && receipts.sha256.is_some() && !listed.contains(&receipts.name);
    let mut due: Vec<Receipts> = standing.into_iter().filter(is_due).collect();
    if due.len() < enough.max(2) {
        return Vec::new();
    }
    due.sort_by(|one, other| (one.created, &one.name).cmp(&(other.created, &other.name)));
    due.truncate(enough.max(2));
    due
}

/// Whether the object of receipts says nothing that a list does not say, too.
fn is_listed(standing: &Receipts, listed: &Receipts) -> bool {
    standing.alone && (&standing.name, standing.sha256, &standing.jobs) == (&listed.name, listed.sha256, &listed.jobs)
}

impl Archive {
    fn catalogs(&self) -> Vec<Catalog> {
        self.those(|object| match object {
            Archived::Catalog(catalog) => Some(catalog.clone()),
            _ => None,
        })
    }

    /// Catalogs that count, and whose lists this process has not looked for.
    fn unread_catalogs(&self) -> Vec<Catalog> {
        let mut found = self.catalogs();
        let index = self.index();
        found.retain(|catalog| catalog.sha256.is_some() && !index.catalogs.contains_key(&catalog.name));
        found
    }

    /// What the list of a catalog says; none: it is lost, or was not looked for.
    fn listed(&self, catalog: &Catalog) -> Option<Arc<[Receipts]>> {
        self.index().catalogs.get(&catalog.name).cloned().flatten()
    }

    /// Whether the receipt of a job may be in a catalog whose list this process does not know.
    pub(super) fn may_have_listed(&self, job: JobId) -> bool {
        let found = self.those(|object| match object {
            Archived::Catalog(catalog) if catalog.sha256.is_some() && catalog.filter.may_have(job) => {
                Some(catalog.clone())
            }
            _ => None,
        });
        found.iter().any(|catalog| self.listed(catalog).is_none())
    }

    /// Sealed receipts that go into a catalog now.
    fn to_list(&self) -> Vec<Receipts> {
        let mut listed = BTreeSet::new();
        for catalog in self.catalogs() {
            if catalog.sha256.is_none() && !is_given_up(catalog.created, &self.options) {
                listed.extend(catalog.members.iter().cloned());
            }
            listed.extend(self.listed(&catalog).iter().flat_map(|all| all.iter()).map(|one| one.name.clone()));
        }
        let standing = self.those(|object| match object {
            Archived::Receipts(receipts) => Some(receipts.clone()),
            _ => None,
        });
        due(standing, &listed, self.options.receipts)
    }

    /// Whether this process may make catalogs by now.
    fn may_make_catalogs(&self) -> bool {
        let patience = self.options.settle * UPGRADED;
        *self.index_mut().catalogs_at.get_or_insert_with(|| Instant::now() + patience) <= Instant::now()
    }
}

impl Inner {
    /// Reads the lists of catalogs that this process does not know yet. Only what is said about receipts and about ids that are taken needs
    /// them: what is said about jobs does not wait for them.
    ///
    /// # Errors
    /// If the store of results or the API server fails, or a list is of another version.
    pub(super) async fn complete_catalogs(&self) -> Result<(), EngineError> {
        self.read_catalogs(self.archive.unread_catalogs()).await
    }

    /// Reads those of these lists that may have a job.
    ///
    /// # Errors
    /// As above.
    pub(in crate::backend) async fn complete_catalogs_of(&self, job: JobId) -> Result<(), EngineError> {
        let mut unread = self.archive.unread_catalogs();
        unread.retain(|catalog| catalog.filter.may_have(job));
        self.read_catalogs(unread).await
    }

    async fn read_catalogs(&self, unread: Vec<Catalog>) -> Result<(), EngineError> {
        for catalog in unread {
            // For each list anew: a process that has just started reads many, and what is asked about one job is read in between.
            let _reading = self.archive.reading.lock().await;
            let is_known = self.archive.index().catalogs.contains_key(&catalog.name);
            if is_known {
                continue;
            }
            let listed = self.read_list(&catalog).await?;
            if listed.is_none() {
                tracing::error!(
                    catalog = catalog.name,
                    "sealed receipts are not known, because the store of results does not have their list; restore its \
                     folder archive, and start the replicas again"
                );
            }
            let mut index = self.archive.index_mut();
            if listed.is_none() {
                // What it replaces, and still stands, is to be listed again. Another list at once would be lost as well, and its catalog would be
                // one object more in the API server, again and again.
                index.catalogs_at = Some(Instant::now() + AGAIN);
            }
            index.catalogs.insert(catalog.name, listed);
        }
        Ok(())
    }

    /// The list of a catalog; none: it is lost.
    async fn read_list(&self, catalog: &Catalog) -> Result<Option<Arc<[Receipts]>>, EngineError> {
        let Some(sha256) = catalog.sha256 else { return Ok(None) };
        let key = self.archive_key().await?;
        let Some(list) = self.results.archived(&catalog.name, sha256, key).await.map_err(failed)? else {
            return Ok(None);
        };
        Ok(Some(catalog.listed(&list)?))
    }

    /// Makes a catalog of sealed receipts if there are enough, and sees to what it replaces.
    pub(super) async fn look_at_catalogs(&self) -> Result<(), EngineError> {
        for catalog in self.archive.catalogs() {
            if let Err(error) = self.remove_listed(catalog).await {
                tracing::warn!(%error, "the objects of sealed receipts that are listed stay for now");
            }
        }
        if !self.archive.may_make_catalogs() || self.archive.to_list().is_empty() {
            return Ok(());
        }
        // Another replica sees the same.
        tokio::time::sleep(spread(&self.archive.options)).await;
        self.refresh_archive(SEALED_RECEIPTS).await?;
        self.complete_catalogs().await?;
        let receipts = self.archive.to_list();
        self.make_catalog(&receipts).await
    }

    /// Lists sealed receipts as one catalog.
    async fn make_catalog(&self, receipts: &[Receipts]) -> Result<(), EngineError> {
        if receipts.is_empty() {
            return Ok(());
        }
        let (api, params): (Api<ConfigMap>, _) = (self.cluster.system(), PostParams::default());
        let name = new_name("catalog")?;
        // First, so that other replicas leave these receipts alone.
        let announced = catalog_object(&name, receipts);
        let announced = call("announce a catalog", || async { api.create(&params, &announced).await }).await?;
        let list = catalog_list(receipts)?;
        let sha256 = self.results.archive(&name, list, self.archive_key().await?).await.map_err(failed)?;
        if !self
            .make_count(["store a catalog", "read a catalog"], &name, &that_lists(announced, sha256), sha256)
            .await?
        {
            return Ok(());
        }
        tracing::info!(objects = receipts.len(), catalog = name, "sealed receipts are listed");
        self.complete_catalogs().await
    }

    /// Removes the objects that a catalog replaces; and a catalog that does not count, and was left by a process that was killed.
    async fn remove_listed(&self, catalog: Catalog) -> Result<(), EngineError> {
        let api: Api<ConfigMap> = self.cluster.system();
        if catalog.sha256.is_none() {
            return self.give_up(catalog.created, &catalog.name, catalog.uid, catalog.version).await;
        }
        let Some(listed) = self.archive.listed(&catalog) else { return Ok(()) };
        let mut standing = Vec::new();
        for listed in listed.iter() {
            if let Some(Archived::Receipts(found)) = self.archive.objects.get(&listed.name)
                && is_listed(&found, listed)
            {
                standing.push(found);
            }
        }
        if standing.is_empty() || !self.archive.has_settled(&catalog.name) {
            return Ok(());
        }
        if self.read_list(&catalog).await?.is_none() {
            let text =
                format!("what was listed as {} is not in the result store; restore its folder archive", catalog.name);
            return Err(unusable(text));
        }
        for Receipts { name, uid, version, .. } in standing {
            delete(&api, &name, uid, version).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_model::{Sha256, Timestamp};
    use cloister_testkit::job_id;

    fn sealed(number: u64) -> Receipts {
        Receipts {
            name: format!("receipts-{number}"),
            uid: Some("a".to_owned()),
            sha256: Some(Sha256::of(b"sealed")),
            jobs: [job_id(number)].into(),
            alone: true,
            created: Timestamp::from_unix_ms(number),
            version: 7,
        }
    }

    #[test]
    fn receipts_wait_until_many_can_be_listed_together() {
        let announced = Receipts { sha256: None, ..sealed(1) };
        let with_secrets = Receipts { alone: false, ..sealed(1) };
        let all = |numbers: &[u64]| numbers.iter().map(|number| sealed(*number)).collect::<Vec<_>>();
        for (what, standing, listed, expected) in [
            ("none", vec![], vec![], vec![]),
            ("too few", all(&[1, 2]), vec![], vec![]),
            ("enough", all(&[3, 1, 2]), vec![], vec![1, 2, 3]),
            ("the oldest go", all(&[5, 4, 3, 2, 1]), vec![], vec![1, 2, 3]),
            ("those of another catalog do not go again", all(&[5, 4, 3, 2, 1]), vec![1, 2], vec![3, 4, 5]),
            ("what is left is too few", all(&[4, 3, 2, 1]), vec![1, 2], vec![]),
            ("what does not count stays", [all(&[2, 3]), vec![announced]].concat(), vec![], vec![]),
            ("receipts whose Secrets are there stay", [all(&[2, 3]), vec![with_secrets]].concat(), vec![], vec![]),
        ] {
            let names = |numbers: Vec<u64>| numbers.into_iter().map(|number| sealed(number).name).collect::<Vec<_>>();
            let listed: BTreeSet<String> = names(listed).into_iter().collect();
            let found: Vec<String> = due(standing, &listed, 3).into_iter().map(|receipts| receipts.name).collect();
            assert_eq!(found, names(expected), "{what}");
        }
        // One object in place of one would not make them fewer.
        assert!(due(vec![sealed(1)], &BTreeSet::new(), 0).is_empty());
    }

    #[test]
    fn only_what_a_list_says_as_well_is_removed() {
        let listed = Receipts { uid: None, version: 0, ..sealed(1) };
        assert!(is_listed(&sealed(1), &listed));
        for (what, standing) in [
            ("its Secrets are there", Receipts { alone: false, ..sealed(1) }),
            ("something else is sealed", Receipts { sha256: Some(Sha256::of(b"other")), ..sealed(1) }),
            ("it does not count", Receipts { sha256: None, ..sealed(1) }),
            ("it has another job", Receipts { jobs: [job_id(1), job_id(2)].into(), ..sealed(1) }),
            ("it is another one", Receipts { name: "receipts-2".to_owned(), ..sealed(1) }),
        ] {
            assert!(!is_listed(&standing, &listed), "{what}");
        }
    }
}
