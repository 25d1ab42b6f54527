//! The rules for core modules: which imports they may have, and how they are started.

use crate::{
    Role, origin, preview1,
    problems::{Problem, Problems},
    survey::{Export, Import, Item, Survey},
};
use cloister_model::{Capability, ModuleKind, Refusal, Rule};
use wasmparser::{CompositeInnerType, FuncType, ValType, types::CoreTypeId, types::TypesRef};

const ANOTHER_TARGET: &str = "Only WASI preview 1 is given to modules: build it for wasm32-wasip1";
const NO_NETWORK: &str = "Programs have no network: their inputs are files below /data";
const REBUILD: &str = "Build it for wasm32-wasip1 with current tools";

/// The capability of an import that is not a known function.
pub(crate) fn allows(import: &Import<'_>) -> Capability {
    match (import.module, preview1::find(import.name)) {
        (preview1::MODULE, Some(function)) => function.allows,
        _ if is_network(import) => Capability::Network,
        _ => Capability::Unknown,
    }
}

/// Functions with which a program could open a socket or send a request, on hosts that provide them.
fn is_network(import: &Import<'_>) -> bool {
    let Import { module, name, .. } = import;
    let extends_wasi = *module == preview1::MODULE || module.starts_with("wasix_") || module.starts_with("wasi_");
    let network_module = ["wasi:sockets", "wasi:http", "wasi_experimental_http", "wasi_experimental_sockets"];
    network_module.iter().any(|prefix| module.starts_with(prefix))
        || (extends_wasi
            && ["sock_", "port_", "http_", "ws_", "resolve", "addr_"].iter().any(|prefix| name.starts_with(prefix)))
}

/// A command or a library; `None` while the list of exports is incomplete.
pub(crate) fn kind(survey: &Survey<'_>) -> Option<ModuleKind> {
    let starts = survey.exports.iter().any(|e| e.name == "_start" && matches!(e.item, Item::Function(_)));
    match (starts, survey.complete) {
        (true, _) => Some(ModuleKind::Preview1Command),
        (false, true) => Some(ModuleKind::Preview1Reactor),
        (false, false) => None,
    }
}

/// All problems of a module. Without `types`, only those that names show.
pub(crate) fn check(survey: &Survey<'_>, types: Option<TypesRef<'_>>, role: &Role<'_>) -> Vec<Refusal> {
    let origin = origin::advice(&survey.imports, survey.unlinked);
    let mut problems = Problems::default();
    for import in &survey.imports {
        if let Some(problem) = check_import(import, types, role, origin) {
            problems.add(problem, import.name);
        }
    }
    let mut refusals: Vec<Refusal> = problems.into_refusals().collect();
    // An incomplete survey may have ended before the exports.
    if survey.complete {
        match role {
            Role::Algorithm => refusals.extend(check_command(survey, types, origin)),
            Role::Runtime { start, .. } => refusals.extend(check_runtime(survey, types, start)),
        }
        let memory = survey.exports.iter().find(|export| export.name == "memory");
        if memory.is_none_or(|export| export.item != Item::Memory) {
            let advice = origin.unwrap_or("WASI reads arguments and results there: export the memory as `memory`");
            refusals.push(Refusal::new(Rule::EntryPoint, "no memory is exported as `memory`", advice));
        }
    }
    refusals
}

fn check_import<'a>(
    import: &Import<'a>,
    types: Option<TypesRef<'_>>,
    role: &Role<'_>,
    origin: Option<&'static str>,
) -> Option<Problem<'a>> {
    let module = import.module;
    let problem = |rule, what, advice| Some(Problem { rule, what, module, advice });
    let unknown = origin.unwrap_or(ANOTHER_TARGET);
    let Item::Function(ty) = import.item else {
        let what = match import.item.describe() {
            "memory" => "memory imported",
            "table" => "table imported",
            "global" => "global imported",
            "tag" => "exception tag imported",
            _ => "item imported",
        };
        return problem(Rule::Import, what, unknown);
    };
    if is_trapped(import, role) {
        return None;
    }
    match (module, preview1::find(import.name)) {
        (preview1::MODULE, Some(function)) => {
            if !function.is_given() {
                return problem(Rule::Import, "functions that are not provided", "Programs cannot signal processes");
            }
            let type_differs = types.is_some_and(|types| {
                !type_at(types, ty).and_then(|id| function_type(types, id)).is_some_and(|ty| function.has_type(ty))
            });
            if type_differs { problem(Rule::Import, "functions of another type", REBUILD) } else { None }
        }
        _ if is_network(import) => problem(Rule::Network, "network functions", NO_NETWORK),
        (preview1::MODULE, None) => problem(Rule::Import, "functions that are not in preview 1", unknown),
        ("wasi_unstable", _) => {
            problem(Rule::WasiVersion, "functions of the WASI before preview 1", "Build it for wasm32-wasip1")
        }
        _ => problem(Rule::Import, "unknown functions", unknown),
    }
}

fn is_trapped(import: &Import<'_>, role: &Role<'_>) -> bool {
    match role {
        Role::Algorithm => false,
        Role::Runtime { trapped_imports, .. } => {
            trapped_imports.iter().any(|(module, name)| import.module == module && import.name == name)
        }
    }
}

fn check_command(survey: &Survey<'_>, types: Option<TypesRef<'_>>, origin: Option<&'static str>) -> Option<Refusal> {
    let exports = &survey.exports;
    let refuse = |subject, advice| Some(Refusal::new(Rule::EntryPoint, subject, advice));
    match exports.iter().find(|export| export.name == "_start") {
        None if exports.iter().any(|export| export.name == "_initialize") => refuse(
            "a library (it exports `_initialize`), not a program (no `_start`)",
            "Build a program: in Rust a binary crate, in C without -mexec-model=reactor, in Go without -buildmode=c-shared",
        ),
        None => {
            refuse("no function `_start`", origin.unwrap_or("Build a program with a `main` function for wasm32-wasip1"))
        }
        Some(start) => {
            let wrong = export_type_differs(start, types, |ty| ty.params().is_empty() && ty.results().is_empty());
            if wrong { refuse("`_start` is not a function without parameters and results", REBUILD) } else { None }
        }
    }
}

fn check_runtime<'a>(survey: &Survey<'_>, types: Option<TypesRef<'_>>, start: &'a [String]) -> Vec<Refusal> {
    let can_be_called = |ty: &FuncType| match (ty.params(), ty.results()) {
        ([], [] | [ValType::I32]) => true,
        // `main` of C: its arguments are placed in memory that `malloc` gives.
        ([ValType::I32, ValType::I32], [ValType::I32]) => gives_memory(survey, types),
        _ => false,
    };
    let mut problems = Problems::default();
    for name in start {
        let what = match survey.exports.iter().find(|export| export.name == name) {
            None => "functions that the runtime does not export",
            Some(export) if export_type_differs(export, types, can_be_called) => {
                "exports that are neither functions without parameters, returning nothing or one i32, nor like `main` of C beside `malloc`"
            }
            Some(_) => continue,
        };
        let advice = "Correct the names in the runtime's manifest";
        problems.add(Problem::<'a> { rule: Rule::EntryPoint, what, module: "", advice }, name);
    }
    problems.into_refusals().collect()
}

/// Whether it exports `malloc`, with the type that it has in C.
fn gives_memory(survey: &Survey<'_>, types: Option<TypesRef<'_>>) -> bool {
    let is_malloc = |ty: &FuncType| matches!((ty.params(), ty.results()), ([ValType::I32], [ValType::I32]));
    let malloc = survey.exports.iter().find(|export| export.name == "malloc");
    malloc.is_some_and(|export| !export_type_differs(export, types, is_malloc))
}

/// Whether an export is not a function of such a type. Without `types`, checks the kind only.
fn export_type_differs(export: &Export<'_>, types: Option<TypesRef<'_>>, is_right: impl Fn(&FuncType) -> bool) -> bool {
    match (export.item, types) {
        (Item::Function(index), Some(types)) => {
            let ty = (index < types.function_count()).then(|| types.core_function_at(index));
            let ty = ty.and_then(|id| function_type(types, id));
            !ty.is_some_and(&is_right)
        }
        (Item::Function(_), None) => false,
        (Item::Memory | Item::Instance | Item::Other(_), _) => true,
    }
}

fn type_at(types: TypesRef<'_>, index: u32) -> Option<CoreTypeId> {
    (index < types.core_type_count_in_module()).then(|| types.core_type_at_in_module(index))
}

fn function_type(types: TypesRef<'_>, id: CoreTypeId) -> Option<&FuncType> {
    match &types.get(id)?.composite_type.inner {
        CompositeInnerType::Func(ty) => Some(ty),
        CompositeInnerType::Array(_) | CompositeInnerType::Struct(_) | CompositeInnerType::Cont(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::{Request, Role, admit, fixtures::*};
    use cloister_model::{Admission, Capability, Limits, ModuleKind, Rule, Verdict};

    #[test]
    fn admits_a_command_and_reports_its_imports() {
        let admission = admit_text(
            r#"(module
                (import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32 i32) (result i32)))
                (import "wasi_snapshot_preview1" "sock_accept" (func (param i32 i32 i32) (result i32)))
                (import "wasi_snapshot_preview1" "clock_time_get" (func (param i32 i64 i32) (result i32)))
                (import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32 i32) (result i32)))
                (memory (export "memory") 2 100)
                (memory 3)
                (table 10 funcref)
                (func $main (export "_start"))
                (func $init)
                (start $init))"#,
        );
        assert_eq!(admission.verdict, Verdict::Admitted);
        assert_eq!(admission.kind, Some(ModuleKind::Preview1Command));
        let imports: Vec<_> = admission.imports.iter().map(|import| (import.name.as_str(), import.allows)).collect();
        assert_eq!(
            imports,
            [
                ("clock_time_get", Capability::ReadsClock),
                ("fd_write", Capability::Streams),
                ("sock_accept", Capability::Network),
            ]
        );
        assert_eq!(admission.exports, ["_start", "memory"]);
        let pages: Vec<_> = admission.memories.iter().map(|m| (m.initial_pages, m.maximum_pages)).collect();
        assert_eq!(pages, [(2, Some(100)), (3, None)]);
        assert_eq!((admission.table_elements, admission.functions), (10, 2));
    }

    #[test]
    fn refuses_imports_by_the_rule_they_break() {
        for (import, rule, words) in [
            (r#""wasi_snapshot_preview1" "proc_raise" (func (param i32) (result i32))"#, Rule::Import, "signal"),
            (r#""wasi_snapshot_preview1" "fd_teleport" (func)"#, Rule::Import, "not in preview 1"),
            (r#""wasi_snapshot_preview1" "fd_write" (func)"#, Rule::Import, "another type"),
            (r#""wasi_snapshot_preview1" "sock_open" (func)"#, Rule::Network, "sock_open"),
            (r#""wasix_32v1" "sock_connect" (func)"#, Rule::Network, "sock_connect"),
            (r#""wasi:sockets/tcp@0.2.0" "x" (func)"#, Rule::Network, "no network"),
            (r#""wasi:http/types@0.2.0" "x" (func)"#, Rule::Network, "no network"),
            (r#""wasix_32v1" "proc_fork" (func)"#, Rule::Import, "WASIX"),
            (r#""wasi_unstable" "fd_write" (func)"#, Rule::WasiVersion, "wasip1"),
            (r#""env" "emscripten_resize_heap" (func)"#, Rule::Import, "Emscripten"),
            (r#""env" "x" (func)"#, Rule::Import, "undefined"),
            (r#""env" "g" (global i32)"#, Rule::Import, "global imported"),
            (r#""env" "t" (table 1 funcref)"#, Rule::Import, "table imported"),
            (r#""env" "m" (memory 1)"#, Rule::Import, "memory imported"),
            (r#""wasi_snapshot_preview1" "fd_write" (global i32)"#, Rule::Import, "global imported"),
        ] {
            assert_refused(&admit_with(&format!("(import {import})")), rule, words);
        }
    }

    #[test]
    fn refuses_modules_that_cannot_be_started() {
        const MEMORY: &str = r#"(memory (export "memory") 1)"#;
        for (fields, words) in [
            (String::new(), "`_start`"),
            (r#"(func (export "_initialize"))"#.to_owned(), "library"),
            (r#"(global (export "_start") i32 (i32.const 0))"#.to_owned(), "not a function"),
            (r#"(func (export "_start") (param i32))"#.to_owned(), "not a function"),
            (r#"(func (export "_start") (result i32) i32.const 0)"#.to_owned(), "not a function"),
        ] {
            assert_refused(&admit_text(&format!("(module {MEMORY} {fields})")), Rule::EntryPoint, words);
        }
        let no_memory = admit_text(r#"(module (memory 1) (func (export "_start")))"#);
        assert_refused(&no_memory, Rule::EntryPoint, "`memory`");
        let other = admit_text(r#"(module (func (export "memory")) (func (export "_start")))"#);
        assert_refused(&other, Rule::EntryPoint, "`memory`");
    }

    #[test]
    fn names_the_kind_as_far_as_it_is_known() {
        let library = admit_text(r#"(module (memory (export "memory") 1) (func (export "_initialize")))"#);
        assert_eq!(library.kind, Some(ModuleKind::Preview1Reactor));
        let global = admit_text(r#"(module (global (export "_start") i32 (i32.const 0)))"#);
        assert_eq!(global.kind, Some(ModuleKind::Preview1Reactor));
        let mut cut = binary(COMMAND);
        cut.truncate(12);
        assert_eq!(admit_bytes(&cut).kind, None);
    }

    fn runtime(text: &str, start: &[&str]) -> Admission {
        let start: Vec<String> = start.iter().map(|name| (*name).to_owned()).collect();
        let trapped_imports = [("host".to_owned(), "call".to_owned())];
        let role = Role::Runtime { trapped_imports: &trapped_imports, start: &start };
        admit(&Request { bytes: &binary(text), limits: &Limits::default(), role })
    }

    #[test]
    fn admits_a_runtime_with_its_trapped_imports_and_exceptions() {
        const RUNTIME: &str = r#"(module
            (import "host" "call" (func (param i32 f64) (result i64)))
            (tag $e)
            (memory (export "memory") 1)
            (func (export "_initialize") (block $h (try_table (catch $e $h) (throw $e))))
            (func (export "run") (result i32) i32.const 0)
            (func (export "feed") (param i32))
            (func (export "main") (param i32 i32) (result i32) i32.const 0)
            (global (export "version") i32 (i32.const 1)))"#;
        let admission = runtime(RUNTIME, &["_initialize", "run"]);
        assert_eq!(admission.verdict, Verdict::Admitted);
        assert_eq!(admission.kind, Some(ModuleKind::Preview1Reactor));
        for (start, words) in [("stop", "does not export: stop"), ("feed", "parameters"), ("version", "parameters")] {
            assert_refused(&runtime(RUNTIME, &["run", start]), Rule::EntryPoint, words);
        }
        // Its arguments have no place without `malloc` of the right type.
        assert_refused(&runtime(RUNTIME, &["main"]), Rule::EntryPoint, "malloc");
        for (parameter, is_admitted) in [("i32", true), ("i64", false)] {
            let malloc = format!(r#"(func (export "malloc") (param {parameter}) (result i32) i32.const 0))"#);
            let with = RUNTIME.strip_suffix(')').expect("a module").to_owned() + &malloc;
            assert_eq!(runtime(&with, &["main"]).verdict == Verdict::Admitted, is_admitted, "{parameter}");
        }
        assert_eq!(rules(&admit_text(RUNTIME)), [Rule::Invalid, Rule::Import, Rule::EntryPoint]);
    }

    #[test]
    fn a_runtime_gets_no_other_imports() {
        const MEMORY: &str = r#"(memory (export "memory") 1)"#;
        let other = runtime(&format!(r#"(module (import "host" "other" (func)) {MEMORY})"#), &[]);
        assert_refused(&other, Rule::Import, "other");
        let global = runtime(&format!(r#"(module (import "host" "call" (global i32)) {MEMORY})"#), &[]);
        assert_refused(&global, Rule::Import, "global");
        assert_refused(&runtime(COMPONENT, &[]), Rule::EntryPoint, "component");
    }
}
