//! The names of component interfaces, and which ones components may import.

use crate::problems::Problem;
use cloister_model::{
    Capability::{self, Exits, Network, Random, ReadsAndWritesFiles, ReadsClock, ReadsEnvironment, ReadsFiles},
    Capability::{Schedules, Streams, Unknown},
    Rule,
};

/// The newest supported version of WASI 0.2: 0.2.12. All earlier 0.2 versions are compatible.
pub const WASI_PATCH: u32 = 12;

/// The interfaces that components may import, at any version up to 0.2.[`WASI_PATCH`].
const INTERFACES: &[(&str, &str, Capability)] = &[
    ("wasi:cli", "environment", ReadsEnvironment),
    ("wasi:cli", "exit", Exits),
    ("wasi:cli", "stdin", Streams),
    ("wasi:cli", "stdout", Streams),
    ("wasi:cli", "stderr", Streams),
    ("wasi:cli", "terminal-input", Streams),
    ("wasi:cli", "terminal-output", Streams),
    ("wasi:cli", "terminal-stdin", Streams),
    ("wasi:cli", "terminal-stdout", Streams),
    ("wasi:cli", "terminal-stderr", Streams),
    ("wasi:clocks", "monotonic-clock", ReadsClock),
    ("wasi:clocks", "wall-clock", ReadsClock),
    ("wasi:filesystem", "preopens", ReadsFiles),
    ("wasi:filesystem", "types", ReadsAndWritesFiles),
    ("wasi:io", "error", Streams),
    ("wasi:io", "poll", Schedules),
    ("wasi:io", "streams", Streams),
    ("wasi:random", "insecure", Random),
    ("wasi:random", "insecure-seed", Random),
    ("wasi:random", "random", Random),
];

/// The interfaces of `wasi:sockets`.
const SOCKETS: [&str; 7] =
    ["instance-network", "ip-name-lookup", "network", "tcp", "tcp-create-socket", "udp", "udp-create-socket"];

/// A name such as `wasi:cli/run@0.2.3`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Interface<'a> {
    /// `wasi:cli`.
    pub(crate) package: &'a str,
    /// `run`.
    pub(crate) name: &'a str,
    /// `0.2.3`.
    version: Option<&'a str>,
}

impl<'a> Interface<'a> {
    /// `None` for plain names, URLs and similar.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let (package, rest) = text.split_once('/')?;
        let (name, version) = match rest.split_once('@') {
            Some((name, version)) => (name, Some(version)),
            None => (rest, None),
        };
        let plain = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let (namespace, package_name) = package.split_once(':')?;
        (plain(namespace) && plain(package_name) && plain(name)).then_some(Self { package, name, version })
    }

    /// Whether this host supports the version.
    pub(crate) fn version_is_given(self) -> bool {
        let Some(patch) = self.version.and_then(|version| version.strip_prefix("0.2.")) else { return false };
        let canonical = patch.bytes().all(|b| b.is_ascii_digit()) && (patch == "0" || !patch.starts_with('0'));
        canonical && patch.parse().is_ok_and(|patch: u32| patch <= WASI_PATCH)
    }

    fn is_network(self) -> bool {
        matches!(self.package, "wasi:sockets" | "wasi:http" | "wasi:tls")
    }

    /// Whether it is one of sockets that is answered with errors.
    pub(crate) fn is_answered_network(self) -> bool {
        self.package == "wasi:sockets" && SOCKETS.contains(&self.name) && self.version_is_given()
    }

    /// The capability that importing it gives to a program.
    pub(crate) fn allows(self) -> Capability {
        let known = INTERFACES.iter().find(|(package, name, _)| (self.package, self.name) == (*package, *name));
        match known {
            Some((.., capability)) => *capability,
            None if self.is_network() => Network,
            None => Unknown,
        }
    }

    /// Why a program may not import it; `None` if it may.
    pub(crate) fn refuse(self) -> Option<Problem<'a>> {
        let problem = |rule, what, advice| Some(Problem { rule, what, module: "", advice });
        match self.allows() {
            Network => problem(Rule::Network, "network interfaces", NO_NETWORK),
            Unknown if self.package.starts_with("wasi:") => problem(
                Rule::Import,
                "interfaces that are not given",
                "Programs read and write files, and know time and chance: remove what needs more",
            ),
            Unknown => problem(
                Rule::Import,
                "interfaces that are not given",
                "Only WASI is given: compose it with the component that implements them, for example with `wac`",
            ),
            _ if self.version_is_given() => None,
            _ => problem(Rule::WasiVersion, "interfaces of another version", ANOTHER_VERSION),
        }
    }
}

const NO_NETWORK: &str = "Programs have no network. Sockets of WASI 0.2 may be mentioned, and answer with errors: build it \
                          without what needs more (with componentize-js: --disable http --disable fetch-event)";
pub(crate) const ANOTHER_VERSION: &str = "This host has WASI 0.2.0 to 0.2.12: build it for 0.2, such as wasm32-wasip2";

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> Option<Rule> {
        Interface::parse(text).expect("an interface").refuse().map(|problem| problem.rule)
    }

    #[test]
    fn takes_the_interfaces_of_a_command_at_0_2() {
        for (package, name, _) in INTERFACES {
            assert_eq!(refused(&format!("{package}/{name}@0.2.0")), None);
            assert_eq!(refused(&format!("{package}/{name}@0.2.{WASI_PATCH}")), None);
        }
    }

    #[test]
    fn names_the_rule_for_all_others() {
        for (text, rule) in [
            ("wasi:sockets/tcp@0.2.0", Rule::Network),
            ("wasi:sockets/tcp@0.3.0", Rule::Network),
            ("wasi:http/outgoing-handler@0.2.0", Rule::Network),
            ("wasi:cli/environment@0.3.0", Rule::WasiVersion),
            ("wasi:cli/environment@0.2.13", Rule::WasiVersion),
            ("wasi:cli/environment@0.2.99999999999", Rule::WasiVersion),
            ("wasi:cli/environment@0.2.01", Rule::WasiVersion),
            ("wasi:cli/environment@0.2.0-rc-2023-11-10", Rule::WasiVersion),
            ("wasi:cli/environment@0.2.", Rule::WasiVersion),
            ("wasi:cli/environment", Rule::WasiVersion),
            ("wasi:clocks/timezone@0.2.12", Rule::Import),
            ("wasi:nn/inference@0.2.0", Rule::Import),
            ("acme:cli/environment@0.2.0", Rule::Import),
        ] {
            assert_eq!(refused(text), Some(rule), "{text}");
        }
    }

    #[test]
    fn other_names_are_no_interfaces() {
        for text in ["", "run", "wasi:cli", "wasi/cli", "url=<https://a:b/c>", "locked-dep=<a:b/c@1.0.0>", ":/", "a:/b"]
        {
            assert_eq!(Interface::parse(text), None, "{text}");
        }
    }
}
