//! Every fixture has a test of its name.

use crate::{component, environment, imports, log, memory, modules, pointers, quota, streams, time};
use cloister_tests::root;
use std::{collections::BTreeSet, fs};

/// Fails if a fixture is not listed here, and does not compile if its test is gone.
macro_rules! fixtures {
    ($($module:ident: $($name:ident)*;)*) => {
        const FIXTURES: &[(&str, fn())] = &[$($((stringify!($name), $module::$name)),*),*];
    };
}

fixtures! {
    component: component_stdout_flood;
    environment: environment;
    imports: import_http import_memory import_proc_raise import_sock_open import_sockets import_unknown
        import_unknown_interface import_wasi_03 import_wrong_type use_sockets;
    log: log_escapes log_flood;
    memory: memory_at_start memory_at_start_many memory_growth memory_growth_many memory_probe recursion recursion_with_calls scratch_files
        scratch_flood table_at_start table_growth table_growth_many;
    modules: memory_not_exported start_global start_missing start_wrong_type;
    pointers: poll_end_of_memory;
    quota: output_flood output_flood_directories output_flood_files;
    streams: handles stdin_read;
    time: endless_fill endless_loop endless_poll endless_sleep endless_sleep_absolute endless_start_section;
}

#[test]
fn every_fixture_has_a_test_of_its_name() {
    let listed: BTreeSet<String> = FIXTURES.iter().map(|(name, _)| format!("{name}.wat")).collect();
    let found: BTreeSet<String> = fs::read_dir(root().join("tests/hostile"))
        .expect("the fixtures")
        .map(|entry| entry.expect("listed").file_name().into_string().expect("text"))
        .collect();
    assert_eq!(found, listed);
}
