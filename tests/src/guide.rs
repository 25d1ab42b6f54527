//! The commands and files of a page of the documentation, for tests that follow it.

/// What a section holds, in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// A block between fences.
    Block {
        /// The word after the opening fence, such as `yaml`.
        language: String,
        /// Its lines, without the indentation of the fence.
        text: String,
    },
    /// A line that is indented by four, with the lines that it goes on to.
    Command(String),
}

/// A section, from its heading to the next one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Section {
    /// The heading.
    pub title: String,
    /// What is in it.
    pub parts: Vec<Part>,
}

impl Part {
    /// The name and the content of a block whose first line is `# NAME`.
    #[must_use]
    pub fn file(&self) -> Option<(&str, &str)> {
        let Self::Block { text, .. } = self else { return None };
        let (first, rest) = text.split_once('\n')?;
        let name = first.strip_prefix("# ")?;
        (!name.contains(' ')).then_some((name, rest))
    }
}

/// The sections of a document, the part before the first heading included.
#[must_use]
pub fn sections(document: &str) -> Vec<Section> {
    let mut all = vec![Section::default()];
    let mut block: Option<(usize, String, String)> = None;
    let mut goes_on = false;
    for line in document.lines() {
        let fence = line.trim_start().strip_prefix("```");
        let Some(section) = all.last_mut() else { break };
        match (block.take(), fence) {
            (Some((_, language, text)), Some(_)) => section.parts.push(Part::Block { language, text }),
            (Some((indent, language, mut text)), None) => {
                text.push_str(line.get(indent..).unwrap_or_default());
                text.push('\n');
                block = Some((indent, language, text));
            }
            (None, Some(language)) => {
                let indent = line.len() - line.trim_start().len();
                block = Some((indent, language.trim().to_owned(), String::new()));
            }
            (None, None) => {
                let title = line.strip_prefix("## ").or_else(|| line.strip_prefix("### "));
                if let Some(title) = title {
                    all.push(Section { title: title.to_owned(), parts: Vec::new() });
                    goes_on = false;
                } else if let Some(command) = line.strip_prefix("    ") {
                    let (command, more) = command.strip_suffix('\\').map_or((command, false), |begun| (begun, true));
                    match section.parts.last_mut() {
                        Some(Part::Command(begun)) if goes_on => begun.push_str(command.trim_start()),
                        _ => section.parts.push(Part::Command(command.to_owned())),
                    }
                    goes_on = more;
                }
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_and_blocks_are_distinguished() {
        let document = "intro\n\n    first \\\n        goes on\n\n## A\n\n- item:\n\n  ```yaml\n  # name.yaml\n  a:\n    b: 1\n  ```\n\n    second\n### B\n    third\n";
        let sections = sections(document);
        assert_eq!(sections.iter().map(|section| section.title.as_str()).collect::<Vec<_>>(), ["", "A", "B"]);
        assert_eq!(sections[0].parts, [Part::Command("first goes on".to_owned())]);
        assert_eq!(sections[1].parts[0].file(), Some(("name.yaml", "a:\n  b: 1\n")));
        assert_eq!(sections[1].parts[1], Part::Command("second".to_owned()));
    }
}
