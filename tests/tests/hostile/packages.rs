//! Folders in JavaScript whose package.json and modules lead out of the folder, into themselves or nowhere.

use crate::runs::{Run as _, shape};
use cloister_model::Outcome;
use cloister_tests::{Ended, Trial, install_javascript};
use serde_json::json;
use std::{fs, process::Command};

const PACKS: &str = "import json, zipfile\nwith zipfile.ZipFile('app.zip', 'w', zipfile.ZIP_DEFLATED) as out:\n    \
    for name, text in json.load(open('files.json')): out.writestr(name, text)\n";

/// Runs a folder of these files.
fn run(files: &[(&str, &str)], options: &[&str]) -> Ended {
    install_javascript();
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("files.json"), json!(files).to_string()).expect("written");
    let packed = Command::new("python3").args(["-c", PACKS]).current_dir(folder.path()).status().expect("python3");
    assert!(packed.success());
    let zip = fs::read(folder.path().join("app.zip")).expect("an archive");
    let trial = Trial::bytes(&zip).dataset("d", b"a secret of the dataset\n");
    trial.with(&["--runtime", "javascript"]).with(options).finish()
}

fn log(ended: &Ended) -> String {
    String::from_utf8_lossy(&ended.log).into_owned()
}

/// Whatever a name is, it names a file that the guest could read anyway.
#[test]
fn names_of_modules_lead_to_no_other_files() {
    let out = r#"{"name": "out", "main": "../../../../../../etc/passwd"}"#;
    let exports =
        r#"{"name": "exports", "exports": {".": "./../../../../../etc/passwd", "./*": "./../../../../../../*"}}"#;
    let imports = r##"{"name": "app", "main": "index.js", "imports": {"#a": "../../etc/passwd", "#b": "/etc/passwd", "#*": "./../../../*"}}"##;
    let script = r"
        const attempts = ['/etc/passwd', '../../../etc/passwd', 'file:///etc/passwd', 'out', 'exports', 'exports/etc/passwd', '#a', '#b',
            '#etc/passwd', '/proc/self/environ', './x/../../../../proc/self/mem', '/dev/zero\u0000', './..', '/', '.', '..', 'out/../../..',
            '@', '@/', '@a', '__proto__', 'constructor', 'toString', 'node:', 'node:__proto__', 'qjs:std', 'data:text/javascript,1',
            'https://example.com/x.mjs', 'exports/\\', './\ud800', 'x'.repeat(100000)];
        (async () => {
            for (const [number, name] of attempts.entries()) {
                try { console.log(`require ${number}: got ${typeof require(name)}`); } catch { console.log(`require ${number}: refused`); }
                if (name === 'qjs:std') continue;
                await import(name).then(() => console.log(`import ${number}: got it`), () => console.log(`import ${number}: refused`));
            }
            console.log('end');
        })();
    ";
    let ended = run(
        &[
            ("package.json", imports),
            ("index.js", script),
            ("node_modules/out/package.json", out),
            ("node_modules/exports/package.json", exports),
        ],
        &[],
    );
    ended.assert_succeeded();
    let log = log(&ended);
    // The folder itself is a module, which is being loaded.
    let got: Vec<&str> = log.lines().filter(|line| !line.ends_with(": refused")).collect();
    let own = ["require 14: got object", "import 14: got it"];
    assert!(got.iter().all(|line| own.contains(line) || *line == "end") && log.ends_with("end\n"), "{log}");
    assert!(log.lines().count() > 55, "{log}");
}

/// A script that changes what the modules of the runtime are made of changes itself only.
#[test]
fn changed_prototypes_give_no_rights() {
    let script = r"
        const fs = require('fs');
        const print = console.log.bind(console);
        const failures = [];
        Object.prototype.main = '/etc/passwd';
        Object.prototype.exports = '/etc/passwd';
        Object.prototype.throwIfNoEntry = false;
        Object.prototype.flag = 'r+';
        Object.prototype.encoding = 'utf8';
        Array.prototype.includes = () => true;
        Array.prototype.find = function () { return '/etc/passwd'; };
        String.prototype.startsWith = () => true;
        RegExp.prototype.test = () => true;
        Map.prototype.get = () => ({ exports: 'mine' });
        Object.hasOwn = () => true;
        globalThis.process = { cwd: () => '/etc', env: {} };
        const attempts = {
            read: () => fs.readFileSync('/etc/passwd', 'utf8'),
            environ: () => fs.readFileSync('/proc/self/environ'),
            write: () => fs.writeFileSync('/data/inputs/d/0', 'x'),
            remove: () => fs.rmSync('/data/inputs/d', { recursive: true }),
            list: () => fs.readdirSync('/etc').length,
            back: () => { fs.writeFileSync('/data/outputs/a', 'one'); return fs.readFileSync('/data/outputs/a'); },
            copy: () => { fs.copyFileSync('/data/outputs/a', '/tmp/a'); return fs.readFileSync('/tmp/a'); },
        };
        for (const name of Object.keys(attempts)) {
            try { failures.push(`${name}: got ${attempts[name]()}`); } catch { failures.push(`${name}: refused`); }
        }
        for (const line of failures) if (!line.endsWith('refused')) print(line);
        print('end');
    ";
    let ended = run(&[("index.js", script)], &[]);
    assert!(!log(&ended).contains("got"), "{}", log(&ended));
    assert!(log(&ended).contains("end\n"), "{}: {}", shape(&ended), log(&ended));
}

#[test]
fn modules_without_an_end_meet_an_error_or_a_limit() {
    let failed = |ended: &Ended, said: &str| {
        let is_failure = matches!(ended.outcome(), Outcome::AlgorithmFailed { .. });
        assert!(is_failure && log(ended).contains(said), "{}: {}", shape(ended), log(ended));
    };
    // A package that is its own main file, and one whose description is none.
    let own = r#"{"main": "."}"#;
    let lost = [("package.json", own), ("index.js", "require('x')"), ("node_modules/x/package.json", own)];
    failed(&run(&lost, &[]), "Cannot find module 'x'");
    let broken = [("index.js", "require('x')"), ("node_modules/x/package.json", "{"), ("node_modules/x/index.js", "")];
    failed(&run(&broken, &[]), "node_modules/x/package.json: ");
    for description in ["null", "[]", "1", r#"{"main": 1, "exports": null, "imports": 2, "type": {}}"#] {
        let odd = [
            ("package.json", description),
            ("index.js", "require('x')"),
            ("node_modules/x/index.js", "console.log('here')"),
        ];
        assert_eq!(log(&run(&odd, &[])), "here\n", "{description}");
    }
    let nothing = [("package.json", "{}"), ("other.js", "")];
    failed(&run(&nothing, &[]), "what is to run?");
    // Modules that import each other are executed once.
    let circle = [
        ("index.mjs", "import './a.mjs'; import './b.mjs'; console.log('end')"),
        ("a.mjs", "import './b.mjs'; console.log('a')"),
        ("b.mjs", "import './a.mjs'; import './index.mjs'; console.log('b')"),
    ];
    assert_eq!(log(&run(&circle, &[])), "b\na\nend\n");
    let circle =
        [("index.js", "console.log(require('./a').x)"), ("a.js", "exports.x = 1; exports.y = require('./index.js')")];
    assert_eq!(log(&run(&circle, &[])), "1\n");
    // A chain of modules, and texts that end in the middle of what they begin.
    let names: Vec<(String, String)> =
        (0..3000).map(|number| (format!("m{number}.mjs"), format!("import './m{}.mjs';", number + 1))).collect();
    let mut chain: Vec<(&str, &str)> = names.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    chain.extend([("m3000.mjs", "console.log('deep')"), ("index.mjs", "import './m0.mjs'")]);
    let deep = run(&chain, &[]);
    let is_end = matches!(deep.outcome(), Outcome::AlgorithmFailed { .. } | Outcome::Crashed { .. });
    assert!(is_end || log(&deep) == "deep\n", "{}", shape(&deep));
    for text in ["import 'x", "import `${`${`${", "/* import", "import /[", "export * from 'a\\", "`${import(`${"] {
        let ended = run(&[("index.mjs", text)], &[]);
        assert!(matches!(ended.outcome(), Outcome::AlgorithmFailed { .. }), "{text}: {}", shape(&ended));
    }
    let huge = format!("const text = `{}`;\nimport 'fs';\n", "x".repeat(20 << 20));
    let ended = run(&[("index.mjs", &huge)], &["--limits", "memory=96MiB"]);
    assert!(!ended.outcome().is_success(), "{}", shape(&ended));
}
