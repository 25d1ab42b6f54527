//! The Secret with the results of a request, beside it.

use crate::{
    cluster::{CallError, call},
    resources::JobRequest,
};
use cloister_model::JobId;
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{Api, ResourceExt as _};
use std::collections::{BTreeMap, BTreeSet};

/// What is said of results for which there is a Secret of this name; none: there is no such Secret.
pub(super) async fn delivered(
    api: &Api<Secret>,
    request: &JobRequest,
    name: &str,
    job: JobId,
) -> Result<Option<String>, CallError> {
    let found = call("read a Secret", || async { api.get_opt(name).await }).await?;
    Ok(found.map(|found| {
        let ours = found.owner_references().iter().any(|owner| Some(&owner.uid) == request.uid().as_ref());
        if ours { in_secret(name) } else { format!("a Secret {name} exists and is something else; {}", over_http(job)) }
    }))
}

pub(super) fn in_secret(name: &str) -> String {
    format!("the results are in the Secret {name}")
}

pub(super) fn over_http(job: JobId) -> String {
    format!("fetch the results with: cloister job results {job}")
}

/// Files as the keys of a Secret: by their names where a key can be one, else by their numbers.
pub(super) fn keys(files: Vec<(String, Vec<u8>)>) -> BTreeMap<String, ByteString> {
    let fits = |name: &str| {
        let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
        plain && !name.is_empty() && name.len() <= 253 && name != "." && !name.starts_with("..")
    };
    let mut taken: BTreeSet<String> = BTreeSet::new();
    let mut next = files.len();
    let key = |(number, (name, bytes)): (usize, (String, Vec<u8>))| {
        let mut key = if fits(&name) { name } else { format!("file-{number}") };
        while !taken.insert(key.clone()) {
            key = format!("file-{next}");
            next += 1;
        }
        (key, ByteString(bytes))
    };
    files.into_iter().enumerate().map(key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_guests_become_keys_that_a_secret_can_have() {
        let names = ["stats.json", "a/b.csv", "..", "", "\u{1b}[31m", "stats.json", "file-1"];
        let files = names.iter().map(|name| ((*name).to_owned(), name.as_bytes().to_vec())).collect();
        let keys = keys(files);
        for key in keys.keys() {
            assert!(key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)), "{key}");
        }
        assert_eq!(keys["stats.json"].0, b"stats.json");
        // A file of a guest cannot take the place of another one.
        assert_eq!(keys.len(), names.len());
        for names in [["file-1", "..", "file-2"], ["file-2", "file-2", ".."], ["..", "file-0", "file-1"]] {
            let files = names.iter().map(|name| ((*name).to_owned(), name.as_bytes().to_vec())).collect();
            assert_eq!(super::keys(files).len(), names.len(), "{names:?}");
        }
    }
}
