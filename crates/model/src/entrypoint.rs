//! What a container's `entrypoint` means in the sandbox: the arguments of the algorithm.
//!
//! The sandbox has no shell. An entrypoint is split into words as a shell would do it, and everything that only a shell could
//! do is refused rather than dropped.

use crate::{
    Container, escape,
    shell::{Plain, Unsplit, split},
};

/// The most arguments.
pub const MOST_ARGUMENTS: usize = 256;
/// The most bytes in all arguments together.
pub const MOST_ARGUMENT_BYTES: usize = 32 * 1024;

/// The variables that stand for the same in every run.
const VARIABLES: [(&str, &str); 4] =
    [("INPUTS", "/data/inputs"), ("OUTPUTS", "/data/outputs"), ("LOGS", "/data/logs"), ("VOLUME", "/data")];
/// Options of an interpreter that change nothing: the sandbox starts it so.
const PLAIN_OPTIONS: [&str; 2] = ["-u", "-B"];

/// Why the sandbox cannot run an entrypoint as it is written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntrypointError {
    /// It has a quote without an end.
    #[error("a quote in it has no end")]
    Quote,
    /// It has something that only a shell could do.
    #[error("{0} needs a shell, which the sandbox does not have: write plain words, quoted if need be")]
    Shell(String),
    /// It does not name the algorithm, or more than once.
    #[error("it must name the algorithm once, as $ALGO: `python3 $ALGO --option value`")]
    Algorithm,
    /// There is something before the algorithm that is not the name of an interpreter.
    #[error("{0} before $ALGO has no meaning in the sandbox; write `python3 $ALGO` or `$ALGO`, and arguments after it")]
    Before(String),
    /// Too many or too long arguments, or one with a NUL.
    #[error("at most {MOST_ARGUMENTS} arguments of {MOST_ARGUMENT_BYTES} bytes together, without NUL")]
    TooMany,
}

/// What `$ALGO` is expanded to. No text has it: a NUL cannot be part of an argument.
const ALGORITHM: &str = "\0";

impl Container {
    /// The arguments that the program gets after its name. `interpreted`: the image is an interpreter, whose name comes before
    /// `$ALGO`.
    ///
    /// # Errors
    /// If the entrypoint says something that the sandbox does not do.
    pub fn arguments(&self, interpreted: bool) -> Result<Vec<String>, EntrypointError> {
        if self.entrypoint.contains('\0') {
            return Err(EntrypointError::TooMany);
        }
        let words = words(&self.entrypoint)?;
        let mut places = words.iter().enumerate().filter(|(_, word)| word.contains(ALGORITHM)).map(|(place, _)| place);
        let place = places.next().filter(|place| words[*place] == ALGORITHM).ok_or(EntrypointError::Algorithm)?;
        if places.next().is_some() {
            return Err(EntrypointError::Algorithm);
        }
        let options = words[..place].iter().skip(usize::from(interpreted));
        if let Some(word) = options.clone().find(|word| !(interpreted && PLAIN_OPTIONS.contains(&word.as_str()))) {
            return Err(EntrypointError::Before(quoted(word)));
        }
        let arguments = words[place + 1..].to_vec();
        check_arguments(&arguments)?;
        Ok(arguments)
    }

    /// An entrypoint that gives these arguments: `command` is what comes before them.
    #[must_use]
    pub fn entrypoint_of(command: &str, arguments: &[String]) -> String {
        let quote = |argument: &String| format!(" '{}'", argument.replace('\'', r"'\''"));
        format!("{command}{}", arguments.iter().map(quote).collect::<String>())
    }
}

/// Checks arguments that a program is to get.
///
/// # Errors
/// [`EntrypointError::TooMany`].
pub fn check_arguments(arguments: &[String]) -> Result<(), EntrypointError> {
    let bytes: usize = arguments.iter().map(|argument| argument.len() + 1).sum();
    let fits = arguments.len() <= MOST_ARGUMENTS && bytes <= MOST_ARGUMENT_BYTES;
    if fits && !arguments.iter().any(|argument| argument.contains('\0')) {
        Ok(())
    } else {
        Err(EntrypointError::TooMany)
    }
}

fn quoted(text: &str) -> String {
    format!("`{}`", escape(text.as_bytes(), 60))
}

/// Splits a text into words as a shell does: at blanks, with quotes, backslashes and the variables that have a meaning here.
fn words(text: &str) -> Result<Vec<String>, EntrypointError> {
    let plain = |letter, begins| match letter {
        ' ' | '\t' => Plain::Blank,
        '|' | '&' | ';' | '<' | '>' | '(' | ')' | '*' | '?' | '[' | '{' | '\n' | '\r' => Plain::Shell,
        '~' | '#' | '!' if begins => Plain::Shell,
        _ => Plain::Itself,
    };
    split(text, plain, variable).map_err(|error| match error {
        Unsplit::Unfinished => EntrypointError::Quote,
        Unsplit::Shell(what) => EntrypointError::Shell(quoted(&what)),
    })
}

/// What `$NAME` or `${NAME}` stands for, from what follows the `$`.
fn variable(after: &str) -> Result<(&'static str, &str), String> {
    let (braced, after) = after.strip_prefix('{').map_or((false, after), |after| (true, after));
    let end = after.find(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_')).unwrap_or(after.len());
    let (name, left) = after.split_at(end);
    let unknown = || format!("${name}");
    let left = if braced { left.strip_prefix('}').ok_or_else(unknown)? } else { left };
    if name == "ALGO" {
        return Ok((ALGORITHM, left));
    }
    let known = VARIABLES.iter().find(|(known, _)| *known == name);
    known.map(|(_, value)| (*value, left)).ok_or_else(unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(entrypoint: &str, interpreted: bool) -> Result<Vec<String>, EntrypointError> {
        let (image, entrypoint) = ("python".to_owned(), entrypoint.to_owned());
        Container { image, tag: None, entrypoint, checksum: None }.arguments(interpreted)
    }

    #[test]
    fn words_reach_the_program_as_a_shell_would_split_them() {
        for (entrypoint, expected) in [
            ("python3 $ALGO", vec![]),
            ("python3 -u $ALGO", vec![]),
            ("/usr/bin/python3 \"$ALGO\" --mode fast", vec!["--mode", "fast"]),
            ("python ${ALGO} 'a b'  \"c d\"\te\\ f", vec!["a b", "c d", "e f"]),
            (r#"python $ALGO '' "" "a\"b\$c\d" a'b'c"#, vec!["", "", r#"a"b$c\d"#, "abc"]),
            (
                "python $ALGO $INPUTS/x \"${OUTPUTS}\" '$ALGO' a#b --x=~",
                vec!["/data/inputs/x", "/data/outputs", "$ALGO", "a#b", "--x=~"],
            ),
        ] {
            let expected: Vec<String> = expected.into_iter().map(str::to_owned).collect();
            assert_eq!(arguments(entrypoint, true), Ok(expected), "{entrypoint}");
        }
        assert_eq!(arguments("$ALGO --x", false), Ok(vec!["--x".to_owned()]));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        use EntrypointError::{Algorithm, Before, Quote, Shell, TooMany};
        for (entrypoint, interpreted) in [("python3 $ALGO", false), ("python3 -m x $ALGO", true), ("sh -c $ALGO", true)]
        {
            assert!(matches!(arguments(entrypoint, interpreted), Err(Before(_))), "{entrypoint}");
        }
        for entrypoint in
            ["python3 algorithm.py", "$ALGO $ALGO", "python3 $ALGO/main.py", "python3 x$ALGO", "", "sh -c 'run $ALGO'"]
        {
            assert_eq!(arguments(entrypoint, true), Err(Algorithm), "{entrypoint}");
        }
        for entrypoint in [
            "$ALGO > out",
            "$ALGO; rm x",
            "$ALGO | tee",
            "$ALGO &",
            "$ALGO $(id)",
            "$ALGO `id`",
            "$ALGO \"`id`\"",
            "$ALGO $HOME",
            "$ALGO \"$HOME\"",
            "$ALGO ${ALGO:-x}",
            "$ALGO $",
            "$ALGO *.csv",
            "$ALGO ~/x",
            "$ALGO # comment",
            "$ALGO\nid",
        ] {
            assert!(matches!(arguments(entrypoint, false), Err(Shell(_))), "{entrypoint}");
        }
        for entrypoint in ["$ALGO 'a", "$ALGO \"a", "$ALGO a\\"] {
            assert_eq!(arguments(entrypoint, false), Err(Quote), "{entrypoint}");
        }
        let many = format!("$ALGO{}", " a".repeat(MOST_ARGUMENTS + 1));
        for entrypoint in [many.as_str(), "$ALGO a\0b"] {
            assert_eq!(arguments(entrypoint, false), Err(TooMany));
        }
    }

    #[test]
    fn what_is_quoted_comes_back() {
        for given in [vec![], vec!["--mode", "fast"], vec!["it's", "$ALGO", "a b\"c\\", "", "*"]] {
            let given: Vec<String> = given.into_iter().map(str::to_owned).collect();
            assert_eq!(arguments(&Container::entrypoint_of("$ALGO", &given), false), Ok(given));
        }
    }
}
