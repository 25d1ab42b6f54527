//! Printing: tables for people, JSON and YAML for programs. Untrusted text is escaped before it reaches a terminal.

mod document;
mod progress;
mod speech;
mod table;
mod time;
mod width;

pub(crate) use document::{Format, json_line, print_document, print_field, print_line, print_text, shown, shown_path};
pub(crate) use progress::Progress;
pub(crate) use speech::{complain, explain, note, refuse, speak};
pub(crate) use table::Table;
pub(crate) use time::{age, has_passed, in_future, write_time};
