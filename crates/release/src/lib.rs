//! The step after the algorithm: whether what it wrote may leave.
//!
//! [`filter`] is the step. Of it, [`check_outputs`] reads the folder anew (`walk`): names, links and kinds first, then every byte
//! once for its digest and for its media type (`content`), and again for the rules about its type (`csv`, `json`). It reads no file
//! into memory as a whole, whatever the file's size.
//!
//! This crate reads what strangers' programs wrote, so it has neither a network nor credentials: a test keeps every HTTP
//! client out of its dependencies.

#![forbid(unsafe_code)]

mod checks;
mod content;
mod csv;
mod csv_reader;
mod filter;
mod json;
mod json_scan;
mod media;
mod number;
mod outputs;
mod refusal;
mod reported;
mod walk;

pub use checks::{CheckRun, check_failed, judge, lay_out_check};
pub use filter::{LOG_NAME, RunCheck, filter};
pub use outputs::{OutputFile, check_outputs};
pub use refusal::OutputRefusal;
