//! The WebAssembly proposals that guests may use.

use crate::Role;
use wasmparser::WasmFeatures;

/// Which proposals are enabled. All others are off.
///
/// The enabled proposals are those that common compilers use by default. The others are off because no author needs them
/// yet (every proposal adds attack surface, and most past sandbox escapes were in new ones), because results would depend
/// on the machine (relaxed SIMD), or because the host could not bound them (shared memories bypass the memory limit).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Proposals {
    /// Imports and exports of mutable globals.
    pub mutable_global: bool,
    /// Conversions from floats that do not trap.
    pub saturating_float_to_int: bool,
    /// Sign extension of small integers.
    pub sign_extension: bool,
    /// Multiple results, and block parameters.
    pub multi_value: bool,
    /// `memory.copy`, `memory.fill` and passive segments.
    pub bulk_memory: bool,
    /// Multiple tables, and references to functions. (Not to host objects: see `gc_types`.)
    pub reference_types: bool,
    /// 128-bit vectors with deterministic results.
    pub simd: bool,
    /// Floating-point numbers.
    pub floats: bool,
    /// Arithmetic in constant expressions.
    pub extended_const: bool,
    /// Multiple memories. Components made from preview 1 programs have them.
    pub multi_memory: bool,
    /// Components. Runtimes are core modules.
    pub component_model: bool,
    /// Exceptions with `try_table`, for CPython's `setjmp` and C++. For runtimes only, because the implementation is new.
    pub exceptions: bool,
    /// The superseded form of exceptions, with `try` and `catch`.
    pub legacy_exceptions: bool,
    /// Vector operations whose results depend on the processor.
    pub relaxed_simd: bool,
    /// Shared memories and atomic operations.
    pub threads: bool,
    /// Tail calls.
    pub tail_call: bool,
    /// Memories and tables with 64-bit indices.
    pub memory64: bool,
    /// Typed references to functions.
    pub function_references: bool,
    /// Garbage-collected structs and arrays.
    pub gc: bool,
    /// References to host objects (`externref`), which also need a garbage collector.
    pub gc_types: bool,
    /// Page sizes other than 64 KiB.
    pub custom_page_sizes: bool,
    /// 128-bit integer arithmetic.
    pub wide_arithmetic: bool,
    /// Coroutines.
    pub stack_switching: bool,
    /// Asynchronous component functions, streams and futures (WASI 0.3).
    pub component_async: bool,
}

impl Proposals {
    /// The proposals for programs in this role.
    #[must_use]
    pub const fn for_role(role: &Role<'_>) -> Self {
        let runtime = matches!(role, Role::Runtime { .. });
        Self {
            mutable_global: true,
            saturating_float_to_int: true,
            sign_extension: true,
            multi_value: true,
            bulk_memory: true,
            reference_types: true,
            simd: true,
            floats: true,
            extended_const: true,
            multi_memory: true,
            component_model: !runtime,
            exceptions: runtime,
            legacy_exceptions: false,
            relaxed_simd: false,
            threads: false,
            tail_call: false,
            memory64: false,
            function_references: false,
            gc: false,
            gc_types: false,
            custom_page_sizes: false,
            wide_arithmetic: false,
            stack_switching: false,
            component_async: false,
        }
    }

    /// The proposals in the parser's form. Destructures all fields, so that a new one cannot be forgotten.
    pub(crate) fn features(self) -> WasmFeatures {
        let Self {
            mutable_global,
            saturating_float_to_int,
            sign_extension,
            multi_value,
            bulk_memory,
            reference_types,
            simd,
            floats,
            extended_const,
            multi_memory,
            component_model,
            exceptions,
            legacy_exceptions,
            relaxed_simd,
            threads,
            tail_call,
            memory64,
            function_references,
            gc,
            gc_types,
            custom_page_sizes,
            wide_arithmetic,
            stack_switching,
            component_async,
        } = self;
        let mut features = WasmFeatures::empty();
        for (feature, on) in [
            (WasmFeatures::MUTABLE_GLOBAL, mutable_global),
            (WasmFeatures::SATURATING_FLOAT_TO_INT, saturating_float_to_int),
            (WasmFeatures::SIGN_EXTENSION, sign_extension),
            (WasmFeatures::MULTI_VALUE, multi_value),
            (WasmFeatures::BULK_MEMORY, bulk_memory),
            (WasmFeatures::REFERENCE_TYPES, reference_types),
            (WasmFeatures::SIMD, simd),
            (WasmFeatures::FLOATS, floats),
            (WasmFeatures::EXTENDED_CONST, extended_const),
            (WasmFeatures::MULTI_MEMORY, multi_memory),
            (WasmFeatures::COMPONENT_MODEL, component_model),
            (WasmFeatures::EXCEPTIONS, exceptions),
            (WasmFeatures::LEGACY_EXCEPTIONS, legacy_exceptions),
            (WasmFeatures::RELAXED_SIMD, relaxed_simd),
            (WasmFeatures::THREADS, threads),
            (WasmFeatures::TAIL_CALL, tail_call),
            (WasmFeatures::MEMORY64, memory64),
            (WasmFeatures::FUNCTION_REFERENCES, function_references),
            (WasmFeatures::GC, gc),
            (WasmFeatures::GC_TYPES, gc_types),
            (WasmFeatures::CUSTOM_PAGE_SIZES, custom_page_sizes),
            (WasmFeatures::WIDE_ARITHMETIC, wide_arithmetic),
            (WasmFeatures::STACK_SWITCHING, stack_switching),
            (WasmFeatures::CM_ASYNC, component_async),
        ] {
            features.set(feature, on);
        }
        features
    }
}

/// The name of a disabled proposal, and the advice for its user.
pub(crate) fn missing(feature: WasmFeatures) -> (String, &'static str) {
    let name = feature.iter_names().next().map_or("unknown", |(name, _)| name);
    let name = name.to_ascii_lowercase().replace('_', "-");
    let advice = if feature.contains(WasmFeatures::THREADS) {
        "Build for one thread: wasm32-wasip1 rather than wasm32-wasip1-threads, without `+atomics`"
    } else if feature.intersects(WasmFeatures::EXCEPTIONS | WasmFeatures::LEGACY_EXCEPTIONS) {
        "Build without WebAssembly exceptions, for C++ with -fno-exceptions"
    } else if feature.contains(WasmFeatures::MEMORY64) {
        "Build for wasm32"
    } else if feature.intersects(WasmFeatures::GC | WasmFeatures::GC_TYPES | WasmFeatures::FUNCTION_REFERENCES) {
        "Languages that need the engine's garbage collector are not supported"
    } else if feature.contains(WasmFeatures::RELAXED_SIMD) {
        "Build with `simd128` rather than `relaxed-simd`, whose results depend on the processor"
    } else if feature.contains(WasmFeatures::TAIL_CALL) {
        "Build without `tail-call`"
    } else if feature.contains(WasmFeatures::CM_ASYNC) {
        "Build for WASI 0.2, such as wasm32-wasip2"
    } else {
        "Build without it"
    };
    (name, advice)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUNTIME: Role<'static> = Role::Runtime { trapped_imports: &[], start: &[] };

    #[test]
    fn a_runtime_has_exceptions_and_nothing_else_that_an_algorithm_lacks() {
        let algorithm = Proposals::for_role(&Role::Algorithm);
        let runtime = Proposals::for_role(&RUNTIME);
        assert_eq!(Proposals { exceptions: false, component_model: true, ..runtime }, algorithm);
        assert!(runtime.exceptions && !algorithm.exceptions);
    }

    #[test]
    fn the_parser_gets_exactly_this_list() {
        let expected = WasmFeatures::WASM2
            .difference(WasmFeatures::GC_TYPES)
            .union(WasmFeatures::EXTENDED_CONST)
            .union(WasmFeatures::MULTI_MEMORY)
            .union(WasmFeatures::COMPONENT_MODEL);
        assert_eq!(Proposals::for_role(&Role::Algorithm).features(), expected);
    }

    #[test]
    fn proposals_are_called_by_their_names() {
        assert_eq!(missing(WasmFeatures::TAIL_CALL).0, "tail-call");
        assert_eq!(missing(WasmFeatures::RELAXED_SIMD).0, "relaxed-simd");
        assert_eq!(missing(WasmFeatures::empty()).0, "unknown");
    }
}
