use super::kind::collection;
use crate::client::{Asset, Client, read};
use cloister_model::AssetKind;
use std::collections::HashMap;

/// Assets that are looked up for one answer. The others keep their DIDs.
const MOST: usize = 100;

/// The names of assets that answers call by their DIDs: `OWNER/NAME`, or the DID of an asset that the caller may not see.
#[derive(Debug)]
pub(crate) struct Names<'a> {
    client: &'a Client,
    known: HashMap<String, String>,
}

impl<'a> Names<'a> {
    pub(crate) fn new(client: &'a Client) -> Self {
        Self { client, known: HashMap::new() }
    }

    /// The name of an asset. The service's text: escape it before it is shown.
    pub(crate) async fn of(&mut self, kind: AssetKind, did: &str) -> String {
        if let Some(name) = self.known.get(did) {
            return name.clone();
        }
        if self.known.len() >= MOST {
            return did.to_owned();
        }
        let asset = self.client.get(&["v1", collection(kind), did], &[]).await;
        let asset = asset.and_then(|answer| read::<Asset>(&answer));
        let name = asset.map_or_else(|_| did.to_owned(), |Asset { owner, name, .. }| format!("{owner}/{name}"));
        self.known.insert(did.to_owned(), name.clone());
        name
    }

    /// The name of a dataset or an algorithm.
    pub(crate) async fn of_either(&mut self, did: &str) -> String {
        let name = self.of(AssetKind::Dataset, did).await;
        if name != did {
            return name;
        }
        self.known.remove(did);
        self.of(AssetKind::Algorithm, did).await
    }

    /// The names of a few datasets, on one line.
    pub(crate) async fn of_datasets(&mut self, dids: &[String]) -> String {
        match dids {
            [] => String::new(),
            [one] => self.of(AssetKind::Dataset, one).await,
            [one, others @ ..] => {
                format!("{} and {} more", self.of(AssetKind::Dataset, one).await, others.len())
            }
        }
    }
}
