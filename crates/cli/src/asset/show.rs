use super::{
    kind::collection,
    name::{Named, find},
};
use crate::{
    client::{Asset, read, read_all},
    context::Context,
    output::{Format, Table, age, print_document, print_line, shown},
};
use cloister_model::{Account, AssetKind};
use serde_json::json;

/// Which assets.
#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// Only those of this account
    #[arg(long, value_name = "ACCOUNT")]
    owner: Option<Account>,
    /// Maximum number of entries
    #[arg(long, default_value_t = 1000)]
    limit: usize,
}

/// Which asset.
#[derive(Debug, clap::Args)]
pub(crate) struct Show {
    /// Its name, OWNER/NAME, or DID
    asset: Named,
}

impl List {
    pub(super) async fn execute(self, context: &Context, kind: AssetKind) -> anyhow::Result<()> {
        let mut query = Vec::new();
        if let Some(owner) = &self.owner {
            query.push(("owner", owner.as_str()));
        }
        let items = context.client()?.pages(&["v1", collection(kind)], &query, self.limit).await?;
        if context.format != Format::Table {
            return Ok(print_document(context.format, &json!({"items": items}))?);
        }
        let mut table = Table::new(["NAME", "OWNER", "TITLE", "SERVICES", "AGE", "STATE", "DID"]);
        for asset in read_all::<Asset>(&items)? {
            let services = services(&asset);
            let state = if asset.withdrawn.is_none() { "published" } else { "withdrawn" };
            let Asset { did, name, owner, title, updated, .. } = asset;
            table.row([name, owner, title, services, age(&updated), state.to_owned(), did]);
        }
        Ok(table.print(match kind {
            AssetKind::Dataset => "no datasets are visible to you",
            AssetKind::Algorithm => "no algorithms are visible to you",
        })?)
    }
}

/// The types of an asset's services.
fn services(asset: &Asset) -> String {
    asset.services.iter().map(|service| service.r#type.as_str()).collect::<Vec<_>>().join(",")
}

impl Show {
    pub(super) async fn execute(self, context: &Context, kind: AssetKind) -> anyhow::Result<()> {
        let client = context.client()?;
        let did = find(&client, kind, &self.asset).await?;
        let answer = client.get(&["v1", collection(kind), &did], &[]).await?;
        if context.format != Format::Table {
            return Ok(print_document(context.format, &answer)?);
        }
        let asset: Asset = read(&answer)?;
        let services = services(&asset);
        let Asset {
            did,
            name,
            owner,
            title,
            revision,
            created,
            updated,
            withdrawn,
            services: _,
            files_checksum,
            container_section_checksum,
        } = asset;
        for (name, text) in [
            ("did", Some(did)),
            ("name", Some(name)),
            ("owner", Some(owner)),
            ("title", Some(title)),
            ("revision", Some(revision.to_string())),
            ("created", Some(created)),
            ("updated", Some(updated)),
            ("withdrawn", withdrawn),
            ("filesChecksum", files_checksum),
            ("containerSectionChecksum", container_section_checksum),
            ("services", Some(services)),
        ] {
            if let Some(text) = text {
                print_line(&format!("{name:<26}{}", shown(&text)))?;
            }
        }
        Ok(())
    }
}
