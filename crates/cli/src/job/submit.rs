use super::follow::{self, Show};
use crate::{
    asset::{Named, find},
    client::{Client, Job, read, show_rules},
    config::{Size, Span},
    context::Context,
    exit::{DENIED, Ended, Usage},
    input::{read_document, upload},
    output::{Format, note, print_document, print_line, shown},
};
use cloister_model::{AssetKind, AssetName, Container};
use reqwest::Method;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// Submit a job
///
/// Describe the job in a file (-f), by flags, or both; flags take precedence. The file is the body of `POST /v1/jobs` as
/// YAML or JSON: `datasets`, `algorithm` and `parameters` at the top level, without `kind` and `spec`. Datasets and
/// algorithms may be named as on the command line, and `algorithm` may be `{file: ./program.wasm}`, with `image` for a
/// script.
///
/// Without --wait or --follow, the command prints the job's id and ends as soon as the job is accepted.
#[derive(Debug, clap::Args)]
pub(crate) struct Submit {
    /// File that describes the job; `-` is standard input
    #[arg(short = 'f', long = "job", value_name = "FILE")]
    job: Option<PathBuf>,
    /// A dataset: its name, OWNER/NAME, or DID. Can be repeated
    #[arg(short, long = "dataset", value_name = "DATASET")]
    datasets: Vec<Named>,
    /// A published algorithm: its name, OWNER/NAME, or DID
    #[arg(short, long, value_name = "ALGORITHM", conflicts_with = "file")]
    algorithm: Option<Named>,
    /// An algorithm in a file: a WebAssembly program, a script, or a folder with `__main__.py` or `main.py` in it
    #[arg(long, visible_alias = "dir", value_name = "FILE")]
    file: Option<PathBuf>,
    /// The image that runs the script [default: `python` for *.py, *.pyz and folders]
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    /// A parameter. The value is parsed as JSON; if that fails, it is a string. Can be repeated
    #[arg(short, long = "param", value_name = "NAME=VALUE")]
    params: Vec<String>,
    /// File with parameters: a YAML or JSON object
    #[arg(long = "params", value_name = "FILE")]
    params_file: Option<PathBuf>,
    /// The environment to run in
    #[arg(long)]
    environment: Option<String>,
    /// `deterministic` or `standard`
    #[arg(long)]
    profile: Option<String>,
    /// Memory limit of the algorithm, such as `512MiB`
    #[arg(long, value_name = "SIZE", value_parser = size)]
    memory: Option<Size>,
    /// Time limit of the algorithm, such as `10m`
    #[arg(long, value_name = "DURATION", value_parser = span)]
    time: Option<Span>,
    /// Encrypt the results to this age recipient
    #[arg(long, value_name = "age1...")]
    encrypt_to: Option<String>,
    /// Publish the results as your dataset with this name
    #[arg(long, value_name = "NAME")]
    register: Option<AssetName>,
    /// Submitting again with the same key returns the first job instead of creating another
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// Check whether the job would be allowed, and if not, which rules refuse it. Submits nothing
    #[arg(long, conflicts_with_all = ["wait", "follow"])]
    dry_run: bool,
    /// Wait until the job has ended. The exit code is 0 only if it finished
    #[arg(short, long)]
    wait: bool,
    /// Like --wait, and print phases and the algorithm's log meanwhile
    #[arg(long, conflicts_with = "wait")]
    follow: bool,
    /// The arguments of the algorithm in --file, after `--`. A published algorithm declares its own
    #[arg(last = true, value_name = "ARG", requires = "file")]
    arguments: Vec<String>,
}

fn size(text: &str) -> Result<Size, String> {
    text.parse().map_err(|()| "expected a size such as `512MiB`".to_owned())
}

fn span(text: &str) -> Result<Span, String> {
    text.parse().map_err(|()| "expected a duration such as `10m`".to_owned())
}

impl Submit {
    pub(super) async fn execute(mut self, context: &Context) -> anyhow::Result<()> {
        let body = self.body()?;
        let client = context.client()?;
        let mut body = complete(&client, body, folder(self.job.as_deref())).await?;
        if self.dry_run {
            return explain(context, &client, &body).await;
        }
        let key = self.idempotency_key.take();
        let header = key.as_deref().map(|key| ("idempotency-key", key));
        let answer = client.send_json(Method::POST, &["v1", "jobs"], header, &body.take()).await?.body;
        let id = read::<Job>(&answer)?.id;
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
        let mut body = match &self.job {
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
        if !self.datasets.is_empty() {
            body.insert(
                "datasets".to_owned(),
                self.datasets.iter().map(|named| Value::from(named.to_string())).collect(),
            );
        }
        if let Some(algorithm) = &self.algorithm {
            body.insert("algorithm".to_owned(), algorithm.to_string().into());
        }
        if self.image.is_some() && self.file.is_none() {
            return Err(Usage::error("--image needs --file: a published algorithm names its image itself"));
        }
        if let Some(file) = &self.file {
            // Relative to the current folder, not to the file of -f.
            let file =
                std::path::absolute(file).map_err(|error| Usage::error(format!("`{}`: {error}", file.display())))?;
            let mut algorithm = json!({"file": file.to_string_lossy()});
            if let Some(image) = &self.image {
                algorithm["image"] = image.as_str().into();
            }
            if !self.arguments.is_empty() {
                algorithm["arguments"] = self.arguments.clone().into();
            }
            body.insert("algorithm".to_owned(), algorithm);
        }
        let parameters = self.parameters(body.remove("parameters"))?;
        if let Some(parameters) = parameters {
            body.insert("parameters".to_owned(), parameters.into());
        }
        for (name, value) in [
            ("environment", self.environment.clone()),
            ("profile", self.profile.clone()),
            ("encryptTo", self.encrypt_to.clone()),
        ] {
            if let Some(value) = value {
                body.insert(name.to_owned(), value.into());
            }
        }
        if let Some(name) = &self.register {
            body.insert("register".to_owned(), json!({"name": name.as_str()}));
        }
        for (name, value) in [("memoryBytes", self.memory.map(|size| size.0)), ("wallMs", self.time.map(Span::ms))] {
            if let Some(value) = value {
                let limits = body.entry("limits").or_insert_with(|| json!({}));
                if !limits.is_object() {
                    return Err(Usage::error("`limits` must be an object"));
                }
                limits[name] = value.into();
            }
        }
        for (name, flag) in [("datasets", "--dataset"), ("algorithm", "--algorithm or --file")] {
            if !body.contains_key(name) {
                return Err(Usage::error(format!("the job has no `{name}`: use {flag}, or add it to the file of -f")));
            }
        }
        Ok(body)
    }

    fn parameters(&self, written: Option<Value>) -> anyhow::Result<Option<Map<String, Value>>> {
        let object = |value, place: &str| match value {
            Value::Object(object) => Ok(object),
            _ => Err(Usage::error(format!("parameters in {place}: expected an object"))),
        };
        let mut parameters = written.map(|value| object(value, "the job")).transpose()?;
        if let Some(file) = &self.params_file {
            let more = object(read_document(file)?, &format!("`{}`", file.display()))?;
            parameters.get_or_insert_default().extend(more);
        }
        for pair in &self.params {
            let Some((name, value)) = pair.split_once('=').filter(|(name, _)| !name.is_empty()) else {
                return Err(Usage::error(format!("--param `{}`: write it as NAME=VALUE", shown(pair))));
            };
            let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
            parameters.get_or_insert_default().insert(name.to_owned(), value);
        }
        Ok(parameters)
    }
}

fn folder(job: Option<&Path>) -> &Path {
    job.filter(|file| *file != Path::new("-")).and_then(Path::parent).unwrap_or(Path::new(""))
}

/// Replaces names by DIDs, and uploads the algorithm's file.
async fn complete(client: &Client, mut body: Map<String, Value>, folder: &Path) -> anyhow::Result<Value> {
    if let Some(datasets) = body.get_mut("datasets") {
        for dataset in datasets.as_array_mut().ok_or_else(|| Usage::error("`datasets` must be a list"))? {
            name_did(client, AssetKind::Dataset, dataset).await?;
        }
    }
    if let Some(algorithm) = body.get_mut("algorithm") {
        if let Some(file) = algorithm.get("file") {
            let file = file.as_str().ok_or_else(|| Usage::error("`algorithm.file` must be a path"))?;
            let image = match algorithm.get("image") {
                None => None,
                Some(image) => {
                    Some(image.as_str().ok_or_else(|| Usage::error("`algorithm.image` must be a string"))?.to_owned())
                }
            };
            let arguments = match algorithm.get("arguments") {
                None => Vec::new(),
                Some(arguments) => serde_json::from_value(arguments.clone())
                    .map_err(|_| Usage::error("`algorithm.arguments` must be a list of strings"))?,
            };
            *algorithm = send(client, &folder.join(file), image, &arguments).await?;
        } else if algorithm.get("rawcode").is_none() && algorithm.get("upload").is_none() {
            name_did(client, AssetKind::Algorithm, algorithm).await?;
        }
    }
    Ok(Value::Object(body))
}

/// Replaces the name of an asset by its DID: a string, or the `did` of an object.
async fn name_did(client: &Client, kind: AssetKind, value: &mut Value) -> anyhow::Result<()> {
    let bare = value.is_string();
    let place = if bare { Some(&mut *value) } else { value.get_mut("did") };
    let Some(place) = place else { return Err(Usage::error("an asset must be a name, or an object with a `did`")) };
    let written = place.as_str().ok_or_else(|| Usage::error("an asset's `did` must be a string"))?;
    let named: Named = written.parse().map_err(|error| Usage::error(format!("`{}`: {error}", shown(written))))?;
    let did = find(client, kind, &named).await?;
    *place = Value::from(did);
    if bare && kind == AssetKind::Algorithm {
        *value = json!({"did": value});
    }
    Ok(())
}

/// Uploads an algorithm's file. Returns how the job names it.
async fn send(client: &Client, path: &Path, image: Option<String>, arguments: &[String]) -> anyhow::Result<Value> {
    let measured = upload(client, path).await?;
    let container = container(path, measured.head, image, arguments)?;
    let mut algorithm = json!({"upload": measured.sha256.to_string()});
    if let Some(container) = container {
        algorithm["container"] = container;
    }
    Ok(algorithm)
}

/// The container section for a file; none for a WebAssembly program without arguments.
fn container(path: &Path, head: [u8; 4], image: Option<String>, arguments: &[String]) -> anyhow::Result<Option<Value>> {
    let named = |name: &str| path.extension().is_some_and(|extension| extension == name);
    let wasm = || (!arguments.is_empty()).then(|| "wasm".to_owned());
    let image = match image {
        Some(image) if image == "wasm" => wasm(),
        Some(image) => Some(image),
        None if &head == b"\0asm" => wasm(),
        None if named("py") || named("pyz") || path.is_dir() => Some("python".to_owned()),
        None => {
            let text = format!(
                "`{}` is neither WebAssembly nor *.py nor a folder: name the image that runs it with --image",
                path.display()
            );
            return Err(Usage::error(text));
        }
    };
    Ok(image.map(|image| {
        let command = if image == "python" { "python3 $ALGO" } else { "$ALGO" };
        json!({"image": image, "entrypoint": Container::entrypoint_of(command, arguments)})
    }))
}

async fn explain(context: &Context, client: &Client, body: &Value) -> anyhow::Result<()> {
    let answer = client.post(&["v1", "explain"], body).await?.body;
    if context.format != Format::Table {
        print_document(context.format, &answer)?;
    }
    let allowed = answer["allowed"] == true;
    if allowed {
        note("the job would be allowed");
        return Ok(());
    }
    let rules: Vec<_> = show_rules(answer.get("rules")).iter().map(|rule| format!("\n  - {rule}")).collect();
    Err(Ended::error(DENIED, format!("the job would be denied{}", rules.concat())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

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
        ];
        assert_eq!(
            body(&arguments).expect("a request"),
            json!({"datasets": ["alice/penguins", "did:op:abc"], "algorithm": "stats",
                "parameters": {"groupBy": "species", "n": 10, "list": [1]},
                "limits": {"memoryBytes": 1_048_576, "wallMs": 2000}, "register": {"name": "r"}, "encryptTo": "age1x"})
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

    #[test]
    fn content_or_name_of_a_file_decide_what_runs_it() {
        let (wasm, script) = (*b"\0asm", *b"impo");
        let image =
            |path: &str, head, image: Option<&str>| container(Path::new(path), head, image.map(str::to_owned), &[]);
        assert_eq!(image("a.py", wasm, None).expect("known"), None);
        assert_eq!(image("a.py", script, Some("wasm")).expect("known"), None);
        let python = json!({"image": "python", "entrypoint": "python3 $ALGO"});
        assert_eq!(image("a.py", script, None).expect("known"), Some(python.clone()));
        assert_eq!(image("a", script, Some("python")).expect("known"), Some(python));
        assert!(image("a.sh", script, None).is_err());
        let arguments = ["--mode".to_owned(), "fast and good".to_owned()];
        let with = |head| container(Path::new("a.py"), head, None, &arguments).expect("known").expect("a container");
        assert_eq!(with(wasm), json!({"image": "wasm", "entrypoint": "$ALGO '--mode' 'fast and good'"}));
        assert_eq!(with(script)["entrypoint"], "python3 $ALGO '--mode' 'fast and good'");
    }
}
