use super::{Named, collection, find};
use crate::{
    arguments::Context,
    output::{Format, Table, age, print_document, print_line, shown},
};
use cloister_model::{Account, AssetKind};
use serde_json::{Value, json};

/// Which assets.
#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// Only those of this account
    #[arg(long, value_name = "ACCOUNT")]
    owner: Option<Account>,
    /// At most so many
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
        for item in &items {
            let text = |name: &str| item[name].as_str().unwrap_or_default().to_owned();
            let state = if item["withdrawn"].is_null() { "published" } else { "withdrawn" };
            let updated = age(&text("updated"));
            table.row([
                text("name"),
                text("owner"),
                text("title"),
                services(item),
                updated,
                state.to_owned(),
                text("did"),
            ]);
        }
        Ok(table.print("nothing that you may see")?)
    }
}

/// The types of an asset's services.
fn services(asset: &Value) -> String {
    let services = asset["services"].as_array().into_iter().flatten();
    services.filter_map(|service| service["type"].as_str().or(service.as_str())).collect::<Vec<_>>().join(",")
}

impl Show {
    pub(super) async fn execute(self, context: &Context, kind: AssetKind) -> anyhow::Result<()> {
        let client = context.client()?;
        let did = find(&client, kind, &self.asset).await?;
        let asset = client.get(&["v1", collection(kind), &did], &[]).await?;
        if context.format != Format::Table {
            return Ok(print_document(context.format, &asset)?);
        }
        for name in [
            "did",
            "name",
            "owner",
            "title",
            "revision",
            "created",
            "updated",
            "withdrawn",
            "filesChecksum",
            "containerSectionChecksum",
        ] {
            let text = match &asset[name] {
                Value::Null => continue,
                Value::String(text) => shown(text),
                other => shown(&other.to_string()),
            };
            print_line(&format!("{name:<26}{text}"))?;
        }
        print_line(&format!("{:<26}{}", "services", shown(&services(&asset))))?;
        Ok(())
    }
}
