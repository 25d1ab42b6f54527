use crate::problem::{Problem, lacking};
use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use cloister_model::{Denial, EngineError, StoreError, WorkflowError};
use cloister_service::{JobError, SubmitError};
use serde_json::json;

/// Why a request was not done, in Ocean's form: `{"error": "..."}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OperatorError {
    pub(super) status: StatusCode,
    pub(super) text: String,
}

impl OperatorError {
    /// The request cannot be done as it is.
    pub(super) fn bad(text: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, text: text.into() }
    }

    /// The request has no voucher.
    pub(super) fn unauthorized(text: impl Into<String>) -> Self {
        Self { status: StatusCode::UNAUTHORIZED, text: text.into() }
    }

    /// It does not exist, or the caller may not see it.
    pub(super) fn missing(text: impl Into<String>) -> Self {
        Self { status: StatusCode::NOT_FOUND, text: text.into() }
    }

    /// Ocean's text for a request without a parameter that it needs.
    pub(super) fn required(name: &str, call: &str) -> Self {
        Self::bad(format!("\"{name}\" is required in the call to {call}"))
    }
}

impl IntoResponse for OperatorError {
    fn into_response(self) -> Response {
        (self.status, Json(json!({"error": self.text}))).into_response()
    }
}

impl From<Problem> for OperatorError {
    fn from(problem: Problem) -> Self {
        // Ocean knows no other number for a request that cannot be used.
        let status = match problem.status {
            StatusCode::UNPROCESSABLE_ENTITY | StatusCode::CONFLICT | StatusCode::FORBIDDEN => StatusCode::BAD_REQUEST,
            status => status,
        };
        Self { status, text: problem.detail }
    }
}

impl From<EngineError> for OperatorError {
    fn from(error: EngineError) -> Self {
        Problem::from(error).into()
    }
}

impl From<StoreError> for OperatorError {
    fn from(error: StoreError) -> Self {
        Problem::from(error).into()
    }
}

impl From<JobError> for OperatorError {
    fn from(error: JobError) -> Self {
        Problem::from(error).into()
    }
}

impl From<SubmitError> for OperatorError {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Denied { rules, interpreter } => {
                let rules: Vec<String> = rules
                    .iter()
                    .map(|Denial { rule, subject }| {
                        let subject = subject.as_ref().map(|did| format!("{did}: ")).unwrap_or_default();
                        format!("{subject}{} ({})", rule.describe(), rule.advice())
                    })
                    .collect();
                let lacking = interpreter.as_deref().map(lacking).unwrap_or_default();
                Self::bad(format!("The job may not run{lacking}: {}", rules.join("; ")))
            }
            SubmitError::NoSuchAsset { field } => {
                Self::bad(format!("`{field}`: there is no such asset here that this consumer may see; check its DID"))
            }
            SubmitError::AgreementInUse => Self::bad("`agreementId` already in use for other job."),
            other => Problem::from(other).into(),
        }
    }
}

impl From<WorkflowError> for OperatorError {
    /// Ocean's own texts where it has one.
    fn from(error: WorkflowError) -> Self {
        Self::bad(match error {
            WorkflowError::MissingStages => "Missing stages".to_owned(),
            WorkflowError::MultipleStages => "Multiple stages are not supported yet".to_owned(),
            WorkflowError::MissingPart(part) => format!("Missing {part} in stage 0"),
            other => other.to_string(),
        })
    }
}
