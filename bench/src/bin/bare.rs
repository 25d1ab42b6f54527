//! The least that runs a preview 1 program: the same engine and its own WASI, and nothing else. No walls, no second
//! process, no budget, no report. What the sandbox costs is measured against this.
//!
//! `bare compile MODULE ARTIFACT`
//! `bare run ARTIFACT [--dir HOST GUEST | --read-only-dir HOST GUEST | --env NAME VALUE]...`

#![expect(unsafe_code, reason = "machine code from disk is taken at its word, which is part of being bare")]

use anyhow::{Result, bail};
use std::{env, fs};
use wasmtime::{Config, Engine, Linker, Module, Store};
use wasmtime_wasi::{FsPerms, I32Exit, WasiCtxBuilder, p1};

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    // Neither epochs nor fuel: no check within the guest's loops. These are wasmtime's defaults.
    let engine = Engine::new(&Config::new())?;
    match arguments.as_slice() {
        ["compile", module, artifact] => Ok(fs::write(artifact, engine.precompile_module(&fs::read(module)?)?)?),
        ["run", artifact, options @ ..] => run(&engine, artifact, options),
        _ => bail!("usage: bare compile MODULE ARTIFACT, or bare run ARTIFACT [OPTIONS]"),
    }
}

fn run(engine: &Engine, artifact: &str, options: &[&str]) -> Result<()> {
    let mut wasi = WasiCtxBuilder::new();
    wasi.inherit_stdio().allow_blocking_current_thread(true).arg("algorithm");
    for option in options.chunks(3) {
        match option {
            ["--dir", host, guest] => wasi.preopened_dir(host, guest, FsPerms::ReadWrite)?,
            ["--read-only-dir", host, guest] => wasi.preopened_dir(host, guest, FsPerms::ReadOnly)?,
            ["--env", name, value] => wasi.env(name, value),
            _ => bail!("options come in threes: --dir HOST GUEST, --read-only-dir HOST GUEST, --env NAME VALUE"),
        };
    }
    // wasmtime's own WASI wants an executor, although nothing in here ever waits. Without this one it would start a
    // pool of threads.
    let executor = tokio::runtime::Builder::new_current_thread().build()?;
    let _entered = executor.enter();
    let mut linker = Linker::new(engine);
    p1::add_to_linker_sync(&mut linker, |wasi| wasi)?;
    // SAFETY: `bare compile` made it.
    let module = unsafe { Module::deserialize_file(engine, artifact) }?;
    let mut store = Store::new(engine, wasi.build_p1());
    let instance = linker.instantiate(&mut store, &module)?;
    let start = instance.get_typed_func::<(), ()>(&mut store, "_start")?;
    match start.call(&mut store, ()) {
        Err(error) if error.downcast_ref::<I32Exit>().is_some_and(|exit| exit.0 == 0) => Ok(()),
        ended => Ok(ended?),
    }
}
