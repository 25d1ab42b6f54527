//! Printing: tables for people, JSON and YAML for programs. Untrusted text is escaped before it reaches a terminal.

mod document;
mod progress;
mod speech;
mod table;
mod time;

pub(crate) use document::{Format, print_document, print_line, shown};
pub(crate) use progress::Progress;
pub(crate) use speech::{complain, explain, note, speak};
pub(crate) use table::Table;
pub(crate) use time::{age, has_passed, in_future, write_time};
