//! The cases, one file for each part of the ports. A case is a function that takes the engine of its own and panics if a
//! promise is broken.

pub mod audit;
pub mod claims;
pub mod deadlines;
pub mod environments;
pub mod failures;
pub mod following;
pub mod inspections;
pub mod keyring;
pub mod listing;
pub mod logs;
pub mod outputs;
pub mod permission;
pub mod publishing;
pub mod receipts;
pub mod recovery;
pub mod registry;
pub mod removal;
pub mod review;
pub mod stopping;
pub mod submission;
pub mod uploads;
