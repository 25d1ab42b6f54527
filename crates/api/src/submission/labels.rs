use super::SubmitError;
use crate::auth::sha256;
use cloister_model::{Account, Did, Labels};

/// Whose a job is: the account's key.
pub(crate) const OWNER: &str = "owner";
/// Ocean's agreement.
pub(crate) const AGREEMENT: &str = "agreement";
/// The identifier of its algorithm, if it is published.
pub(crate) const ALGORITHM: &str = "algorithm";
/// Where it runs.
pub(crate) const ENVIRONMENT: &str = "environment";

/// What labels of datasets begin with.
const DATASET: &str = "d-";

/// The name of a dataset's label; its value is the dataset's identifier. A name has 32 characters, so this has the first 28
/// digits of a digest.
pub(crate) fn dataset_label(did: &Did) -> String {
    let digest = sha256(did.id().as_bytes()).to_string();
    format!("{DATASET}{}", &digest[..28])
}

/// The datasets that labels name, sorted.
pub(crate) fn datasets_of(labels: &Labels) -> Vec<Did> {
    let values = labels.iter().filter(|(name, _)| name.starts_with(DATASET)).map(|(_, value)| value);
    let mut datasets: Vec<Did> = values.filter_map(|value| value.parse().ok()).collect();
    datasets.sort();
    datasets
}

/// All that a job is marked with.
pub(super) fn write<'a>(
    given: Labels,
    owner: &Account,
    environment: &str,
    algorithm: Option<&Did>,
    datasets: impl IntoIterator<Item = &'a Did>,
) -> Result<Labels, SubmitError> {
    let mut labels = Ok(given).and_then(|labels| labels.with(OWNER, owner.key()));
    labels = labels.and_then(|labels| labels.with(ENVIRONMENT, environment));
    if let Some(did) = algorithm {
        labels = labels.and_then(|labels| labels.with(ALGORITHM, did.id()));
    }
    for did in datasets {
        labels = labels.and_then(|labels| labels.with(&dataset_label(did), did.id()));
    }
    labels.map_err(|_| SubmitError::Internal("a job cannot be marked"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datasets_are_found_again() {
        let did = |text: &str| text.parse::<Did>().expect("a DID");
        let (one, other) = (did("penguins"), did("A_b-3"));
        let owner = "0xAB".parse().expect("an account");
        let labels = write(Labels::new(), &owner, "local", Some(&did("stats")), [&one, &other]).expect("labels");
        assert_eq!(datasets_of(&labels), [other, one.clone()]);
        assert_eq!((labels.get(ALGORITHM), labels.get(OWNER)), (Some("stats"), Some("0xAB")));
        // printf penguins | sha256sum
        assert_eq!(dataset_label(&one).len(), 30);
        assert_eq!(labels.get(&dataset_label(&one)), Some("penguins"));
    }
}
