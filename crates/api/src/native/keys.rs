use super::views::List;
use crate::{
    auth::{Caller, NewKey, new_key},
    date,
    principal::{Principal, Via},
    problem::Problem,
    state::Shared,
    web::{In, Json, Query},
};
use axum::{extract::State, http::StatusCode};
use cloister_model::{Account, ApiKey, AuditAction, AuditEvent, KeyId, Role, Timestamp, escape};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

/// Keys that one account may make, those that are good no more included: nobody's keys push those of others out of the
/// operators' sight.
const MOST_KEYS: usize = 1000;

/// A key to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"role": "consumer", "label": "laptop"}))]
pub(super) struct KeyRequest {
    /// Whose it is; yours if absent. Others' only for operators.
    #[schema(value_type = Option<String>, pattern = "^[!-~]{1,128}$")]
    account: Option<Account>,
    /// What it may do: at most what you may. `consumer` if absent.
    #[schema(value_type = Option<RoleSchema>)]
    role: Option<Role>,
    /// What you call it.
    #[schema(max_length = 100)]
    label: Option<String>,
    /// When it stops working: a moment in UTC, such as `2027-01-01T00:00:00Z`. Not after the key that makes it does, and
    /// then if absent.
    #[schema(format = DateTime)]
    expires: Option<String>,
}

/// What somebody may do.
#[derive(ToSchema)]
#[schema(as = Role, rename_all = "lowercase")]
#[expect(dead_code, reason = "describes `Role` to readers of the documentation")]
pub(super) enum RoleSchema {
    Consumer,
    Publisher,
    Operator,
}

/// A key.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Key)]
pub(super) struct KeyView {
    id: String,
    account: String,
    /// `consumer`, `publisher` or `operator`.
    role: String,
    label: String,
    #[schema(format = DateTime)]
    created: String,
    #[schema(format = DateTime)]
    expires: Option<String>,
    #[schema(format = DateTime)]
    revoked: Option<String>,
    /// The key itself, which is shown only now: nobody keeps it but you.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

impl From<&ApiKey> for KeyView {
    fn from(key: &ApiKey) -> Self {
        let ApiKey { id, account, role, label, sha256: _, created, expires, revoked } = key;
        Self {
            id: id.to_string(),
            account: account.to_string(),
            role: role.to_string(),
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
    post, path = "/v1/keys", tag = "keys", request_body = KeyRequest, responses((status = 201, body = KeyView))
)]
pub(super) async fn create(
    State(shared): State<Shared>,
    Caller(who): Caller,
    Json(request): Json<KeyRequest>,
) -> Result<(StatusCode, axum::Json<KeyView>), Problem> {
    let KeyRequest { account, role, label, expires } = request;
    let account = account.unwrap_or_else(|| who.account.clone());
    let role = role.unwrap_or(Role::Consumer);
    if !who.is_or_operates(&account) {
        return Err(Problem::forbidden("only operators make keys for others; leave `account` out"));
    }
    if !who.is(role) {
        return Err(Problem::forbidden("a key may do at most what you may; ask for a lesser `role`"));
    }
    let label = label.unwrap_or_default();
    if label.len() > 100 {
        return Err(Problem::field("label", "has to have at most 100 bytes"));
    }
    let now = shared.now();
    let expires = expires.map(|text| date::read(&text).filter(|at| *at > now).ok_or(()));
    let expires = expires
        .transpose()
        .map_err(|()| Problem::field("expires", "has to be a moment to come in UTC, such as `2027-01-01T00:00:00Z`"))?;
    if !who.is(Role::Operator) && shared.backend.keys(Some(account.clone())).await?.len() >= MOST_KEYS {
        let detail = format!("you have made {MOST_KEYS} keys, which is the most; ask an operator for one");
        return Err(Problem::conflict("too-many-keys", detail));
    }
    let expires = within(expires, expiry_of_maker(&shared, &who).await?)?;
    let made = new_key(account, role, label, expires, now);
    let NewKey { token, stored } = made.map_err(|_| Problem::internal())?;
    let record = event(&who, AuditAction::KeyCreated, &stored, now);
    shared.backend.put_key(stored.clone(), record).await?;
    let view = KeyView { key: Some(token.expose().clone()), ..KeyView::from(&stored) };
    Ok((StatusCode::CREATED, axum::Json(view)))
}

/// When the key that is used to make another stops working.
async fn expiry_of_maker(shared: &Shared, who: &Principal) -> Result<Option<Timestamp>, Problem> {
    let Via::Key(id) = &who.via else { return Ok(None) };
    Ok(shared.backend.key(id.clone()).await?.and_then(|key| key.expires))
}

/// When a key stops working that was made with one that stops working then: no later. Else whoever is given a key for a
/// day has one for ever.
fn within(wanted: Option<Timestamp>, most: Option<Timestamp>) -> Result<Option<Timestamp>, Problem> {
    match (wanted, most) {
        (Some(wanted), Some(most)) if wanted > most => {
            let detail =
                format!("has to be at most {}: a key lasts no longer than the one that makes it", date::write(most));
            Err(Problem::field("expires", detail))
        }
        (wanted, most) => Ok(wanted.or(most)),
    }
}

/// Which keys are asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct KeysQuery {
    /// Of this account; yours, or for operators everybody's, if absent.
    #[param(value_type = Option<String>, pattern = "^[!-~]{1,128}$")]
    account: Option<Account>,
}

/// Keys, the newest first
#[utoipa::path(get, path = "/v1/keys", tag = "keys", params(KeysQuery), responses((status = 200, body = List<KeyView>)))]
pub(super) async fn list(
    State(shared): State<Shared>,
    Caller(who): Caller,
    Query(query): Query<KeysQuery>,
) -> Result<axum::Json<List<KeyView>>, Problem> {
    let account = match query.account {
        Some(account) if who.is_or_operates(&account) => Some(account),
        Some(_) => return Err(Problem::forbidden("only operators see the keys of others; leave `account` out")),
        None if who.is(Role::Operator) => None,
        None => Some(who.account),
    };
    let keys = shared.backend.keys(account).await?;
    Ok(axum::Json(List { items: keys.iter().map(KeyView::from).collect() }))
}

/// Revoke a key
#[utoipa::path(
    delete, path = "/v1/keys/{id}", tag = "keys", params(("id" = String, Path, pattern = "^[0-9a-f]{16}$")),
    responses((status = 204, description = "It is of no use any more"))
)]
pub(super) async fn revoke(
    State(shared): State<Shared>,
    Caller(who): Caller,
    In(id): In<KeyId>,
) -> Result<StatusCode, Problem> {
    let key = shared.backend.key(id.clone()).await?;
    let key = key.filter(|key| who.is_or_operates(&key.account)).ok_or_else(Problem::not_found)?;
    let now = shared.now();
    shared.backend.revoke_key(id, now, event(&who, AuditAction::KeyRevoked, &key, now)).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn event(who: &Principal, action: AuditAction, key: &ApiKey, at: Timestamp) -> AuditEvent {
    AuditEvent {
        at,
        actor: who.account.key().to_owned(),
        action,
        subject: key.id.to_string(),
        detail: json!({"account": key.account, "role": key.role}).to_string(),
    }
}
