use super::{
    follow::{self, Show},
    request::{JobOptions, Program, complete, submit},
};
use crate::{
    asset::Named,
    client::{Client, show_rules},
    context::Context,
    exit::{DENIED, Ended, Usage},
    input::read_document,
    output::{Format, note, print_document, print_line},
};
use cloister_model::escape;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// Characters of the name of an interpreter.
const MOST_NAME: usize = 100;

/// Submit a job
///
/// Describe the job in a file (-f), by flags, or both; flags take precedence. The file is the body of `POST /v1/jobs` as
/// YAML or JSON: `datasets`, `algorithm` and `parameters` at the top level, without `kind` and `spec`. Datasets and
/// algorithms may be named as on the command line, and `algorithm` may be `{file: ./program.wasm}`, with `image` for a
/// script and `requirements` for its packages.
///
/// Without --wait or --follow, the command prints the job's id and ends as soon as the job is accepted.
#[derive(Debug, clap::Args)]
pub(crate) struct Submit {
    /// File that describes the job; `-` is standard input
    #[arg(short = 'f', long = "job", value_name = "FILE")]
    job: Option<PathBuf>,
    /// A published algorithm: its name, OWNER/NAME, or DID
    #[arg(short, long, value_name = "ALGORITHM", conflicts_with = "file")]
    algorithm: Option<Named>,
    /// An algorithm in a file: a WebAssembly program, a script, a notebook, or a folder with `main.py`, `package.json` or `index.js` in it
    #[arg(long, visible_alias = "dir", value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    options: JobOptions,
    /// Check whether the job would be allowed, and if not, which rules refuse it. Submits nothing
    #[arg(long, conflicts_with_all = ["wait", "follow"])]
    dry_run: bool,
    /// Wait until the job has ended. The exit code is 0 only if it finished
    #[arg(short, long)]
    wait: bool,
    /// Like --wait, and print phases and the algorithm's log meanwhile
    #[arg(long, conflicts_with = "wait")]
    follow: bool,
}

impl Submit {
    pub(super) async fn execute(self, context: &Context) -> anyhow::Result<()> {
        let body = self.body()?;
        let client = context.client()?;
        let body = complete(&client, body, folder(self.job.as_deref())).await?;
        if self.dry_run {
            return explain(context, &client, &body).await;
        }
        let (id, answer) = submit(&client, &self.options, &body).await?;
        drop(body);
        if self.wait || self.follow {
            note(&format!("job {id}"));
            let show = if self.follow { Show::Everything } else { Show::Line };
            let ended = follow::follow(&client, &id.to_string(), show).await?;
            if context.format == Format::Table && self.wait {
                print_line(&id.to_string())?;
            }
            return follow::conclude(context, &ended);
        }
        if context.format != Format::Table {
            return Ok(print_document(context.format, &answer)?);
        }
        Ok(print_line(&id.to_string())?)
    }

    /// The request before the service is asked: names are not resolved yet, and files not uploaded.
    fn body(&self) -> anyhow::Result<Map<String, Value>> {
        let written = match &self.job {
            Some(file) => match read_document(file)? {
                Value::Object(body) if body.contains_key("kind") || body.contains_key("spec") => {
                    return Err(Usage::error(format!(
                        "`{}`: a job has the fields `datasets`, `algorithm` and `parameters` at the top level, and no `kind` \
                         or `spec`",
                        file.display()
                    )));
                }
                Value::Object(body) => body,
                _ => return Err(Usage::error(format!("`{}`: expected an object", file.display()))),
            },
            None => Map::new(),
        };
        let program = match (&self.algorithm, &self.file) {
            (_, Some(file)) => Some(Program::File(file)),
            (Some(algorithm), None) => Some(Program::Published(algorithm)),
            (None, None) => None,
        };
        let body = self.options.body(written, program)?;
        for (name, flag) in [("datasets", "--dataset"), ("algorithm", "--algorithm or --file")] {
            if !body.contains_key(name) {
                return Err(Usage::error(format!("the job has no `{name}`: use {flag}, or add it to the file of -f")));
            }
        }
        Ok(body)
    }
}

fn folder(job: Option<&Path>) -> &Path {
    job.filter(|file| *file != Path::new("-")).and_then(Path::parent).unwrap_or(Path::new(""))
}

async fn explain(context: &Context, client: &Client, body: &Value) -> anyhow::Result<()> {
    let answer = client.post(&["v1", "explain"], body).await?.body;
    if context.format != Format::Table {
        print_document(context.format, &answer)?;
    }
    let allowed = answer["allowed"] == true;
    if allowed {
        note("the job would be allowed");
        if answer.pointer("/terms/releaseRules/review") == Some(&Value::Bool(true)) {
            note("its outputs wait for a review; those who decide see its parameters until then");
        }
        return Ok(());
    }
    Err(Ended::error(DENIED, denied(&answer)))
}

/// Why a job would be denied: the interpreter that is missing, if the service names one, and every rule. Escaped.
fn denied(answer: &Value) -> String {
    let missing = answer["missingInterpreter"].as_str().map(|name| {
        format!(", because the interpreter `{}` is not installed at the service", escape(name.as_bytes(), MOST_NAME))
    });
    let rules: Vec<_> = show_rules(answer.get("rules")).iter().map(|rule| format!("\n  - {rule}")).collect();
    format!("the job would be denied{}{}", missing.unwrap_or_default(), rules.concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;
    use serde_json::json;

    #[derive(Debug, clap::Parser)]
    struct Line {
        #[command(flatten)]
        submit: Submit,
    }

    fn body(arguments: &[&str]) -> anyhow::Result<Value> {
        let line = Line::try_parse_from([&["submit"], arguments].concat())?;
        Ok(Value::Object(line.submit.body()?))
    }

    #[test]
    fn flags_become_a_request() {
        let arguments = [
            "-d",
            "alice/penguins",
            "-d",
            "did:op:abc",
            "-a",
            "stats",
            "-p",
            "groupBy=species",
            "-p",
            "n=10",
            "-p",
            "list=[1]",
            "--memory",
            "1MiB",
            "--time",
            "2s",
            "--register",
            "r",
            "--encrypt-to",
            "age1x",
            "--label",
            "third try",
        ];
        assert_eq!(
            body(&arguments).expect("a request"),
            json!({"datasets": ["alice/penguins", "did:op:abc"], "algorithm": "stats",
                "parameters": {"groupBy": "species", "n": 10, "list": [1]},
                "limits": {"memoryBytes": 1_048_576, "wallMs": 2000}, "register": {"name": "r"}, "encryptTo": "age1x",
                "label": "third try"})
        );
    }

    #[test]
    fn flags_take_precedence_over_the_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let (job, params) = (folder.path().join("job.yaml"), folder.path().join("p.yaml"));
        std::fs::write(&job, "datasets: [a]\nalgorithm: {did: b, service: s}\nparameters: {x: 1, y: 1, z: 1}\n")
            .expect("written");
        std::fs::write(&params, "y: 2\nz: 2\n").expect("written");
        let paths = [job.to_str().expect("text"), params.to_str().expect("text")];
        let body = body(&["-f", paths[0], "--params", paths[1], "-p", "z=3", "-d", "c"]).expect("a request");
        assert_eq!(
            body,
            json!({"datasets": ["c"], "algorithm": {"did": "b", "service": "s"}, "parameters": {"x": 1, "y": 2, "z": 3}})
        );
    }

    #[test]
    fn a_file_in_the_form_of_a_manifest_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let job = folder.path().join("job.yaml");
        std::fs::write(&job, "kind: Job\nspec: {datasets: [a], algorithm: b}\n").expect("written");
        let error = body(&["-f", job.to_str().expect("text")]).expect_err("not a job").to_string();
        assert!(error.contains("top level"), "{error}");
    }

    #[test]
    fn a_missing_interpreter_is_named() {
        let mut answer = json!({"allowed": false, "rules": [
            {"rule": "environment-interpreter", "subject": null, "text": "it is not installed", "advice": "install it"}]});
        let rules = "\n  - environment-interpreter: it is not installed; install it";
        // An older service names none.
        assert_eq!(denied(&answer), format!("the job would be denied{rules}"));
        answer["missingInterpreter"] = json!("python");
        let because = ", because the interpreter `python` is not installed at the service";
        assert_eq!(denied(&answer), format!("the job would be denied{because}{rules}"));
        answer["missingInterpreter"] = json!("\u{1b}[31m");
        assert!(!denied(&answer).contains('\u{1b}'));
    }

    #[test]
    fn missing_and_contradictory_arguments_are_refused() {
        for arguments in [
            &[][..],
            &["-d", "a"],
            &["-a", "b"],
            &["-d", "a", "-a", "b", "--file", "c"],
            &["-d", "a", "-a", "b", "-p", "x"],
            &["-d", "a", "-a", "b", "--image", "python"],
            &["-d", "A B", "-a", "b"],
        ] {
            assert!(body(arguments).is_err(), "{arguments:?}");
        }
    }
}
