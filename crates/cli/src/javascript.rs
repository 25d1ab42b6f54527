//! A folder that is an algorithm in JavaScript: with its packages in `node_modules`, which go along as they are.

use cloister_model::escape;
use serde_json::Value;

/// What describes a folder as a package of Node.js.
pub(crate) const DESCRIPTION: &str = "package.json";
/// What the runtime runs if the description names nothing.
const MAIN_NAMES: [&str; 3] = ["index", "main", "algorithm"];
/// How names of scripts end.
pub(crate) const ENDINGS: [&str; 3] = ["js", "mjs", "cjs"];

/// Whether a file is a script.
pub(crate) fn is_script(file: &str) -> bool {
    file.rsplit_once('.').is_some_and(|(_, ending)| ENDINGS.contains(&ending))
}

/// Whether a file is one that the runtime runs if nothing else is named.
fn is_usual(file: &str) -> bool {
    file.rsplit_once('.').is_some_and(|(name, ending)| MAIN_NAMES.contains(&name) && ENDINGS.contains(&ending))
}

/// Whether these files, all paths from the top of a folder, are a program in JavaScript.
pub(crate) fn is_program(files: &[String]) -> bool {
    files.iter().any(|file| file == DESCRIPTION || is_usual(file))
        || files.iter().any(|file| !file.contains('/') && is_script(file))
}

/// The description to add to the folder, if it has none and its program has an unusual name. `description` is the text of the one that it
/// has.
///
/// # Errors
/// If nothing says what is to run, the description is not JSON, or a package holds machine code.
pub(crate) fn description_for(files: &[String], description: Option<&[u8]>) -> Result<Option<String>, String> {
    if let Some(native) = files.iter().find(|file| file.ends_with(".node")) {
        return Err(format!(
            "`{}` is a native package: `{}` holds machine code, which the sandbox does not run. Use a package of pure JavaScript",
            escape(owner(native).as_bytes(), 80),
            escape(native.as_bytes(), 200)
        ));
    }
    let main = match description {
        None => None,
        Some(text) => {
            let found: Value = serde_json::from_slice(text).map_err(|error| format!("{DESCRIPTION}: {error}"))?;
            found["main"].as_str().map(str::to_owned)
        }
    };
    if main.is_some() || files.iter().any(|file| is_usual(file)) {
        return Ok(None);
    }
    let mut scripts = files.iter().filter(|file| !file.contains('/') && is_script(file));
    match (description, scripts.next(), scripts.next()) {
        (None, Some(only), None) => Ok(Some(serde_json::json!({"main": only}).to_string())),
        _ => Err(format!("what is to run? Name it in `main` of {DESCRIPTION}, or call it `index.js`, at the top")),
    }
}

/// The package that a file belongs to.
fn owner(file: &str) -> &str {
    let Some((_, below)) = file.rsplit_once("node_modules/") else { return file };
    let parts = if below.starts_with('@') { 2 } else { 1 };
    below.match_indices('/').nth(parts - 1).map_or(below, |(end, _)| &below[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_program_is_known_by_its_description_or_its_names() {
        for (names, is) in [
            (&["package.json", "src/run.js"][..], true),
            (&["index.js"], true),
            (&["main.mjs", "lib/a.js"], true),
            (&["study.cjs"], true),
            (&["lib/index.js", "data.csv"], false),
            (&["js", "index", "a.json", "a.node"], false),
        ] {
            assert_eq!(is_program(&files(names)), is, "{names:?}");
        }
    }

    #[test]
    fn what_runs_is_named_found_or_asked_for() {
        let named = br#"{"main": "src/run.js"}"#;
        for (names, description, expected) in [
            (&["package.json", "src/run.js"][..], Some(&named[..]), Ok(None)),
            (&["package.json", "main.js"], Some(b"{}"), Ok(None)),
            (&["index.mjs", "b.js"], None, Ok(None)),
            (&["study.js", "lib/a.js"], None, Ok(Some(r#"{"main":"study.js"}"#))),
            (&["package.json", "study.js"], Some(b"{}"), Err("what is to run")),
            (&["a.js", "b.js"], None, Err("what is to run")),
            (&["package.json", "index.js"], Some(b"{"), Err("package.json: ")),
        ] {
            match (description_for(&files(names), description), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found.as_deref(), expected, "{names:?}"),
                (Err(error), Err(said)) => assert!(error.contains(said), "{error}"),
                (found, _) => unreachable!("{names:?}: {found:?}"),
            }
        }
    }

    #[test]
    fn machine_code_is_refused_with_its_package() {
        for (file, package) in [
            ("node_modules/bcrypt/lib/binding/napi.node", "bcrypt"),
            ("node_modules/a/node_modules/@scope/fast/x.node", "@scope/fast"),
            ("addon.node", "addon.node"),
        ] {
            let error = description_for(&files(&["index.js", file]), None).expect_err(file);
            assert!(error.starts_with(&format!("`{package}` is a native package: `{file}`")), "{error}");
        }
    }
}
