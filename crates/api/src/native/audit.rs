use super::schemas::ActionSchema;
use crate::{
    auth::Caller,
    date,
    extract::{self, PageSize, Query},
    problem::Problem,
};
use axum::{Json, extract::State, http::StatusCode};
use cloister_model::{Account, AuditAction, AuditEvent, AuditRecord, Did, Role, Sha256};
use cloister_service::{AuditEntry, AuditFilter, AuditPage, AuditSelection, UseCases};
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
    /// Those about this dataset or algorithm, and about jobs on this dataset.
    #[param(value_type = Option<String>, pattern = "^(did:op:)?[A-Za-z0-9_-]{1,64}$")]
    asset: Option<Did>,
    /// Those of what this account did; `engine`: of what the service did by itself.
    #[param(value_type = Option<String>, pattern = "^[!-~]{1,128}$")]
    actor: Option<Account>,
    /// Those of this moment and later, in UTC.
    #[param(value_type = Option<String>, format = DateTime)]
    since: Option<String>,
    /// Maximum number of entries.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
}

/// Records, the oldest first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditPage)]
pub(super) struct PageView {
    items: Vec<RecordView>,
    /// The `after` of the next page; null at the end.
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
    /// The hash of the record before. Absent in a selection: of a publisher's assets, or by a filter.
    #[serde(skip_serializing_if = "Option::is_none")]
    previous: Option<String>,
    /// SHA-256 over all of it. Absent in a selection.
    #[serde(skip_serializing_if = "Option::is_none")]
    hash: Option<String>,
}

impl RecordView {
    fn new(sequence: u64, event: AuditEvent) -> Self {
        let AuditEvent { at, actor, action, subject, detail } = event;
        let (at, at_ms) = (date::write(at), at.unix_ms());
        Self { sequence, at, at_ms, actor, action, subject, detail, previous: None, hash: None }
    }
}

impl From<AuditRecord> for RecordView {
    fn from(record: AuditRecord) -> Self {
        let AuditRecord { sequence, event, previous, hash } = record;
        let (previous, hash) = (Some(previous.to_string()), Some(hash.to_string()));
        Self { previous, hash, ..Self::new(sequence, event) }
    }
}

/// What was decided, released and read
///
/// For operators, all of it: a hash chain. For publishers, what is about their own assets and about jobs on their datasets. A page may
/// have fewer items than `limit`, or none; `next` says whether there are more.
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
    let AuditQuery { asset, actor, since, after: _, limit: _ } = query;
    let wrong = || Problem::field("since", "is a moment in UTC, such as `2026-01-31T12:00:00Z`");
    let since = since.map(|text| date::read(&text).ok_or_else(wrong)).transpose()?;
    if !who.is(Role::Operator) || asset.is_some() || actor.is_some() || since.is_some() {
        let filter = AuditFilter { asset, actor, since, after, at_most };
        let AuditSelection { records, next } = use_cases.audit_selection(&who, &filter).await?;
        let view = |AuditEntry { sequence, event }| RecordView::new(sequence, event);
        return Ok(Json(PageView { items: records.into_iter().map(view).collect(), next }));
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
