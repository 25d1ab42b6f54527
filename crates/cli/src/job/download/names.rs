//! Which name a result gets in the folder of a download. What a guest called it is kept where that is safe.

use crate::client::ResultFile;
use cloister_model::{ResultKind, escape};
use std::collections::BTreeSet;

/// Maximum segments of a name. The host lets no guest create more.
const MOST_SEGMENTS: usize = 32;

/// What parts of downloads are called until they are complete begins like this.
pub(super) const OURS: &str = ".cloister-";

/// What a system makes of the names of files.
#[derive(Clone, Copy, Debug)]
pub(super) struct System {
    /// `A` is `a`.
    ignores_case: bool,
    /// Some names are those of devices, streams or other files.
    is_windows: bool,
}

/// This machine's. macOS can be told to distinguish `A` from `a`, and is seldom.
pub(super) const HERE: System =
    System { ignores_case: cfg!(any(windows, target_os = "macos")), is_windows: cfg!(windows) };

impl System {
    /// The same text for names of the same file. Each character is taken by itself, as systems do: in a whole word, `Σ` is another
    /// small letter at its end. First upwards, because `ſ` is a small letter of `S`.
    fn key(self, name: &str) -> String {
        if !self.ignores_case {
            return name.to_owned();
        }
        name.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect()
    }

    /// Whether a guest's name can be used as a path: relative, without `..`, without characters that hide or control text, and
    /// not a name of our own.
    fn takes(self, name: &str) -> bool {
        let takes = |segment: &str| {
            (1..=255).contains(&segment.len())
                && !matches!(segment, "." | "..")
                && !self.key(segment).starts_with(OURS)
                && (!self.is_windows || is_plain_on_windows(segment))
        };
        name.len() <= 1024
            && escape(name.as_bytes(), usize::MAX).to_string() == name
            && name.split('/').count() <= MOST_SEGMENTS
            && name.split('/').all(takes)
    }
}

/// Names below the folder, one for each result. They are distinct on this system, and none leads out of the folder.
pub(super) fn names(list: &[ResultFile], system: System) -> Vec<String> {
    let mut taken = BTreeSet::new();
    let mut folders = BTreeSet::new();
    list.iter()
        .map(|listed| {
            let plain = system.takes(&listed.name) && (listed.kind == ResultKind::Output || !listed.name.contains('/'));
            let mut name = if plain { listed.name.clone() } else { format!("result-{}", listed.index) };
            let fits = |name: &str, taken: &BTreeSet<String>, folders: &BTreeSet<String>| {
                let key = system.key(name);
                !taken.contains(&key) && !folders.contains(&key) && above(&key).all(|folder| !taken.contains(folder))
            };
            let mut attempt = 0_u32;
            while !fits(&name, &taken, &folders) {
                attempt += 1;
                name = format!("result-{}-{attempt}", listed.index);
            }
            folders.extend(above(&system.key(&name)).map(str::to_owned));
            taken.insert(system.key(&name));
            name
        })
        .collect()
}

/// The folders that a name is in.
fn above(name: &str) -> impl Iterator<Item = &str> {
    name.match_indices('/').map(|(end, _)| &name[..end])
}

/// Whether Windows takes a segment as the name of a file, and not as a stream of one (`a:b`), a device (`NUL.txt`), the short name of
/// another one (`RESULT~1`) or another name (`a.` is `a`): <https://learn.microsoft.com/windows/win32/fileio/naming-a-file>.
fn is_plain_on_windows(segment: &str) -> bool {
    let stem = segment.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
    let numbered = |device| stem.strip_prefix(device).is_some_and(|rest: &str| rest.chars().count() == 1);
    let may_be_short = segment.split('~').skip(1).any(|rest| rest.starts_with(|first: char| first.is_ascii_digit()));
    !segment.contains(['<', '>', ':', '"', '/', '\\', '|', '?', '*'])
        && !segment.ends_with(['.', ' '])
        && !matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$")
        && !numbered("COM")
        && !numbered("LPT")
        && !may_be_short
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_model::Sha256;
    use proptest::prelude::*;
    use std::path::{Component, Path};

    const LINUX: System = System { ignores_case: false, is_windows: false };
    const MACOS: System = System { ignores_case: true, is_windows: false };
    const WINDOWS: System = System { ignores_case: true, is_windows: true };

    fn names_on(system: System, given: &[&str]) -> Vec<String> {
        let listed = |(name, index): (&&str, u32)| ResultFile {
            index,
            name: (*name).to_owned(),
            kind: ResultKind::Output,
            bytes: 0,
            sha256: Sha256::from_bytes([0; 32]),
        };
        names(&given.iter().zip(0..).map(listed).collect::<Vec<_>>(), system)
    }

    #[test]
    fn guests_names_are_kept_if_they_are_safe() {
        for system in [LINUX, MACOS, WINDOWS] {
            assert_eq!(names_on(system, &["a.csv", "sub/b.csv", "ü 1.txt"]), ["a.csv", "sub/b.csv", "ü 1.txt"]);
            for hostile in [
                "../a",
                "/etc/passwd",
                "a/../b",
                "a//b",
                ".",
                "",
                "a\0b",
                "a\nb",
                "\u{202e}a",
                "a\\b",
                "a/",
                ".cloister-x",
            ] {
                assert_eq!(names_on(system, &[hostile]), ["result-0"], "{hostile:?} {system:?}");
            }
            assert_eq!(names_on(system, &[&"a/".repeat(40), &"x".repeat(300)]), ["result-0", "result-1"]);
        }
    }

    #[test]
    fn names_that_windows_takes_for_something_else_are_not_kept_there() {
        for name in ["a.csv", "ü 1.txt", "COM10", "COMPOSE.txt", "null", "con-1", "a~b", "~a"] {
            assert_eq!(names_on(WINDOWS, &[name]), [name]);
        }
        for name in [
            "a:b",
            "C:",
            "NUL",
            "nul.txt",
            "con .x",
            "COM1",
            "lpt9.csv",
            "COM¹",
            "a.",
            "a ",
            "a?",
            "<a>",
            "RESULT~1.CSV",
        ] {
            assert_eq!(names_on(WINDOWS, &[name]), ["result-0"], "{name}");
            assert_eq!(names_on(WINDOWS, &[&format!("sub/{name}/x")]), ["result-0"], "{name}");
            assert_eq!(names_on(LINUX, &[name]), [name]);
        }
    }

    #[test]
    fn names_do_not_collide() {
        let given = ["a", "a", "a/b", "c/d", "c"];
        assert_eq!(names_on(LINUX, &given), ["a", "result-1-1", "result-2-1", "c/d", "result-4-1"]);
        let given = ["result-1", "../x", "result-2", "/"];
        assert_eq!(names_on(LINUX, &given), ["result-1", "result-1-1", "result-2", "result-3"]);
    }

    /// Also names of our own parts, which the guest could otherwise make of a result of its own.
    #[test]
    fn names_that_differ_in_case_only_collide_where_case_is_ignored() {
        let given = ["Ä", "ä", "Sub/x", "sub", ".Cloister-j-0.part"];
        assert_eq!(names_on(LINUX, &given), given);
        for system in [MACOS, WINDOWS] {
            assert_eq!(names_on(system, &given), ["Ä", "result-1-1", "Sub/x", "result-3-1", "result-4"], "{system:?}");
        }
    }

    #[test]
    fn letters_that_are_one_where_case_is_ignored_collide_wherever_they_stand() {
        for (one, other) in [("ας", "ασ"), ("ας", "αΣ"), ("ſ", "s"), ("µ", "μ"), ("ᲀ", "в")] {
            for system in [MACOS, WINDOWS] {
                assert_eq!(names_on(system, &[one, other]), [one, "result-1-1"], "{other} {system:?}");
            }
            assert_eq!(names_on(LINUX, &[one, other]), [one, other]);
        }
        for system in [MACOS, WINDOWS] {
            assert_eq!(names_on(system, &[".cloi\u{17f}ter-j-0.part"]), ["result-0"], "{system:?}");
        }
    }

    proptest! {
        #[test]
        fn no_name_leads_out_of_the_folder(given in proptest::collection::vec("[aA./\\\\\u{202e}\n:~1-]{0,12}", 0..8)) {
            let given: Vec<&str> = given.iter().map(String::as_str).collect();
            for system in [LINUX, MACOS, WINDOWS] {
                let names = names_on(system, &given);
                let distinct: BTreeSet<_> = names.iter().map(|name| system.key(name)).collect();
                prop_assert_eq!(distinct.len(), given.len());
                for name in &names {
                    let mut parts = Path::new(name).components();
                    prop_assert!(parts.all(|part| matches!(part, Component::Normal(_))), "{}", name);
                }
            }
        }
    }
}
