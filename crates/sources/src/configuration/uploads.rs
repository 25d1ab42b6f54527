use super::{ConfigurationError, Fetcher};
use crate::{FetchError, fetch::Meter};
use cloister_files::Watch;
use cloister_model::{Sha256, Source};
use std::{fs, io, path::Path};

impl Fetcher {
    /// Lays out uploads in the folder `into`, each under its digest and read-only. What an earlier attempt left there is
    /// removed.
    ///
    /// # Errors
    /// The first upload that could not be had. `what` is what the uploads are, in the message.
    pub async fn lay_out_uploads(
        &self,
        what: &str,
        uploads: &[Sha256],
        into: &Path,
        watch: &Watch,
    ) -> Result<(), ConfigurationError> {
        let meter = Meter::new(watch, &self.policy);
        let sources: Vec<Source> = uploads.iter().copied().map(Source::upload).collect();
        let held = tokio::select! {
            biased;
            () = watch.cancel.cancelled() => return Err(ConfigurationError::Cancelled),
            held = self.gather(&sources, &meter) => held.map_err(|error| match error {
                FetchError::Cancelled => ConfigurationError::Cancelled,
                error => ConfigurationError::System(format!("{what} cannot be had: {error}")),
            })?,
        };
        let (into, cancel) = (into.to_owned(), watch.cancel.clone());
        let laid_out = tokio::task::spawn_blocking(move || {
            empty(&into)?;
            held.iter().try_for_each(|held| held.link(&into.join(held.file().sha256.to_string()), &cancel))
        });
        let laid_out = laid_out.await.unwrap_or_else(|_| Err(io::Error::other("a step of configuration broke")));
        if watch.cancel.is_cancelled() {
            return Err(ConfigurationError::Cancelled);
        }
        laid_out.map_err(|error| ConfigurationError::System(format!("{what} cannot be laid out ({})", error.kind())))
    }
}

/// Makes a folder that holds nothing. It may be the root of a mount, which stays.
fn empty(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    fs::read_dir(folder)?.try_for_each(|entry| fs::remove_file(entry?.path()))
}
