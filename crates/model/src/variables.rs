//! The environment variables of an algorithm: the same in the sandbox and in a container.

use crate::{Did, Sha256};
use serde_json::Value;

/// Those that are the same in every run. An entrypoint may name them.
pub(crate) const FOLDERS: [(&str, &str); 4] =
    [("INPUTS", "/data/inputs"), ("OUTPUTS", "/data/outputs"), ("LOGS", "/data/logs"), ("VOLUME", "/data")];

/// The variables of a run on these datasets, of an algorithm that has this DID if it is published, and else this digest.
#[must_use]
pub fn algorithm_variables(datasets: &[Did], algorithm: Option<&Did>, digest: &Sha256) -> Vec<(&'static str, String)> {
    let datasets = Value::from(datasets.iter().map(Did::id).collect::<Vec<_>>());
    let algorithm = algorithm.map_or_else(|| digest.to_string(), |did| did.id().to_owned());
    let of_job = [("DIDS", datasets.to_string()), ("TRANSFORMATION_DID", algorithm)];
    of_job.into_iter().chain(FOLDERS.map(|(name, folder)| (name, folder.to_owned()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_say_what_an_algorithm_works_on_and_where() {
        let did = |digit: &str| format!("did:op:{}", digit.repeat(64)).parse::<Did>().expect("a DID");
        let digest = Sha256::from_bytes([7; 32]);
        let said = algorithm_variables(&[did("a"), did("b")], Some(&did("c")), &digest);
        let of = |name: &str| said.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str());
        let (a, b, c) = ("a".repeat(64), "b".repeat(64), "c".repeat(64));
        assert_eq!(of("DIDS"), Some(format!("[\"{a}\",\"{b}\"]").as_str()));
        assert_eq!((of("TRANSFORMATION_DID"), of("OUTPUTS")), (Some(c.as_str()), Some("/data/outputs")));
        assert_eq!(said.len(), 6);
        assert_eq!(algorithm_variables(&[], None, &digest)[1].1, digest.to_string());
    }
}
