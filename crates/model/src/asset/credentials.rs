use crate::{
    Account, DenialRule,
    json::{FieldError, Node},
};

/// Entries of a list, and accounts of an entry.
const MOST: usize = 10_000;

/// Who may use an asset at all (DDO field `credentials`), before its permissions are asked.
///
/// Ocean's rule: without an `allow` entry all accounts may, except those that a `deny` entry names. Two differences, both
/// stricter: a `deny` entry holds beside an `allow` entry too (Ocean then ignores it), and an `allow` entry with no
/// accounts allows no account (Ocean ignores it).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// If there is any entry, one of them must name the consumer.
    pub allow: Vec<CredentialsEntry>,
    /// No entry may name the consumer.
    pub deny: Vec<CredentialsEntry>,
}

/// One entry of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CredentialsEntry {
    /// `type: address`.
    Address {
        /// These accounts.
        values: Vec<Account>,
        /// All accounts: the value `*`.
        everybody: bool,
    },
    /// A type that cannot be decided from the document, such as an access list on a chain: it allows no account and denies
    /// everybody.
    Unknown,
}

impl Credentials {
    pub(crate) fn read(node: &Node<'_>) -> Result<Self, FieldError> {
        if !node.is_absent() {
            node.object()?;
        }
        let list = |node: Node<'_>| node.entries(MOST)?.iter().map(CredentialsEntry::read).collect::<Result<_, _>>();
        Ok(Self { allow: list(node.get("allow"))?, deny: list(node.get("deny"))? })
    }

    /// The rules that keep this account from using the asset; none: it may. An entry that cannot be decided allows no account
    /// and denies all accounts.
    #[must_use]
    pub fn refusals(&self, account: &Account) -> Vec<DenialRule> {
        let Self { allow, deny } = self;
        let mut refusals = Vec::new();
        if !allow.is_empty() && !allow.iter().any(|entry| entry.names(account) == Some(true)) {
            refusals.push(DenialRule::CredentialsAllow);
        }
        refusals.extend(deny.iter().filter_map(|entry| match entry.names(account) {
            Some(true) => Some(DenialRule::CredentialsDeny),
            Some(false) => None,
            None => Some(DenialRule::CredentialsUnknown),
        }));
        refusals
    }

    /// Whether this account may use the asset at all.
    #[must_use]
    pub fn admit(&self, account: &Account) -> bool {
        self.refusals(account).is_empty()
    }
}

impl CredentialsEntry {
    fn read(node: &Node<'_>) -> Result<Self, FieldError> {
        if node.get("type").text(64)? != "address" {
            return Ok(Self::Unknown);
        }
        let mut accounts = Vec::new();
        let mut everybody = false;
        for value in node.get("values").entries(MOST)? {
            if value.text(128)? == "*" {
                everybody = true;
            } else {
                accounts.push(value.parsed("an account")?);
            }
        }
        Ok(Self::Address { values: accounts, everybody })
    }

    /// Whether the entry names the account; none if that cannot be known.
    #[must_use]
    pub fn names(&self, account: &Account) -> Option<bool> {
        match self {
            Self::Address { values, everybody } => Some(*everybody || values.contains(account)),
            Self::Unknown => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn entries_are_read_leniently_and_unknown_types_are_kept_apart() {
        let document =
            json!({"allow": [{"type": "address", "values": ["0xAA", "*"]}, {"type": "accessList"}], "deny": null});
        let credentials = Credentials::read(&Node::root("credentials", &document)).expect("credentials");
        let account = "0xbb".parse().expect("an account");
        assert_eq!(credentials.allow[0].names(&account), Some(true));
        assert_eq!(credentials.allow[1].names(&account), None);
        assert!(credentials.deny.is_empty());
    }

    #[test]
    fn an_entry_that_cannot_be_decided_admits_no_one() {
        let admits_bob = |document: serde_json::Value| {
            let credentials = Credentials::read(&Node::root("credentials", &document)).expect("credentials");
            credentials.admit(&"bob".parse().expect("bob"))
        };
        let entry = |who: &str| json!([{"type": "address", "values": [who]}]);
        assert!(admits_bob(json!({})) && admits_bob(json!({"allow": entry("bob")})));
        assert!(admits_bob(json!({"deny": entry("alice")})));
        assert!(!admits_bob(json!({"allow": entry("alice")})) && !admits_bob(json!({"deny": entry("*")})));
        assert!(!admits_bob(json!({"allow": [{"type": "accessList"}]})));
        assert!(!admits_bob(json!({"deny": [{"type": "accessList"}]})));
    }

    #[test]
    fn a_broken_entry_is_named() {
        let document = json!({"deny": [{"type": "address", "values": ["a b"]}]});
        let error = Credentials::read(&Node::root("credentials", &document)).expect_err("a space");
        assert_eq!(error.field, "credentials.deny[0].values[0]");
    }
}
