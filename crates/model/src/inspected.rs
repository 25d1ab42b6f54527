use crate::{Admission, ByteSize, Capability, ModuleKind, Outcome, Rule, Sha256, Verdict, escape};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt};

/// The most entries of a list that are shown to people.
const SHOWN: usize = 40;

/// The most characters of a name that are shown to people.
const NAME_CHARACTERS: usize = 120;

/// The file of an algorithm, as it is shown to someone who decides whether to trust it. `sandbox inspect` and `cloister algorithm
/// inspect` say the same of it: to people [`InspectedProgram::lines`], to programs its JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InspectedProgram {
    /// The digest of the file.
    pub sha256: Sha256,
    /// Its size in bytes.
    pub bytes: u64,
    /// What it is and asks for; none if that could not be found out, or if it is a script.
    pub admission: Option<Admission>,
    /// Why it may not run; none if admission does not refuse it.
    pub outcome: Option<Outcome>,
    /// Set if it is not WebAssembly, and the image of its algorithm runs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<InspectedScript>,
}

/// A file that is not WebAssembly, and that an image runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InspectedScript {
    /// The image that its author names, such as `python`. The author's text: escape it before showing.
    pub image: String,
    /// What the file is, such as `text, perhaps source code`.
    pub format: String,
    /// Its lines, if it is text in UTF-8.
    pub lines: Option<u64>,
}

impl InspectedProgram {
    /// A file with the verdict of admission.
    #[must_use]
    pub fn new(sha256: Sha256, bytes: u64, admission: Admission) -> Self {
        let outcome = match &admission.verdict {
            Verdict::Admitted => None,
            Verdict::Refused { refusals } => Some(Outcome::Refused { refusals: refusals.clone() }),
        };
        Self { sha256, bytes, admission: Some(admission), outcome, script: None }
    }

    /// The same file as that of an algorithm whose image is not `wasm`: what is not WebAssembly is a script of that image, and is not
    /// refused. The verdict on everything else stays.
    #[must_use]
    pub fn run_by(self, image: &str, lines: Option<u64>) -> Self {
        let refusal = match &self.outcome {
            Some(Outcome::Refused { refusals }) => refusals.iter().find(|refusal| refusal.rule == Rule::NotWebAssembly),
            _ => None,
        };
        let script =
            refusal.map(|refusal| InspectedScript { image: image.to_owned(), format: refusal.subject.clone(), lines });
        match script {
            Some(script) => Self { admission: None, outcome: None, script: Some(script), ..self },
            None => self,
        }
    }

    /// What people read, in lines: each the name of a field, of at most 12 characters, and its value. What the program chose is escaped
    /// and cut.
    #[must_use]
    pub fn lines(&self) -> Vec<(&'static str, String)> {
        let mut lines = vec![("sha256", self.sha256.to_string()), ("size", ByteSize(self.bytes).rounded())];
        match (&self.script, &self.admission, &self.outcome) {
            (Some(script), ..) => lines.extend(script.lines()),
            (None, Some(admission), _) => lines.extend(admission_lines(admission)),
            (None, None, Some(outcome)) => lines.push(("verdict", outcome.to_string())),
            (None, None, None) => {}
        }
        lines
    }
}

impl fmt::Display for InspectedProgram {
    /// The [lines](InspectedProgram::lines), without an end of line after the last one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (name, value)) in self.lines().iter().enumerate() {
            let end = if number == 0 { "" } else { "\n" };
            write!(f, "{end}{name:<12} {value}")?;
        }
        Ok(())
    }
}

impl InspectedScript {
    fn lines(&self) -> [(&'static str, String); 3] {
        let lines = self.lines.map(|lines| format!(", {}", count(lines, "line"))).unwrap_or_default();
        [
            ("kind", format!("{}{lines}", self.format)),
            ("image", name(&self.image)),
            (
                "verdict",
                "not checked: it is not WebAssembly, and its image runs it. Read it before you trust it".to_owned(),
            ),
        ]
    }
}

fn admission_lines(admission: &Admission) -> Vec<(&'static str, String)> {
    let mut lines = vec![("kind", admission.kind.map_or("not a WebAssembly program", ModuleKind::describe).to_owned())];
    for tool in &admission.toolchain {
        lines.push(("toolchain", format!("{} {} ({})", name(&tool.name), name(&tool.version), name(&tool.field))));
    }
    if admission.functions > 0 {
        let functions = count(admission.functions, "function");
        lines.push(("code", format!("{functions}, {}", ByteSize(admission.code_bytes).rounded())));
    }
    for memory in &admission.memories {
        let pages = |pages: u64| ByteSize(pages.saturating_mul(65_536)).rounded();
        let most = memory
            .maximum_pages
            .map_or_else(|| "up to the memory limit".to_owned(), |most| format!("to at most {}", pages(most)));
        lines.push(("memory", format!("{}, grows {most}", pages(memory.initial_pages))));
    }
    let mut groups: BTreeMap<Capability, Vec<String>> = BTreeMap::new();
    for import in &admission.imports {
        let what = if import.name.is_empty() { &import.module } else { &import.name };
        groups.entry(import.allows).or_default().push(name(what));
    }
    for (capability, names) in groups {
        lines.push(("asks for", format!("{}: {}", capability.describe(), listed(&names))));
    }
    let exports: Vec<String> = admission.exports.iter().map(|export| name(export)).collect();
    if !exports.is_empty() {
        lines.push(("exports", listed(&exports)));
    }
    match &admission.verdict {
        Verdict::Admitted => lines.push(("verdict", "admitted".to_owned())),
        Verdict::Refused { refusals } => {
            lines.extend(refusals.iter().map(|refusal| ("REFUSED", refusal.to_string())));
        }
    }
    lines
}

/// The first names of a list, and how many more there are.
fn listed(names: &[String]) -> String {
    let shown = names[..names.len().min(SHOWN)].join(", ");
    if names.len() > SHOWN { format!("{shown} and {} more", names.len() - SHOWN) } else { shown }
}

fn name(text: &str) -> String {
    escape(text.as_bytes(), NAME_CHARACTERS).to_string()
}

fn count(number: u64, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{number} {thing}s") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Import, Refusal};

    fn admission(verdict: Verdict) -> Admission {
        Admission {
            kind: None,
            bytes: 10,
            imports: Vec::new(),
            exports: Vec::new(),
            memories: Vec::new(),
            table_elements: 0,
            functions: 0,
            code_bytes: 0,
            toolchain: Vec::new(),
            verdict,
        }
    }

    fn refused(rule: Rule, subject: &str) -> InspectedProgram {
        let refusals = vec![Refusal::new(rule, subject, "Do something else")];
        InspectedProgram::new(Sha256::of(b""), 10, admission(Verdict::Refused { refusals }))
    }

    #[test]
    fn what_is_not_webassembly_is_a_script_only_where_an_image_runs_it() {
        let file = refused(Rule::NotWebAssembly, "text, perhaps source code");
        let text = file.to_string();
        assert!(text.contains("REFUSED      not-web-assembly: text, perhaps source code. Do something else"), "{text}");
        let script = file.run_by("python\u{1b}[2J", Some(2));
        assert_eq!((&script.admission, &script.outcome), (&None, &None));
        let text = script.to_string();
        assert!(text.contains("kind         text, perhaps source code, 2 lines\n"), "{text}");
        assert!(text.contains("image        python\\u{1b}[2J\n"), "{text}");
        assert!(text.contains("verdict      not checked") && !text.contains("REFUSED"), "{text}");
    }

    #[test]
    fn the_verdict_on_webassembly_and_on_what_is_too_large_does_not_depend_on_the_image() {
        for rule in [Rule::Import, Rule::TooLarge, Rule::Precompiled, Rule::Invalid] {
            let file = refused(rule, "x");
            assert_eq!(file.clone().run_by("python", None), file);
        }
        let admitted = InspectedProgram::new(Sha256::of(b""), 10, admission(Verdict::Admitted));
        assert_eq!(admitted.clone().run_by("python", None), admitted);
        assert!(admitted.to_string().ends_with("verdict      admitted"), "{admitted}");
    }

    #[test]
    fn names_are_escaped_and_cut_and_long_lists_are_counted() {
        let import = |number: u32| Import {
            module: "env".to_owned(),
            name: format!("\u{202e}{number}{}", "x".repeat(500)),
            allows: Capability::Unknown,
        };
        let program = InspectedProgram::new(
            Sha256::of(b""),
            10,
            Admission {
                imports: (0..100).map(import).collect(),
                exports: (0..1000).map(|number| format!("\u{1b}{number}{}", "y".repeat(500))).collect(),
                ..admission(Verdict::Admitted)
            },
        );
        let text = program.to_string();
        assert!(text.contains("\\u{202e}0x") && text.contains(" and 60 more"), "{text}");
        assert!(text.contains(" and 960 more"), "{text}");
        assert!(!text.contains(['\u{1b}', '\u{202e}']));
        assert!(text.len() < 2 * SHOWN * (NAME_CHARACTERS + 20), "{} bytes", text.len());
    }

    #[test]
    fn a_script_is_a_field_that_others_do_not_have() {
        let file = refused(Rule::NotWebAssembly, "a script");
        let written = serde_json::to_value(&file).expect("JSON");
        assert!(written.get("script").is_none(), "{written}");
        assert_eq!(serde_json::from_value::<InspectedProgram>(written).expect("read"), file);
        let script = file.run_by("python", None);
        let written = serde_json::to_value(&script).expect("JSON");
        assert_eq!(written["script"]["image"], "python");
        assert_eq!(serde_json::from_value::<InspectedProgram>(written).expect("read"), script);
    }
}
