use super::kind::{collection, noun};
use crate::{
    client::{Asset, Client, ClientError, Problem, Whoami, read, read_all},
    output::shown,
};
use cloister_model::{Account, AssetKind, AssetName, Did};
use std::{fmt, str::FromStr};

/// How an asset is named on the command line: by a name of the caller's, by OWNER/NAME, or by its DID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    Did(Did),
    Name { owner: Option<Account>, name: AssetName },
}

impl FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_digest = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if text.starts_with("did:") || is_digest {
            return text.parse().map(Self::Did).map_err(|error: cloister_model::DidError| error.to_string());
        }
        let (owner, name) = match text.rsplit_once('/') {
            Some((owner, name)) => {
                let owner = owner.parse().map_err(|error: cloister_model::AccountError| error.to_string())?;
                (Some(owner), name)
            }
            None => (None, text),
        };
        let name = name.parse().map_err(|error| format!("{error}; or give OWNER/NAME, or a DID"))?;
        Ok(Self::Name { owner, name })
    }
}

impl fmt::Display for Named {
    /// As it was typed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Did(did) => write!(f, "{did}"),
            Self::Name { owner: Some(owner), name } => write!(f, "{owner}/{name}"),
            Self::Name { owner: None, name } => write!(f, "{name}"),
        }
    }
}

/// Asks the service for the DID of a named asset.
///
/// # Errors
/// If the asset does not exist, or the caller may not see it.
pub(crate) async fn find(client: &Client, kind: AssetKind, named: &Named) -> Result<String, ClientError> {
    let (owner, name) = match named {
        Named::Did(did) => return Ok(did.to_string()),
        Named::Name { owner, name } => (owner, name),
    };
    let owner = match owner {
        Some(owner) => owner.as_str().to_owned(),
        None => account(client).await?,
    };
    let query = [("owner", owner.as_str()), ("name", name.as_str())];
    let found = client.pages(&["v1", collection(kind)], &query, 2).await?;
    // The query named exactly one asset. The answer is checked all the same: a job must not run on another one.
    let mut found = read_all::<Asset>(&found)?.into_iter().filter(|asset| asset.name == name.as_str());
    let found = found.find_map(|asset| asset.did.parse::<Did>().ok()).map(|did| did.to_string());
    found.ok_or_else(|| {
        let text =
            format!("{} has no {} `{name}` that you may see; `cloister {1} list` shows all", shown(&owner), noun(kind));
        ClientError::Problem(Box::new(Problem::new(404, &text)))
    })
}

/// The caller's account.
pub(super) async fn account(client: &Client) -> Result<String, ClientError> {
    Ok(read::<Whoami>(&client.get(&["v1", "whoami"], &[]).await?)?.account)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_asset_has_three_kinds_of_names() {
        let name = |owner: Option<&str>, name: &str| Named::Name {
            owner: owner.map(|owner| owner.parse().expect("an account")),
            name: name.parse().expect("a name"),
        };
        let digest = "ab".repeat(32);
        for (text, expected) in [
            ("penguins", name(None, "penguins")),
            ("alice/penguins", name(Some("alice"), "penguins")),
            ("a/b/penguins", name(Some("a/b"), "penguins")),
            (&format!("did:op:{digest}"), Named::Did(digest.parse().expect("a DID"))),
            (&digest, Named::Did(digest.parse().expect("a DID"))),
        ] {
            assert!(expected.to_string().ends_with(text), "{text}");
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
        for text in ["", "Penguins", "alice/", "/penguins", "did:web:x", "a b/c", "../x y"] {
            assert!(text.parse::<Named>().is_err(), "{text}");
        }
    }
}
