//! Admission: decides from its bytes whether a WebAssembly program may run.
//!
//! [`admit`] parses a program and reports its kind, its imports, its declarations and the verdict. It runs nothing,
//! compiles nothing and stores nothing. Every refusal names a [`cloister_model::Rule`].
//!
//! The bytes are untrusted, so every cost is bounded: [`caps`] bounds sizes and counts, and time is bounded by one pass
//! over the sections and one over the code. The report of a refused program contains what could be read.
//!
//! Admission cannot show what a program *does* with the data that it may read.

#![forbid(unsafe_code)]

pub mod caps;
mod component;
mod declarations;
#[cfg(test)]
mod fixtures;
mod function_names;
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

pub use component::is_answered_network;
pub use function_names::without_names;
pub use interface::WASI_PATCH;
pub use preview1::preview1_functions;
pub use proposals::Proposals;

use caps::Caps;
use cloister_model::{Admission, Import, Limits, ModuleKind, Refusal, Rule, Verdict};
use survey::Survey;
use wasmparser::Encoding;

/// A program to check.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The content of the file.
    pub bytes: &'a [u8],
    /// The limits of the run. Admission checks the size of the file, and the initial tables and memories.
    pub limits: &'a Limits,
    /// The role of the program.
    pub role: Role<'a>,
}

/// The role of a program.
#[derive(Clone, Copy, Debug)]
pub enum Role<'a> {
    /// An algorithm: a preview 1 command or a 0.2 component.
    Algorithm,
    /// An interpreter that the operator installed: a core module, with or without `_start`. It may use exceptions and have
    /// more and larger functions.
    Runtime {
        /// Functions (module, name), of any type, that it imports for other hosts. This host traps when one is called.
        trapped_imports: &'a [(String, String)],
        /// The exports that the host calls. They must be functions without parameters that return nothing or an i32, or like `main`
        /// in C.
        start: &'a [String],
    },
}

/// Checks a program and decides whether it may run.
///
/// Takes about half a second for 100 MB. Never panics. Needs memory of a small multiple of the program's size.
#[must_use]
pub fn admit(request: &Request<'_>) -> Admission {
    let Request { bytes, limits, role } = request;
    let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if size > limits.module_bytes {
        return too_many_bytes(size, limits);
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
        // Both passes use the same parser, so this should not happen. If it does, refuse what the survey did not read.
        refusals.push(Refusal::new(Rule::Invalid, "cannot be read to its end", validation::REBUILD));
    }
    report(survey, encoding, size, refusals)
}

/// The report of a file of more bytes than the limits of the run allow. Such a file need not be read: [`admit`] says the same of it.
#[must_use]
pub fn too_many_bytes(bytes: u64, limits: &Limits) -> Admission {
    let subject = format!("{bytes} bytes, where {} are allowed", limits.module_bytes);
    let advice = "Make it smaller (wasm-opt -Oz, strip), or raise the limit";
    refused_unread(bytes, None, Refusal::new(Rule::TooLarge, &subject, advice))
}

/// Checks the initial memories and tables against the limits of the run.
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

/// The report of a program that was refused before it was parsed.
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
    // A module may import a function several times.
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
