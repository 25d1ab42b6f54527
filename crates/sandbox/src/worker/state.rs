//! The state of an interpreter after its initialisation: what a snapshot is made from.
//!
//! The worker's host code writes it, not the guest. The first line is JSON and describes it; the bytes of the memory follow.

use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufRead as _, BufReader, Read as _, Seek as _, Write as _},
};
use wasmtime::{AsContextMut, Extern, Instance, Val};

/// The prefix of the exports that instrumenting adds: everything that can change, under a name.
const PREFIX: &str = "__wizer_";
/// The most bytes of the first line.
const MAX_LINE_BYTES: u64 = 64 * 1024;

/// The value of a global.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Value {
    I32(i32),
    I64(i64),
}

/// What an instance holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) globals: BTreeMap<String, Value>,
    /// The name of its one memory.
    pub(crate) memory: String,
    pub(crate) contents: Vec<u8>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    globals: BTreeMap<String, Value>,
    memory: String,
    bytes: u64,
}

/// Writes the state of an instance of an instrumented module.
///
/// # Errors
/// If it holds something that a snapshot cannot keep, or the file cannot be written.
pub(super) fn write(mut store: impl AsContextMut, instance: Instance, file: &mut File) -> wasmtime::Result<()> {
    let odd = |what: &str| wasmtime::Error::msg(format!("a snapshot cannot keep {what}"));
    let exports: Vec<(String, Extern)> = instance
        .exports(store.as_context_mut())
        .map(|export| (export.name().to_owned(), export.into_extern()))
        .filter(|(name, _)| name.starts_with(PREFIX))
        .collect();
    let (mut globals, mut memory) = (BTreeMap::new(), None);
    for (name, export) in exports {
        match export {
            Extern::Global(global) => {
                let value = match global.get(store.as_context_mut()) {
                    Val::I32(value) => Value::I32(value),
                    Val::I64(value) => Value::I64(value),
                    _ => return Err(odd("a global that is no integer")),
                };
                globals.insert(name, value);
            }
            Extern::Memory(found) if memory.is_none() => memory = Some((name, found)),
            _ => return Err(odd("more than one memory")),
        }
    }
    let (name, memory) = memory.ok_or_else(|| odd("an instance without a memory"))?;
    let contents = memory.data(&store);
    let head = Head { globals, memory: name, bytes: contents.len() as u64 };
    serde_json::to_writer(&mut *file, &head)?;
    file.write_all(b"\n")?;
    file.write_all(contents)?;
    Ok(())
}

impl State {
    /// Reads what a worker wrote.
    ///
    /// # Errors
    /// If it is not that, or not all of it.
    pub(crate) fn read(mut file: File) -> io::Result<Self> {
        file.rewind()?;
        let mut reader = BufReader::new(file);
        let mut line = String::new();
        reader.by_ref().take(MAX_LINE_BYTES).read_line(&mut line)?;
        let Head { globals, memory, bytes } = serde_json::from_str(&line)?;
        let mut contents = Vec::new();
        reader.read_to_end(&mut contents)?;
        if contents.len() as u64 == bytes {
            Ok(Self { globals, memory, contents })
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }
}
