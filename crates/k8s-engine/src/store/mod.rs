//! What the service stores in the cluster beside custom resources: ConfigMaps that only grow (the audit log) or that exist
//! or do not (claims), books of nonces, what is known of archived jobs, and the secrets of a job.

mod archive;
mod audit;
mod claims;
mod group;
mod nonces;
mod outbox;
mod payload;
pub(crate) mod receipts;
mod secret;

pub(crate) use archive::{
    ARCHIVE_LABEL, Archived, Batch, Change, batch_object, change_name, change_object, merge, read_archived,
    sealing_key, that_counts, that_ended,
};
pub(crate) use audit::{Audit, Entry};
pub(crate) use claims::{Attempt, Held, Holder, OWNER, Taken, attempt, free, give_up, held_for};
pub(crate) use nonces::Nonces;
pub(crate) use outbox::{PENDING_LABEL, Pending};
pub(crate) use payload::secrets;
pub(crate) use secret::secret;

pub(crate) use crate::resources::MANAGED_BY;
