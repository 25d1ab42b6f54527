//! The rules for components: which interfaces they may import, and how they are started.

use crate::{
    interface::{ANOTHER_VERSION, Interface},
    problems::{Problem, Problems},
    survey::{Item, Survey},
};
use cloister_model::{Capability, Refusal, Rule};
use wasmparser::{
    component_types::{ComponentDefinedType, ComponentEntityType, ComponentValType},
    types::TypesRef,
};

/// Whether an import is an interface of `wasi:sockets` that the sandbox answers: with errors, without any network.
#[must_use]
pub fn is_answered_network(import: &str) -> bool {
    Interface::parse(import).is_some_and(Interface::is_answered_network)
}

/// The capability that an import gives to a component.
pub(crate) fn allows(import: &str) -> Capability {
    Interface::parse(import).map_or(Capability::Unknown, Interface::allows)
}

/// All problems of a component. Without `types`, only those that names show.
pub(crate) fn check(survey: &Survey<'_>, types: Option<TypesRef<'_>>) -> Vec<Refusal> {
    let mut problems = Problems::default();
    for import in &survey.imports {
        let problem = match (Interface::parse(import.module), import.item) {
            (Some(interface), Item::Instance) => interface
                .refuse()
                .filter(|_| !types.is_some_and(|types| only_mentions(interface, types, import.module))),
            _ => Some(Problem {
                rule: Rule::Import,
                what: "imports that are not interfaces",
                module: "",
                advice: "Build a command: a component that imports WASI interfaces only and exports wasi:cli/run",
            }),
        };
        if let Some(problem) = problem {
            problems.add(problem, import.module);
        }
    }
    let mut refusals: Vec<Refusal> = problems.into_refusals().collect();
    // An incomplete survey may have ended before the exports.
    if survey.complete {
        refusals.extend(check_run(survey, types));
    }
    refusals
}

/// Whether an import is an interface of sockets that the sandbox answers with errors. Every Rust program that names `std::net`
/// imports all of them, and so does the component of componentize-py that a test runs.
fn only_mentions(interface: Interface<'_>, types: TypesRef<'_>, import: &str) -> bool {
    let plain = || {
        let ComponentEntityType::Instance(instance) = types.component_item_for_import(import)?.ty else { return None };
        let exports = &types.get(instance)?.exports;
        let answered = |item: &ComponentEntityType| {
            matches!(item, ComponentEntityType::Type { .. } | ComponentEntityType::Func(_))
        };
        Some(!exports.is_empty() && exports.iter().all(|(_, item)| answered(&item.ty)))
    };
    interface.is_answered_network() && plain().unwrap_or(false)
}

fn check_run(survey: &Survey<'_>, types: Option<TypesRef<'_>>) -> Option<Refusal> {
    let refuse = |rule, subject: &str, advice| Some(Refusal::new(rule, subject, advice));
    let interfaces = survey.exports.iter().filter_map(|e| Interface::parse(e.name).map(|parsed| (e, parsed)));
    let runs = interfaces.filter(|(_, i)| (i.package, i.name) == ("wasi:cli", "run"));
    let Some((export, interface)) = runs.max_by_key(|(_, interface)| interface.version_is_given()) else {
        let serves = survey.exports.iter().any(|export| export.name.starts_with("wasi:http/incoming-handler"));
        let advice = if serves {
            "It is an HTTP server: build a program with a `main` function instead"
        } else {
            "Build a program with a `main` function rather than a library: for example a binary crate for wasm32-wasip2"
        };
        return refuse(Rule::EntryPoint, "no export wasi:cli/run", advice);
    };
    if !interface.version_is_given() {
        return refuse(Rule::WasiVersion, export.name, ANOTHER_VERSION);
    }
    let is_run = export.item == Item::Instance && types.is_none_or(|types| has_run_function(types, export.name));
    if is_run {
        return None;
    }
    let advice = "Build it again with current tools for wasm32-wasip2";
    refuse(Rule::EntryPoint, &format!("{} without a function `run: func() -> result`", export.name), advice)
}

/// Whether the exported instance has `run: func() -> result`.
fn has_run_function(types: TypesRef<'_>, name: &str) -> bool {
    let run = || {
        let ComponentEntityType::Instance(instance) = types.component_item_for_export(name)?.ty else { return None };
        let ComponentEntityType::Func(run) = types.get(instance)?.exports.get("run")?.ty else { return None };
        let run = types.get(run)?;
        let ComponentValType::Type(result) = run.result? else { return None };
        let ComponentDefinedType::Result { ok: None, err: None, .. } = types.get(result)? else { return None };
        Some(run.params.is_empty() && !run.async_)
    };
    run().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use crate::fixtures::*;
    use cloister_model::{Capability, ModuleKind, Rule, Verdict};

    /// The smallest command with the given imports.
    fn importing(imports: &str) -> String {
        COMPONENT.replacen("(component", &format!("(component {imports}"), 1)
    }

    #[test]
    fn admits_a_command_and_reports_its_imports() {
        let admission = admit_text(&importing(
            r#"(import "wasi:random/random@0.2.12" (instance))
               (import "wasi:filesystem/types@0.2.0" (instance))"#,
        ));
        assert_eq!(admission.verdict, Verdict::Admitted);
        assert_eq!(admission.kind, Some(ModuleKind::Component));
        let imports: Vec<_> = admission.imports.iter().map(|import| (import.module.as_str(), import.allows)).collect();
        assert_eq!(
            imports,
            [
                ("wasi:filesystem/types@0.2.0", Capability::ReadsAndWritesFiles),
                ("wasi:random/random@0.2.12", Capability::Random),
            ]
        );
        assert_eq!(admission.exports, ["wasi:cli/run@0.2.3"]);
        assert_eq!(admission.functions, 1);
    }

    #[test]
    fn refuses_imports_by_the_rule_they_break() {
        for (import, rule, words) in [
            (r#""wasi:sockets/tcp@0.3.0" (instance (export "f" (func)))"#, Rule::Network, "no network"),
            (r#""wasi:sockets/raw@0.2.0" (instance (export "f" (func)))"#, Rule::Network, "no network"),
            (r#""wasi:http/outgoing-handler@0.2.0" (instance)"#, Rule::Network, "wasi:http/outgoing-handler"),
            (r#""wasi:cli/environment@0.3.0" (instance)"#, Rule::WasiVersion, "0.2"),
            (r#""wasi:cli/environment@0.2.13" (instance)"#, Rule::WasiVersion, "0.2.12"),
            (r#""wasi:nn/inference@0.2.0" (instance)"#, Rule::Import, "wasi:nn"),
            (r#""acme:db/query@1.0.0" (instance)"#, Rule::Import, "compose"),
            (r#""wasi:cli/environment@0.2.0" (func)"#, Rule::Import, "not interfaces"),
            (r#""log" (func)"#, Rule::Import, "not interfaces"),
            (r#""m" (core module)"#, Rule::Import, "not interfaces"),
            (r#""c" (component)"#, Rule::Import, "not interfaces"),
            (r#""t" (type (sub resource))"#, Rule::Import, "not interfaces"),
        ] {
            assert_refused(&admit_text(&importing(&format!("(import {import})"))), rule, words);
        }
    }

    /// They are answered with errors, so a program that never uses them runs.
    #[test]
    fn sockets_may_be_mentioned() {
        let types = r#"(export "tcp-socket" (type (sub resource)))"#;
        let import = |name: &str, items: &str| importing(&format!(r#"(import "{name}" (instance {items}))"#));
        let function = format!(r#"{types} (export "make" (func))"#);
        for (name, items) in [
            ("wasi:sockets/tcp@0.2.0", types),
            ("wasi:sockets/tcp@0.2.12", function.as_str()),
            ("wasi:sockets/instance-network@0.2.0", function.as_str()),
            ("wasi:sockets/ip-name-lookup@0.2.3", function.as_str()),
        ] {
            assert_eq!(admit_text(&import(name, items)).verdict, Verdict::Admitted, "{name}");
        }
        for (name, items) in [
            ("wasi:sockets/tcp@0.3.0", types),
            ("wasi:sockets/tcp@0.2.13", types),
            ("wasi:sockets/tcp", types),
            ("wasi:sockets/other@0.2.0", types),
            ("wasi:sockets/tcp@0.2.0", ""),
            ("wasi:sockets/tcp@0.2.0", r#"(export "x" (instance))"#),
            ("wasi:http/types@0.2.0", types),
            ("wasi:tls/types@0.2.0", types),
        ] {
            assert_refused(&admit_text(&import(name, items)), Rule::Network, "no network");
        }
    }

    #[test]
    fn refuses_components_that_cannot_be_started() {
        assert_refused(&admit_text("(component)"), Rule::EntryPoint, "wasi:cli/run");
        let other = COMPONENT.replace("wasi:cli/run@0.2.3", "wasi:http/incoming-handler@0.2.3");
        assert_refused(&admit_text(&other), Rule::EntryPoint, "HTTP server");
        let newer = COMPONENT.replace("wasi:cli/run@0.2.3", "wasi:cli/run@0.3.0");
        assert_refused(&admit_text(&newer), Rule::WasiVersion, "0.2");
        let unnamed = COMPONENT.replace(r#"(export "run" (func $run))"#, r#"(export "walk" (func $run))"#);
        assert_refused(&admit_text(&unnamed), Rule::EntryPoint, "without a function");
        let typed = COMPONENT.replace("(result (result))", "(result u32)");
        assert_refused(&admit_text(&typed), Rule::EntryPoint, "without a function");
        let module = r#"(component (core module $m) (export "wasi:cli/run@0.2.3" (core module $m)))"#;
        assert_refused(&admit_text(module), Rule::EntryPoint, "without a function");
    }

    #[test]
    fn wasi_0_3_is_named_although_its_types_cannot_be_read() {
        let text = r#"(component (import "wasi:cli/stdout@0.3.0" (instance
            (export "write" (func async (param "data" (stream u8)))))))"#;
        let rules = rules(&admit_text(text));
        assert!(rules.contains(&Rule::WasiVersion) && rules.contains(&Rule::Invalid), "{rules:?}");
    }
}
