use super::view::{AssetView, find, may_see};
use crate::{
    auth::Caller,
    content::EntityTag,
    native::{jobs::page_size, views::Page},
    principal::Principal,
    problem::Problem,
    state::Shared,
    web::{In, Query},
};
use axum::{
    Json,
    extract::State,
    http::header,
    response::{IntoResponse as _, Response},
};
use cloister_model::{Account, AssetKind, AssetQuery, Did};
use serde::Deserialize;
use utoipa::IntoParams;

/// Pages of the registry that are looked through for one page of an answer: assets that somebody may not see are left out.
const MOST_PAGES: usize = 20;

/// Which assets are asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AssetsQuery {
    /// Of this account.
    #[param(value_type = Option<String>, pattern = "^[!-~]{1,128}$")]
    owner: Option<Account>,
    /// Called this by their owner.
    #[param(value_type = Option<String>, min_length = 1, max_length = 64)]
    name: Option<String>,
    /// At most so many.
    #[param(minimum = 1, maximum = 100, default = 50)]
    limit: Option<u32>,
    /// From `next` of the page before.
    #[param(value_type = Option<String>, pattern = "^(did:op:)?[A-Za-z0-9_-]{1,64}$")]
    cursor: Option<Did>,
}

/// Datasets
#[utoipa::path(
    get, path = "/v1/datasets", tag = "assets", params(AssetsQuery), responses((status = 200, body = Page<AssetView>))
)]
pub(crate) async fn datasets(
    State(shared): State<Shared>,
    Caller(who): Caller,
    Query(query): Query<AssetsQuery>,
) -> Result<Json<Page<AssetView>>, Problem> {
    list(&shared, &who, AssetKind::Dataset, query).await
}

/// Algorithms
#[utoipa::path(
    get, path = "/v1/algorithms", tag = "assets", params(AssetsQuery), responses((status = 200, body = Page<AssetView>))
)]
pub(crate) async fn algorithms(
    State(shared): State<Shared>,
    Caller(who): Caller,
    Query(query): Query<AssetsQuery>,
) -> Result<Json<Page<AssetView>>, Problem> {
    list(&shared, &who, AssetKind::Algorithm, query).await
}

async fn list(
    shared: &Shared,
    who: &Principal,
    kind: AssetKind,
    query: AssetsQuery,
) -> Result<Json<Page<AssetView>>, Problem> {
    let AssetsQuery { owner, name, limit, cursor } = query;
    let at_most = page_size(limit)?;
    if name.as_ref().is_some_and(|name| !(1..=64).contains(&name.len())) {
        return Err(Problem::field("name", "has to have 1 to 64 bytes"));
    }
    if let (Some(owner), Some(name)) = (&owner, &name) {
        let found = shared.backend.asset_named(owner.clone(), kind, name.clone()).await?;
        let items = found.iter().filter(|asset| may_see(asset, who)).map(|asset| AssetView::new(asset, who));
        return Ok(Json(Page { items: items.collect(), next: None }));
    }
    let mut after = cursor;
    let mut items = Vec::new();
    for _ in 0..MOST_PAGES {
        let withdrawn = owner.as_ref().is_some_and(|owner| who.is_or_operates(owner));
        let query = AssetQuery { kind, owner: owner.clone(), after: after.clone(), withdrawn, at_most };
        let page = shared.backend.assets(query).await?;
        let full = page.len() >= at_most as usize;
        for asset in &page {
            let wanted = name.as_ref().is_none_or(|name| asset.name == *name) && may_see(asset, who);
            after = Some(asset.ddo.id().clone());
            if wanted {
                items.push(AssetView::new(asset, who));
            }
            if items.len() == at_most as usize {
                return Ok(Json(Page { items, next: after.map(|did| did.to_string()) }));
            }
        }
        if !full {
            return Ok(Json(Page { items, next: None }));
        }
    }
    Ok(Json(Page { items, next: after.map(|did| did.to_string()) }))
}

/// A dataset
#[utoipa::path(
    get, path = "/v1/datasets/{did}", tag = "assets",
    params(("did" = String, Path, pattern = "^(did:op:)?[A-Za-z0-9_-]{1,64}$")),
    responses((status = 200, body = AssetView, headers(("ETag" = String))))
)]
pub(crate) async fn dataset(
    State(shared): State<Shared>,
    Caller(who): Caller,
    In(did): In<Did>,
) -> Result<Response, Problem> {
    read(&shared, &who, AssetKind::Dataset, did).await
}

/// An algorithm
#[utoipa::path(
    get, path = "/v1/algorithms/{did}", tag = "assets",
    params(("did" = String, Path, pattern = "^(did:op:)?[A-Za-z0-9_-]{1,64}$")),
    responses((status = 200, body = AssetView, headers(("ETag" = String))))
)]
pub(crate) async fn algorithm(
    State(shared): State<Shared>,
    Caller(who): Caller,
    In(did): In<Did>,
) -> Result<Response, Problem> {
    read(&shared, &who, AssetKind::Algorithm, did).await
}

async fn read(shared: &Shared, who: &Principal, kind: AssetKind, did: Did) -> Result<Response, Problem> {
    let asset = find(shared, who, kind, did).await?;
    let tag = [(header::ETAG, EntityTag::new(asset.revision).as_str().to_owned())];
    Ok((tag, Json(AssetView::new(&asset, who))).into_response())
}
