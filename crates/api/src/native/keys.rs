use super::{schemas::RoleSchema, views::List};
use crate::{
    auth::Caller,
    date,
    extract::{Json, PathParam, Query},
    problem::Problem,
};
use axum::{extract::State, http::StatusCode};
use cloister_model::{Account, ApiKey, KeyId, Role, escape};
use cloister_service::{KeyError, KeyRequest, NewKey, UseCases};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// A key to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = KeyRequest, example = json!({"role": "consumer", "label": "laptop"}))]
pub(super) struct KeyBody {
    /// Its account; yours if absent. Only operators may name another.
    #[schema(value_type = Option<String>, pattern = "^[!-~]{1,128}$")]
    account: Option<Account>,
    /// What it may do: at most what you may. `consumer` if absent.
    #[schema(value_type = Option<RoleSchema>)]
    role: Option<Role>,
    /// What you call it.
    #[schema(max_length = 100)]
    label: Option<String>,
    /// When it stops working: a moment in UTC, such as `2027-01-01T00:00:00Z`. Not after the key or token that makes it does,
    /// and not after the longest time that the operator has set. Absent: as late as it may.
    #[schema(format = DateTime)]
    expires: Option<String>,
}

/// A key.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Key)]
pub(super) struct KeyView {
    id: String,
    account: String,
    #[schema(value_type = RoleSchema)]
    role: Role,
    label: String,
    #[schema(format = DateTime)]
    created: String,
    #[schema(format = DateTime)]
    expires: Option<String>,
    #[schema(format = DateTime)]
    revoked: Option<String>,
    /// The key itself. It is shown only now, and not stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

impl From<&ApiKey> for KeyView {
    fn from(key: &ApiKey) -> Self {
        let ApiKey { id, account, role, label, sha256: _, created, expires, revoked } = key;
        Self {
            id: id.to_string(),
            account: account.to_string(),
            role: *role,
            label: escape(label.as_bytes(), 100).to_string(),
            created: date::write(*created),
            expires: expires.map(date::write),
            revoked: revoked.map(date::write),
            key: None,
        }
    }
}

/// Make a key
#[utoipa::path(
    post, path = "/v1/keys", operation_id = "create_key", tag = "keys", request_body = KeyBody, responses((status = 201, body = KeyView))
)]
pub(super) async fn create(
    State(use_cases): State<UseCases>,
    Caller(who): Caller,
    Json(request): Json<KeyBody>,
) -> Result<(StatusCode, axum::Json<KeyView>), Problem> {
    let KeyBody { account, role, label, expires } = request;
    let expires = match expires {
        Some(text) => Some(date::read(&text).ok_or(KeyError::ExpiresInThePast)?),
        None => None,
    };
    let request = KeyRequest { account, role, label: label.unwrap_or_default(), expires };
    let NewKey { token, stored } = use_cases.create_key(&who, request).await?;
    let view = KeyView { key: Some(token.expose().clone()), ..KeyView::from(&stored) };
    Ok((StatusCode::CREATED, axum::Json(view)))
}

/// Which keys are asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct KeysQuery {
    /// Of this account. Absent: yours, or for operators all.
    #[param(value_type = Option<String>, pattern = "^[!-~]{1,128}$")]
    account: Option<Account>,
}

/// Keys, the newest first
#[utoipa::path(
    get, path = "/v1/keys", operation_id = "list_keys", tag = "keys", params(KeysQuery),
    responses((status = 200, body = List<KeyView>))
)]
pub(super) async fn list(
    State(use_cases): State<UseCases>,
    Caller(who): Caller,
    Query(query): Query<KeysQuery>,
) -> Result<axum::Json<List<KeyView>>, Problem> {
    let keys = use_cases.keys(&who, query.account).await?;
    Ok(axum::Json(List { items: keys.iter().map(KeyView::from).collect() }))
}

/// Revoke a key
#[utoipa::path(
    delete, path = "/v1/keys/{id}", operation_id = "revoke_key", tag = "keys", params(("id" = String, Path, pattern = "^[0-9a-f]{16}$")),
    responses((status = 204, description = "It no longer works"))
)]
pub(super) async fn revoke(
    State(use_cases): State<UseCases>,
    Caller(who): Caller,
    PathParam(id): PathParam<KeyId>,
) -> Result<StatusCode, Problem> {
    use_cases.revoke_key(&who, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
