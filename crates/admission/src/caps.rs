//! Caps on the structure of a program.
//!
//! The time and memory for checking and compiling grow with these numbers, in some cases faster than the file. Every cap is
//! a multiple of what large legitimate programs need. CPython 3.15 with pandas, scipy and scikit-learn, in one
//! module of 100 MB, has 89 060 functions, the largest of 186 kB, 170 434 `br_table` targets, at most 41 parameters, 54
//! operands and 873 nested blocks; a Go program has 30 350 data segments. Limits that each run sets (bytes, memory, table
//! elements) are in [`cloister_model::Limits`].

use crate::Role;

const MIB: u64 = 1024 * 1024;

/// Functions of an algorithm, over all its modules. 9 MB with half a million functions took 22 s and 2.8 GB to compile.
pub const FUNCTIONS: u64 = 200_000;

/// Functions of a runtime. The operator chose it, and a statically linked interpreter is large.
pub const RUNTIME_FUNCTIONS: u64 = 1_000_000;

/// Bytes of one function of an algorithm. A function is compiled as a whole: 7.5 MB took 8.9 s and 1 GB of memory.
pub const FUNCTION_BYTES: u64 = 2 * MIB;

/// Bytes of one function of a runtime: the parser's maximum (7 654 321), rounded down.
pub const RUNTIME_FUNCTION_BYTES: u64 = 7 * MIB;

/// Targets of all `br_table` instructions. Each is a block edge, and the time of code generators is not linear in these.
pub const BRANCH_TARGETS: u64 = 1_000_000;

/// Targets of all `br_table` instructions in one function.
pub const FUNCTION_BRANCH_TARGETS: u64 = 65_536;

/// Core and component types, including all declarations inside component types. Each needs a few hundred bytes.
pub const TYPES: u64 = 100_000;

/// Parameters of one function type. A two-byte call pops all of them, so they multiply the time of validation.
pub const PARAMETERS: usize = 128;

/// Results of one function type. A two-byte call pushes all of them, so they multiply the memory of validation.
pub const RESULTS: usize = 32;

/// Operands on the stack of one function at one time, for the same reason.
pub const OPERANDS: u32 = 100_000;

/// Nested blocks in one function. The validator and the compiler keep a frame for each.
pub const NESTED_BLOCKS: u32 = 20_000;

/// Tables, over all modules.
pub const TABLES: u64 = 100;

/// Memories, over all modules. A component made from a preview 1 program has two or three.
pub const MEMORIES: u64 = 16;

/// Modules and components inside a component, at any depth.
pub const NESTED: u64 = 256;

/// The nesting depth of components. Composed components reach 3.
pub const NESTING_DEPTH: u64 = 8;

/// The nesting depth of component and instance types. The parser reads them recursively without a bound, so three bytes
/// per level would overflow the stack. Types generated from WIT reach 4.
pub const TYPE_DEPTH: usize = 32;

/// (imports, exports and instantiations of components and instances) x (declarations in component types + names
/// exported by nested components). The validator copies a whole instance type at every such place, so its memory grows with
/// the product: 65 MB at this cap. A 0.2 command has about 30 x 800.
pub const TYPE_COPIES: u64 = 1_000_000;

/// Instantiations of components, at any depth. Each compares the types of all its arguments: a thousand of them took 2 s
/// for a file of 7 kB.
pub const COMPONENT_INSTANCES: u64 = 256;

/// Data segments, over all modules.
pub const DATA_SEGMENTS: u64 = 100_000;

/// Element segments, over all modules.
pub const ELEMENT_SEGMENTS: u64 = 100_000;

/// Imports of the program itself, which the report lists.
pub const IMPORTS: u64 = 1000;

/// Exports of the program itself, which the report lists.
pub const EXPORTS: u64 = 10_000;

/// The sum of imports and exports of all modules and components inside a component. Dynamically linked interpreters
/// (componentize-py) have tens of thousands.
pub const NESTED_NAMES: u64 = 100_000;

/// Bytes that are kept of an imported or exported name. The format allows 100 000 bytes.
pub const NAME_BYTES: usize = 512;

/// Entries that are kept of `producers` sections.
pub const TOOLCHAIN_ENTRIES: usize = 32;

/// Bytes that are kept of each text in a `producers` section.
pub const TOOLCHAIN_BYTES: usize = 200;

/// The most refusals in a verdict, as [`cloister_model::Verdict`] documents.
pub const REFUSALS: usize = 20;

/// The caps that depend on the role of the program.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caps {
    pub(crate) functions: u64,
    pub(crate) function_bytes: u64,
}

impl Caps {
    pub(crate) fn for_role(role: &Role<'_>) -> Self {
        match role {
            Role::Algorithm => Self { functions: FUNCTIONS, function_bytes: FUNCTION_BYTES },
            Role::Runtime { .. } => Self { functions: RUNTIME_FUNCTIONS, function_bytes: RUNTIME_FUNCTION_BYTES },
        }
    }
}
