//! The uploads that an account has, and how they go: their owner deletes them, or their time is over. What a published asset or
//! an unfinished job needs stays.

use crate::{OWNER, Principal, UPLOAD, UploadError, UseCases};
use cloister_model::{
    Account, AssetKind, AssetQuery, Ddo, Did, EngineError, JobId, JobQuery, Labels, Location, Phase, ServiceFiles,
    ServiceKind, Sha256, StoreError, Timestamp, Upload, UploadQuery,
};
use std::{collections::BTreeMap, fmt};

/// Uploads, and assets, that are read at a time.
const PAGE: u32 = 100;

/// A part of an account's uploads, and how much it has and may have.
#[derive(Clone, Debug)]
pub struct UploadList {
    /// The uploads.
    pub uploads: Vec<Upload>,
    /// The upload after which the rest begins; none: this is the end.
    pub next: Option<Sha256>,
    /// The bytes of all of them.
    pub used_bytes: u64,
    /// The most that the account may have.
    pub limit_bytes: u64,
}

/// What needs an upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UsedBy {
    /// A published asset of its owner.
    Asset(Did),
    /// An unfinished job of its owner.
    Job(JobId),
}

impl fmt::Display for UsedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asset(did) => write!(f, "your asset {did} names this upload; withdraw or change the asset first"),
            Self::Job(job) => write!(f, "your job {job} runs this upload; wait until it has ended, or stop it first"),
        }
    }
}

impl UseCases {
    /// The caller's uploads after this one, at most so many.
    ///
    /// # Errors
    /// If the store cannot be reached.
    pub async fn uploads(
        &self,
        who: &Principal,
        after: Option<Sha256>,
        at_most: u32,
    ) -> Result<UploadList, UploadError> {
        let owner = &who.account;
        let after = after.map(|sha256| (owner.clone(), sha256));
        // One more, to know whether there are more.
        let at_most_and_one = at_most.saturating_add(1);
        let query = UploadQuery { owner: Some(owner.clone()), sent_before: None, after, at_most: at_most_and_one };
        let mut uploads = self.backend().uploads(query).await?;
        let more = uploads.len() > at_most as usize;
        uploads.truncate(at_most as usize);
        Ok(UploadList {
            next: uploads.last().filter(|_| more).map(|upload| upload.file.sha256),
            uploads,
            used_bytes: self.backend().upload_bytes(owner.clone()).await?,
            limit_bytes: self.options().quotas.upload_bytes(owner),
        })
    }

    /// When an upload goes by itself if nothing needs it.
    #[must_use]
    pub fn upload_expires(&self, upload: &Upload) -> Timestamp {
        let keep = u64::try_from(self.options().quotas.upload_keep.as_millis()).unwrap_or(u64::MAX);
        Timestamp::from_unix_ms(upload.created.unix_ms().saturating_add(keep))
    }

    /// Deletes an upload of the caller's.
    ///
    /// # Errors
    /// [`UploadError::NotFound`], [`UploadError::InUse`], [`UploadError::TooMany`], or the store cannot be reached.
    pub async fn remove_upload(&self, who: &Principal, sha256: Sha256) -> Result<(), UploadError> {
        let owner = &who.account;
        let _permit = self.removing().take(owner)?;
        let needed = match self.job_that_runs(owner, sha256).await? {
            Some(job) => Some(UsedBy::Job(job)),
            None => self.uploads_of_assets(owner).await?.remove(&sha256).map(UsedBy::Asset),
        };
        if let Some(needed) = needed {
            return Err(UploadError::InUse(needed));
        }
        match self.backend().remove_upload(sha256, owner.clone(), None).await {
            Err(StoreError::Missing) => Err(UploadError::NotFound),
            removed => Ok(removed?),
        }
    }

    /// Deletes all uploads whose time is over and that nothing needs, and says how many.
    ///
    /// # Errors
    /// If the store cannot be reached. What is left goes the next time.
    pub async fn remove_expired_uploads(&self) -> Result<u64, UploadError> {
        let keep = u64::try_from(self.options().quotas.upload_keep.as_millis()).unwrap_or(u64::MAX);
        let before = Timestamp::from_unix_ms(self.now().unix_ms().saturating_sub(keep));
        let (mut after, mut removed) = (None, 0);
        let mut needed: Option<(Account, BTreeMap<Sha256, Did>)> = None;
        loop {
            let query = UploadQuery { owner: None, sent_before: Some(before), after, at_most: PAGE };
            let page = self.backend().uploads(query).await?;
            let Some(last) = page.last() else { return Ok(removed) };
            after = Some((last.owner.clone(), last.file.sha256));
            for Upload { file, owner, created: _ } in page {
                if needed.as_ref().is_none_or(|(account, _)| *account != owner) {
                    needed = Some((owner.clone(), self.uploads_of_assets(&owner).await?));
                }
                let named = needed.as_ref().is_some_and(|(_, named)| named.contains_key(&file.sha256));
                if named || self.job_that_runs(&owner, file.sha256).await?.is_some() {
                    continue;
                }
                match self.backend().remove_upload(file.sha256, owner, Some(before)).await {
                    Ok(()) => removed += 1,
                    Err(StoreError::Missing) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
    }

    /// An unfinished job of the account's that runs this upload.
    async fn job_that_runs(&self, owner: &Account, sha256: Sha256) -> Result<Option<JobId>, EngineError> {
        let labels = Labels::new().with(OWNER, owner.key());
        let Ok(labels) = labels.and_then(|labels| labels.with(UPLOAD, &sha256.to_string())) else { return Ok(None) };
        let phases = Phase::ALL.into_iter().filter(|phase| !phase.has_ended()).collect();
        let query = JobQuery { labels, phases: Some(phases), after: None, at_most: 1 };
        Ok(self.backend().list(query).await?.first().map(|status| status.id))
    }

    /// What the published assets of an account name of its uploads, and the first asset that does. Descriptions are read one
    /// after the other, so that never more than one is in memory.
    async fn uploads_of_assets(&self, owner: &Account) -> Result<BTreeMap<Sha256, Did>, StoreError> {
        let mut named = BTreeMap::new();
        for kind in [AssetKind::Dataset, AssetKind::Algorithm] {
            let mut after = None;
            loop {
                let owner = Some(owner.clone());
                let query = AssetQuery { kind, owner, after, withdrawn: false, at_most: PAGE };
                let page = self.backend().assets(query).await?;
                for summary in &page.assets {
                    let Some(asset) = self.backend().asset(summary.did.clone()).await? else { continue };
                    for sha256 in uploads_of(&asset.ddo) {
                        named.entry(sha256).or_insert_with(|| summary.did.clone());
                    }
                }
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
        }
        Ok(named)
    }
}

/// The uploads that a description names: as files, and as programs that examine outputs.
fn uploads_of(ddo: &Ddo) -> Vec<Sha256> {
    let mut found = Vec::new();
    for service in ddo.services() {
        if let Some(ServiceFiles::Open(files)) = &service.files {
            found.extend(files.files().iter().filter_map(|source| match source.location() {
                Location::Upload(sha256) => Some(*sha256),
                _ => None,
            }));
        }
        if let ServiceKind::Compute(permissions) = &service.kind {
            found.extend(permissions.output_contract.release.checks.iter().map(|check| check.sha256));
        }
    }
    found
}
