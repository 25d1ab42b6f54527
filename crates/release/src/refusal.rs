use cloister_model::escape;

/// Characters of a guest's name or value in a refusal.
const MOST_SHOWN: usize = 100;

/// Why outputs may not leave.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{rule}: {text}")]
pub struct OutputRefusal {
    /// The rule that says so: `output-...` for the folder and its budgets, `media-type`, `csv-...`, `json-...`. These
    /// names do not change.
    pub rule: &'static str,
    /// Which file, and what was allowed. Escaped, so that showing it is harmless. But it may hold words of the
    /// guest's, such as a name: see [`OutputRefusal::without_words_of_the_guest`].
    pub text: String,
}

impl OutputRefusal {
    /// The rule alone, where nothing of what the guest says may leave: a hundred characters in a refusal, job after job, are
    /// a way out.
    #[must_use]
    pub fn without_words_of_the_guest(&self) -> Self {
        let text = "which file it was, and what is in it, may not leave either";
        Self { rule: self.rule, text: text.to_owned() }
    }
}

/// A refusal that names the file. `text` must be safe to show.
pub(super) fn refuse(rule: &'static str, file: Option<&str>, text: &str) -> OutputRefusal {
    let text = match file {
        Some(name) => format!("`{}`: {text}", shown(name)),
        None => text.to_owned(),
    };
    OutputRefusal { rule, text }
}

/// A guest's text, safe and short.
pub(super) fn shown(text: &str) -> String {
    escape(text.as_bytes(), MOST_SHOWN).to_string()
}
