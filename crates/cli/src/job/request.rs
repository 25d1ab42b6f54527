//! What a job is given on the command line, however it is submitted: `job submit` and `run`.

use crate::{
    asset::{Named, find},
    client::{Client, Job, read},
    config::{Size, Span},
    exit::Usage,
    folder::{Language, ToSend},
    input::{read_document, upload},
    output::shown,
};
use cloister_model::{AssetKind, AssetName, Container, JobId};
use reqwest::Method;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// The data of a job, its parameters and its limits.
#[derive(Debug, clap::Args)]
pub(super) struct JobOptions {
    /// A dataset: its name, OWNER/NAME, or DID. Can be repeated
    #[arg(short, long = "dataset", value_name = "DATASET")]
    datasets: Vec<Named>,
    /// Packages of pure Python to send along with a script, notebook or folder: `NAME==VERSION` on each line. pip fetches them on this
    /// machine
    #[arg(long, value_name = "FILE")]
    requirements: Option<PathBuf>,
    /// The image that runs the script [default: `python` for *.py, *.ipynb and *.pyz, `node` for *.js, *.mjs and *.cjs, and either of them for folders]
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
    /// What you call the job, at most 100 characters; `job list` and `job show` show it. The publishers of its datasets
    /// see it, too
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,
    /// Submitting again with the same key returns the first job instead of creating another
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// What an algorithm in a file reads as its standard input: a file that it sees, such as '$DATASET/0', the first file of the first
    /// dataset [default: nothing]. A published algorithm declares its own
    #[arg(long, value_name = "PATH")]
    stdin: Option<String>,
    /// The arguments of an algorithm in a file, after `--`. A published algorithm declares its own
    #[arg(last = true, value_name = "ARG")]
    arguments: Vec<String>,
}

/// What a job runs, as typed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Program<'a> {
    /// A published algorithm.
    Published(&'a Named),
    /// A program, a script or a folder on this machine.
    File(&'a Path),
}

fn size(text: &str) -> Result<Size, String> {
    text.parse().map_err(|()| "expected a size such as `512MiB`".to_owned())
}

fn span(text: &str) -> Result<Span, String> {
    text.parse().map_err(|()| "expected a duration such as `10m`".to_owned())
}

impl JobOptions {
    /// The request before the service is asked: names are not resolved yet, and files not uploaded. `body` is what a file
    /// says of the job; what was typed takes precedence.
    pub(super) fn body(
        &self,
        mut body: Map<String, Value>,
        program: Option<Program<'_>>,
    ) -> anyhow::Result<Map<String, Value>> {
        if !self.datasets.is_empty() {
            body.insert(
                "datasets".to_owned(),
                self.datasets.iter().map(|named| Value::from(named.to_string())).collect(),
            );
        }
        match program {
            Some(Program::File(file)) => {
                body.insert("algorithm".to_owned(), self.file(file)?);
            }
            _ if self.image.is_some() => {
                return Err(Usage::error("--image needs a file: a published algorithm names its image itself"));
            }
            _ if self.requirements.is_some() => {
                return Err(Usage::error(
                    "--requirements needs a file: a published algorithm has its packages in its files",
                ));
            }
            _ if !self.arguments.is_empty() => {
                return Err(Usage::error("arguments after `--` need a file: a published algorithm declares its own"));
            }
            _ if self.stdin.is_some() => {
                return Err(Usage::error("--stdin needs a file: a published algorithm declares its own"));
            }
            Some(Program::Published(algorithm)) => {
                body.insert("algorithm".to_owned(), algorithm.to_string().into());
            }
            None => {}
        }
        let parameters = self.parameters(body.remove("parameters"))?;
        if let Some(parameters) = parameters {
            body.insert("parameters".to_owned(), parameters.into());
        }
        for (name, value) in [
            ("environment", self.environment.clone()),
            ("profile", self.profile.clone()),
            ("encryptTo", self.encrypt_to.clone()),
            ("label", self.label.clone()),
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
        Ok(body)
    }

    /// An algorithm in a file, as a job file would name it.
    fn file(&self, file: &Path) -> anyhow::Result<Value> {
        // Relative to the current folder, not to the file of -f.
        let absolute = |file: &Path| {
            let path = std::path::absolute(file);
            path.map_err(|error| Usage::error(format!("`{}`: {error}", file.display())))
        };
        let mut algorithm = json!({"file": absolute(file)?.to_string_lossy()});
        if let Some(requirements) = &self.requirements {
            algorithm["requirements"] = absolute(requirements)?.to_string_lossy().into();
        }
        if let Some(image) = &self.image {
            algorithm["image"] = image.as_str().into();
        }
        if let Some(stdin) = &self.stdin {
            algorithm["stdin"] = stdin.as_str().into();
        }
        if !self.arguments.is_empty() {
            algorithm["arguments"] = self.arguments.clone().into();
        }
        Ok(algorithm)
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

/// Submits a completed request. Returns the job's id, and what the service answered.
pub(super) async fn submit(client: &Client, options: &JobOptions, body: &Value) -> anyhow::Result<(JobId, Value)> {
    let header = options.idempotency_key.as_deref().map(|key| ("idempotency-key", key));
    let answer = client.send_json(Method::POST, &["v1", "jobs"], header, body).await?.body;
    Ok((read::<Job>(&answer)?.id, answer))
}

/// Replaces names by DIDs, and uploads the algorithm's file.
pub(super) async fn complete(client: &Client, mut body: Map<String, Value>, folder: &Path) -> anyhow::Result<Value> {
    if let Some(datasets) = body.get_mut("datasets") {
        for dataset in datasets.as_array_mut().ok_or_else(|| Usage::error("`datasets` must be a list"))? {
            name_did(client, AssetKind::Dataset, dataset).await?;
        }
    }
    if let Some(algorithm) = body.get_mut("algorithm") {
        if let Some(file) = algorithm.get("file") {
            let file = file.as_str().ok_or_else(|| Usage::error("`algorithm.file` must be a path"))?;
            let text = |name: &str| match algorithm.get(name) {
                None => Ok(None),
                Some(value) => match value.as_str() {
                    Some(text) => Ok(Some(text.to_owned())),
                    None => Err(Usage::error(format!("`algorithm.{name}` must be a string"))),
                },
            };
            let (image, requirements, stdin) = (text("image")?, text("requirements")?, text("stdin")?);
            let arguments = match algorithm.get("arguments") {
                None => Vec::new(),
                Some(arguments) => serde_json::from_value(arguments.clone())
                    .map_err(|_| Usage::error("`algorithm.arguments` must be a list of strings"))?,
            };
            let requirements = requirements.map(|requirements| folder.join(requirements));
            let file = ToSend::algorithm(&folder.join(file), requirements.as_deref())?;
            *algorithm = send(client, &file, image, (&arguments, stdin.as_deref())).await?;
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
async fn send(
    client: &Client,
    file: &ToSend,
    image: Option<String>,
    started_with: (&[String], Option<&str>),
) -> anyhow::Result<Value> {
    let measured = upload(client, file).await?;
    let container = container(file, measured.head, image, started_with)?;
    let mut algorithm = json!({"upload": measured.sha256.to_string()});
    if let Some(container) = container {
        algorithm["container"] = container;
    }
    Ok(algorithm)
}

/// The container section for a file; none for a WebAssembly program without arguments and standard input.
fn container(
    file: &ToSend,
    head: [u8; 4],
    image: Option<String>,
    (arguments, stdin): (&[String], Option<&str>),
) -> anyhow::Result<Option<Value>> {
    let wasm = || (!arguments.is_empty() || stdin.is_some()).then(|| "wasm".to_owned());
    let image = match image {
        Some(image) if image == "wasm" => wasm(),
        Some(image) => Some(image),
        None if &head == b"\0asm" => wasm(),
        None => match file.language() {
            Some(Language::Python) => Some("python".to_owned()),
            Some(Language::JavaScript) => Some("node".to_owned()),
            None => {
                let text = format!(
                    "`{}` is neither WebAssembly nor *.py, *.ipynb, *.js or a folder: name the image that runs it with --image",
                    file.named().display()
                );
                return Err(Usage::error(text));
            }
        },
    };
    Ok(image.map(|image| {
        let command = match image.as_str() {
            "python" | "python-plain" => "python3 $ALGO",
            "node" => "node $ALGO",
            _ => "$ALGO",
        };
        let reading = stdin.map(Container::reading).unwrap_or_default();
        json!({"image": image, "entrypoint": format!("{}{reading}", Container::entrypoint_of(command, arguments))})
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_or_name_of_a_file_decide_what_runs_it() {
        let (wasm, script) = (*b"\0asm", *b"impo");
        let image = |path: &str, head, image: Option<&str>| {
            container(&ToSend::file(Path::new(path)), head, image.map(str::to_owned), (&[], None))
        };
        assert_eq!(image("a.py", wasm, None).expect("known"), None);
        assert_eq!(image("a.py", script, Some("wasm")).expect("known"), None);
        let python = json!({"image": "python", "entrypoint": "python3 $ALGO"});
        assert_eq!(image("a.py", script, None).expect("known"), Some(python.clone()));
        assert_eq!(image("a", script, Some("python")).expect("known"), Some(python));
        let plain = json!({"image": "python-plain", "entrypoint": "python3 $ALGO"});
        assert_eq!(image("a.py", script, Some("python-plain")).expect("known"), Some(plain));
        assert!(image("a.ipynb", *b"# Ce", None).expect("known").is_some());
        let node = json!({"image": "node", "entrypoint": "node $ALGO"});
        for name in ["a.js", "a.mjs", "a.cjs"] {
            assert_eq!(image(name, *b"cons", None).expect("known"), Some(node.clone()));
        }
        assert!(image("a.sh", script, None).is_err());
        let arguments = ["--mode".to_owned(), "fast and good".to_owned()];
        let script_file = ToSend::file(Path::new("a.py"));
        let with = |head| container(&script_file, head, None, (&arguments, None)).expect("known").expect("a container");
        assert_eq!(with(wasm), json!({"image": "wasm", "entrypoint": "$ALGO '--mode' 'fast and good'"}));
        assert_eq!(with(script)["entrypoint"], "python3 $ALGO '--mode' 'fast and good'");
        let reading = container(&ToSend::file(Path::new("a")), wasm, None, (&[], Some("$DATASET/0"))).expect("known");
        assert_eq!(reading, Some(json!({"image": "wasm", "entrypoint": "$ALGO < \"$DATASET/0\""})));
    }
}
