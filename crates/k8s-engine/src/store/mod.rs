//! What the service stores in the cluster beside custom resources: ConfigMaps that only grow (the audit log) or that exist
//! or do not (claims), books of nonces, what is known of archived jobs, receipts until they are sealed, and the
//! secrets of a job.

mod archive;
mod audit;
mod catalog;
mod claims;
mod group;
mod nonces;
mod outbox;
mod payload;
pub(crate) mod receipts;
mod secret;

pub(crate) use archive::{
    ARCHIVE_LABEL, ARCHIVED_JOBS, Archived, Batch, Change, Receipts, SEALED_RECEIPTS, Waiting, batch_object,
    catalog_object, change_name, change_object, merge, read_archived, receipts_object, sealing_key, that_are_alone,
    that_counts, that_ended, that_lists, waiting_name, waiting_object,
};
pub(crate) use audit::{Audit, Entry, Form, Listed, Place, Segment, sealed_through};
pub(crate) use catalog::{Catalog, catalog_list};
pub(crate) use claims::{Attempt, Held, Holder, OWNER, Taken, attempt, free, give_up, held_for, on_agreements};
pub(crate) use nonces::Nonces;
pub(crate) use outbox::{PENDING_LABEL, Pending};
pub(crate) use payload::secrets;
pub(crate) use secret::secret;

pub(crate) use crate::resources::MANAGED_BY;
