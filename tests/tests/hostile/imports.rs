//! A program that imports what it is not given is refused before any of it runs.

use crate::runs::{Run as _, assert_refused, fixture};
use cloister_model::Rule;

#[track_caller]
fn refused(name: &str, rule: Rule) {
    assert_refused(&fixture(name).finish(), rule);
}

#[test]
pub(crate) fn import_sock_open() {
    refused("import_sock_open", Rule::Network);
}

#[test]
pub(crate) fn import_proc_raise() {
    refused("import_proc_raise", Rule::Import);
}

#[test]
pub(crate) fn import_unknown() {
    refused("import_unknown", Rule::Import);
}

#[test]
pub(crate) fn import_memory() {
    refused("import_memory", Rule::Import);
}

#[test]
pub(crate) fn import_wrong_type() {
    refused("import_wrong_type", Rule::Import);
}

#[test]
pub(crate) fn import_sockets() {
    refused("import_sockets", Rule::Network);
}

#[test]
pub(crate) fn import_http() {
    refused("import_http", Rule::Network);
}

#[test]
pub(crate) fn import_wasi_03() {
    refused("import_wasi_03", Rule::WasiVersion);
}

#[test]
pub(crate) fn import_unknown_interface() {
    refused("import_unknown_interface", Rule::Import);
}
