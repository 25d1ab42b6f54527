use crate::shell::{Plain, Unsplit, split};
use std::borrow::Cow;

/// Where a container finds the algorithm's file.
pub const ALGORITHM_FILE: &str = "/data/transformations/algorithm";

/// The shell that a command with more than words needs.
const SHELL: &str = "/bin/sh";

/// The command of a container, from an algorithm's `container.entrypoint`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The program and its arguments; never empty.
    pub words: Vec<String>,
    /// Whether a shell of the image runs it, because it is more than words.
    pub by_shell: bool,
}

/// Why a text is no command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// It names no program.
    #[error("`container.entrypoint` names no program; an example is `python3 $ALGO`")]
    Empty,
    /// A quotation mark is not closed, or it ends with a backslash.
    #[error("`container.entrypoint` ends within a quotation")]
    Unfinished,
    /// It has a character that no argument of a program can have.
    #[error("`container.entrypoint` has a NUL character")]
    Nul,
}

impl Command {
    /// Reads a command: words, as a shell splits them, with `$ALGO` or `${ALGO}` for the algorithm's file and nothing else put in
    /// place of anything. What a shell alone understands (a pipe, another variable, a list of commands) becomes one argument
    /// of the image's `/bin/sh`, which has `$ALGO` in its environment.
    ///
    /// # Errors
    /// [`CommandError`].
    pub fn read(entrypoint: &str) -> Result<Self, CommandError> {
        if entrypoint.contains('\0') {
            return Err(CommandError::Nul);
        }
        let Some(words) = words(entrypoint)? else {
            let words = [SHELL, "-c", entrypoint].map(str::to_owned).to_vec();
            return Ok(Self { words, by_shell: true });
        };
        if words.first().is_none_or(String::is_empty) {
            Err(CommandError::Empty)
        } else {
            Ok(Self { words, by_shell: false })
        }
    }
}

/// The words of a command; none: it needs a shell.
fn words(text: &str) -> Result<Option<Vec<String>>, CommandError> {
    let plain = |letter, _| match letter {
        ' ' | '\t' | '\r' => Plain::Blank,
        '|' | '&' | ';' | '<' | '>' | '(' | ')' | '\n' | '*' | '?' | '[' | '#' | '~' => Plain::Shell,
        _ => Plain::Itself,
    };
    match split(text, plain, algorithm) {
        Ok(words) => Ok(Some(words)),
        Err(Unsplit::Shell(_)) => Ok(None),
        Err(Unsplit::Unfinished) => Err(CommandError::Unfinished),
    }
}

/// The algorithm's file in the place of the variable `ALGO`, and what follows its name; or what needs a shell.
fn algorithm(after: &str) -> Result<(Cow<'static, str>, &str), String> {
    let bare = || {
        let left = after.strip_prefix("ALGO")?;
        let longer = left.chars().next().is_some_and(|next| next.is_ascii_alphanumeric() || next == '_');
        (!longer).then_some(left)
    };
    let left = after.strip_prefix("{ALGO}").or_else(bare);
    left.map(|left| (ALGORITHM_FILE.into(), left)).ok_or_else(|| "$".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> Vec<String> {
        let command = Command::read(text).expect(text);
        assert!(!command.by_shell, "{text}");
        command.words
    }

    #[test]
    fn words_are_split_as_a_shell_does_it() {
        for (text, expected) in [
            ("python3 $ALGO", vec!["python3", ALGORITHM_FILE]),
            ("  python3\t-u  ${ALGO} ", vec!["python3", "-u", ALGORITHM_FILE]),
            ("$ALGO", vec![ALGORITHM_FILE]),
            ("run --file=$ALGO.py", vec!["run", "--file=/data/transformations/algorithm.py"]),
            ("a 'b c' \"d e\" f\\ g", vec!["a", "b c", "d e", "f g"]),
            ("a '$ALGO' \"$ALGO\" \\$ALGO", vec!["a", "$ALGO", ALGORITHM_FILE, "$ALGO"]),
            ("a '' \"\"", vec!["a", "", ""]),
            ("a \"b\\c\\\"d\"", vec!["a", "b\\c\"d"]),
            ("a '|' ';' \"&&\"", vec!["a", "|", ";", "&&"]),
            ("R -e é", vec!["R", "-e", "é"]),
        ] {
            assert_eq!(plain(text), expected, "{text}");
        }
    }

    #[test]
    fn what_a_shell_alone_understands_is_given_to_the_shell_of_the_image_as_it_is() {
        for text in
            ["a | b", "a && b", "a; b", "a > b", "echo $HOME", "echo $ALGORITHM", "echo `a`", "echo \"$(a)\"", "ls *"]
        {
            let command = Command::read(text).expect(text);
            assert_eq!((command.words, command.by_shell), (vec!["/bin/sh".into(), "-c".into(), text.into()], true));
        }
    }

    #[test]
    fn what_is_no_command_is_refused() {
        for (text, error) in [
            ("", CommandError::Empty),
            ("  ", CommandError::Empty),
            ("''", CommandError::Empty),
            ("a 'b", CommandError::Unfinished),
            ("a \"b", CommandError::Unfinished),
            ("a \\", CommandError::Unfinished),
            ("a \0", CommandError::Nul),
        ] {
            assert_eq!(Command::read(text), Err(error), "{text:?}");
        }
    }
}
