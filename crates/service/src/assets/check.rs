//! Whether the sources of a dataset can be read at present, for its publisher.

use super::AssetError;
use crate::{Principal, UseCases};
use cloister_model::{AssetKind, Did, MOST_FILES, Source, SourceCheck, SourceOutcome, Sources};
use std::time::Duration;

/// The longest that one call waits for sources. A person waits for it, who can ask again.
const PATIENCE: Duration = Duration::from_secs(10);

/// A source of a dataset, and what it gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedSource {
    /// Where it stands in the DDO, such as `services[0].files[1]`.
    pub field: String,
    /// Where it is, as far as it may be shown: at most its scheme and host.
    pub place: String,
    /// What it gave.
    pub outcome: SourceOutcome,
}

impl UseCases {
    /// Looks at each source of a dataset, for its owner: whether it answers, its size, and whether it is what was agreed. None
    /// if that takes longer than this call waits: the same call again continues.
    ///
    /// # Errors
    /// [`AssetError::NotFound`], also for a dataset that was withdrawn; [`AssetError::Store`] if too many checks are under way.
    pub async fn check_sources_of(
        &self,
        who: &Principal,
        dataset: Did,
    ) -> Result<Option<Vec<CheckedSource>>, AssetError> {
        let asset = self.find_own(who, AssetKind::Dataset, dataset, false).await?;
        if asset.withdrawn.is_some() {
            return Err(AssetError::NotFound);
        }
        let (mut fields, mut sources) = (Vec::new(), Vec::<Source>::new());
        for (at, service) in asset.ddo.services().iter().enumerate() {
            let files = service.open_files().map(Sources::files).unwrap_or_default();
            for (n, source) in files.iter().enumerate() {
                fields.push(format!("services[{at}].files[{n}]"));
                sources.push(source.clone());
            }
        }
        sources.truncate(MOST_FILES);
        let Ok(sources) = Sources::new(sources) else { return Ok(Some(Vec::new())) };
        let patience = PATIENCE.min(self.options().patience);
        let checked = self.backend().check_sources(who.account.clone(), sources, patience).await?;
        let named =
            |(field, SourceCheck { place, outcome }): (String, SourceCheck)| CheckedSource { field, place, outcome };
        Ok(checked.map(|checked| fields.into_iter().zip(checked).map(named).collect()))
    }
}
