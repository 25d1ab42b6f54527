//! Printing: tables for people, JSON and YAML for programs. Untrusted text is escaped before it reaches a terminal.

mod document;
mod progress;
mod table;
mod time;

pub(crate) use document::{Format, note, print_document, print_line, shown};
pub(crate) use progress::Progress;
pub(crate) use table::Table;
pub(crate) use time::{age, has_passed, in_future, write_time};
