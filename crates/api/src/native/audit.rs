use super::schemas::ActionSchema;
use crate::{
    auth::Caller,
    date,
    extract::{self, PageSize, Query},
    problem::Problem,
};
use axum::{Json, extract::State, http::StatusCode};
use cloister_model::{AuditAction, AuditEvent, AuditRecord, Sha256};
use cloister_service::{AuditPage, UseCases};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Which records are asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AuditQuery {
    /// Those after this one, by their number.
    #[param(minimum = 0, maximum = 9_223_372_036_854_775_807_i64)]
    after: Option<u64>,
    /// At most so many.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
}

/// Records, the oldest first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditPage)]
pub(super) struct PageView {
    items: Vec<RecordView>,
    /// Give it as `after` for what comes after; null at the end.
    next: Option<u64>,
}

/// What was done, chained to what was done before.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AuditRecord)]
pub(super) struct RecordView {
    /// From 1, without gaps. The first ones may be archived.
    sequence: u64,
    #[schema(format = DateTime)]
    at: String,
    /// The same in milliseconds since 1970, which the hash covers.
    at_ms: u64,
    actor: String,
    #[schema(value_type = ActionSchema)]
    action: AuditAction,
    subject: String,
    /// The particulars as JSON text: the hash covers its letters.
    detail: String,
    /// The hash of the record before.
    previous: String,
    /// SHA-256 over all of it.
    hash: String,
}

impl From<AuditRecord> for RecordView {
    fn from(record: AuditRecord) -> Self {
        let AuditRecord { sequence, event, previous, hash } = record;
        let AuditEvent { at, actor, action, subject, detail } = event;
        Self {
            sequence,
            at: date::write(at),
            at_ms: at.unix_ms(),
            actor,
            action,
            subject,
            detail,
            previous: previous.to_string(),
            hash: hash.to_string(),
        }
    }
}

/// What was decided, released and read
#[utoipa::path(
    get, path = "/v1/audit", operation_id = "list_audit_records", tag = "audit", params(AuditQuery),
    responses((status = 200, body = PageView))
)]
pub(super) async fn list(
    State(use_cases): State<UseCases>,
    Caller(who): Caller,
    Query(query): Query<AuditQuery>,
) -> Result<Json<PageView>, Problem> {
    let at_most = PageSize::Small.of(query.limit)?;
    let after = query.after.unwrap_or(0);
    if i64::try_from(after).is_err() {
        return Err(Problem::field("after", "is beyond all records"));
    }
    let AuditPage { records, more } = use_cases.audit(&who, after, at_most).await?;
    let next = records.last().filter(|_| more).map(|record| record.sequence);
    Ok(Json(PageView { items: records.into_iter().map(RecordView::from).collect(), next }))
}

/// Up to which record the log was archived.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AuditArchive)]
pub(super) struct ArchiveBody {
    /// The last record that was archived.
    #[schema(minimum = 1, maximum = 9_223_372_036_854_775_807_i64)]
    through: u64,
    /// Its hash: it shows that what was archived is what the log has.
    #[schema(value_type = String, pattern = "^[0-9a-f]{64}$")]
    hash: Sha256,
}

/// Take archived records out of the log
///
/// Archive them first, and check what you archived: they are gone from here. That they were archived is put on record, with the
/// number and the hash of the last one, so that the rest can be verified without them. Records that are younger than the operator
/// has set stay.
#[utoipa::path(
    post, path = "/v1/audit/archive", operation_id = "archive_audit_records", tag = "audit", request_body = ArchiveBody,
    responses((status = 204, description = "They are no longer in the log"), (status = 409, description = "The log has no such record (`no-such-record`), or the record is too young (`record-too-young`)"))
)]
pub(super) async fn archive(
    State(use_cases): State<UseCases>,
    Caller(who): Caller,
    extract::Json(ArchiveBody { through, hash }): extract::Json<ArchiveBody>,
) -> Result<StatusCode, Problem> {
    if i64::try_from(through).is_err() {
        return Err(Problem::field("through", "is beyond all records"));
    }
    use_cases.archive_audit(&who, through, hash).await?;
    Ok(StatusCode::NO_CONTENT)
}
