//! Tries operations that the sandbox must refuse, through the standard library, and prints a line for each attempt:
//! `operation: Ok`, with the result if it matters, or `operation: ErrorKind`.
//!
//! With the parameter `flood` in `/data/inputs/algoCustomData.json`, it writes without end instead: to the log, to one
//! output, or to many.

use std::{
    env,
    fmt::Debug,
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    process::ExitCode,
};

const INPUT: &str = "/data/inputs/d/0";
const OUTPUT: &str = "/data/outputs/file";

fn tell<T: Debug>(operation: &str, result: io::Result<T>) {
    match result {
        Ok(value) => println!("{operation}: {value:?}"),
        Err(error) => println!("{operation}: {:?}", error.kind()),
    }
}

fn nameless(_: io::Error) -> io::Error {
    io::ErrorKind::Other.into()
}

/// Paths that lead out, or to missing files.
fn traversal() {
    for path in [
        "/etc/passwd",
        "/data/../../etc/passwd",
        "/data/inputs/d/../../../../etc/passwd",
        "../x",
        "/proc/self/environ",
        "/dev/null",
        "",
        "/data/inputs/\u{1b}[2J",
    ] {
        // The root itself, read as a file. The name of this error depends on the version of Rust.
        let read = fs::read(path).map_err(|error| if path.is_empty() { nameless(error) } else { error });
        tell(&format!("read {path:?}"), read);
        tell(&format!("stat {path:?}"), fs::metadata(path).map(|_| ()));
        tell(&format!("write {path:?}"), fs::write(path, "x"));
        tell(&format!("mkdir {path:?}"), fs::create_dir(path));
        tell(&format!("list {path:?}"), names(path).map(|_| ()));
    }
}

fn inputs() {
    tell("read input", fs::read_to_string(INPUT));
    tell("overwrite input", fs::write(INPUT, "x"));
    tell("append to input", OpenOptions::new().append(true).open(INPUT).map(|_| ()));
    tell("truncate input", OpenOptions::new().write(true).truncate(true).open(INPUT).map(|_| ()));
    tell("read and write input", OpenOptions::new().read(true).write(true).open(INPUT).map(|_| ()));
    tell("set size of input", File::open(INPUT).and_then(|file| file.set_len(0)));
    tell("write to input", File::open(INPUT).and_then(|mut file| file.write(b"x")));
    tell("remove input", fs::remove_file(INPUT));
    tell("remove dataset", fs::remove_dir_all("/data/inputs/d"));
    tell("rename input", fs::rename(INPUT, "/data/outputs/stolen"));
    tell("link input", fs::hard_link(INPUT, "/data/outputs/stolen"));
    tell("add input", fs::write("/data/inputs/d/new", "x"));
    tell("list inputs", names("/data/inputs/d"));
}

fn outputs() -> io::Result<()> {
    let mut file = File::create(OUTPUT)?;
    file.write_all(b"secret")?;
    file.flush()?;
    let mut text = String::new();
    tell("read what was written", file.seek(SeekFrom::Start(0)).and_then(|_| file.read_to_string(&mut text)));
    tell("read output", fs::read(OUTPUT));
    tell("open output for both", OpenOptions::new().read(true).write(true).open(OUTPUT).map(|_| ()));
    tell("size of output", fs::metadata(OUTPUT).map(|metadata| metadata.len()));
    tell("list outputs", names("/data/outputs"));
    tell("copy output", fs::copy(OUTPUT, "/tmp/copy"));
    tell("rename output to scratch", fs::rename(OUTPUT, "/tmp/stolen"));
    tell("link output", fs::hard_link(OUTPUT, "/data/outputs/link"));
    tell("name with an escape", fs::write("/data/outputs/\u{1b}[2J", "x"));
    tell("name too long", fs::write(format!("/data/outputs/{}", "n".repeat(256)), "x"));
    tell("append output", OpenOptions::new().append(true).open(OUTPUT).and_then(|mut file| file.write_all(b"+")));
    tell("make directory", fs::create_dir("/data/outputs/sub"));
    tell("write below", fs::write("/data/outputs/sub/file", "below"));
    tell("list below", names("/data/outputs/sub"));
    // The names of these two errors depend on the version of Rust.
    tell("remove full directory", fs::remove_dir("/data/outputs/sub").map_err(nameless));
    let hole = File::create("/data/outputs/hole").and_then(|file| file.set_len(1 << 40));
    tell("beyond the budget", hole.map_err(nameless));
    tell("scratch", fs::write("/tmp/own", "mine").and_then(|()| fs::read_to_string("/tmp/own")));
    Ok(())
}

fn names(path: &str) -> io::Result<Vec<String>> {
    fs::read_dir(path)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

fn machine() {
    tell("arguments", Ok(env::args().collect::<Vec<_>>()));
    let mut names: Vec<String> = env::vars().map(|(name, _)| name).collect();
    names.sort();
    tell("variables", Ok(names));
    tell("standard input", io::read_to_string(io::stdin()));
    tell("process", std::process::Command::new("/bin/sh").output().map(|_| ()));
    tell("thread", std::thread::Builder::new().spawn(|| ()).map(|_| ()));
}

/// Opens files until it is refused.
fn handles() {
    let mut open = Vec::new();
    let error = loop {
        match File::open(INPUT) {
            Ok(file) => open.push(file),
            Err(error) => break error,
        }
    };
    let count = open.len();
    drop(open);
    println!("handles: {} {}", count < 128, error.raw_os_error().is_some());
    tell("after handles", File::open(INPUT).map(|_| ()));
}

fn flood(kind: &str) -> io::Result<()> {
    match kind {
        "log" => {
            let line = "x".repeat(1023);
            (0..10_000).for_each(|_| println!("{line}"));
            Ok(())
        }
        "bytes" => {
            let mut file = File::create("/data/outputs/flood")?;
            loop {
                file.write_all(&[b'x'; 5000])?;
            }
        }
        _ => {
            for number in 0.. {
                File::create(format!("/data/outputs/{number}"))?;
            }
            Ok(())
        }
    }
}

fn main() -> ExitCode {
    let parameters = fs::read_to_string("/data/inputs/algoCustomData.json").unwrap_or_default();
    if let Some(kind) = ["log", "bytes", "files"].into_iter().find(|kind| parameters.contains(kind)) {
        let ended = flood(kind);
        return if ended.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(9) };
    }
    traversal();
    inputs();
    tell("outputs", outputs());
    machine();
    handles();
    ExitCode::SUCCESS
}
