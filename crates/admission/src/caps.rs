//! How much structure a program may have.
//!
//! Checking and compiling take time and memory that grow with these numbers, some of them faster than the file. Every
//! cap is a multiple of what large honest programs have. CPython 3.15 with pandas, scipy and scikit-learn, in one
//! module of 100 MB, has 89 060 functions, the largest of 186 kB, 170 434 `br_table` targets, at most 41 parameters, 54
//! operands and 873 nested blocks; a Go program has 30 350 data segments. Caps that a run may set for itself (bytes,
//! memory, table elements) are in [`cloister_model::Limits`] instead.

use crate::Role;

const MIB: u64 = 1024 * 1024;

/// Functions of an algorithm, over all its modules. 9 MB with half a million functions took 22 s and 2.8 GB to compile.
pub const FUNCTIONS: u64 = 200_000;

/// Functions of a runtime: the operator chose it, and a statically linked interpreter is large.
pub const RUNTIME_FUNCTIONS: u64 = 1_000_000;

/// Bytes of one function of an algorithm. One function is compiled as a whole: 7.5 MB took 8.9 s and 1 GB.
pub const FUNCTION_BYTES: u64 = 2 * MIB;

/// Bytes of one function of a runtime: what the parser takes at most (7 654 321), rounded down.
pub const RUNTIME_FUNCTION_BYTES: u64 = 7 * MIB;

/// Targets of all `br_table` together: each is a block edge, and code generators are not linear in those.
pub const BRANCH_TARGETS: u64 = 1_000_000;

/// Targets of the `br_table` of one function.
pub const FUNCTION_BRANCH_TARGETS: u64 = 65_536;

/// Types, core and component, with all declarations inside component types. Each becomes a few hundred bytes.
pub const TYPES: u64 = 100_000;

/// Parameters of one function type. A call of two bytes pops all of them, so they multiply the time of checking.
pub const PARAMETERS: usize = 128;

/// Results of one function type. A call of two bytes pushes all of them: they multiply the memory of checking.
pub const RESULTS: usize = 32;

/// Operands that one function may hold at once, for the same reason.
pub const OPERANDS: u32 = 100_000;

/// Blocks open at once in one function. A frame per block is kept by checker and compiler.
pub const NESTED_BLOCKS: u32 = 20_000;

/// Tables, over all modules.
pub const TABLES: u64 = 100;

/// Memories, over all modules. A component made from a preview 1 program has two or three.
pub const MEMORIES: u64 = 16;

/// Modules and components inside a component, at any depth.
pub const NESTED: u64 = 256;

/// How deep they may be nested. Composed components reach 3.
pub const NESTING_DEPTH: u64 = 8;

/// How deep component and instance types may be nested. The parser reads them by recursion without a bound of its own:
/// three bytes per level would overflow the stack. Types made from WIT reach 4.
pub const TYPE_DEPTH: usize = 32;

/// (imports, exports and instantiations of components and instances) x (declarations in component types + names
/// exported by nested components). The validator copies a whole instance type at every such place, so the product is
/// what its memory grows with: 65 MB at this cap. A 0.2 command has about 30 x 800.
pub const TYPE_COPIES: u64 = 1_000_000;

/// Instantiations of components, at any depth. Each compares the types of everything it is given: a thousand of them
/// took 2 s for a file of 7 kB.
pub const COMPONENT_INSTANCES: u64 = 256;

/// Data segments, over all modules.
pub const DATA_SEGMENTS: u64 = 100_000;

/// Element segments, over all modules.
pub const ELEMENT_SEGMENTS: u64 = 100_000;

/// Imports of the program itself: they are listed in the report.
pub const IMPORTS: u64 = 1000;

/// Exports of the program itself: they are listed in the report.
pub const EXPORTS: u64 = 10_000;

/// Imports and exports, together, of the modules and components inside a component. Dynamically linked interpreters
/// (componentize-py) have tens of thousands.
pub const NESTED_NAMES: u64 = 100_000;

/// Bytes kept of an imported or exported name, which the format lets be 100 000 bytes long.
pub const NAME_BYTES: usize = 512;

/// Entries kept of `producers` sections.
pub const TOOLCHAIN_ENTRIES: usize = 32;

/// Bytes kept of each text in a `producers` section.
pub const TOOLCHAIN_BYTES: usize = 200;

/// Reasons given at most; [`cloister_model::Verdict`] promises this.
pub const REFUSALS: usize = 20;

/// The caps that depend on whose program it is.
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
