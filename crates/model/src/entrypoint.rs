//! What a container's `entrypoint` means in the sandbox: the arguments of the algorithm, and what it reads as its standard input.
//!
//! The sandbox has no shell. An entrypoint is split into words as a shell would do it, and everything that only a shell could
//! do is refused rather than dropped. A variable with the name of a parameter that the algorithm declares stands for the value that a
//! consumer gives. Values are filled in after the text was split, so none becomes a second argument.
//!
//! Of redirections there are two: `< FILE`, a file that the algorithm sees, and `<<< WORD`, a text and the end of its line.

use crate::{
    Container, Did, escape,
    shell::{OPERATOR, Plain, Unsplit, split},
    variables::FOLDERS,
};
use serde_json::Value;
use std::{borrow::Cow, fmt};

/// The most arguments.
pub const MOST_ARGUMENTS: usize = 256;
/// The most bytes in all arguments together.
pub const MOST_ARGUMENT_BYTES: usize = 32 * 1024;

/// The most bytes of a text that is standard input: as many as parameters have.
pub const MOST_INPUT_BYTES: usize = 1024 * 1024;

/// The variable that stands for the folder of the job's first dataset.
const DATASET: &str = "DATASET";
/// Where every file is that standard input may be.
const SEEN: &str = "/data/";
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
    /// Standard input is not a file that the algorithm sees.
    #[error(
        "after `<` it must name one file that the algorithm sees, such as `< $DATASET/0` or `< $INPUTS/algoCustomData.json`"
    )]
    Input,
    /// Standard input is too long, or names a file with a NUL.
    #[error("standard input is a text of {MOST_INPUT_BYTES} bytes at most, or a file whose name has no NUL")]
    LongInput,
}

/// What a program is started with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommandLine {
    /// Its arguments, after its name.
    pub arguments: Vec<String>,
    /// What it reads as its standard input, which is empty otherwise.
    pub stdin: Option<StandardInput>,
}

/// What a program reads as its standard input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StandardInput {
    /// A file that it sees, by its path: below `/data`.
    File(String),
    /// This text.
    Text(String),
}

impl CommandLine {
    /// Whether [`CommandLine::filled`] changes anything.
    #[must_use]
    pub fn has_parameters(&self) -> bool {
        let of_stdin = self.stdin.iter().map(|(StandardInput::File(text) | StandardInput::Text(text))| text);
        self.arguments.iter().chain(of_stdin).any(|text| text.contains('$'))
    }

    /// With parameters in the place of `${NAME}`, as [`fill_arguments`] does it.
    ///
    /// # Errors
    /// [`FillError`].
    pub fn filled(&self, parameters: &Value) -> Result<Self, FillError> {
        let arguments = fill_arguments(&self.arguments, parameters)?;
        let stdin = self.stdin.as_ref().map(|stdin| stdin.filled(parameters)).transpose()?;
        Ok(Self { arguments, stdin })
    }
}

impl fmt::Display for StandardInput {
    /// As an entrypoint says it. What follows the operator is a stranger's text, as it is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "< {path}"),
            Self::Text(text) => write!(f, "<<< {}", text.strip_suffix('\n').unwrap_or(text)),
        }
    }
}

impl StandardInput {
    /// With parameters in the place of `${NAME}`. A text may begin with `-`, because nothing in it is an option.
    ///
    /// # Errors
    /// [`FillError`].
    pub fn filled(&self, parameters: &Value) -> Result<Self, FillError> {
        let fill = |text| fill(text, parameters, true, MOST_INPUT_BYTES, &EntrypointError::LongInput);
        let filled = match self {
            Self::File(path) => Self::File(fill(path)?),
            Self::Text(text) => Self::Text(fill(text)?),
        };
        filled.check()?;
        Ok(filled)
    }

    /// Checks what a program is to read.
    ///
    /// # Errors
    /// [`EntrypointError::Input`] and [`EntrypointError::LongInput`].
    pub fn check(&self) -> Result<(), EntrypointError> {
        match self {
            Self::File(path) if !path.starts_with(SEEN) => Err(EntrypointError::Input),
            Self::File(path) if path.contains('\0') => Err(EntrypointError::LongInput),
            Self::File(text) | Self::Text(text) if text.len() > MOST_INPUT_BYTES => Err(EntrypointError::LongInput),
            Self::File(_) | Self::Text(_) => Ok(()),
        }
    }
}

/// What `$ALGO` is expanded to. No text has it: a NUL cannot be part of an argument.
const ALGORITHM: &str = "\0";
/// What stands before and after the name of a parameter, for the same reason.
const PARAMETER: char = '\u{1}';

/// Why the arguments of a program cannot be filled with a consumer's parameters.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FillError {
    /// A parameter has no value.
    #[error("parameter `{0}` fills the command line of the algorithm: give it a value")]
    Missing(String),
    /// A parameter is a list, an object or null.
    #[error("parameter `{0}` fills the command line of the algorithm: it must be a text, a number, true or false")]
    Kind(String),
    /// A text would be an option.
    #[error("parameter `{0}` fills an argument of the algorithm, so it must not begin with `-`")]
    Option(String),
    /// Too many or too long arguments, or one with a NUL.
    #[error("with the parameters filled in: {0}")]
    Arguments(#[from] EntrypointError),
    /// They were not made by [`Container::command_line`].
    #[error("an argument has a `$` that is neither `$$` nor `${{NAME}}`")]
    Form,
}

/// Puts parameters in the place of `${NAME}` in each argument, and `$` in the place of `$$`. An argument stays one argument, whatever
/// the value is, and a text that begins with `-` is refused at the beginning of an argument: it cannot become an option.
///
/// # Errors
/// [`FillError`].
pub fn fill_arguments(arguments: &[String], parameters: &Value) -> Result<Vec<String>, FillError> {
    let (mut filled, mut left) = (Vec::with_capacity(arguments.len()), MOST_ARGUMENT_BYTES);
    for argument in arguments {
        let argument = fill(argument, parameters, false, left, &EntrypointError::TooMany)?;
        left = left.saturating_sub(argument.len() + 1);
        filled.push(argument);
    }
    check_arguments(&filled)?;
    Ok(filled)
}

/// A text with its parameters filled in. `otherwise` says what is wrong with more than `most` bytes, of which no more are made: a text of
/// few bytes may name a parameter a thousand times.
fn fill(
    argument: &str,
    parameters: &Value,
    may_begin_with_a_dash: bool,
    most: usize,
    otherwise: &EntrypointError,
) -> Result<String, FillError> {
    let mut filled = String::new();
    let add = |filled: &mut String, text: &str| {
        if text.len() > most.saturating_sub(filled.len()) {
            return Err(FillError::Arguments(otherwise.clone()));
        }
        filled.push_str(text);
        Ok(())
    };
    let mut rest = argument;
    while let Some((before, after)) = rest.split_once('$') {
        add(&mut filled, before)?;
        if let Some(left) = after.strip_prefix('$') {
            add(&mut filled, "$")?;
            rest = left;
            continue;
        }
        let named = after.strip_prefix('{').and_then(|after| after.split_once('}'));
        let (name, left) = named.ok_or(FillError::Form)?;
        let shown = || escape(name.as_bytes(), 64).to_string();
        match parameters.get(name) {
            None => return Err(FillError::Missing(shown())),
            Some(Value::String(text)) if filled.is_empty() && text.starts_with('-') && !may_begin_with_a_dash => {
                return Err(FillError::Option(shown()));
            }
            Some(Value::String(text)) => add(&mut filled, text)?,
            Some(value @ (Value::Number(_) | Value::Bool(_))) => add(&mut filled, &value.to_string())?,
            Some(_) => return Err(FillError::Kind(shown())),
        }
        rest = left;
    }
    add(&mut filled, rest)?;
    Ok(filled)
}

impl Container {
    /// What the program is started with, for [`CommandLine::filled`]: a parameter is `${NAME}`, and `$` is `$$`.
    /// `interpreted`: the image is an interpreter, whose name comes before `$ALGO`. `dataset` is the first one of the job, for `$DATASET`.
    /// `is_parameter` says whether a name is that of a parameter that the algorithm declares.
    ///
    /// # Errors
    /// If the entrypoint says something that the sandbox does not do.
    pub fn command_line(
        &self,
        interpreted: bool,
        dataset: Option<&Did>,
        is_parameter: impl Fn(&str) -> bool,
    ) -> Result<CommandLine, EntrypointError> {
        if self.entrypoint.contains(['\0', PARAMETER, OPERATOR]) {
            return Err(EntrypointError::TooMany);
        }
        let dataset = dataset.map(|did| format!("/data/inputs/{}", did.id()));
        let words = words(&self.entrypoint, dataset.as_deref(), &is_parameter)?;
        let mut places = words.iter().enumerate().filter(|(_, word)| word.contains(ALGORITHM)).map(|(place, _)| place);
        let place = places.next().filter(|place| words[*place] == ALGORITHM).ok_or(EntrypointError::Algorithm)?;
        if places.next().is_some() {
            return Err(EntrypointError::Algorithm);
        }
        let options = words[..place].iter().skip(usize::from(interpreted));
        if let Some(word) = options.clone().find(|word| !(interpreted && PLAIN_OPTIONS.contains(&word.as_str()))) {
            return Err(EntrypointError::Before(quoted(word.trim_start_matches(OPERATOR))));
        }
        let mut line = CommandLine::default();
        let mut rest = words[place + 1..].iter();
        while let Some(word) = rest.next() {
            let Some(operator) = word.strip_prefix(OPERATOR) else {
                line.arguments.push(for_filling(word));
                continue;
            };
            let after = rest.next().filter(|word| !word.starts_with(OPERATOR)).ok_or(EntrypointError::Input)?;
            let stdin = match operator {
                "<" => StandardInput::File(for_filling(after)),
                // As in a shell, the text is a line.
                "<<<" => StandardInput::Text(format!("{}\n", for_filling(after))),
                other => return Err(EntrypointError::Shell(quoted(other))),
            };
            stdin.check()?;
            if line.stdin.replace(stdin).is_some() {
                return Err(EntrypointError::Shell(quoted(&format!("a second {operator}"))));
            }
        }
        check_arguments(&line.arguments)?;
        Ok(line)
    }

    /// An entrypoint that gives these arguments: `command` is what comes before them.
    #[must_use]
    pub fn entrypoint_of(command: &str, arguments: &[String]) -> String {
        let quote = |argument: &String| format!(" '{}'", argument.replace('\'', r"'\''"));
        format!("{command}{}", arguments.iter().map(quote).collect::<String>())
    }

    /// The end of an entrypoint that makes a file standard input. Variables in its path are put in.
    #[must_use]
    pub fn reading(path: &str) -> String {
        let escaped: String = path
            .chars()
            .flat_map(|letter| matches!(letter, '"' | '\\' | '`').then_some('\\').into_iter().chain([letter]))
            .collect();
        format!(" < \"{escaped}\"")
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

/// A word in the form that [`fill_arguments`] takes.
fn for_filling(word: &str) -> String {
    let parts = word.split(PARAMETER).enumerate();
    parts.map(|(number, part)| if number % 2 == 0 { part.replace('$', "$$") } else { format!("${{{part}}}") }).collect()
}

/// Splits a text into words as a shell does: at blanks, with quotes, backslashes and the variables that have a meaning here.
fn words(
    text: &str,
    dataset: Option<&str>,
    is_parameter: &impl Fn(&str) -> bool,
) -> Result<Vec<String>, EntrypointError> {
    let plain = |letter, begins| match letter {
        ' ' | '\t' => Plain::Blank,
        '<' => Plain::Operator,
        '|' | '&' | ';' | '>' | '(' | ')' | '*' | '?' | '[' | '{' | '\n' | '\r' => Plain::Shell,
        '~' | '#' | '!' if begins => Plain::Shell,
        _ => Plain::Itself,
    };
    split(text, plain, |after| variable(after, dataset, is_parameter)).map_err(|error| match error {
        Unsplit::Unfinished => EntrypointError::Quote,
        Unsplit::Shell(what) => EntrypointError::Shell(quoted(&what)),
    })
}

/// What `$NAME` or `${NAME}` stands for, from what follows the `$`.
fn variable<'a>(
    after: &'a str,
    dataset: Option<&str>,
    is_parameter: &impl Fn(&str) -> bool,
) -> Result<(Cow<'static, str>, &'a str), String> {
    let (braced, after) = after.strip_prefix('{').map_or((false, after), |after| (true, after));
    let end = after.find(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_')).unwrap_or(after.len());
    let (name, left) = after.split_at(end);
    let unknown = || format!("${name}");
    let left = if braced { left.strip_prefix('}').ok_or_else(unknown)? } else { left };
    if name == "ALGO" {
        return Ok((ALGORITHM.into(), left));
    }
    if let (DATASET, Some(folder)) = (name, dataset) {
        return Ok((folder.to_owned().into(), left));
    }
    match FOLDERS.iter().find(|(known, _)| *known == name) {
        Some((_, value)) => Ok(((*value).into(), left)),
        None if name == DATASET => Err(unknown()),
        None if !name.is_empty() && is_parameter(name) => Ok((format!("{PARAMETER}{name}{PARAMETER}").into(), left)),
        None => Err(unknown()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(entrypoint: &str, interpreted: bool) -> Result<Vec<String>, EntrypointError> {
        let (image, entrypoint) = ("python".to_owned(), entrypoint.to_owned());
        let container = Container { image, tag: None, entrypoint, checksum: None };
        let line = container.command_line(interpreted, None, |_| false)?;
        assert_eq!(line.stdin, None, "{line:?}");
        Ok(fill_arguments(&line.arguments, &Value::Null).expect("no parameters"))
    }

    #[test]
    fn parameters_fill_arguments_and_never_become_others() {
        let (image, entrypoint) =
            ("python".to_owned(), "python3 $ALGO --mode=$mode \"$note\" '$mode' ${n}% $x".to_owned());
        let container = Container { image, tag: None, entrypoint, checksum: None };
        let declared = |name: &str| ["mode", "note", "n", "x"].contains(&name);
        let arguments = container.command_line(true, None, declared).expect("arguments").arguments;
        let given =
            serde_json::json!({"mode": "-a b; $(id) ${n}", "note": "two words\n\"*", "n": -1.5, "x": true, "more": []});
        let filled = fill_arguments(&arguments, &given).expect("filled");
        assert_eq!(filled, ["--mode=-a b; $(id) ${n}", "two words\n\"*", "$mode", "-1.5%", "true"]);
        // Only what is declared: a variable of a shell is not.
        assert!(matches!(container.command_line(true, None, |name| name != "x"), Err(EntrypointError::Shell(_))));

        let one = |entrypoint: &str, parameters: Value| {
            let container = Container { entrypoint: entrypoint.to_owned(), ..container.clone() };
            fill_arguments(&container.command_line(true, None, declared).expect("arguments").arguments, &parameters)
        };
        let option = FillError::Option("note".to_owned());
        assert_eq!(one("python3 $ALGO $note", serde_json::json!({"note": "--delete"})), Err(option.clone()));
        assert_eq!(one("python3 $ALGO ''$note", serde_json::json!({"note": "-"})), Err(option));
        assert_eq!(one("python3 $ALGO $n", serde_json::json!({"n": -2})), Ok(vec!["-2".to_owned()]));
        for value in [Value::Null, serde_json::json!([1]), serde_json::json!({})] {
            let kind = FillError::Kind("note".to_owned());
            assert_eq!(one("python3 $ALGO $note", serde_json::json!({"note": value})), Err(kind));
        }
        assert_eq!(one("python3 $ALGO $note", Value::Null), Err(FillError::Missing("note".to_owned())));
        for text in ["a\0b".to_owned(), "a".repeat(MOST_ARGUMENT_BYTES)] {
            let found = one("python3 $ALGO $note", serde_json::json!({"note": text}));
            assert_eq!(found, Err(FillError::Arguments(EntrypointError::TooMany)));
        }
        for form in ["$", "$x", "${x", "a$b"] {
            assert_eq!(fill_arguments(&[form.to_owned()], &given), Err(FillError::Form), "{form}");
        }
        assert!(matches!(one_marked(), Err(EntrypointError::TooMany)));
    }

    /// A text with the character that marks a parameter cannot name one.
    fn one_marked() -> Result<CommandLine, EntrypointError> {
        let (image, entrypoint) = ("python".to_owned(), "python3 $ALGO \u{1}secret\u{1}".to_owned());
        Container { image, tag: None, entrypoint, checksum: None }.command_line(true, None, |_| false)
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
            "$ALGO << end",
            "$ALGO <<<< text",
            "$ALGO x<$INPUTS/d/0",
            "$ALGO 3< $INPUTS/d/0",
            "$ALGO < $INPUTS/d/0 < $INPUTS/d/1",
            "$ALGO <(id)",
            "$ALGO < $DATASET/0",
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
    fn standard_input_is_a_file_that_the_algorithm_sees_or_a_text() {
        let line = |entrypoint: &str| {
            let (image, entrypoint) = ("python".to_owned(), entrypoint.to_owned());
            let did: Did = "did:op:1a".parse().expect("a DID");
            Container { image, tag: None, entrypoint, checksum: None }
                .command_line(false, Some(&did), |name| name == "p")
        };
        let parameters = serde_json::json!({"p": "-x $(id)\n< y"});
        for (entrypoint, arguments, stdin) in [
            (
                "$ALGO < $INPUTS/algoCustomData.json",
                vec![],
                StandardInput::File("/data/inputs/algoCustomData.json".into()),
            ),
            ("$ALGO -a <$DATASET/0 b", vec!["-a", "b"], StandardInput::File("/data/inputs/1a/0".into())),
            (
                "$ALGO $DATASET/0 < '/data/inputs/a b'",
                vec!["/data/inputs/1a/0"],
                StandardInput::File("/data/inputs/a b".into()),
            ),
            ("$ALGO <<< $p", vec![], StandardInput::Text("-x $(id)\n< y\n".into())),
            ("$ALGO <<< 'a $p'", vec![], StandardInput::Text("a $p\n".into())),
            ("$ALGO '<' \\<", vec!["<", "<"], StandardInput::Text(String::new())),
        ] {
            let line = line(entrypoint).expect("understood").filled(&parameters).expect("filled");
            assert_eq!(line.arguments, arguments, "{entrypoint}");
            let expected = (stdin != StandardInput::Text(String::new())).then_some(stdin);
            assert_eq!(line.stdin, expected, "{entrypoint}");
        }
        for entrypoint in
            ["$ALGO <", "$ALGO < ''", "$ALGO < x", "$ALGO < /etc/passwd", "$ALGO < $p", "$ALGO < /data", "$ALGO < <"]
        {
            assert_eq!(line(entrypoint), Err(EntrypointError::Input), "{entrypoint}");
        }
        assert!(matches!(line("< $DATASET/0 $ALGO"), Err(EntrypointError::Before(_))));
        assert_eq!(line("$ALGO a\u{2}<"), Err(EntrypointError::TooMany));
        let long = serde_json::json!({"p": "a".repeat(MOST_INPUT_BYTES)});
        let found = line("$ALGO <<< $p").expect("understood").filled(&long);
        assert_eq!(found, Err(FillError::Arguments(EntrypointError::LongInput)));
        // However often a parameter is named, no more than the limit is ever in memory: all of these would be 100 GB.
        let many = "${p}".repeat(100_000);
        let found = StandardInput::Text(many.clone()).filled(&long);
        assert_eq!(found, Err(FillError::Arguments(EntrypointError::LongInput)));
        let found = fill_arguments(&[many], &long);
        assert_eq!(found, Err(FillError::Arguments(EntrypointError::TooMany)));
        for path in ["$DATASET/0", "/data/inputs/a \"b` \\c"] {
            let line = line(&format!("$ALGO{}", Container::reading(path))).expect("understood");
            let expected = path.replace("$DATASET", "/data/inputs/1a");
            assert_eq!(line.stdin, Some(StandardInput::File(expected)), "{path}");
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
