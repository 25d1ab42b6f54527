//! Notebooks, as the scripts that they are: the cells with code, in their order.

use cloister_model::escape;
use serde::Deserialize;
use std::fmt::Write as _;

/// The ending of a notebook's name.
pub(crate) const ENDING: &str = "ipynb";

/// What is read of a notebook. Everything else in it is for people and editors.
#[derive(Deserialize)]
struct Notebook {
    cells: Vec<Cell>,
    #[serde(default)]
    metadata: Metadata,
}

#[derive(Default, Deserialize)]
struct Metadata {
    #[serde(default)]
    kernelspec: KernelSpec,
}

#[derive(Default, Deserialize)]
struct KernelSpec {
    #[serde(default)]
    language: String,
}

#[derive(Deserialize)]
struct Cell {
    cell_type: String,
    source: Source,
}

/// Notebooks hold the lines of a cell in a list or in one text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Source {
    Text(String),
    Lines(Vec<String>),
}

/// The script of a notebook.
///
/// # Errors
/// If it is not a notebook, or not one of Python, or a line of its code is for notebooks alone.
pub(crate) fn script(notebook: &[u8]) -> Result<String, String> {
    let Notebook { cells, metadata: Metadata { kernelspec: KernelSpec { language } } } =
        serde_json::from_slice(notebook).map_err(|error| format!("not a notebook of version 4: {error}"))?;
    if !language.is_empty() && !language.eq_ignore_ascii_case("python") {
        return Err(format!("a notebook in `{}`: only notebooks in Python run", escape(language.as_bytes(), 40)));
    }
    let mut script = String::new();
    for (number, Cell { cell_type, source }) in cells.iter().enumerate() {
        if cell_type != "code" {
            continue;
        }
        let text = match source {
            Source::Text(text) => text.clone(),
            Source::Lines(lines) => lines.concat(),
        };
        for (line, code) in text.lines().enumerate() {
            if let Some(what) = of_notebooks(code) {
                return Err(format!(
                    "cell {}, line {}: `{}` is {what}, which only a notebook understands: remove it, or write it in Python",
                    number + 1,
                    line + 1,
                    escape(code.trim().as_bytes(), 80)
                ));
            }
        }
        let _ = write!(script, "# Cell {}\n{}\n\n", number + 1, text.trim_end());
    }
    if script.is_empty() { Err("a notebook without a cell of code".to_owned()) } else { Ok(script) }
}

/// What a line is, if it is not Python.
fn of_notebooks(line: &str) -> Option<&'static str> {
    let code = line.trim();
    let after = |mark: &str| code.strip_prefix(mark).and_then(|rest| rest.chars().next());
    // `% x` at the beginning of a line continues an expression, and `!=` does, too.
    if code.starts_with("%%") || after("%").is_some_and(char::is_alphabetic) {
        Some("a magic")
    } else if code.starts_with('!') && !code.starts_with("!=") {
        Some("a command of a shell")
    } else if code.starts_with('?') || (code.ends_with('?') && !code.contains(['#', '"', '\''])) {
        Some("a question for help")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn of(cells: &Value) -> Result<String, String> {
        let notebook = json!({"nbformat": 4, "nbformat_minor": 5, "cells": cells, "metadata": {
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}, "language_info": {"name": "python"}}});
        script(&serde_json::to_vec(&notebook).expect("JSON"))
    }

    #[test]
    fn the_cells_of_code_are_a_script() {
        let cells = json!([
            {"cell_type": "markdown", "metadata": {}, "source": ["# Title\n", "%matplotlib is text here"]},
            {"cell_type": "code", "execution_count": 1, "metadata": {}, "outputs": [], "source": ["import os\n", "x = (7\n", "  % 4)"]},
            {"cell_type": "raw", "source": "raw"},
            {"cell_type": "code", "source": "if x \\\n!= 2:\n    print('why?', x)  # really?\n\n"},
        ]);
        let expected =
            "# Cell 2\nimport os\nx = (7\n  % 4)\n\n# Cell 4\nif x \\\n!= 2:\n    print('why?', x)  # really?\n\n";
        assert_eq!(of(&cells).expect("a script"), expected);
    }

    #[test]
    fn what_only_a_notebook_understands_is_refused_with_its_place() {
        for (line, what) in [
            ("%matplotlib inline", "a magic"),
            ("  %time f()", "a magic"),
            ("%%bash", "a magic"),
            ("!pip install x", "a command"),
            ("?print", "a question"),
            ("print?", "a question"),
        ] {
            let error = of(&json!([{"cell_type": "code", "source": ["import os\n", line]}])).expect_err(line);
            assert!(error.contains(what) && error.contains("cell 1, line 2"), "{error}");
        }
        assert!(of(&json!([{"cell_type": "markdown", "source": "text"}])).is_err());
    }

    #[test]
    fn what_is_no_notebook_of_python_is_refused() {
        for notebook in [
            json!({"cells": [], "metadata": {"kernelspec": {"language": "R"}}}),
            json!({"worksheets": [], "nbformat": 3}),
            json!([1]),
        ] {
            assert!(script(&serde_json::to_vec(&notebook).expect("JSON")).is_err(), "{notebook}");
        }
        assert!(script(b"import os").is_err());
    }
}
