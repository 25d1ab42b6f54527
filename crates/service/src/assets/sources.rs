//! Whose files are: what a publisher names is fetched as this Cloister, which may read what the publisher may not.

use super::AssetError;
use crate::UseCases;
use cloister_model::{
    Account, Asset, AssetKind, Ddo, EngineError, JobId, Location, Phase, ServiceFiles, ServiceKind, escape,
};
use std::{
    collections::BTreeMap,
    path::{Component, Path, PathBuf},
};

/// Why an algorithm with several files is refused: an interpreter would be given the first one, and the others would be missing
/// without notice.
pub(crate) const ONE_FILE: &str = "an algorithm has one file, which is what runs; put its parts into one file";

impl UseCases {
    /// Checks that uploads, results and files of this machine are the publisher's own. (The engine checks which paths of
    /// this machine may be read at all.) The results of a job that `before` names, which is what is published of this DID now, are
    /// kept for it, also after the job has gone.
    pub(super) async fn check_sources(
        &self,
        owner: &Account,
        ddo: &Ddo,
        before: Option<&Asset>,
    ) -> Result<(), AssetError> {
        let before = before.filter(|before| before.owner == *owner && before.withdrawn.is_none());
        let kept = before.map(|before| before.ddo.result_jobs()).unwrap_or_default();
        if ddo.services().is_empty() {
            return Err(AssetError::field("services", "an asset without a service cannot be used; give it one"));
        }
        for (at, service) in ddo.services().iter().enumerate() {
            let path = format!("services[{at}].files");
            let files = match &service.files {
                Some(ServiceFiles::Open(files)) => files,
                Some(ServiceFiles::Unsupported(error)) => return Err(error.clone().into()),
                Some(ServiceFiles::Encrypted(_)) => {
                    let problem = "is encrypted for another service; describe the files in the clear";
                    return Err(AssetError::field(path, problem));
                }
                None => return Err(AssetError::field(path, "is missing; say where the files are")),
            };
            if ddo.kind() == AssetKind::Algorithm && files.files().len() > 1 {
                return Err(AssetError::field(path, ONE_FILE));
            }
            for (n, source) in files.files().iter().enumerate() {
                let own = match source.location() {
                    Location::Upload(sha256) => self.backend().upload(*sha256, owner.clone()).await?.is_some(),
                    Location::Result { job, index: _ } => kept.contains(job) || self.released_to(owner, *job).await?,
                    Location::Local(path) => may_name(&self.options().local_roots, owner, path.as_path()),
                    Location::Url(_) | Location::Ipfs(_) | Location::S3(_) | Location::Inline(_) => true,
                };
                if !own {
                    let problem = match source.location() {
                        Location::Local(path) => not_yours(owner, path.as_path()),
                        Location::Result { .. } => {
                            "names no result of yours; take a job of yours that has finished".to_owned()
                        }
                        _ => "names no upload of yours; upload it first".to_owned(),
                    };
                    return Err(AssetError::field(format!("{path}[{n}]"), problem));
                }
            }
        }
        Ok(())
    }

    /// Checks that the programs that examine outputs exist and are the publisher's own uploads.
    pub(super) async fn check_programs(&self, owner: &Account, ddo: &Ddo) -> Result<(), AssetError> {
        for (at, service) in ddo.services().iter().enumerate() {
            let ServiceKind::Compute(permissions) = &service.kind else { continue };
            for (n, check) in permissions.output_contract.release.checks.iter().enumerate() {
                if self.backend().upload(check.sha256, owner.clone()).await?.is_none() {
                    let path = format!("services[{at}].compute.outputContract.checks[{n}]");
                    return Err(AssetError::field(path, "names no program of yours; upload it first"));
                }
            }
        }
        Ok(())
    }

    /// Whether the results of this job were released to this account.
    async fn released_to(&self, owner: &Account, job: JobId) -> Result<bool, EngineError> {
        let found = self.look_up_job(job).await?;
        Ok(found.is_some_and(|found| found.card.record.owner == *owner && found.status.phase == Phase::Finished))
    }
}

/// Why the service does not read a file of its machine, and what to do. Only the publisher reads it, who wrote the path.
fn not_yours(owner: &Account, path: &Path) -> String {
    let (path, owner) = (path.to_string_lossy(), owner.to_string());
    let (path, owner) = (escape(path.as_bytes(), 500), escape(owner.as_bytes(), 128));
    format!(
        "the service may not read `{path}` for {owner}. Ask the operator to list its folder in `sources.local_roots`, or use \
         `type: file` to upload it"
    )
}

/// Whether a file of this machine may be the account's: it lies in a folder that the operator has given to the account. The
/// path's text alone decides, so that the answer tells nothing about the disk.
fn may_name(roots: &BTreeMap<String, Vec<PathBuf>>, owner: &Account, path: &Path) -> bool {
    let plain = path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    let given = [owner.key(), "*"].into_iter().filter_map(|account| roots.get(account)).flatten();
    plain && given.into_iter().any(|root| path.starts_with(root))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_this_machine_belongs_to_the_account_that_the_operator_gave_its_folder() {
        let roots = BTreeMap::from([
            ("alice".to_owned(), vec![PathBuf::from("/srv/alice")]),
            ("*".to_owned(), vec![PathBuf::from("/srv/all")]),
        ]);
        for (who, path, expected) in [
            ("alice", "/srv/alice/a.csv", true),
            ("alice", "/srv/all/a.csv", true),
            ("bob", "/srv/all/a.csv", true),
            ("bob", "/srv/alice/a.csv", false),
            ("alice", "/srv/alice2/a.csv", false),
            ("bob", "/srv/all/../alice/a.csv", false),
            ("alice", "/etc/passwd", false),
        ] {
            assert_eq!(may_name(&roots, &who.parse().expect("an account"), Path::new(path)), expected, "{who} {path}");
        }
    }
}
