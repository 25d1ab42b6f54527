//! Loading machine code, and saying which processors it is for: the only unsafe code in this crate.

#![expect(
    unsafe_code,
    reason = "wasmtime cannot check machine code; `AuthenticatedCode` proves its origin, and loading checks the processor"
)]

use crate::cache::AuthenticatedCode;
use std::io::{Read as _, Seek as _};
use wasmtime::{Config, Engine, Module, Result, component::Component};

/// A program compiled by this host, ready to run.
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
    /// Any byte of it may become machine code. The function is safe because [`AuthenticatedCode`] proves that this
    /// host's compiler produced the bytes, or that the operator trusts exactly these.
    ///
    /// # Errors
    /// If the artifact is damaged or was compiled for another engine.
    #[expect(clippy::disallowed_methods, reason = "the code is authenticated")]
    pub fn load(engine: &Engine, code: AuthenticatedCode, is_component: bool) -> Result<Self> {
        let mut file = code.into_file();
        if is_component {
            let mut bytes = Vec::new();
            // The position may be at the end of the file, where writing it left off.
            file.rewind()?;
            file.read_to_end(&mut bytes)?;
            // SAFETY: `AuthenticatedCode` exists only for bytes that our compiler process wrote and whose MAC the
            // supervisor checked, and for bytes whose digest the operator trusts.
            let component = unsafe { Component::deserialize(engine, bytes) }?;
            component.initialize_copy_on_write_image()?;
            Ok(Self::Component(component))
        } else {
            // SAFETY: as above. The cache directory is private to the user, and nothing writes to an artifact once it
            // is stored; a bundle's file can be written only by its owner, this user or root. So the mapping does not change.
            let module = unsafe { Module::deserialize_open_file(engine, file) }?;
            module.initialize_copy_on_write_image()?;
            Ok(Self::Module(module))
        }
    }
}

/// Has an engine compile for any processor of this architecture that has the features with these names, and use no other feature.
///
/// # Errors
/// If wasmtime does not know the architecture.
pub(crate) fn compile_for_baseline(config: &mut Config, features: impl Iterator<Item = &'static str>) -> Result<()> {
    config.target(&format!("{}-unknown-linux-gnu", std::env::consts::ARCH))?;
    for feature in features {
        // SAFETY: a flag of this kind lets the compiler use instructions of the processor. The artifact names each, and wasmtime
        // loads it only where the processor has them.
        unsafe { config.cranelift_flag_enable(feature) };
    }
    Ok(())
}

/// For tests that compile and load in one process.
#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test loads what it has just compiled")]
pub(crate) fn load_module_bytes(engine: &Engine, bytes: &[u8]) -> Result<Module> {
    // SAFETY: the caller has just compiled these bytes.
    unsafe { Module::deserialize(engine, bytes) }
}
