use cloister_model::{AuditAction, AuditEvent, Denial, Did, JobId, ListDigest, Timestamp};
use serde_json::{Value, json};

/// The actor of events that a job's own progress puts on record.
pub const ENGINE: &str = "engine";

/// The rule of a release that is refused because the permission was taken back.
pub(crate) const PERMISSION: &str = "permission";

/// An event that a job's own progress puts on record, without its moment: the moment is that of the transition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// What was done.
    pub action: AuditAction,
    /// The particulars. No secrets, and no text of the guest.
    pub detail: Value,
}

impl Recorded {
    /// Results became readable.
    pub(crate) fn released(list: &ListDigest, registered: Option<&Did>) -> Self {
        let ListDigest { sha256, files, bytes } = list;
        let detail = json!({
            "files": files,
            "bytes": bytes,
            "resultsSha256": sha256,
            "registered": registered,
        });
        Self { action: AuditAction::Released, detail }
    }

    /// Results were kept back, because of this rule.
    pub(crate) fn refused(rule: &str) -> Self {
        Self { action: AuditAction::ReleaseRefused, detail: json!({ "rule": rule }) }
    }

    /// A job did not run although it was allowed once, because of these rules.
    pub(crate) fn no_longer_allowed(denials: &[Denial]) -> Self {
        Self { action: AuditAction::JobDenied, detail: json!({ "rules": denials }) }
    }

    /// Results were kept back because the permission was taken back, by these rules.
    pub(crate) fn withheld(denials: &[Denial]) -> Self {
        Self { action: AuditAction::ReleaseRefused, detail: json!({ "rule": PERMISSION, "rules": denials }) }
    }

    /// The event for the audit log.
    #[must_use]
    pub fn event(&self, job: JobId, at: Timestamp) -> AuditEvent {
        let Self { action, detail } = self;
        let (actor, subject) = (ENGINE.to_owned(), job.to_string());
        AuditEvent { at, actor, action: *action, subject, detail: detail.to_string() }
    }
}
