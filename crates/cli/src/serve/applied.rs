use cloister_api::{AssetError, Refusal, Service};
use cloister_k8s_engine::{Decide, Decided, Deciding, NotPublished, Publish, Publishing, Results, Withdrawing};
use cloister_model::{Account, AssetKind, AssetName, JobId, Manifest, escape};
use serde_json::Value;

/// Characters of what is said of a manifest.
const MOST_MESSAGE: usize = 2000;

/// Publishes manifests that are applied with kubectl as the service publishes those that it is sent.
#[derive(Clone, Debug)]
pub(super) struct Applied(pub(super) Service);

impl Publish for Applied {
    fn publish(&self, owner: Account, manifest: Manifest) -> Publishing<'_> {
        Box::pin(async move { self.0.publish_manifest(&owner, &manifest).await.map_err(not_published) })
    }

    fn withdraw(&self, owner: Account, kind: AssetKind, name: AssetName) -> Withdrawing<'_> {
        Box::pin(async move { self.0.withdraw_manifest(&owner, kind, &name).await.map_err(not_published) })
    }
}

/// Decides about requests that are applied with kubectl as the service decides about those that it is sent.
impl Decide for Applied {
    fn request(&self, account: Account, key: String, request: Value) -> Deciding<'_, Decided> {
        Box::pin(async move {
            match self.0.request_job(&account, key, request).await {
                Ok(job) => Decided::Allowed(job),
                Err(Refusal { text, passes: true, .. }) => Decided::Later { reason: text },
                Err(Refusal { rules, text, .. }) if rules.is_empty() => Decided::Invalid(text),
                Err(Refusal { rules, interpreter, .. }) => Decided::Denied { rules, interpreter },
            }
        })
    }

    fn results(&self, account: Account, job: JobId) -> Deciding<'_, Results> {
        Box::pin(async move {
            match self.0.small_results(&account, job, Results::MOST_BYTES).await {
                Ok(Ok(files)) => Results::Files(files),
                Ok(Err(bytes)) => Results::TooLarge(bytes),
                Err(refusal) => Results::Unavailable(refusal.text),
            }
        })
    }

    fn stop(&self, account: Account, job: JobId) -> Deciding<'_, Result<(), String>> {
        Box::pin(async move { self.0.stop_job(&account, job).await.map_err(|refusal| refusal.text) })
    }
}

/// What the status of the resource says.
fn not_published(error: AssetError) -> NotPublished {
    let (reason, passes) = match &error {
        AssetError::Field { .. } | AssetError::OtherKind(_) => ("InvalidManifest", false),
        AssetError::NoSuchService | AssetError::NoSuchAlgorithm | AssetError::NotTrusted => ("InvalidManifest", true),
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
    fn a_publisher_learns_which_field_and_whether_waiting_helps() {
        let field =
            AssetError::Field { field: Some("files".to_owned()), problem: "have no\u{1b}[31m source".to_owned() };
        let told = not_published(field);
        assert_eq!((told.reason, told.passes), ("InvalidManifest", false));
        assert!(told.message.starts_with("`files` have no") && !told.message.contains('\u{1b}'), "{}", told.message);
        let told = not_published(AssetError::Pending);
        assert_eq!((told.reason, told.passes), ("Fetching", true));
        assert!(not_published(AssetError::Source("x".repeat(10_000))).message.len() <= 2 * MOST_MESSAGE);
    }
}
