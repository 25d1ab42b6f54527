use super::{
    check::{Seen, seen},
    kind::collection,
    name::{Named, find},
};
use crate::{
    client::{Asset, Client, ClientError, read, read_all},
    context::Context,
    output::{Format, Table, age, print_document, print_field, shown},
};
use cloister_model::{Account, AssetKind, Column, TableSchema};
use serde_json::{Value, json};

/// Which assets.
#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// Only those of this account
    #[arg(long, value_name = "ACCOUNT")]
    owner: Option<Account>,
    /// Only those with this text in their name, title, description, tags or names of columns
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
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
        let client = context.client()?;
        let mut items = client.pages(&["v1", collection(kind)], &query, self.limit).await?;
        if let Some(text) = &self.search {
            items = found(&client, kind, items, text).await?;
        }
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

/// The assets of a list that have this text in what their publishers say about them. Lists do not hold that: each asset is asked for.
async fn found(client: &Client, kind: AssetKind, items: Vec<Value>, text: &str) -> anyhow::Result<Vec<Value>> {
    let text = text.to_lowercase();
    let mut found = Vec::new();
    for item in items {
        let listed = [&item["name"], &item["title"]].into_iter().filter_map(Value::as_str);
        if listed.into_iter().any(|part| part.to_lowercase().contains(&text)) {
            found.push(item);
            continue;
        }
        let Some(did) = item["did"].as_str() else { continue };
        match client.get(&["v1", collection(kind), did], &[]).await {
            Ok(asset) if says(&asset["ddo"], &text) => found.push(item),
            Ok(_) => {}
            // Withdrawn, or no longer for the caller.
            Err(ClientError::Problem(problem)) if problem.status == 404 => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(found)
}

/// Whether a description has a text, in lower case.
fn says(ddo: &Value, text: &str) -> bool {
    let schema = TableSchema::of_ddo(ddo).unwrap_or_default();
    let columns = schema.columns.into_iter().flat_map(|column| [Some(column.name), column.description]).flatten();
    let described = described(&ddo["metadata"]).into_iter().map(|(_, said)| said);
    described.chain(columns).any(|said| said.to_lowercase().contains(text))
}

/// The types of an asset's services.
fn services(asset: &Asset) -> String {
    asset.services.iter().map(|service| service.r#type.as_str()).collect::<Vec<_>>().join(",")
}

impl Show {
    pub(super) async fn execute(self, context: &Context, kind: AssetKind) -> anyhow::Result<()> {
        let client = context.client()?;
        let did = find(&client, kind, &self.asset).await?;
        let mut answer = client.get(&["v1", collection(kind), &did], &[]).await?;
        let sources = match kind {
            AssetKind::Dataset => seen(&client, &did).await?,
            AssetKind::Algorithm => None,
        };
        if context.format != Format::Table {
            if let (Some(sources), Some(fields)) = (sources, answer.as_object_mut()) {
                fields.insert("sources".to_owned(), sources);
            }
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
                print_field(name, 26, &shown(&text))?;
            }
        }
        for (name, text) in described(&answer["ddo"]["metadata"]) {
            print_field(name, 26, &shown(&text))?;
        }
        if let Some(sources) = sources {
            read::<Seen>(&sources)?.print()?;
        }
        match TableSchema::of_ddo(&answer["ddo"]) {
            Some(schema) => print_schema(&schema),
            None => Ok(()),
        }
    }
}

/// What the publisher says about an asset.
fn described(metadata: &Value) -> Vec<(&'static str, String)> {
    let text = |name: &'static str| metadata[name].as_str().map(|text| (name, text.to_owned()));
    let tags: Vec<&str> = metadata["tags"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let tags = (!tags.is_empty()).then(|| ("tags", tags.join(", ")));
    [text("description"), text("author"), text("license"), tags].into_iter().flatten().collect()
}

fn print_schema(schema: &TableSchema) -> anyhow::Result<()> {
    if let Some(rows) = schema.rows {
        print_field("rows", 26, &rows.to_string())?;
    }
    let mut table = Table::new(["COLUMN", "TYPE", "UNIT", "VALUES", "MISSING", "DESCRIPTION"]);
    for column in &schema.columns {
        let Column { name, r#type, unit, description, values, minimum, maximum, missing } = column;
        let values = match (&values[..], minimum, maximum) {
            ([], None, None) => String::new(),
            ([], Some(least), None) => format!("from {least}"),
            ([], None, Some(most)) => format!("to {most}"),
            ([], Some(least), Some(most)) => format!("{least} to {most}"),
            (values, ..) => values.join(", "),
        };
        let missing = missing.as_ref().map(|text| if text.is_empty() { "empty".to_owned() } else { text.clone() });
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let kind = r#type.as_str().to_owned();
        table.row([name.clone(), kind, text(unit), values, missing.unwrap_or_default(), text(description)]);
    }
    Ok(table.print("no columns")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_publisher_says_is_shown() {
        let metadata = json!({"description": "d", "license": "CC0", "tags": ["a", 1, "b"], "name": "n"});
        let expected = [("description", "d".to_owned()), ("license", "CC0".to_owned()), ("tags", "a, b".to_owned())];
        assert_eq!(described(&metadata), expected);
        assert_eq!(described(&Value::Null), []);
    }

    #[test]
    fn descriptions_are_searched_with_their_columns() {
        let ddo = json!({"metadata": {"description": "Penguins of Palmer Station", "additionalInformation": {"schema":
            {"columns": [{"name": "body_mass_g", "type": "number", "description": "in the field"}]}}}});
        for (text, expected) in [("palmer", true), ("body_mass", true), ("field", true), ("bill", false), ("g", true)] {
            assert_eq!(says(&ddo, text), expected, "{text}");
        }
        assert!(!says(&Value::Null, "a"));
    }
}
