//! What domain errors are as problems.

use super::Problem;
use crate::date;
use axum::http::StatusCode;
use cloister_model::{AssetKind, EngineError, StoreError, Unavailability};
use cloister_service::{
    AssetError, AuditError, DownloadError, JobError, KeyError, NeedsRole, ReceiptError, SubmitError, TooMany,
    UploadError,
};

impl From<EngineError> for Problem {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::NoSuchJob(_) | EngineError::NoSuchResult { .. } => Self::not_found(),
            EngineError::JobExists(_) => Self::conflict("job-exists", error.to_string()),
            EngineError::Claimed(_) => Self::conflict("claimed", error.to_string()),
            EngineError::NotEnded(_) => Self::conflict("not-ended", error.to_string()),
            EngineError::NotWaitingForStore(_) => Self::conflict("not-waiting-for-store", error.to_string()),
            EngineError::NotInReview(_) => Self::conflict("not-in-review", error.to_string()),
            EngineError::AlreadyApproved(_) => Self::conflict("already-approved", error.to_string()),
            EngineError::NoWithheldLog(_) => Self::conflict("no-withheld-log", error.to_string()),
            EngineError::Full => Self { retry_after: Some(30), ..Self::unavailable(error.to_string()) },
            EngineError::FullForAccount(_) => Self { detail: error.to_string(), ..Self::rate_limited(30) },
            EngineError::Quota(exceeded) => Self::quota(exceeded),
            EngineError::Unavailable { kind: Unavailability::Held, text } => Self::unavailable(text),
            EngineError::Unavailable { kind, text } => {
                tracing::error!(?kind, why = %text, "the engine cannot be reached");
                Self::unavailable("the engine cannot be reached; try again, and ask the operator if it stays so")
            }
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Missing => Self::not_found(),
            StoreError::Conflict => Self::conflict("conflict", error.to_string()),
            StoreError::Full(_) => {
                Self::new(StatusCode::INSUFFICIENT_STORAGE, "full", "Insufficient storage", error.to_string())
            }
            StoreError::Quota(exceeded) => Self::quota(exceeded),
            StoreError::Unavailable(why) => {
                tracing::error!(%why, "the store cannot be reached");
                Self::unavailable("the store cannot be reached; try again, and ask the operator if it stays so")
            }
        }
    }
}

impl From<NeedsRole> for Problem {
    fn from(error: NeedsRole) -> Self {
        Self::forbidden(error.to_string())
    }
}

impl From<TooMany> for Problem {
    fn from(error: TooMany) -> Self {
        Self { detail: error.to_string(), ..Self::rate_limited(5) }
    }
}

/// A fault of this program: the log says what happened, the answer does not.
fn internal(what: &'static str) -> Problem {
    tracing::error!(what, "a request failed");
    Problem::internal()
}

fn no_such_asset(field: impl Into<String>) -> Problem {
    let detail = "there is no such asset that you may see; check its DID";
    Problem::new(StatusCode::NOT_FOUND, "no-such-asset", "No such asset", detail).about(field)
}

impl From<SubmitError> for Problem {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Denied { rules, interpreter } => Self::denied(rules, interpreter.as_deref()),
            SubmitError::NoSuchAsset { field } => no_such_asset(field),
            SubmitError::Field { field, problem } => Self::field(field, problem),
            SubmitError::Reused => Self::conflict("idempotency-key-reused", error.to_string()),
            SubmitError::AgreementInUse => Self::conflict("agreement-in-use", error.to_string()),
            SubmitError::Engine(error) => error.into(),
            SubmitError::Store(error) => error.into(),
            SubmitError::Internal(what) => internal(what),
        }
    }
}

impl From<JobError> for Problem {
    fn from(error: JobError) -> Self {
        match error {
            JobError::NotFound => Self::not_found(),
            JobError::NotEnded(_) => Self::conflict("not-ended", error.to_string()),
            JobError::NotWaitingForStore(_) => Self::conflict("not-waiting-for-store", error.to_string()),
            JobError::NotInReview(_) => Self::conflict("not-in-review", error.to_string()),
            JobError::AlreadyApproved(_) => Self::conflict("already-approved", error.to_string()),
            JobError::ApproverGone(_) => Self::conflict("approver-gone", error.to_string()),
            JobError::NoWithheldLog(_) => Self::conflict("no-withheld-log", error.to_string()),
            JobError::OthersJobs => Self::forbidden(error.to_string()),
            JobError::Engine(error) => error.into(),
            JobError::Store(error) => error.into(),
        }
    }
}

impl From<AssetError> for Problem {
    fn from(error: AssetError) -> Self {
        match error {
            AssetError::NotFound => Self::not_found(),
            AssetError::NoSuchService => Self::not_found().about("service"),
            AssetError::NoSuchAlgorithm => no_such_asset("algorithm"),
            AssetError::NotTrusted => {
                Self::new(StatusCode::NOT_FOUND, "not-trusted", "Not trusted", error.to_string()).about("algorithm")
            }
            AssetError::Role(error) => error.into(),
            AssetError::OtherKind(AssetKind::Algorithm) => {
                Self::field("kind", "this is an algorithm; send it to /v1/algorithms")
            }
            AssetError::OtherKind(AssetKind::Dataset) => {
                Self::field("kind", "this is a dataset; send it to /v1/datasets")
            }
            AssetError::Field { field, problem } => {
                Self { field: field.map(String::into_boxed_str), ..Self::field("", problem) }
            }
            AssetError::DidTaken => Self::conflict("did-taken", error.to_string()),
            AssetError::Conflict => Self::conflict("conflict", error.to_string()),
            AssetError::AlgorithmChanged => Self::conflict("algorithm-changed", error.to_string()),
            AssetError::Changed => {
                Self::new(StatusCode::PRECONDITION_FAILED, "changed", "Precondition failed", error.to_string())
            }
            AssetError::Pending => Self::unavailable(error.to_string()),
            AssetError::Source(_) => Self::field("files", error.to_string()),
            AssetError::Engine(error) => error.into(),
            AssetError::Store(error) => error.into(),
            AssetError::Internal(what) => internal(what),
        }
    }
}

impl From<DownloadError> for Problem {
    fn from(error: DownloadError) -> Self {
        match error {
            DownloadError::NotFound => Self::not_found(),
            DownloadError::Pending => Self::unavailable(error.to_string()),
            DownloadError::Source(_) | DownloadError::Unavailable => {
                Self::new(StatusCode::BAD_GATEWAY, "source", "Source unavailable", error.to_string())
            }
            DownloadError::Engine(error) => error.into(),
            DownloadError::Store(error) => error.into(),
        }
    }
}

impl From<KeyError> for Problem {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::OthersKey | KeyError::Role => Self::forbidden(error.to_string()),
            KeyError::Label => Self::field("label", error.to_string()),
            KeyError::ExpiresInThePast => {
                Self::field("expires", "has to be a moment in the future in UTC, such as `2027-01-01T00:00:00Z`")
            }
            KeyError::OutlivesMaker(most) | KeyError::TooLong(most) => {
                let most = date::write(most);
                Self::field("expires", format!("has to be at most {most}: {error}"))
            }
            KeyError::TooMany => Self::conflict("too-many-keys", error.to_string()),
            KeyError::NotFound => Self::not_found(),
            KeyError::Store(error) => error.into(),
            KeyError::NoRandomBytes => internal("no random bytes for a key"),
        }
    }
}

impl From<UploadError> for Problem {
    fn from(error: UploadError) -> Self {
        match error {
            UploadError::TooLarge(most) => Self::too_large(most),
            UploadError::TooMany(error) => error.into(),
            UploadError::Strangers => Self { detail: error.to_string(), ..Self::rate_limited(30) },
            UploadError::NotFound => Self::not_found(),
            UploadError::InUse(_) => Self::conflict("upload-in-use", error.to_string()),
            UploadError::Empty | UploadError::OtherFile => Self::malformed(error.to_string()),
            UploadError::Engine(error) => error.into(),
            UploadError::Store(error) => error.into(),
            UploadError::Internal(what) => internal(what),
        }
    }
}

impl From<ReceiptError> for Problem {
    fn from(error: ReceiptError) -> Self {
        match error {
            ReceiptError::NotFound => Self::not_found(),
            ReceiptError::NotEnded => Self::conflict("not-ended", error.to_string()),
            ReceiptError::NotStored => Self::new(StatusCode::NOT_FOUND, "no-receipt", "No receipt", error.to_string()),
            ReceiptError::Engine(error) => error.into(),
        }
    }
}

impl From<AuditError> for Problem {
    fn from(error: AuditError) -> Self {
        match error {
            AuditError::Role(error) => error.into(),
            AuditError::NoSuchRecord(_) => Self::conflict("no-such-record", error.to_string()),
            AuditError::TooYoung(..) => Self::conflict("record-too-young", error.to_string()),
            AuditError::Engine(error) => error.into(),
            AuditError::Store(error) => error.into(),
        }
    }
}
