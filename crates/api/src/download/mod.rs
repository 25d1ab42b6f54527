//! Files in answers: parts of them, whether they changed, and sending them without holding them in memory.

mod answer;
mod conditions;
mod description;
mod disposition;
mod range;

pub(crate) use answer::Download;
pub(crate) use conditions::{EntityTag, precondition};
pub(crate) use description::Description;
