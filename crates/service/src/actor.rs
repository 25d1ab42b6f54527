use crate::{OWNER, Principal};
use cloister_model::{Account, AuditAction, AuditEvent, JobStatus, OceanProvider, Timestamp};
use serde_json::{Value, json};

/// On whose behalf a use case about jobs is run: access rules ask it, records name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// A principal, for itself.
    Principal(Principal),
    /// An Ocean Provider, for the consumers that it vouches for.
    Provider(Provider),
}

/// An Ocean Provider. It reaches the jobs that were started through it, and no others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    /// The Ethereum account that signed the request; none: the operator allows requests without a valid signature, and
    /// such a request reaches the jobs of every Provider.
    pub account: Option<Account>,
    /// The consumer that it speaks for; none: all of its consumers.
    pub consumer: Option<Account>,
}

impl Actor {
    /// Whose jobs it submits; none for a Provider that names no consumer.
    #[must_use]
    pub fn consumer(&self) -> Option<&Account> {
        match self {
            Self::Principal(principal) => Some(&principal.account),
            Self::Provider(provider) => provider.consumer.as_ref(),
        }
    }

    /// The Provider; none if a principal acts for itself.
    pub(crate) fn provider(&self) -> Option<&Provider> {
        match self {
            Self::Principal(_) => None,
            Self::Provider(provider) => Some(provider),
        }
    }

    /// The Provider, as a job records it.
    pub(crate) fn ocean_provider(&self) -> Option<OceanProvider> {
        self.provider().map(|provider| OceanProvider { account: provider.account.clone() })
    }

    /// The record of what it does to a job. A Provider acts for the owner of the job, and the record says which Provider
    /// it was.
    pub(crate) fn event(&self, at: Timestamp, action: AuditAction, job: &JobStatus, detail: Value) -> AuditEvent {
        let actor = match self {
            Self::Principal(principal) => principal.account.key(),
            Self::Provider(_) => job.labels.get(OWNER).unwrap_or_default(),
        };
        let (actor, subject) = (actor.to_owned(), job.id.to_string());
        AuditEvent { at, actor, action, subject, detail: self.vouched(detail).to_string() }
    }

    /// These particulars, and on whose word they are, if it is a Provider's.
    pub(crate) fn vouched(&self, mut detail: Value) -> Value {
        if let Some(Provider { account, consumer: _ }) = self.provider() {
            detail["provider"] = json!(account.as_ref().map(Account::key));
            detail["verified"] = account.is_some().into();
        }
        detail
    }
}

impl From<Principal> for Actor {
    fn from(principal: Principal) -> Self {
        Self::Principal(principal)
    }
}
