//! Advice for programs that were built for another host, which their imports show.

use crate::survey::{Import, Unlinked};

/// The advice for a program that was built for another host, if its imports show which one.
pub(crate) fn advice(imports: &[Import<'_>], unlinked: Option<Unlinked>) -> Option<&'static str> {
    let from = |modules: &[&str]| imports.iter().any(|import| modules.contains(&import.module));
    let named = |module: &str, prefixes: &[&str]| {
        imports.iter().any(|import| import.module == module && prefixes.iter().any(|p| import.name.starts_with(p)))
    };
    let any = |test: fn(&Import<'_>) -> bool| imports.iter().any(test);

    if unlinked == Some(Unlinked::Object) {
        Some("This is an object file: link it into a program")
    } else if unlinked == Some(Unlinked::Library) || from(&["GOT.mem", "GOT.func"]) {
        Some("This is a dynamic library: link it statically into a program")
    } else if from(&["wbg"]) || any(|i| i.module.starts_with("__wbindgen") || i.module.ends_with("_bg.js")) {
        Some(
            "It was built for JavaScript (wasm-bindgen): build it for wasm32-wasip1, without crates that need a browser",
        )
    } else if from(&["gojs", "go"]) {
        Some("It was built for JavaScript (GOOS=js): build it with GOOS=wasip1")
    } else if from(&["rb-js-abi-host"]) {
        Some("It is a Ruby for JavaScript: use one without the `js` gem")
    } else if any(|i| i.module.starts_with("wasix_")) {
        Some("It was built for WASIX: build it for wasm32-wasip1, for example with wasi-sdk")
    } else if named("wasi", &["thread-spawn"]) {
        Some("It starts threads: build it for wasm32-wasip1 rather than wasm32-wasip1-threads")
    } else if named("env", &["emscripten_", "_emscripten_", "invoke_", "__cxa_", "__syscall_"]) || from(&["a"]) {
        Some("It was built for JavaScript (Emscripten): build it with wasi-sdk, or with -sSTANDALONE_WASM")
    } else if named("env", &["abort"]) {
        Some("It may be AssemblyScript: build it with the WASI shim (@assemblyscript/wasi-shim)")
    } else if any(|i| i.module.contains(':') && i.module.contains('/')) {
        Some("It is the core module of a component: make the component with `wasm-tools component new`")
    } else if from(&["env"]) {
        Some("Functions were left undefined when it was linked: define them, and link without --allow-undefined")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::survey::Item;

    #[test]
    fn recognises_builds_for_other_hosts() {
        for (module, name, word) in [
            ("./app_bg.js", "x", "wasm-bindgen"),
            ("__wbindgen_placeholder__", "x", "wasm-bindgen"),
            ("gojs", "runtime.wasmExit", "GOOS=wasip1"),
            ("rb-js-abi-host", "eval-js: func(code: string)", "Ruby"),
            ("wasix_32v1", "fd_dup", "WASIX"),
            ("wasi", "thread-spawn", "threads"),
            ("env", "emscripten_resize_heap", "Emscripten"),
            ("a", "b", "Emscripten"),
            ("env", "abort", "AssemblyScript"),
            ("wasi:cli/environment@0.2.0", "get-environment", "component"),
            ("env", "my_function", "undefined"),
            ("GOT.mem", "x", "dynamic library"),
        ] {
            let found = advice(&[Import { module, name, item: Item::Function(0) }], None);
            assert!(found.is_some_and(|text| text.contains(word)), "{module} {name}: {found:?}");
        }
        assert_eq!(advice(&[], None), None);
        assert!(advice(&[], Some(Unlinked::Object)).is_some_and(|text| text.contains("object file")));
    }
}
