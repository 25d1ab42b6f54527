//! Scripts in JavaScript that try to get out: with the modules of the interpreter itself, below those that stand for Node.js.

use crate::runs::{Run as _, assert_limit, assert_outputs, shape};
use cloister_model::{Limit, Outcome};
use cloister_tests::{Ended, Trial, install_javascript};
use std::collections::BTreeMap;

const SECRET: &str = "a secret of the dataset\n";

fn run(script: &str, options: &[&str]) -> Ended {
    install_javascript();
    let trial = Trial::bytes(script.as_bytes()).dataset("d", SECRET.as_bytes());
    trial.with(&["--runtime", "javascript"]).with(options).finish()
}

/// Each attempt is a line `NAME: got ...` or `NAME: refused`. All must be refused.
#[test]
fn every_way_out_that_the_interpreter_knows() {
    const SCRIPT: &str = r"
        import * as std from 'qjs:std';
        import * as os from 'qjs:os';
        const path = '/data/inputs/d/0';
        function attempt(name, act) {
            let got;
            try { got = act(); } catch (error) { console.log(`${name}: refused`); return; }
            console.log(got ? `${name}: got ${String(got)}` : `${name}: refused`);
        }
        const opened = (name, mode) => std.open(name, mode) && `a file`;
        // Processes, threads, other ways to run code.
        for (const name of ['exec', 'Worker', 'pipe', 'dup', 'dup2', 'kill', 'waitpid', 'symlink', 'readlink', 'realpath', 'exePath']) {
            attempt(`os.${name}`, () => os[name] && os[name](['ls', '/']));
        }
        for (const name of ['popen', 'urlGet', 'tmpfile']) attempt(`std.${name}`, () => std[name] && std[name]('ls', 'r'));
        for (const name of ['native.so', '/data/outputs/native.so', 'https://example.com/x.js', '/etc/passwd']) {
            await import(name).then(() => console.log(`import ${name}: got it`), () => console.log(`import ${name}: refused`));
        }
        // Files of the machine.
        for (const name of ['/etc/passwd', '/proc/self/environ', '/proc/self/mem', '/sys/kernel', '/root', '/home', '../etc/passwd',
            '/data/../etc/passwd', '/data/inputs/../../../etc/passwd', '/tmp/../../etc/passwd', '/data/inputs/d/../../../../etc/passwd',
            '/dev/mem', '/dev/tty', '/dev/kmsg', '/dev/shm', '/data/outputs/../../etc/passwd']) {
            attempt(`open ${name}`, () => opened(name, 'r'));
            attempt(`stat ${name}`, () => os.stat(name)[0]);
            attempt(`list ${name}`, () => os.readdir(name)[0].length);
        }
        // Inputs cannot be changed, nor what the interpreter is made of.
        for (const name of [path, '/data/transformations/algorithm', '/usr/local/lib/javascript/start.js',
            '/usr/local/lib/javascript/modules.js', '/usr/local/lib/javascript/fs.js']) {
            for (const mode of ['w', 'a', 'r+', 'w+']) attempt(`open ${name} ${mode}`, () => opened(name, mode));
            attempt(`remove ${name}`, () => os.remove(name) === 0);
            attempt(`rename ${name}`, () => os.rename(name, '/tmp/mine') === 0);
            attempt(`utimes ${name}`, () => os.utimes(name, 0, 0) === 0);
        }
        // Outputs are not read.
        const out = std.open('/data/outputs/a', 'w');
        out.puts('an output');
        out.close();
        attempt('read an output', () => std.loadFile('/data/outputs/a'));
        attempt('open an output r', () => opened('/data/outputs/a', 'r') && std.loadFile('/data/outputs/a'));
        const both = os.open('/data/outputs/b', os.O_RDWR | os.O_CREAT);
        os.write(both, new TextEncoder().encode('secret').buffer, 0, 6);
        os.seek(both, 0, std.SEEK_SET);
        attempt('read through a writing descriptor', () => os.read(both, new ArrayBuffer(6), 0, 6) > 0);
        attempt('out of the outputs', () => os.rename('/data/outputs/a', '/tmp/a') === 0 && std.loadFile('/tmp/a'));
        // Descriptors that it was not given. 4 is the interpreter's own program.
        for (let fd = 5; fd < 64; fd++) {
            if (fd !== both) attempt(`descriptor ${fd}`, () => os.read(fd, new ArrayBuffer(8), 0, 8) >= 0);
        }
        attempt('descriptor of the root', () => os.read(3, new ArrayBuffer(8), 0, 8) >= 0);
        console.log(`variables: ${Object.keys(std.getenviron()).sort().join(' ')}`);
    ";
    let ended = run(SCRIPT, &[]);
    ended.assert_succeeded();
    let log = String::from_utf8(ended.log.clone()).expect("text");
    let (got, refused): (Vec<_>, Vec<_>) = log.lines().partition(|line| !line.ends_with(": refused"));
    let variables = "variables: DIDS HOME INPUTS LOGS OUTPUTS TMPDIR TRANSFORMATION_DID VOLUME";
    assert_eq!(got, [variables], "{}", shape(&ended));
    assert!(refused.len() > 150, "{}: {log}", refused.len());
    assert_outputs(&ended, &[("a", b"an output"), ("b", b"secret")]);
}

/// What stands for Node.js has no more rights than the interpreter below it.
#[test]
fn modules_of_node_give_no_rights() {
    const SCRIPT: &str = r"
        const fs = require('fs');
        const attempt = (name, act) => {
            try { console.log(`${name}: got ${String(act())}`); } catch (error) { console.log(`${name}: refused`); }
        };
        for (const name of ['http', 'https', 'net', 'tls', 'dns', 'dgram', 'child_process', 'worker_threads', 'cluster', 'vm', 'v8',
            'inspector', 'node:http', 'node:test', '/etc/passwd', '../../etc/passwd', 'file:///etc/passwd']) {
            attempt(`require ${name}`, () => require(name));
        }
        attempt('fetch', () => fetch('https://example.com/'));
        attempt('WebSocket', () => new WebSocket('wss://example.com/'));
        attempt('binding', () => process.binding('fs'));
        attempt('dlopen', () => process.dlopen({}, '/data/inputs/d/0'));
        attempt('kill', () => process.kill(1));
        attempt('read', () => fs.readFileSync('/etc/passwd'));
        attempt('list', () => fs.readdirSync('/etc'));
        attempt('write', () => fs.writeFileSync('/data/inputs/d/0', 'x'));
        attempt('append', () => fs.appendFileSync('/data/inputs/d/0', 'x'));
        attempt('link', () => fs.symlinkSync('/etc/passwd', '/tmp/passwd'));
        attempt('copy', () => fs.copyFileSync('/proc/self/environ', '/tmp/environ'));
        attempt('delete', () => fs.unlinkSync('/data/inputs/d/0'));
        attempt('delete all', () => fs.rmSync('/data/inputs', { recursive: true, force: true }));
        fs.writeFileSync('/data/outputs/a', 'one');
        attempt('read back', () => fs.readFileSync('/data/outputs/a'));
        console.log(fs.readFileSync('/data/inputs/d/0', 'utf8').trim());
    ";
    let ended = run(SCRIPT, &[]);
    ended.assert_succeeded();
    let log = String::from_utf8(ended.log.clone()).expect("text");
    let got: Vec<_> = log.lines().filter(|line| !line.ends_with(": refused")).collect();
    assert_eq!(got, [SECRET.trim()], "{}", shape(&ended));
    assert!(log.lines().count() >= 32, "{log}");
    assert_outputs(&ended, &[("a", b"one")]);
}

#[test]
fn what_is_endless_meets_a_limit_or_an_error() {
    let deep =
        run("function f(n) { return f(n + 1) + 1; } try { f(0); } catch (error) { console.log(error.name); }", &[]);
    deep.assert_succeeded();
    assert_eq!(deep.log, b"RangeError\n", "{}", shape(&deep));
    let list =
        run("const all = []; for (;;) all.push(new Uint8Array(1 << 20).fill(1));", &["--limits", "memory=64MiB"]);
    let is_out_of_memory = match list.outcome() {
        Outcome::LimitExceeded { limit, .. } => *limit == Limit::Memory,
        // The interpreter may notice first, and throws an error.
        Outcome::AlgorithmFailed { .. } => true,
        _ => false,
    };
    assert!(is_out_of_memory, "{}", shape(&list));
    for endless in [
        "for (;;) {}",
        "(async () => { for (;;) await null; })()",
        "setInterval(() => {}, 0)",
        "/(a+)+$/.test('a'.repeat(64) + 'b')",
    ] {
        assert_limit(&run(endless, &["--limits", "wall=3s"]), Limit::WallTime);
    }
    let awaited = run("await new Promise(() => {}); export {};", &[]);
    assert!(matches!(awaited.outcome(), Outcome::AlgorithmFailed { .. }), "{}", shape(&awaited));
    let many = "const fs = require('fs'); for (let i = 0; ; i++) fs.writeFileSync(`/data/outputs/${i}`, 'x');";
    let trial = Trial::bytes(many.as_bytes()).dataset("d", b"").with(&["--runtime", "javascript"]);
    let files = trial.with_file("--contract", r#"{"maxFiles": 5}"#).finish();
    assert!(!files.outcome().is_success(), "{}", shape(&files));
    assert!(files.outputs().len() <= 5, "{}", shape(&files));
}

/// In the deterministic profile, nothing that a script can ask differs between two runs.
#[test]
fn a_script_sees_the_same_in_every_run() {
    const SCRIPT: &str = "console.log(Math.random(), Date.now(), performance.now(), process.hrtime.bigint());\n\
        console.log(Object.keys(globalThis).length, new Date().getTimezoneOffset(), require('fs').statSync('/data/inputs/d/0').mtimeMs);\n\
        setTimeout(() => console.log(Date.now()), 50);";
    let logs: BTreeMap<Vec<u8>, usize> = (0..3).map(|_| (run(SCRIPT, &[]).log, 1)).collect();
    assert_eq!(logs.len(), 1, "{:?}", logs.keys().map(|log| String::from_utf8_lossy(log)).collect::<Vec<_>>());
    assert!(!logs.keys().any(Vec::is_empty));
}
