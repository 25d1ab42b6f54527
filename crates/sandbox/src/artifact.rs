//! Loading machine code: the one unsafe thing this crate does.

#![expect(unsafe_code, reason = "wasmtime cannot check machine code; who made it is checked before")]

use std::{
    fs::File,
    io::{self, Read as _, Seek as _},
};
use wasmtime::{Engine, Module, Result, component::Component};

/// Something compiled by this host, ready to run.
#[derive(Clone)]
pub enum Program {
    /// A core module.
    Module(Module),
    /// A component.
    Component(Component),
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Module(_) => "Module",
            Self::Component(_) => "Component",
        })
    }
}

impl Program {
    /// Loads an artifact.
    ///
    /// The file must have been made by this host's compiler and have been authenticated since: any byte of it may
    /// become machine code. [`crate::cache`] is where both are made sure of; no artifact from elsewhere gets there.
    ///
    /// # Errors
    /// If it is no artifact, or one of another engine.
    pub fn load(engine: &Engine, mut file: File, is_component: bool) -> Result<Self> {
        if is_component {
            let mut bytes = Vec::new();
            // Whoever made the file may have left its position at the end.
            file.rewind()?;
            file.read_to_end(&mut bytes)?;
            // SAFETY: made by our compiler process and authenticated by the supervisor that handed it over.
            let component = unsafe { Component::deserialize(engine, bytes) }?;
            component.initialize_copy_on_write_image()?;
            Ok(Self::Component(component))
        } else {
            // SAFETY: as above. The cache directory is private to the user, and nothing writes to an artifact after it
            // got its name, so the mapping does not change.
            let module = unsafe { Module::deserialize_open_file(engine, file) }?;
            module.initialize_copy_on_write_image()?;
            Ok(Self::Module(module))
        }
    }
}

/// For tests that compile and load in one process.
#[cfg(test)]
pub(crate) fn load_module_bytes(engine: &Engine, bytes: &[u8]) -> Result<Module> {
    // SAFETY: the caller has just compiled them.
    unsafe { Module::deserialize(engine, bytes) }
}

/// Reads exactly what a descriptor holds, if it is at most `limit` bytes.
///
/// # Errors
/// `FileTooLarge` beyond the limit, and whatever reading meets.
pub fn read_bounded(file: &mut File, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}
