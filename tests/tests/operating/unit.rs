//! The unit of systemd.

use cloister_tests::{not_run, root, service::cloister};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Every setting that the unit may have: a name with a mistake would be ignored.
const KNOWN: &[(&str, &[&str])] = &[
    ("Unit", &["Description", "Documentation", "Wants", "After"]),
    (
        "Service",
        &[
            "Type",
            "ExecStart",
            "User",
            "Group",
            "StateDirectory",
            "StateDirectoryMode",
            "WorkingDirectory",
            "UMask",
            "Restart",
            "RestartSec",
            "RestartPreventExitStatus",
            "KillMode",
            "OOMPolicy",
            "LimitNOFILE",
            "NoNewPrivileges",
            "CapabilityBoundingSet",
            "ProtectSystem",
            "ProtectHome",
            "PrivateTmp",
            "PrivateDevices",
            "ProtectClock",
            "ProtectControlGroups",
            "ProtectHostname",
            "ProtectKernelLogs",
            "ProtectKernelModules",
            "ProtectKernelTunables",
            "LockPersonality",
            "RemoveIPC",
            "RestrictAddressFamilies",
            "RestrictNamespaces",
            "RestrictRealtime",
            "SystemCallArchitectures",
            "SystemCallErrorNumber",
            "SystemCallFilter",
        ],
    ),
    ("Install", &["WantedBy"]),
];

fn path() -> PathBuf {
    root().join("deploy/systemd/cloister.service")
}

/// Reads a unit as strictly as systemd does not: the first line that it would ignore is an error.
fn parse(text: &str) -> Result<BTreeMap<String, String>, String> {
    let (mut section, mut all) = (None, BTreeMap::new());
    for line in text.lines() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = KNOWN.iter().find(|(known, _)| *known == name);
            section.ok_or_else(|| format!("no such section: {line}"))?;
            continue;
        }
        let (key, value) = line.split_once('=').ok_or_else(|| format!("not a setting: {line}"))?;
        let (name, keys) = section.ok_or_else(|| format!("before the first section: {line}"))?;
        if !keys.contains(&key) {
            return Err(format!("unknown: {line}"));
        }
        // systemd takes it for a part of the value.
        if value.contains('#') || value != value.trim() {
            return Err(format!("a comment at the end of a line: {line}"));
        }
        if all.insert(format!("{name}.{key}"), value.to_owned()).is_some() {
            return Err(format!("twice: {line}"));
        }
    }
    Ok(all)
}

#[test]
fn the_unit_says_what_systemd_reads() {
    let unit = parse(&fs::read_to_string(path()).expect("the unit")).unwrap_or_else(|wrong| panic!("{wrong}"));
    for (key, value) in [
        // Algorithms that run outlive a restart, and one that needs too much memory does not end the service.
        ("Service.KillMode", "process"),
        ("Service.OOMPolicy", "continue"),
        ("Service.ExecStart", "cloister serve --home /var/lib/cloister"),
        ("Service.User", "cloister"),
        ("Service.StateDirectory", "cloister"),
        ("Service.StateDirectoryMode", "0700"),
        ("Service.UMask", "0077"),
        ("Service.NoNewPrivileges", "yes"),
        ("Service.CapabilityBoundingSet", ""),
        ("Service.ProtectSystem", "strict"),
        ("Install.WantedBy", "multi-user.target"),
    ] {
        assert_eq!(unit.get(key).map(String::as_str), Some(value), "{key}");
    }
    // What the sandbox needs: compiled code, and the system calls of its walls.
    // Compiled code, and openat2.
    for taken in ["MemoryDenyWriteExecute", "RestrictSUIDSGID"] {
        assert!(!unit.contains_key(&format!("Service.{taken}")), "{taken}");
    }
    assert!(unit["Service.SystemCallFilter"].starts_with('~'), "a list of what is allowed would lack Landlock");
    let user = fs::read_to_string(root().join("deploy/systemd/cloister.sysusers")).expect("the user");
    assert!(user.lines().any(|line| line.starts_with("u cloister ")), "{user}");
}

#[test]
fn mistakes_in_a_unit_are_found() {
    let with = |line: &str| format!("[Service]\n{line}\n");
    assert!(parse(&with("KillMode=process")).is_ok());
    for wrong in [
        "KillMode=process        # comment",
        "KilMode=process",
        "KillMode",
        "[Sevice]",
        "KillMode=process ",
        "Type=a\nType=b",
    ] {
        assert!(parse(&with(wrong)).is_err(), "{wrong}");
    }
}

/// systemd itself, where it is installed: it prints what it ignores, and ends with 0 nevertheless.
#[test]
fn systemd_has_nothing_to_say() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        let is_there = ["/lib/systemd/systemd", "/usr/lib/systemd/systemd"].iter().any(|path| Path::new(path).exists());
        assert!(!is_there, "systemd is installed, and its systemd-analyze is not on the path");
        // The strict reader above has looked.
        return not_run("what systemd says of the unit: systemd is not installed");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let verify = |text: &str| {
        let unit = folder.path().join("cloister.service");
        fs::write(&unit, text).expect("written");
        let mut command = Command::new("systemd-analyze");
        let output = command.args(["verify", "--man=no"]).arg(&unit).output().expect("it starts");
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    // The program is not installed here.
    let text = fs::read_to_string(path()).expect("the unit");
    let here = text.replace("ExecStart=cloister ", &format!("ExecStart={} ", cloister().display()));
    let (good, said) = verify(&here);
    let about_this: Vec<&str> = said.lines().filter(|line| line.contains("cloister.service")).collect();
    assert!(good && about_this.is_empty(), "{said}");
    let (_, said) = verify(&here.replace("KillMode=process", "KillMode=process   # comment"));
    assert!(said.contains("cloister.service"), "it finds mistakes: {said}");
}
