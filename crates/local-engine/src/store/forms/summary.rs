use cloister_model::{
    Account, AssetKind, AssetSummary, Credentials, CredentialsEntry, Did, FilesChecksum, ServiceSummary, Sha256,
    Timestamp,
};
use serde::{Deserialize, Serialize};

/// An [`AssetSummary`]. An unknown field may be a restriction: it is refused.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct SummaryForm {
    did: Did,
    kind: KindForm,
    owner: Account,
    name: String,
    title: String,
    services: Vec<ServiceForm>,
    allow: Vec<EntryForm>,
    deny: Vec<EntryForm>,
    created: Timestamp,
    updated: Timestamp,
    revision: u64,
    withdrawn: Option<Timestamp>,
    files_checksum: Option<FilesChecksum>,
    container_section_checksum: Option<Sha256>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum KindForm {
    Dataset,
    Algorithm,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ServiceForm {
    id: String,
    is_access: bool,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
enum EntryForm {
    Address { values: Vec<Account>, everybody: bool },
    Unknown,
}

impl From<&AssetSummary> for SummaryForm {
    fn from(summary: &AssetSummary) -> Self {
        let AssetSummary {
            did,
            kind,
            owner,
            name,
            title,
            services,
            credentials: Credentials { allow, deny },
            created,
            updated,
            revision,
            withdrawn,
            files_checksum,
            container_section_checksum,
        } = summary.clone();
        Self {
            did,
            kind: match kind {
                AssetKind::Dataset => KindForm::Dataset,
                AssetKind::Algorithm => KindForm::Algorithm,
            },
            owner,
            name,
            title,
            services: services
                .into_iter()
                .map(|ServiceSummary { id, is_access }| ServiceForm { id, is_access })
                .collect(),
            allow: allow.into_iter().map(EntryForm::from).collect(),
            deny: deny.into_iter().map(EntryForm::from).collect(),
            created,
            updated,
            revision,
            withdrawn,
            files_checksum,
            container_section_checksum,
        }
    }
}

impl From<SummaryForm> for AssetSummary {
    fn from(form: SummaryForm) -> Self {
        let SummaryForm {
            did,
            kind,
            owner,
            name,
            title,
            services,
            allow,
            deny,
            created,
            updated,
            revision,
            withdrawn,
            files_checksum,
            container_section_checksum,
        } = form;
        let entries = |entries: Vec<EntryForm>| entries.into_iter().map(CredentialsEntry::from).collect();
        Self {
            did,
            kind: match kind {
                KindForm::Dataset => AssetKind::Dataset,
                KindForm::Algorithm => AssetKind::Algorithm,
            },
            owner,
            name,
            title,
            services: services
                .into_iter()
                .map(|ServiceForm { id, is_access }| ServiceSummary { id, is_access })
                .collect(),
            credentials: Credentials { allow: entries(allow), deny: entries(deny) },
            created,
            updated,
            revision,
            withdrawn,
            files_checksum,
            container_section_checksum,
        }
    }
}

impl From<CredentialsEntry> for EntryForm {
    fn from(entry: CredentialsEntry) -> Self {
        match entry {
            CredentialsEntry::Address { values, everybody } => Self::Address { values, everybody },
            CredentialsEntry::Unknown => Self::Unknown,
        }
    }
}

impl From<EntryForm> for CredentialsEntry {
    fn from(form: EntryForm) -> Self {
        match form {
            EntryForm::Address { values, everybody } => Self::Address { values, everybody },
            EntryForm::Unknown => Self::Unknown,
        }
    }
}
