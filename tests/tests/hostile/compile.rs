//! Programs that try to exhaust admission or the compiler. Each ends within the limits, in a separate process, while the
//! supervisor stays small.

use crate::runs::{PATIENCE, assert_complete, assert_outputs, shape, wait};
use cloister_model::{Limit, Outcome};
use cloister_tests::{Ended, Trial};
use std::{
    fmt::Write as _,
    fs,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

/// The most physical memory that the supervisor may use, in KiB.
const SUPERVISOR_KIB: u64 = 160 * 1024;

/// The peak physical memory of a running process, in KiB.
fn peak_kib(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

/// Compiles the program, and runs it if it is admitted.
#[track_caller]
fn bomb(bytes: &[u8], limits: &str) -> Ended {
    let mut trial = Trial::bytes(bytes).with(&["--limits", limits]);
    let child = trial.command().stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts");
    let (pid, over) = (child.id(), Arc::new(AtomicBool::new(false)));
    let watcher = std::thread::spawn({
        let over = Arc::clone(&over);
        move || {
            let mut peak = 0;
            while !over.load(Relaxed) {
                peak = peak_kib(pid).unwrap_or_default().max(peak);
                std::thread::sleep(Duration::from_millis(20));
            }
            peak
        }
    });
    let code = wait(child, PATIENCE);
    over.store(true, Relaxed);
    let peak = watcher.join().expect("watched");
    let ended = trial.ended(code, b"", b"");
    assert!(peak < SUPERVISOR_KIB, "the supervisor took {peak} KiB");
    let is_kept = match ended.outcome() {
        Outcome::Refused { .. } => code == Some(4),
        Outcome::LimitExceeded { limit, .. } => {
            code == Some(3)
                && matches!(limit, Limit::CompileTime | Limit::CompileMemory | Limit::ArtifactSize | Limit::ModuleSize)
        }
        Outcome::Succeeded => code == Some(0),
        Outcome::AlgorithmFailed { .. } | Outcome::Crashed { .. } | Outcome::HostFault { .. } => false,
    };
    assert!(is_kept, "{}", shape(&ended));
    assert_complete(&ended);
    assert_outputs(&ended, &[]);
    ended
}

const LIMITS: &str = "compile-wall=5s,compile-memory=1GiB";

/// Unsigned LEB128.
fn number(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(value & 0x7f).expect("seven bits");
        value >>= 7;
        if value == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

/// A section or function body with its length in front.
fn sized(content: &[u8]) -> Vec<u8> {
    [number(content.len()), content.to_vec()].concat()
}

fn section(id: u8, content: &[u8]) -> Vec<u8> {
    [vec![id], sized(content)].concat()
}

const HEADER: &[u8] = b"\0asm\x01\0\0\0";

/// A module of functions without parameters, from the bytes of their bodies (locals and code), `_start` first. `between` is
/// inserted before the code.
fn module(bodies: &[Vec<u8>], between: &[Vec<u8>], after: &[Vec<u8>]) -> Vec<u8> {
    let functions = [number(bodies.len()), vec![0; bodies.len()]].concat();
    let code = [number(bodies.len()), bodies.iter().flat_map(|body| sized(body)).collect()].concat();
    let mut bytes = HEADER.to_vec();
    bytes.extend(section(1, &[1, 0x60, 0, 0]));
    bytes.extend(section(3, &functions));
    bytes.extend(section(5, &[1, 0, 1]));
    bytes.extend(section(7, b"\x02\x06memory\x02\x00\x06_start\x00\x00"));
    bytes.extend(between.concat());
    bytes.extend(section(10, &code));
    bytes.extend(after.concat());
    bytes
}

/// A function body with this code and without locals.
fn body(code: &[u8]) -> Vec<u8> {
    [&[0], code, &[0x0b]].concat()
}

/// A program that takes a while to compile.
pub(crate) fn slow_to_compile() -> Vec<u8> {
    module(&vec![body(&[0x42, 1, 0x42, 2, 0x7c, 0x1a].repeat(50)); 150_000], &[], &[])
}

#[test]
fn half_a_million_functions() {
    // i64.const 1, i64.const 2, i64.add, drop: nine million bytes in all.
    let bodies = vec![body(&[0x42, 1, 0x42, 2, 0x7c, 0x1a]); 500_000];
    bomb(&module(&bodies, &[], &[]), LIMITS);
    // As many as the cap allows.
    bomb(&module(&bodies[..199_000], &[], &[]), LIMITS);
}

#[test]
fn one_giant_function() {
    for megabytes in [7, 1] {
        // Loads and stores that depend on each other.
        let step = [0x41, 0, 0x41, 0, 0x28, 2, 0, 0x41, 1, 0x6a, 0x36, 2, 0];
        bomb(&module(&[body(&step.repeat(megabytes * 1_000_000 / step.len()))], &[], &[]), LIMITS);
    }
}

#[test]
fn calls_without_end() {
    // 17 MB of calls, in functions of a megabyte each.
    let giant = body(&[0x10, 0].repeat(500_000));
    let bodies: Vec<Vec<u8>> = [body(&[])].into_iter().chain(std::iter::repeat_n(giant, 16)).collect();
    bomb(&module(&bodies, &[], &[]), LIMITS);
}

#[test]
fn giant_branch_tables() {
    let table = |targets: usize| [vec![0x41, 0, 0x0e], number(targets), vec![0; targets + 1]].concat();
    bomb(&module(&[body(&table(1_500_000))], &[], &[]), LIMITS);
    bomb(&module(&vec![body(&table(60_000)); 16], &[], &[]), LIMITS);
    bomb(&module(&vec![body(&table(60_000)); 100], &[], &[]), LIMITS);
    // As many blocks as targets.
    let depth = 15_000;
    let targets: Vec<u8> = (0..depth).flat_map(number).collect();
    let code = [[0x02, 0x40].repeat(depth), vec![0x41, 0, 0x0e], number(depth), targets, vec![0], vec![0x0b; depth]];
    bomb(&module(&[body(&code.concat())], &[], &[]), LIMITS);
}

#[test]
fn blocks_in_blocks() {
    for depth in [10_000, 100_000, 1_000_000] {
        for kind in [0x02, 0x03] {
            let code = [[kind, 0x40].repeat(depth), vec![0x0b; depth]].concat();
            bomb(&module(&[body(&code)], &[], &[]), LIMITS);
        }
    }
    // `if` needs a condition.
    let code = [[0x41, 1, 0x04, 0x40].repeat(19_000), vec![0x0b; 19_000]].concat();
    bomb(&module(&[body(&code)], &[], &[]), LIMITS);
}

#[test]
fn many_locals() {
    // One group of four billion; fifty thousand, the maximum of the format; all of that many times.
    let group = |count: usize| [vec![1], number(count), vec![0x7b, 0x0b]].concat();
    bomb(&module(&[group(4_000_000_000)], &[], &[]), LIMITS);
    bomb(&module(&[group(50_000)], &[], &[]), LIMITS);
    bomb(&module(&vec![group(50_000); 5_000], &[], &[]), LIMITS);
}

#[test]
fn many_data_segments() {
    for count in [90_000, 1_000_000, 5_000_000] {
        // Passive and empty: two bytes each.
        let data = section(11, &[number(count), [1, 0].repeat(count)].concat());
        let counted = section(12, &number(count));
        bomb(&module(&[body(&[])], &[counted], &[data]), LIMITS);
    }
    // Active segments over all of memory.
    let count = 90_000;
    let data = section(11, &[number(count), [0, 0x41, 0, 0x0b, 1, b'x'].repeat(count)].concat());
    bomb(&module(&[body(&[])], &[], &[data]), LIMITS);
}

#[test]
fn many_exports_globals_and_types() {
    let exports: Vec<u8> =
        (0..200_000).flat_map(|name| [sized(format!("{name:x}").as_bytes()), vec![0, 0]].concat()).collect();
    let bytes = [
        HEADER.to_vec(),
        section(1, &[1, 0x60, 0, 0]),
        section(3, &[1, 0]),
        section(5, &[1, 0, 1]),
        section(7, &[number(200_002), b"\x06memory\x02\x00\x06_start\x00\x00".to_vec(), exports].concat()),
        section(10, &[number(1), sized(&body(&[]))].concat()),
    ];
    bomb(&bytes.concat(), LIMITS);
    let globals = section(6, &[number(500_000), [0x7e, 1, 0x42, 0, 0x0b].repeat(500_000)].concat());
    let start = section(7, b"\x02\x06memory\x02\x00\x06_start\x00\x00");
    let rest = |types: Vec<u8>, globals: Vec<u8>| {
        let (functions, memory) = (section(3, &[1, 0]), section(5, &[1, 0, 1]));
        let code = section(10, &[number(1), sized(&body(&[]))].concat());
        [HEADER.to_vec(), types, functions, memory, globals, start.clone(), code].concat()
    };
    bomb(&rest(section(1, &[1, 0x60, 0, 0]), globals), LIMITS);
    let types = [number(1_000_000), [0x60, 0, 0].repeat(1_000_000)].concat();
    bomb(&rest(section(1, &types), Vec::new()), LIMITS);
}

/// Each type contains the previous one twice: thirty lines describe a billion values.
#[test]
fn types_that_double() {
    for depth in [30, 60, 2000] {
        let mut text = String::from("(component (type $t0 u8)\n");
        for level in 1..=depth {
            let _ = writeln!(text, "(type $t{level} (tuple $t{before} $t{before}))", before = level - 1);
        }
        let _ = write!(
            text,
            "(import \"wasi:cli/environment@0.2.0\" (instance (export \"get\" (func (param \"x\" bool)))))
            (core module $m (func (export \"run\") (result i32) (i32.const 0)))
            (core instance $i (instantiate $m))
            (func $run (result (result)) (canon lift (core func $i \"run\")))
            (instance (export \"wasi:cli/run@0.2.0\") (export \"run\" (func $run))))"
        );
        bomb(&wat::parse_str(&text).expect("valid"), LIMITS);
    }
}

/// Deeply nested types: three megabytes that overflow the stack of a recursive parser.
#[test]
fn types_that_nest() {
    // Component header, type section, one type: a component type that declares a component type, and so on.
    for (opens, depth) in [([0x41_u8, 1, 1], 1_000_000_usize), ([0x42, 1, 1], 1_000_000), ([0x41, 1, 1], 5_000)] {
        let types = [vec![1], opens.repeat(depth), vec![0x41, 0]].concat();
        let bytes = [b"\0asm\x0d\0\x01\0".to_vec(), section(7, &types)].concat();
        bomb(&bytes, LIMITS);
    }
    // Core types in component types, as nested lists.
    let lists = [vec![1], [0x70].repeat(3_000_000), vec![0x7d]].concat();
    bomb(&[b"\0asm\x0d\0\x01\0".to_vec(), section(7, &lists)].concat(), LIMITS);
}

/// Deeply nested components.
#[test]
fn components_that_nest() {
    for depth in [9, 100, 2_000] {
        let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
        for _ in 0..depth {
            bytes = [b"\0asm\x0d\0\x01\0".to_vec(), section(4, &bytes)].concat();
        }
        bomb(&bytes, LIMITS);
    }
}

/// Legitimate but large programs are stopped by the configured limits.
#[test]
fn the_compilers_own_limits() {
    let bodies = vec![body(&[0x42, 1, 0x42, 2, 0x7c, 0x1a].repeat(20)); 60_000];
    let bytes = module(&bodies, &[], &[]);
    for (limits, expected) in [
        ("compile-wall=100ms", Limit::CompileTime),
        ("compile-memory=128MiB,compile-wall=150s", Limit::CompileMemory),
        ("artifact=100KiB,compile-wall=150s", Limit::ArtifactSize),
    ] {
        let ended = bomb(&bytes, limits);
        assert!(
            matches!(ended.outcome(), Outcome::LimitExceeded { limit, .. } if *limit == expected),
            "{limits}: {}",
            shape(&ended)
        );
    }
}
