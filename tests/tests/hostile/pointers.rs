//! Invalid pointers and lengths: they give an error and are never used.

use crate::{
    runs::{Run as _, assert_outputs, fixture, shape},
    script::{Arg, CALLS, CREATE, READ, Script, WRITE, errno::*},
};
use cloister_model::Outcome;

/// The size of the script's memory.
const END: u32 = 64 * 65_536;

/// Values at, across and far beyond the end of memory.
const LIES: [u32; 6] = [END - 1, END, END + 1, 0x7fff_ffff, 0xffff_fff0, u32::MAX];

/// Every call with invalid arguments, on every kind of descriptor. The guest survives every result.
#[test]
fn every_argument_a_lie() {
    let mut script = Script::default();
    let output = script.create(OK, "file");
    let input = script.open(OK, "data/inputs/d/0", 0, READ);
    let scratch = script.open(OK, "tmp/file", CREATE, READ | WRITE);
    let directory = script.open(OK, "data/inputs/d", 2, READ);
    for (call, parameters) in CALLS {
        // These would close the descriptors that the other calls use.
        if matches!(*call, "fd_close" | "fd_renumber") {
            continue;
        }
        for first in [None, Some(Arg::Small(2)), Some(output), Some(input), Some(scratch), Some(directory)] {
            for lie in LIES {
                // A valid size here would create a large output.
                let long = if call.starts_with("fd_") { u64::MAX } else { u64::from(lie) };
                let mut arguments: Vec<Arg> =
                    parameters.chars().map(|c| if c == 'i' { Arg::Small(lie) } else { Arg::Large(long) }).collect();
                if let (Some(place), Some(first)) = (arguments.first_mut(), first) {
                    *place = first;
                }
                script.whatever(&format!("{lie:x}"), call, &arguments);
            }
        }
    }
    let ended = script.run(|trial| trial);
    assert!(!matches!(ended.outcome(), Outcome::HostFault { .. }), "{}", shape(&ended));
    assert_outputs(&ended, &[("file", b"")]);
}

/// If all other arguments are valid, a pointer outside memory determines the result.
#[test]
fn every_pointer_is_checked() {
    let mut script = Script::default();
    let output = script.create(OK, "file");
    let input = script.open(OK, "data/inputs/d/0", 0, READ);
    let directory = script.open(OK, "data/inputs/d", 2, READ);
    let [path, length] = script.bytes(b"data/inputs/d/0");
    let [new, new_length] = script.bytes(b"data/outputs/new");
    let buffers = script.bytes(&[0, 0x20, 0, 0, 4, 0, 0, 0])[0];
    let [root, one, ok] = [Arg::Small(3), Arg::Small(1), Arg::Small(64)];
    // A subscription to a clock that is due at once.
    let zeros = Arg::Small(END - 4096);
    let rights = Arg::Large(READ);
    for lie in LIES {
        let bad = Arg::Small(lie);
        let zero = Arg::Large(0);
        // A buffer in memory that points out of it, by its start and by its length.
        let out = script.bytes(&[lie.to_le_bytes(), 16_u32.to_le_bytes()].concat())[0];
        let long = script.bytes(&[0x2000_u32.to_le_bytes(), (END - 0x2000 + 1).max(lie).to_le_bytes()].concat())[0];
        for (call, arguments) in [
            ("args_get", vec![bad, ok]),
            ("args_get", vec![ok, bad]),
            ("args_sizes_get", vec![bad, ok]),
            ("args_sizes_get", vec![ok, bad]),
            ("environ_get", vec![bad, ok]),
            ("environ_get", vec![ok, bad]),
            ("environ_sizes_get", vec![bad, ok]),
            ("environ_sizes_get", vec![ok, bad]),
            ("clock_res_get", vec![one, bad]),
            ("clock_time_get", vec![one, zero, bad]),
            ("random_get", vec![bad, ok]),
            ("random_get", vec![ok, Arg::Small(END)]),
            ("random_get", vec![ok, Arg::Small(0x8000_0000)]),
            ("poll_oneoff", vec![bad, ok, one, ok]),
            ("poll_oneoff", vec![zeros, bad, one, ok]),
            ("poll_oneoff", vec![zeros, ok, one, bad]),
            ("fd_fdstat_get", vec![root, bad]),
            ("fd_filestat_get", vec![input, bad]),
            ("fd_prestat_get", vec![root, bad]),
            ("fd_prestat_dir_name", vec![root, Arg::Small(lie.max(END)), one]),
            ("fd_read", vec![input, bad, one, ok]),
            ("fd_read", vec![input, out, one, ok]),
            ("fd_read", vec![input, long, one, ok]),
            ("fd_read", vec![input, buffers, one, bad]),
            ("fd_pread", vec![input, bad, one, zero, ok]),
            ("fd_pread", vec![input, out, one, zero, ok]),
            ("fd_pread", vec![input, buffers, one, zero, bad]),
            ("fd_write", vec![output, bad, one, ok]),
            ("fd_write", vec![output, out, one, ok]),
            ("fd_write", vec![output, long, one, ok]),
            ("fd_write", vec![Arg::Small(2), bad, one, ok]),
            ("fd_write", vec![Arg::Small(2), out, one, ok]),
            ("fd_write", vec![Arg::Small(2), long, one, ok]),
            ("fd_pwrite", vec![output, bad, one, zero, ok]),
            ("fd_pwrite", vec![output, out, one, zero, ok]),
            ("fd_readdir", vec![directory, bad, Arg::Small(100), zero, ok]),
            ("fd_readdir", vec![directory, ok, Arg::Small(100), zero, bad]),
            ("fd_seek", vec![input, zero, Arg::Small(0), bad]),
            ("fd_tell", vec![input, bad]),
            ("path_open", vec![root, one, bad, length, Arg::Small(0), rights, rights, Arg::Small(0), ok]),
            ("path_open", vec![root, one, path, length, Arg::Small(0), rights, rights, Arg::Small(0), bad]),
            ("path_open", vec![root, one, new, new_length, one, Arg::Large(WRITE), rights, Arg::Small(0), bad]),
            ("path_filestat_get", vec![root, one, bad, length, ok]),
            ("path_filestat_get", vec![root, one, path, length, bad]),
            ("path_filestat_set_times", vec![root, one, bad, length, zero, zero, one]),
            ("path_create_directory", vec![root, bad, length]),
            ("path_create_directory", vec![root, path, Arg::Small(END)]),
            ("path_remove_directory", vec![root, bad, length]),
            ("path_unlink_file", vec![root, bad, length]),
            ("path_rename", vec![root, bad, length, root, new, new_length]),
            ("path_rename", vec![root, path, length, root, bad, length]),
            ("path_link", vec![root, one, bad, length, root, new, new_length]),
            ("path_link", vec![root, one, path, length, root, bad, length]),
            ("path_symlink", vec![bad, length, root, new, new_length]),
            ("path_symlink", vec![path, length, root, bad, length]),
            ("path_readlink", vec![root, bad, length, ok, ok, ok]),
        ] {
            script.call(FAULT, &format!("{lie:x}"), call, &arguments);
        }
    }
    let ended = script.run(|trial| trial);
    ended.assert_succeeded();
    // A call whose result cannot be written has no side effects.
    let paths: Vec<&str> = ended.report().outputs.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths, ["file"]);
}

#[test]
fn counts_without_end() {
    let mut script = Script::default();
    let output = script.create(OK, "file");
    let input = script.open(OK, "data/inputs/d/0", 0, READ);
    let (ok, zero) = (Arg::Small(1 << 20), Arg::Large(0));
    for count in [1025, 65_536, 1 << 29, 1 << 31, u32::MAX] {
        let count = Arg::Small(count);
        script.call(INVAL, "", "fd_read", &[input, ok, count, Arg::Small(16)]);
        script.call(INVAL, "", "fd_pread", &[input, ok, count, zero, Arg::Small(16)]);
        script.call(INVAL, "", "fd_write", &[output, ok, count, Arg::Small(16)]);
        script.call(INVAL, "", "fd_pwrite", &[output, ok, count, zero, Arg::Small(16)]);
        script.call(INVAL, "", "fd_write", &[Arg::Small(2), ok, count, Arg::Small(16)]);
    }
    for count in [0, 4097, 1 << 26, u32::MAX] {
        script.call(INVAL, "", "poll_oneoff", &[ok, ok, Arg::Small(count), Arg::Small(16)]);
    }
    // The maximum number of subscriptions, all zeros: clocks that are due at once.
    script.call(OK, "", "poll_oneoff", &[ok, ok, Arg::Small(4096), Arg::Small(16)]);
    script.answer(4096, "events");
    let ended = script.run(|trial| trial);
    ended.assert_succeeded();
    assert_outputs(&ended, &[("file", b"")]);
}

/// Arithmetic on the highest addresses.
#[test]
pub(crate) fn poll_end_of_memory() {
    let ended = fixture("poll_end_of_memory").with(&["--limits", "memory=5GiB"]).finish();
    assert_eq!(*ended.outcome(), Outcome::AlgorithmFailed { exit_code: FAULT }, "{}", shape(&ended));
    assert_eq!(ended.code, Some(1));
}
