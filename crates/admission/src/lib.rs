//! What a WebAssembly program asks for, and whether it may have it.
//!
//! [`admit`] reads a program's bytes and says what it is, what it imports, what it declares and whether it may run.
//! It runs nothing, compiles nothing and keeps nothing. Everything that is not allowed is refused under the name of a
//! [`cloister_model::Rule`].
//!
//! The bytes come from a stranger. Every cost is bounded: sizes and counts by [`caps`], time by one pass over the
//! sections and one over the code. A refused program may still have a report, as far as it could be read.
//!
//! What a program *does* with what it may read cannot be seen here.

#![forbid(unsafe_code)]

pub mod caps;
mod component;
mod declarations;
#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod hostile;
mod interface;
mod magic;
mod module;
mod names;
mod origin;
mod preview1;
mod problems;
mod proposals;
mod survey;
mod toolchain;
mod validation;

pub use component::INERT_TYPES;
pub use interface::WASI_PATCH;
pub use preview1::preview1_functions;
pub use proposals::Proposals;

use caps::Caps;
use cloister_model::{Admission, Import, Limits, ModuleKind, Refusal, Rule, Verdict};
use survey::Survey;
use wasmparser::Encoding;

/// A program that somebody wants to run.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The file.
    pub bytes: &'a [u8],
    /// What the run may use: the file's size, its tables and memories at the start are measured against it.
    pub limits: &'a Limits,
    /// Whose program it is.
    pub role: Role<'a>,
}

/// Whose program it is.
#[derive(Clone, Copy, Debug)]
pub enum Role<'a> {
    /// An author's: a preview 1 command or a 0.2 component.
    Algorithm,
    /// An interpreter that the operator installed: a core module, with or without `_start`. It may use exceptions, and
    /// have more and larger functions.
    Runtime {
        /// Functions, by module and name and of any type, that it imports for other hosts. This host answers a call
        /// with a trap.
        trapped_imports: &'a [(String, String)],
        /// The exports that the host calls, which must be functions without parameters that return nothing or an i32.
        start: &'a [String],
    },
}

/// Reads a program and decides whether it may run.
///
/// Takes about half a second for 100 MB. Never panics; needs a small multiple of the program's size in memory.
#[must_use]
pub fn admit(request: &Request<'_>) -> Admission {
    let Request { bytes, limits, role } = request;
    let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if size > limits.module_bytes {
        return refused_unread(size, None, survey::too_large("bytes", size, limits.module_bytes));
    }
    let encoding = match magic::recognise(bytes) {
        Ok(encoding) => encoding,
        Err(refusal) => return refused_unread(size, None, refusal),
    };
    if let (Encoding::Component, Role::Runtime { .. }) = (encoding, role) {
        let advice = "Build the interpreter for wasm32-wasip1";
        let refusal = Refusal::new(Rule::EntryPoint, "a component: runtimes are core modules", advice);
        return refused_unread(size, Some(ModuleKind::Component), refusal);
    }

    let proposals = Proposals::for_role(role);
    let survey = survey::survey(bytes, proposals, Caps::for_role(role));
    let mut refusals = check_limits(&survey, limits);
    let types = match &survey.exceeded {
        Some(refusal) => {
            refusals.push(refusal.clone());
            None
        }
        None => validation::validate(bytes, proposals).map_err(|refusal| refusals.push(refusal)).ok(),
    };
    let types = types.as_ref().map(|types| types.as_ref());
    refusals.extend(match encoding {
        Encoding::Module => module::check(&survey, types, role),
        Encoding::Component => component::check(&survey, types),
    });
    if refusals.is_empty() && !survey.complete {
        // Both passes read with the same parser, so this should not be. If it ever is, what was not seen is not run.
        refusals.push(Refusal::new(Rule::Invalid, "could not be read to its end", validation::REBUILD));
    }
    report(survey, encoding, size, refusals)
}

/// What a program starts with must fit into what it may ever have.
fn check_limits(survey: &Survey<'_>, limits: &Limits) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    let pages = survey.memories.iter().fold(0_u64, |sum, memory| sum.saturating_add(memory.initial_pages));
    let memory_bytes = pages.saturating_mul(64 * 1024);
    if memory_bytes > limits.memory_bytes {
        refusals.push(Refusal::new(
            Rule::Memory,
            &format!("{memory_bytes} bytes of memory at the start"),
            format!("The limit of this run is {} bytes: ask for more, or build with less", limits.memory_bytes),
        ));
    }
    if survey.table_elements > limits.table_elements {
        refusals.push(survey::too_large("table elements at the start", survey.table_elements, limits.table_elements));
    }
    refusals
}

/// A refusal of something that was not looked into.
fn refused_unread(bytes: u64, kind: Option<ModuleKind>, refusal: Refusal) -> Admission {
    Admission {
        kind,
        bytes,
        imports: Vec::new(),
        exports: Vec::new(),
        memories: Vec::new(),
        table_elements: 0,
        functions: 0,
        code_bytes: 0,
        toolchain: Vec::new(),
        verdict: Verdict::Refused { refusals: vec![refusal] },
    }
}

fn report(survey: Survey<'_>, encoding: Encoding, bytes: u64, mut refusals: Vec<Refusal>) -> Admission {
    let kind = match encoding {
        Encoding::Module => module::kind(&survey),
        Encoding::Component => Some(ModuleKind::Component),
    };
    let mut imports: Vec<Import> = survey
        .imports
        .iter()
        .map(|import| {
            let allows = match encoding {
                Encoding::Module => module::allows(import),
                Encoding::Component => component::allows(import.module),
            };
            Import { module: names::name(import.module), name: names::name(import.name), allows }
        })
        .collect();
    imports.sort();
    // A module may import one function many times.
    imports.dedup();
    let mut exports: Vec<String> = survey.exports.iter().map(|export| names::name(export.name)).collect();
    exports.sort();
    refusals.truncate(caps::REFUSALS);
    Admission {
        kind,
        bytes,
        imports,
        exports,
        memories: survey.memories,
        table_elements: survey.table_elements,
        functions: survey.functions,
        code_bytes: survey.code_bytes,
        toolchain: survey.toolchain,
        verdict: if refusals.is_empty() { Verdict::Admitted } else { Verdict::Refused { refusals } },
    }
}
