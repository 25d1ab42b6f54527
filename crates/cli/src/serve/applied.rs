use cloister_api::{AssetError, Service};
use cloister_k8s_engine::{NotPublished, Publish, Publishing};
use cloister_model::{Account, Manifest, escape};

/// Characters of what is said of a manifest.
const MOST_MESSAGE: usize = 2000;

/// Publishes manifests that are applied with kubectl as the service publishes those that it is sent.
#[derive(Clone, Debug)]
pub(super) struct Applied(pub(super) Service);

impl Publish for Applied {
    fn publish(&self, owner: Account, manifest: Manifest) -> Publishing<'_> {
        Box::pin(async move { self.0.publish_manifest(&owner, &manifest).await.map_err(not_published) })
    }
}

/// What the status of the resource says.
fn not_published(error: AssetError) -> NotPublished {
    let (reason, passes) = match &error {
        AssetError::Field { .. } | AssetError::OtherKind(_) => ("InvalidManifest", false),
        AssetError::NoSuchService | AssetError::NoSuchAlgorithm => ("InvalidManifest", true),
        AssetError::NotFound | AssetError::Role(_) => ("Refused", true),
        AssetError::DidTaken | AssetError::AlgorithmChanged => ("Conflict", false),
        AssetError::Conflict | AssetError::Changed => ("Conflict", true),
        AssetError::Pending => ("Fetching", true),
        // Its server may be there again.
        AssetError::Source(_) => ("SourceRefused", true),
        AssetError::Engine(_) | AssetError::Store(_) | AssetError::Internal(_) => ("ServiceUnavailable", true),
    };
    let field = match &error {
        AssetError::Field { field: Some(field), problem: _ } => format!("`{field}` "),
        _ => String::new(),
    };
    let text = format!("{field}{error}");
    NotPublished { reason, message: escape(text.as_bytes(), MOST_MESSAGE).to_string(), passes }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publisher_is_told_which_field_and_whether_waiting_helps() {
        let field =
            AssetError::Field { field: Some("files".to_owned()), problem: "have no\u{1b}[31m source".to_owned() };
        let told = not_published(field);
        assert_eq!((told.reason, told.passes), ("InvalidManifest", false));
        assert!(told.message.starts_with("`files` have no") && !told.message.contains('\u{1b}'), "{}", told.message);
        let told = not_published(AssetError::Pending);
        assert_eq!((told.reason, told.passes), ("Fetching", true));
        assert!(not_published(AssetError::Source("x".repeat(10_000))).message.len() <= MOST_MESSAGE);
    }
}
