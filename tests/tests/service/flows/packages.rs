//! What an author sends along: packages of pure Python and JavaScript, in folders and with notebooks, from a terminal.

use crate::{client::prints, scenario::Scenario};
use cloister_tests::{
    install_javascript, install_python,
    service::{Who, cloister},
};
use serde_json::{Value, json};
use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

/// Wheels as an index would offer them: of pure Python, with machine code, and with machine code under the tag of pure Python.
const WHEELS: &str = r"
import zipfile
def wheel(name, tag, files):
    info = f'{name}-1.0.dist-info/'
    files = {**files, info + 'METADATA': f'Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n',
        info + 'WHEEL': f'Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n'}
    record = ''.join(f'{file},,\n' for file in files) + info + 'RECORD,,\n'
    with zipfile.ZipFile(f'wheels/{name}-1.0-{tag}.whl', 'w') as out:
        for file, content in {**files, info + 'RECORD': record}.items():
            out.writestr(file, content)
wheel('corpus_pure', 'py3-none-any', {'corpus_pure/__init__.py': 'def double(x):\n    return 2 * x\n', 'corpus_pure/table.txt': 'seven'})
wheel('corpus_native', 'cp311-abi3-manylinux_2_17_x86_64', {'corpus_native.abi3.so': 'machine code'})
wheel('corpus_native', 'cp311-abi3-manylinux_2_17_aarch64', {'corpus_native.abi3.so': 'machine code'})
wheel('corpus_mixed', 'py3-none-any', {'corpus_mixed/__init__.py': '', 'corpus_mixed/fast.so': 'machine code'})
";

/// A command whose pip sees the wheels of this folder and nothing else.
fn command(scenario: &Scenario, who: &Who, folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(cloister());
    command.args(arguments).current_dir(folder).env_clear().stdin(Stdio::null());
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", folder);
    command.env("PIP_NO_INDEX", "1").env("PIP_FIND_LINKS", folder.join("wheels"));
    command.env("CLOISTER_URL", scenario.service.url()).env("CLOISTER_KEY", &who.key);
    command.output().expect("the program starts")
}

const USES: &str = "import json, corpus_pure\nfrom importlib import metadata, resources\n\
    found = [corpus_pure.double(21), resources.files('corpus_pure').joinpath('table.txt').read_text(), metadata.version('corpus-pure')]\n\
    json.dump(found, open('/data/outputs/found.json', 'w'))\n";

#[test]
fn packages_go_with_scripts_notebooks_and_folders() {
    install_python();
    let scenario = Scenario::new();
    let Scenario { service, alice, bob, carol, .. } = &scenario;
    let _ = service.open_dataset(alice, "open");
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, content: &str| fs::write(folder.path().join(name), content).expect("written");
    fs::create_dir_all(folder.path().join("app")).expect("made");
    fs::create_dir_all(folder.path().join("wheels")).expect("made");
    let made = Command::new("python3").args(["-c", WHEELS]).current_dir(folder.path()).status().expect("python3");
    assert!(made.success());
    write("requirements.txt", "# what it needs\ncorpus_pure==1.0\n");
    write("script.py", USES);
    let cells =
        json!({"cells": [{"cell_type": "markdown", "source": "# A study"}, {"cell_type": "code", "source": USES}]});
    write("study.ipynb", &cells.to_string());
    write("app/main.py", "import helper\n");
    write("app/helper.py", USES);
    let run = |who: &Who, arguments: &[&str]| command(&scenario, who, folder.path(), arguments);

    for (number, program) in ["script.py", "study.ipynb", "app"].into_iter().enumerate() {
        let dir = format!("results-{number}");
        let arguments = ["run", program, "-d", "alice/open", "--requirements", "requirements.txt", "--dir", &dir];
        let _ = prints(&run(carol, &arguments), 0);
        let found = fs::read(folder.path().join(dir).join("found.json")).expect("a result");
        let found: Value = serde_json::from_slice(&found).expect("JSON");
        assert_eq!(found, json!([42, "seven", "1.0"]), "{program}");
    }

    // The same folder, published: its bytes are the same each time, or trust in it would end with each `apply`.
    write(
        "algorithm.yaml",
        "apiVersion: cloister.dev/v1alpha1\nkind: Algorithm\nmetadata: { name: study }\nspec:\n  files: [{ type: file, path: ./app, \
         requirements: ./requirements.txt }]\n  algorithm: { container: { image: python, entrypoint: python3 $ALGO } }\n",
    );
    let _ = prints(&run(bob, &["algorithm", "apply", "-f", "algorithm.yaml"]), 0);
    let again = prints(&run(bob, &["algorithm", "apply", "-f", "algorithm.yaml", "--dry-run"]), 0);
    assert!(again.contains("up to date"), "{again}");
    let listed = service.get(bob, "/v1/algorithms").expect_json(200);
    scenario.allow(listed_did(&service.get(alice, "/v1/datasets").expect_json(200)), listed_did(&listed));
    let _ = prints(&run(carol, &["run", "bob/study", "-d", "alice/open", "--dir", "results-published"]), 0);
    assert!(folder.path().join("results-published/found.json").exists());

    // What is native or not pinned is refused by name, before anything is sent.
    for (requirement, said) in [
        ("corpus_native==1.0", ["corpus_native", "native"]),
        ("corpus_mixed==1.0", ["corpus_mixed", "corpus_mixed/fast.so"]),
        ("corpus_absent==1.0", ["corpus_absent", "pip download"]),
        ("corpus_pure", ["corpus_pure", "not pinned"]),
    ] {
        write("refused.txt", requirement);
        let output = run(carol, &["run", "script.py", "-d", "alice/open", "--requirements", "refused.txt"]);
        let _ = prints(&output, 2);
        let complained = String::from_utf8_lossy(&output.stderr);
        assert!(said.iter().all(|said| complained.contains(said)), "{requirement}: {complained}");
    }
    write("magic.ipynb", r#"{"cells": [{"cell_type": "code", "source": ["%matplotlib inline"]}]}"#);
    let output = run(carol, &["run", "magic.ipynb", "-d", "alice/open"]);
    let _ = prints(&output, 2);
    assert!(String::from_utf8_lossy(&output.stderr).contains("cell 1, line 1"));
}

/// A folder in JavaScript is known by what is in it, and its packages go along.
#[test]
fn packages_of_npm_go_with_a_folder() {
    install_javascript();
    let scenario = Scenario::new();
    let Scenario { service, alice, bob, carol, .. } = &scenario;
    let _ = service.open_dataset(alice, "open");
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, content: &str| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, content).expect("written");
    };
    write("app/package.json", r#"{"name": "study", "type": "module", "main": "src/run.js"}"#);
    let script = "import { writeFile } from 'node:fs/promises';\nimport { double } from 'double';\nimport last from './last.js';\n\
        await writeFile('/data/outputs/found.json', JSON.stringify([double(21), last(process.argv)]));\n";
    write("app/src/run.js", script);
    write("app/src/last.js", "export default list => list.at(-1);\n");
    write("app/node_modules/double/package.json", r#"{"name": "double", "exports": {"import": "./double.mjs"}}"#);
    write("app/node_modules/double/double.mjs", "export const double = x => 2 * x;\n");
    write("app/node_modules/.package-lock.json", "{}");
    let run = |who: &Who, arguments: &[&str]| command(&scenario, who, folder.path(), arguments);
    let found = |dir: &str| -> Value {
        let found = fs::read(folder.path().join(dir).join("found.json")).expect("a result");
        serde_json::from_slice(&found).expect("JSON")
    };
    let _ = prints(&run(carol, &["run", "app", "-d", "alice/open", "--dir", "raw", "--", "--top"]), 0);
    assert_eq!(found("raw"), json!([42, "--top"]));
    let _ = prints(&run(carol, &["job", "submit", "--dir", "app", "-d", "alice/open", "--wait"]), 0);

    write(
        "algorithm.yaml",
        "apiVersion: cloister.dev/v1alpha1\nkind: Algorithm\nmetadata: { name: study }\nspec:\n  files: [{ type: file, path: ./app }]\n  \
         algorithm: { container: { image: node, entrypoint: node $ALGO --published } }\n",
    );
    let _ = prints(&run(bob, &["algorithm", "apply", "-f", "algorithm.yaml"]), 0);
    let again = prints(&run(bob, &["algorithm", "apply", "-f", "algorithm.yaml", "--dry-run"]), 0);
    assert!(again.contains("up to date"), "{again}");
    let listed = service.get(bob, "/v1/algorithms").expect_json(200);
    scenario.allow(listed_did(&service.get(alice, "/v1/datasets").expect_json(200)), listed_did(&listed));
    let _ = prints(&run(carol, &["run", "bob/study", "-d", "alice/open", "--dir", "published"]), 0);
    assert_eq!(found("published"), json!([42, "--published"]));

    write("app/node_modules/fast/build/fast.node", "machine code");
    let output = run(carol, &["run", "app", "-d", "alice/open"]);
    let _ = prints(&output, 2);
    assert!(String::from_utf8_lossy(&output.stderr).contains("`fast` is a native package"));
}

fn listed_did(list: &Value) -> &str {
    list["items"][0]["did"].as_str().expect("a DID")
}
