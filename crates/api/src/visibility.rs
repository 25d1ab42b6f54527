//! Whether somebody may know that an asset exists.

use cloister_model::{Account, Asset, Credentials};

/// Whether the asset's `credentials` let this account use it at all. The same rule as in the decision about a job: what
/// cannot be decided here allows nobody and denies everybody.
pub(crate) fn admits(credentials: &Credentials, account: &Account) -> bool {
    let Credentials { allow, deny } = credentials;
    (allow.is_empty() || allow.iter().any(|entry| entry.names(account) == Some(true)))
        && deny.iter().all(|entry| entry.names(account) == Some(false))
}

/// Whether the account may see that the asset is there: its owner always, others as long as it is not withdrawn and
/// `credentials` admit them.
pub(crate) fn may_see(asset: &Asset, account: &Account) -> bool {
    asset.owner == *account || (asset.withdrawn.is_none() && admits(asset.ddo.credentials(), account))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_model::Ddo;
    use serde_json::json;

    #[test]
    fn what_cannot_be_decided_admits_nobody() {
        let admits_bob = |credentials: serde_json::Value| {
            let document = json!({"id": "did:op:a", "metadata": {"type": "dataset", "name": "a"}, "services": [],
                "credentials": credentials});
            admits(Ddo::from_value(document).expect("a DDO").credentials(), &"bob".parse().expect("bob"))
        };
        let entry = |who: &str| json!([{"type": "address", "values": [who]}]);
        assert!(admits_bob(json!({})) && admits_bob(json!({"allow": entry("bob")})));
        assert!(admits_bob(json!({"deny": entry("alice")})));
        assert!(!admits_bob(json!({"allow": entry("alice")})) && !admits_bob(json!({"deny": entry("*")})));
        assert!(!admits_bob(json!({"allow": [{"type": "accessList"}]})));
        assert!(!admits_bob(json!({"deny": [{"type": "accessList"}]})));
    }
}
