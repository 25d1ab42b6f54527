use crate::account;
use cloister_model::{ApiKey, Asset, Ddo, OutputContract, Role, Sha256, Timestamp};
use serde_json::json;

/// The first revision of a dataset with one compute service, which admits any algorithm, lets out what the terms of
/// [`job`](crate::job) say, and has its file.
///
/// # Panics
/// If the texts are not a DID's id and an account.
#[must_use]
pub fn dataset(did: &str, owner: &str, name: &str) -> Asset {
    let files = json!([{"type": "inline", "content": "1,2,3\n"}]);
    let compute = json!({"allowRawAlgorithm": true, "outputContract": OutputContract::default()});
    let service = json!({"id": "compute", "type": "compute", "files": files, "compute": compute});
    let document = json!({
        "id": format!("did:op:{did}"), "metadata": {"type": "dataset", "name": name}, "services": [service]
    });
    Asset {
        ddo: Ddo::from_value(document).expect("a DDO"),
        owner: account(owner),
        name: name.to_owned(),
        created: Timestamp::from_unix_ms(1),
        updated: Timestamp::from_unix_ms(1),
        revision: 1,
        withdrawn: None,
        files: None,
    }
}

/// A consumer's key that never expires.
///
/// # Panics
/// If the texts are not a key's id and an account.
#[must_use]
pub fn api_key(id: &str, owner: &str, created: Timestamp) -> ApiKey {
    ApiKey {
        id: id.parse().expect("the id of a key"),
        account: account(owner),
        role: Role::Consumer,
        label: String::new(),
        sha256: Sha256::from_bytes([1; 32]),
        created,
        expires: None,
        revoked: None,
    }
}
