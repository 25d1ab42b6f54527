//! Names of outputs satisfy the contract and cannot affect a terminal.

use crate::{
    runs::{assert_outputs, outputs},
    script::{Arg, CREATE, ROOT, Script, WRITE, errno::*},
};

/// Tries a name for a file and a directory, when creating and when renaming.
fn try_name(script: &mut Script, expected: u32, name: &[u8]) {
    let path = [b"data/outputs/", name].concat();
    let [at, length] = script.bytes(&path);
    let label: String = String::from_utf8_lossy(&path).escape_debug().take(60).collect();
    let rights = Arg::Large(WRITE);
    let (one, zero, out) = (Arg::Small(1), Arg::Small(0), Arg::Small(16));
    let open = [ROOT, one, at, length, Arg::Small(CREATE), rights, rights, zero, out];
    script.call(expected, &label, "path_open", &open);
    script.call(expected, &label, "path_create_directory", &[ROOT, at, length]);
    for old in ["data/outputs/file", "data/outputs/directory"] {
        let [old, old_length] = script.bytes(old.as_bytes());
        script.call(expected, &label, "path_rename", &[ROOT, old, old_length, ROOT, at, length]);
    }
}

fn beginning() -> Script {
    let mut script = Script::default();
    script.create(OK, "file");
    script.at(OK, "path_create_directory", "data/outputs/directory");
    script
}

#[test]
fn names_that_are_never_allowed() {
    let mut script = beginning();
    for name in
        ["a\nb", "a\rb", "\x1b[2J", "\x7f", "a\tb", "\u{85}", "\u{9b}31m", "\u{202e}gnp.exe", "a\u{200b}", "a\u{0}b"]
    {
        let expected = if name.contains('\0') { INVAL } else { PERM };
        try_name(&mut script, expected, name.as_bytes());
    }
    for name in [b"\xff".as_slice(), b"a\x80", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80"] {
        try_name(&mut script, ILSEQ, name);
    }
    try_name(&mut script, NAMETOOLONG, &[b'a'; 256]);
    try_name(&mut script, NAMETOOLONG, &"é".repeat(128).into_bytes());
    let ended = script.run(|trial| trial);
    ended.assert_succeeded();
    assert_outputs(&ended, &[("file", b"")]);
    // The one that was made holds no file, so it did not stay.
    assert_eq!(ended.report().output_directories, 0);
}

/// Names of 255 bytes and in any script are allowed, if they cannot affect a terminal.
#[test]
fn names_at_the_edge() {
    let mut script = Script::default();
    let longest = "n".repeat(255);
    let names = [longest.as_str(), "...", "..a", " ", "-rf", "päng", "$(id)", "a\\b", "%2e%2e"];
    for name in names {
        script.create(OK, name);
    }
    let ended = script.run(|trial| trial);
    ended.assert_succeeded();
    // `run` has checked that what the program prints about them is safe to show.
    let mut expected: Vec<String> = names.map(str::to_owned).to_vec();
    expected.sort();
    assert_eq!(outputs(&ended).into_keys().collect::<Vec<_>>(), expected);
}

#[test]
fn names_the_contract_does_not_list() {
    let mut script = Script::default();
    for (expected, name) in
        [(OK, "table.csv"), (PERM, "table.exe"), (PERM, "table.csv.exe"), (PERM, "Table.CSV"), (NOENT, "plots/1.png")]
    {
        script.create(expected, name);
    }
    for (expected, name) in [(OK, "plots"), (PERM, "other"), (PERM, "plots/1.png"), (PERM, "plots/a-row-of-the-data")] {
        script.at(expected, "path_create_directory", &format!("data/outputs/{name}"));
    }
    for (expected, name) in [
        (OK, "plots/1.png"),
        (PERM, "plots/10.png"),
        (PERM, "plots/.png"),
        (NOENT, "other/table.csv"),
        (PERM, "plots/1.csv"),
    ] {
        script.create(expected, name);
    }
    let path = |name: &str| format!("data/outputs/{name}");
    for (expected, from, to) in [
        (PERM, "table.csv", "table.exe"),
        (NOENT, "table.csv", "other/table.csv"),
        (PERM, "plots/1.png", "1.png"),
        (OK, "plots/1.png", "plots/2.png"),
        // The contract would have to allow everything below the directory again.
        (NOTEMPTY, "plots", "plans"),
    ] {
        script.rename(expected, &path(from), &path(to));
    }
    let contract = r#"{"names": ["*.csv", "plots/?.png"]}"#;
    let ended = script.run(|trial| trial.with_file("--contract", contract));
    ended.assert_succeeded();
    assert_outputs(&ended, &[("plots/2.png", b""), ("table.csv", b"")]);
}

#[test]
fn depth_and_length_of_paths() {
    let mut script = Script::default();
    let mut path = String::new();
    for depth in 1..=4 {
        let name = if depth == 1 { "a".to_owned() } else { format!("{path}/a") };
        let expected = if depth <= 3 { OK } else { PERM };
        script.at(expected, "path_create_directory", &format!("data/outputs/{name}"));
        if depth <= 3 {
            path = name;
        }
    }
    script.create(PERM, "a/a/a/f");
    script.create(OK, "a/a/f");
    script.rename(PERM, "data/outputs/a/a/f", "data/outputs/a/a/a/f");
    // Relative to a deep handle, the whole path counts, not only the relative part.
    let deep = script.open(OK, "data/outputs/a/a/a", 2, 2);
    script.open_with(PERM, deep, "f", CREATE, WRITE, 0);
    let [at, length] = script.bytes(b"f");
    script.call(PERM, "", "path_create_directory", &[deep, at, length]);
    script.create(OK, &"b".repeat(20));
    script.create(PERM, &"b".repeat(21));
    script.create(OK, &format!("a/{}", "c".repeat(18)));
    script.create(PERM, &format!("a/{}", "c".repeat(19)));
    let contract = r#"{"maxDepth": 3, "maxPathBytes": 20}"#;
    let ended = script.run(|trial| trial.with_file("--contract", contract));
    ended.assert_succeeded();
    let expected = [format!("a/{}", "c".repeat(18)), "a/a/f".to_owned(), "b".repeat(20)];
    let mut found: Vec<String> = outputs(&ended).into_keys().collect();
    found.sort();
    let mut expected = expected.to_vec();
    expected.sort();
    assert_eq!(found, expected);
    assert_eq!(ended.report().output_directories, 2);
}

/// Names of directories, directories within directories, and times are no way around the contract.
#[test]
fn directories_carry_nothing_out() {
    let row = "12.5;male;1987-03-02";
    for (contract, allowed) in
        [(r#"{"names": ["summary.json"]}"#, false), (r#"{"names": ["*/x.csv", "summary.json"]}"#, true)]
    {
        let mut script = Script::default();
        let expected = if allowed { OK } else { PERM };
        script.at(expected, "path_create_directory", &format!("data/outputs/{row}"));
        let below = if allowed { PERM } else { NOENT };
        script.at(below, "path_create_directory", &format!("data/outputs/{row}/{row}"));
        // A file may be called so. A directory may where another pattern reaches below it, which `*/x.csv` does with every name.
        if !allowed {
            script.at(PERM, "path_create_directory", "data/outputs/summary.json");
        }
        let file = script.create(OK, "summary.json");
        let times = [Arg::Large(1_000_000_000), Arg::Large(2_000_000_000), Arg::Small(5)];
        script.call(OK, "", "fd_filestat_set_times", &[&[file], times.as_slice()].concat());
        // A directory cannot be called what it must not be called by a rename either.
        script.at(if allowed { OK } else { PERM }, "path_create_directory", "data/outputs/a");
        let renamed = if allowed { OK } else { NOENT };
        script.rename(renamed, "data/outputs/a", &format!("data/outputs/{row}{row}"));
        let ended = script.run(|trial| trial.with_file("--contract", contract));
        ended.assert_succeeded();
        assert_outputs(&ended, &[("summary.json", b"")]);
        assert_eq!(ended.report().output_directories, 0);
        let root = ended.directory.path().join("outputs");
        let names: Vec<_> =
            std::fs::read_dir(&root).expect("listed").map(|e| e.expect("an entry").file_name()).collect();
        assert_eq!(names, ["summary.json"]);
        for path in [root.join("summary.json"), root] {
            let time = std::fs::metadata(path).expect("there").modified().expect("a time");
            let seconds = time.duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
            assert_eq!(seconds, 1_767_225_600);
        }
    }
}
