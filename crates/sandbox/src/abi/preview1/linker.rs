//! Every function that a preview 1 guest can reach, by name. No other file links anything.

use super::{errno::Code, memory::GuestMemory};
use crate::guest::{AbiViolation, Exit, Guest};
use wasmtime::{Caller, Extern, Linker, Result};

const MODULE: &str = "wasi_snapshot_preview1";

/// Splits the caller into its memory and the state behind it.
fn with_memory(
    caller: &mut Caller<'_, Guest>,
    call: impl FnOnce(&mut Guest, &mut GuestMemory<'_>) -> std::result::Result<(), Code>,
) -> Result<i32> {
    let memory = match caller.data().descriptors.memory {
        Some(memory) => memory,
        None => {
            let Some(Extern::Memory(memory)) = caller.get_export("memory") else {
                return Err(AbiViolation("the module exports no memory named `memory`").into());
            };
            caller.data_mut().descriptors.memory = Some(memory);
            memory
        }
    };
    let (bytes, guest) = memory.data_and_store_mut(caller);
    Ok(match call(guest, &mut GuestMemory(bytes)) {
        Ok(()) => 0,
        Err(Code(code)) => i32::from(code),
    })
}

/// Links one function. Its parameters are converted to the unsigned numbers of preview 1.
macro_rules! link {
    ($linker:ident, $($name:ident($($parameter:ident: $type:ident),*);)*) => {$(
        $linker.func_wrap(MODULE, stringify!($name),
            |mut caller: Caller<'_, Guest>, $($parameter: link!(@wasm $type)),*| -> Result<i32> {
                with_memory(&mut caller, |guest, memory| guest.$name(memory, $($parameter.cast_unsigned()),*))
            })?;
    )*};
    (@wasm u32) => { i32 };
    (@wasm u64) => { i64 };
}

/// Links all of preview 1 except `proc_raise`.
pub(crate) fn add_to_linker(linker: &mut Linker<Guest>) -> Result<()> {
    link! { linker,
        args_get(argv: u32, buffer: u32);
        args_sizes_get(count: u32, bytes: u32);
        environ_get(environ: u32, buffer: u32);
        environ_sizes_get(count: u32, bytes: u32);
        clock_res_get(id: u32, out: u32);
        clock_time_get(id: u32, precision: u64, out: u32);
        random_get(buffer: u32, length: u32);
        poll_oneoff(subscriptions: u32, events: u32, count: u32, out: u32);
        fd_advise(fd: u32, offset: u64, length: u64, advice: u32);
        fd_allocate(fd: u32, offset: u64, length: u64);
        fd_close(fd: u32);
        fd_datasync(fd: u32);
        fd_fdstat_get(fd: u32, out: u32);
        fd_fdstat_set_flags(fd: u32, flags: u32);
        fd_fdstat_set_rights(fd: u32, base: u64, inheriting: u64);
        fd_filestat_get(fd: u32, out: u32);
        fd_filestat_set_size(fd: u32, size: u64);
        fd_filestat_set_times(fd: u32, accessed: u64, modified: u64, flags: u32);
        fd_pread(fd: u32, buffers: u32, count: u32, offset: u64, out: u32);
        fd_prestat_dir_name(fd: u32, path: u32, length: u32);
        fd_prestat_get(fd: u32, out: u32);
        fd_pwrite(fd: u32, buffers: u32, count: u32, offset: u64, out: u32);
        fd_read(fd: u32, buffers: u32, count: u32, out: u32);
        fd_readdir(fd: u32, buffer: u32, length: u32, cookie: u64, out: u32);
        fd_renumber(from: u32, to: u32);
        fd_seek(fd: u32, offset: u64, whence: u32, out: u32);
        fd_sync(fd: u32);
        fd_tell(fd: u32, out: u32);
        fd_write(fd: u32, buffers: u32, count: u32, out: u32);
        path_create_directory(fd: u32, path: u32, length: u32);
        path_filestat_get(fd: u32, flags: u32, path: u32, length: u32, out: u32);
        path_filestat_set_times(fd: u32, flags: u32, path: u32, length: u32, atim: u64, mtim: u64, set: u32);
        path_link(from: u32, flags: u32, path: u32, length: u32, to: u32, new: u32, new_length: u32);
        path_open(fd: u32, lookup: u32, path: u32, length: u32, open: u32, base: u64, inherit: u64, flags: u32, out: u32);
        path_readlink(fd: u32, path: u32, length: u32, buffer: u32, buffer_length: u32, out: u32);
        path_remove_directory(fd: u32, path: u32, length: u32);
        path_rename(from: u32, path: u32, length: u32, to: u32, new: u32, new_length: u32);
        path_symlink(target: u32, target_length: u32, fd: u32, path: u32, length: u32);
        path_unlink_file(fd: u32, path: u32, length: u32);
        sock_accept(fd: u32, flags: u32, out: u32);
        sock_recv(fd: u32, buffers: u32, count: u32, flags: u32, bytes: u32, out_flags: u32);
        sock_send(fd: u32, buffers: u32, count: u32, flags: u32, out: u32);
        sock_shutdown(fd: u32, how: u32);
    }
    linker.func_wrap(MODULE, "sched_yield", || 0_i32)?;
    linker.func_wrap(MODULE, "proc_exit", |code: i32| -> Result<()> { Err(Exit(code.cast_unsigned()).into()) })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::test_host::Host;
    use std::collections::BTreeSet;

    #[test]
    fn every_import_that_admission_allows_is_linked() {
        let engine = wasmtime::Engine::default();
        let mut linker = Linker::new(&engine);
        add_to_linker(&mut linker).expect("linked");
        let mut store = wasmtime::Store::new(&engine, Host::new().guest());
        let linked: BTreeSet<String> = linker
            .iter(&mut store)
            .map(|(module, name, _)| {
                assert_eq!(module, MODULE);
                name.to_owned()
            })
            .collect();
        let admitted: BTreeSet<String> = cloister_admission::preview1_functions().map(str::to_owned).collect();
        assert_eq!(linked, admitted);
    }
}
