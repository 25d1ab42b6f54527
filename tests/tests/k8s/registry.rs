//! A registry that wants a name and a password, as the distribution specification of OCI describes it, with one image. It can only be
//! read, and it notes what it is asked.
//!
//! It listens at the loopback address of a node, where containerd speaks plain HTTP: a node of `tests/cluster` has a network of its own,
//! and reaches nothing of this machine.

use super::containers::{IMAGE, digest};
use axum::{
    Router,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri, header},
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use cloister_model::Sha256;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    net::TcpListener,
    os::fd::AsFd as _,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex, PoisonError},
};

/// Where it is for containerd, and its host in names of images. At port 80 containerd tries nothing but HTTP.
pub(super) const HOST: &str = "127.0.0.1:80";

/// The image in it.
pub(super) const REPOSITORY: &str = "private/python";

pub(super) const USER: &str = "planted-puller";
pub(super) const PASSWORD: &str = "PLANTED-PASSWORD";

/// The file, in the root of the image, that no other image has. It says something else in each run, so that no node has it before.
pub(super) const MARK_FILE: &str = "registry-mark";

const TAG: &str = "test";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// An image as a registry has it.
struct Image {
    /// The digest of its manifest.
    digest: String,
    /// What [`MARK_FILE`] says, and the digest of its layer.
    mark: String,
    layer: String,
    /// What has these digests.
    blobs: BTreeMap<String, Blob>,
}

enum Blob {
    Here(Vec<u8>),
    File(PathBuf),
}

impl Image {
    /// The image of the tests of containers, with one layer more. The node has the layers of that one, and neither this one nor
    /// its manifest.
    fn make(cluster: &Path, folder: &Path) -> Self {
        digest();
        let archive = cluster.join("images").join(format!("{}_test.tar", IMAGE.replace('/', "_")));
        run(Command::new("tar").arg("-xf").arg(&archive).arg("-C").arg(folder));
        let bytes = |path: PathBuf| fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let at = |digest: &Value| {
            let digest = digest.as_str().and_then(|digest| digest.strip_prefix("sha256:")).expect("a digest");
            folder.join("blobs/sha256").join(digest)
        };
        let read = |path: PathBuf| -> Value { serde_json::from_slice(&bytes(path)).expect("JSON") };
        let index = read(folder.join("index.json"));
        let mut manifest = read(at(&index["manifests"][0]["digest"]));
        let mut config = read(at(&manifest["config"]["digest"]));

        let mut blobs = BTreeMap::new();
        for layer in manifest["layers"].as_array().expect("layers") {
            blobs.insert(layer["digest"].as_str().expect("a digest").to_owned(), Blob::File(at(&layer["digest"])));
        }
        let mut add = |bytes: Vec<u8>| {
            let (digest, size) = (format!("sha256:{}", Sha256::of(&bytes)), bytes.len());
            blobs.insert(digest.clone(), Blob::Here(bytes));
            (digest, size)
        };
        let mark = format!("from the registry of {}", folder.display());
        let (layer, size) = add(layer_with(&mark, folder));
        config["rootfs"]["diff_ids"].as_array_mut().expect("layers").push(json!(layer));
        let more = json!({"mediaType": LAYER, "digest": layer, "size": size});
        manifest["layers"].as_array_mut().expect("layers").push(more);
        let (config, size) = add(serde_json::to_vec(&config).expect("JSON"));
        manifest["config"]["digest"] = json!(config);
        manifest["config"]["size"] = json!(size);
        let (digest, _) = add(serde_json::to_vec(&manifest).expect("JSON"));
        Self { digest, mark, layer, blobs }
    }
}

/// A layer with one file.
fn layer_with(mark: &str, folder: &Path) -> Vec<u8> {
    let (content, archive) = (folder.join("mark"), folder.join("mark.tar"));
    fs::create_dir(&content).expect("a folder");
    fs::write(content.join(MARK_FILE), mark).expect("a file");
    let owner = ["--owner=0", "--group=0", "--mode=0644", "--mtime=@0"];
    run(Command::new("tar").args(owner).arg("-cf").arg(&archive).arg("-C").arg(&content).arg(MARK_FILE));
    fs::read(archive).expect("the layer")
}

fn run(command: &mut Command) {
    let output = command.output().expect("tar");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// With which credentials a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// With none.
    Nobody,
    /// With another name or password.
    Stranger,
    /// With the right ones.
    User,
}

impl Who {
    fn of(headers: &HeaderMap) -> Self {
        let expected = format!("Basic {}", credentials(USER, PASSWORD));
        match headers.get(header::AUTHORIZATION) {
            None => Self::Nobody,
            Some(given) if given.as_bytes() == expected.as_bytes() => Self::User,
            Some(_) => Self::Stranger,
        }
    }
}

/// A name and a password, as they are sent and as a Secret has them.
pub(super) fn credentials(user: &str, password: &str) -> String {
    STANDARD.encode(format!("{user}:{password}"))
}

/// What is behind it.
struct Shared {
    image: Image,
    seen: Mutex<Vec<(Who, String)>>,
}

/// The registry, until this is dropped.
pub(super) struct Registry {
    shared: Arc<Shared>,
    server: tokio::task::JoinHandle<std::io::Result<()>>,
    _folder: tempfile::TempDir,
}

impl Registry {
    /// Starts it on a node of this cluster.
    pub(super) fn start(cluster: &Path, node: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let image = Image::make(cluster, folder.path());
        let listener = listen_on(cluster, node);
        listener.set_nonblocking(true).expect("a listener");
        let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
        let shared = Arc::new(Shared { image, seen: Mutex::new(Vec::new()) });
        let handler = |State(shared): State<Arc<Shared>>, method: Method, uri: Uri, headers: HeaderMap| async move {
            answer(&shared, &method, &uri, &headers)
        };
        let router = Router::new().fallback(handler).with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move { axum::serve(listener, router).await });
        Self { shared, server, _folder: folder }
    }

    /// The digest of the image.
    pub(super) fn digest(&self) -> &str {
        &self.shared.image.digest
    }

    /// What the [file](MARK_FILE) of the image says.
    pub(super) fn mark(&self) -> &str {
        &self.shared.image.mark
    }

    /// What it was asked by these, in order.
    pub(super) fn asked_by(&self, who: Who) -> Vec<String> {
        let seen = self.shared.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter().filter(|(by, _)| *by == who).map(|(_, asked)| asked.clone()).collect()
    }

    /// Whether it has sent the user what no node has otherwise.
    pub(super) fn has_sent_the_image(&self) -> bool {
        let Image { digest, layer, .. } = &self.shared.image;
        let asked = self.asked_by(Who::User);
        let sent = |kind: &str, digest: &str| asked.contains(&format!("GET /v2/{REPOSITORY}/{kind}/{digest}"));
        sent("manifests", digest) && sent("blobs", layer)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Listens at [`HOST`] in the network of a node.
fn listen_on(cluster: &Path, node: &str) -> TcpListener {
    let process = fs::read_to_string(cluster.join("run").join(format!("{node}.pid"))).expect("the node runs");
    let process = process.split_whitespace().next().expect("the number of a process").to_owned();
    // Only this thread enters that network, and a socket stays in the one in which it was made.
    let listener = std::thread::spawn(move || listen_beside(&process)).join().expect("a thread");
    listener.unwrap_or_else(|error| panic!("{HOST} of {node}: {error}"))
}

/// Moves this thread into the network of a process, and listens there.
fn listen_beside(process: &str) -> std::io::Result<TcpListener> {
    let network = File::open(format!("/proc/{process}/ns/net"))?;
    move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))?;
    TcpListener::bind(HOST)
}

fn answer(shared: &Shared, method: &Method, uri: &Uri, headers: &HeaderMap) -> Response {
    let (who, path) = (Who::of(headers), uri.path());
    shared.seen.lock().unwrap_or_else(PoisonError::into_inner).push((who, format!("{method} {path}")));
    if ![Method::GET, Method::HEAD].contains(method) {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    if who != Who::User {
        let challenge = [(header::WWW_AUTHENTICATE, "Basic realm=\"private\"")];
        return (StatusCode::UNAUTHORIZED, challenge, "{\"errors\": [{\"code\": \"UNAUTHORIZED\"}]}").into_response();
    }
    if path == "/v2/" {
        return "{}".into_response();
    }
    let asked = path.strip_prefix("/v2/").and_then(|path| path.strip_prefix(REPOSITORY));
    let (digest, kind) = match asked.and_then(|path| path.strip_prefix('/')?.split_once('/')) {
        Some(("manifests", TAG)) => (shared.image.digest.as_str(), MANIFEST),
        Some(("manifests", digest)) if digest == shared.image.digest => (digest, MANIFEST),
        Some(("blobs", digest)) => (digest, "application/octet-stream"),
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    let content = match shared.image.blobs.get(digest) {
        Some(Blob::Here(bytes)) => bytes.clone(),
        Some(Blob::File(path)) => fs::read(path).expect("a layer"),
        None => return StatusCode::NOT_FOUND.into_response(),
    };
    let headers = [("content-type", kind.to_owned()), ("docker-content-digest", digest.to_owned())];
    (headers, content).into_response()
}
