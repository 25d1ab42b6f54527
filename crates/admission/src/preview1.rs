//! The functions of WASI preview 1, and the capability that each gives to a program.

use cloister_model::Capability::{
    self, Exits, Network, Random, ReadsAndWritesFiles, ReadsClock, ReadsEnvironment, ReadsFiles, Schedules, Signals,
    Streams, WritesFiles,
};
use wasmparser::{FuncType, ValType};

/// The module that preview 1 programs import from.
pub(crate) const MODULE: &str = "wasi_snapshot_preview1";

/// One function.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Function {
    pub(crate) name: &'static str,
    /// Parameters, `i` for i32 and `I` for i64.
    parameters: &'static str,
    /// Results, in the same way.
    results: &'static str,
    pub(crate) allows: Capability,
}

const fn function(name: &'static str, parameters: &'static str, results: &'static str, allows: Capability) -> Function {
    Function { name, parameters, results, allows }
}

/// All 46 functions of `wasi_snapshot_preview1.witx`, in its order.
///
/// The host provides all of them except `proc_raise`: see [`Function::is_given`].
///
/// It also provides `sock_accept`, `sock_recv`, `sock_send` and `sock_shutdown`, although it has no sockets, because Go and
/// wasi-libc import them. These functions work on open sockets, which a program can never have, and always return an
/// error. Preview 1 has no function that *creates* a socket. Extensions that add one (`sock_open` of WasmEdge, WASIX) are
/// refused, as are `wasi:sockets` and `wasi:http`.
const FUNCTIONS: &[Function] = &[
    function("args_get", "ii", "i", ReadsEnvironment),
    function("args_sizes_get", "ii", "i", ReadsEnvironment),
    function("environ_get", "ii", "i", ReadsEnvironment),
    function("environ_sizes_get", "ii", "i", ReadsEnvironment),
    function("clock_res_get", "ii", "i", ReadsClock),
    function("clock_time_get", "iIi", "i", ReadsClock),
    function("fd_advise", "iIIi", "i", ReadsFiles),
    function("fd_allocate", "iII", "i", WritesFiles),
    function("fd_close", "i", "i", Streams),
    function("fd_datasync", "i", "i", WritesFiles),
    function("fd_fdstat_get", "ii", "i", Streams),
    function("fd_fdstat_set_flags", "ii", "i", Streams),
    function("fd_fdstat_set_rights", "iII", "i", Streams),
    function("fd_filestat_get", "ii", "i", ReadsFiles),
    function("fd_filestat_set_size", "iI", "i", WritesFiles),
    function("fd_filestat_set_times", "iIIi", "i", WritesFiles),
    function("fd_pread", "iiiIi", "i", ReadsFiles),
    function("fd_prestat_get", "ii", "i", ReadsFiles),
    function("fd_prestat_dir_name", "iii", "i", ReadsFiles),
    function("fd_pwrite", "iiiIi", "i", WritesFiles),
    function("fd_read", "iiii", "i", Streams),
    function("fd_readdir", "iiiIi", "i", ReadsFiles),
    function("fd_renumber", "ii", "i", Streams),
    function("fd_seek", "iIii", "i", Streams),
    function("fd_sync", "i", "i", WritesFiles),
    function("fd_tell", "ii", "i", Streams),
    function("fd_write", "iiii", "i", Streams),
    function("path_create_directory", "iii", "i", WritesFiles),
    function("path_filestat_get", "iiiii", "i", ReadsFiles),
    function("path_filestat_set_times", "iiiiIIi", "i", WritesFiles),
    function("path_link", "iiiiiii", "i", WritesFiles),
    function("path_open", "iiiiiIIii", "i", ReadsAndWritesFiles),
    function("path_readlink", "iiiiii", "i", ReadsFiles),
    function("path_remove_directory", "iii", "i", WritesFiles),
    function("path_rename", "iiiiii", "i", WritesFiles),
    function("path_symlink", "iiiii", "i", WritesFiles),
    function("path_unlink_file", "iii", "i", WritesFiles),
    function("poll_oneoff", "iiii", "i", Schedules),
    function("proc_exit", "i", "", Exits),
    function("proc_raise", "i", "i", Signals),
    function("sched_yield", "", "i", Schedules),
    function("random_get", "ii", "i", Random),
    function("sock_accept", "iii", "i", Network),
    function("sock_recv", "iiiiii", "i", Network),
    function("sock_send", "iiiii", "i", Network),
    function("sock_shutdown", "ii", "i", Network),
];

impl Function {
    /// Whether the host provides it. `proc_raise` would signal the host's process, and no toolchain's library calls it.
    pub(crate) fn is_given(self) -> bool {
        self.allows != Signals
    }

    /// Whether an import has the type of this function.
    pub(crate) fn has_type(self, ty: &FuncType) -> bool {
        spells(self.parameters, ty.params()) && spells(self.results, ty.results())
    }
}

fn spells(text: &str, types: &[ValType]) -> bool {
    text.len() == types.len()
        && text.bytes().zip(types).all(|(letter, ty)| match ty {
            ValType::I32 => letter == b'i',
            ValType::I64 => letter == b'I',
            ValType::F32 | ValType::F64 | ValType::V128 | ValType::Ref(_) => false,
        })
}

/// Finds a function by its name.
pub(crate) fn find(name: &str) -> Option<Function> {
    FUNCTIONS.iter().copied().find(|function| function.name == name)
}

/// The names of the preview 1 functions that a program may import. The host must link exactly these.
///
/// The four `sock_*` functions are among them and must answer with an error: see the table in this module.
pub fn preview1_functions() -> impl Iterator<Item = &'static str> {
    FUNCTIONS.iter().filter(|function| function.is_given()).map(|function| function.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn lists_the_whole_of_preview_1_once() {
        let names: BTreeSet<_> = FUNCTIONS.iter().map(|function| function.name).collect();
        assert_eq!((FUNCTIONS.len(), names.len()), (46, 46));
        assert_eq!(preview1_functions().count(), 45);
        assert!(preview1_functions().all(|name| name != "proc_raise"));
        assert!(preview1_functions().any(|name| name == "sock_accept"));
        assert!(find("sock_open").is_none());
    }

    #[test]
    fn compares_types() {
        let seek = find("fd_seek").expect("a listed function");
        let of = |params: &[ValType], results: &[ValType]| FuncType::new(params.to_vec(), results.to_vec());
        use ValType::{F32, I32, I64};
        assert!(seek.has_type(&of(&[I32, I64, I32, I32], &[I32])));
        assert!(!seek.has_type(&of(&[I32, I32, I32, I32], &[I32])));
        assert!(!seek.has_type(&of(&[I32, I64, I32], &[I32])));
        assert!(!seek.has_type(&of(&[I32, I64, I32, I32], &[])));
        assert!(!seek.has_type(&of(&[F32, I64, I32, I32], &[I32])));
    }
}
