use super::{AssetError, sources::service_files};
use crate::{
    Principal, UseCases,
    downloads::{DownloadError, ReadableFile},
};
use cloister_model::{Asset, AssetKind, AuditAction, AuditEvent, Did, Inspection, ServiceKind, Sha256, Source};
use serde_json::json;

/// A file of an asset that the caller may download. It was not fetched yet.
#[derive(Clone, Debug)]
pub struct AssetFile {
    use_cases: UseCases,
    who: Principal,
    asset: Asset,
    n: u32,
    source: Source,
}

impl UseCases {
    /// A file of an asset's first `access` service. An asset that can only be computed on has no such service, and its files
    /// are not sent to its owner either, who has them.
    ///
    /// # Errors
    /// [`AssetError::NotFound`], [`AssetError::Store`].
    pub async fn asset_file(
        &self,
        who: &Principal,
        kind: AssetKind,
        did: Did,
        n: u32,
    ) -> Result<AssetFile, AssetError> {
        let asset = self.asset(who, kind, did).await?;
        let source = file(&asset, n).filter(|_| asset.withdrawn.is_none()).ok_or(AssetError::NotFound)?;
        Ok(AssetFile { use_cases: self.clone(), who: who.clone(), asset, n, source })
    }
}

fn file(asset: &Asset, n: u32) -> Option<Source> {
    let service = asset.ddo.services().iter().find(|service| service.kind == ServiceKind::Access)?;
    service_files(service)?.files().get(usize::try_from(n).ok()?).cloned()
}

impl AssetFile {
    /// The digest that the file must have, if its publisher has said it: it is known before the file is fetched.
    #[must_use]
    pub fn declared_digest(&self) -> Option<Sha256> {
        self.source.sha256()
    }

    /// Fetches the file from its source.
    ///
    /// # Errors
    /// [`DownloadError::Pending`] if that takes longer than this call waits; [`DownloadError::Source`] if it cannot be
    /// fetched.
    pub async fn fetch(self) -> Result<ReadableFile, DownloadError> {
        let Self { use_cases, who, asset, n, source } = self;
        let patience = use_cases.options().patience;
        let file = match use_cases.backend().inspect(who.account.clone(), source.into(), patience).await? {
            Inspection::Ready(files) => files.first().copied().ok_or(DownloadError::NotFound)?,
            Inspection::Pending => return Err(DownloadError::Pending),
            Inspection::Failed(why) => return Err(DownloadError::Source(why)),
        };
        let record = AuditEvent {
            at: use_cases.now(),
            actor: who.account.key().to_owned(),
            action: AuditAction::FileDownloaded,
            subject: asset.ddo.id().to_string(),
            detail: json!({"file": n, "sha256": file.sha256, "bytes": file.bytes}).to_string(),
        };
        Ok(ReadableFile::inspected(&use_cases, format!("{}-{n}", asset.name), file, record))
    }
}
