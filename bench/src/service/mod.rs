//! The built `cloister serve`, started in a folder of its own and asked over loopback as its users ask it.

pub(crate) mod client;
pub(crate) mod fill;
pub(crate) mod guests;
pub(crate) mod load;
pub(crate) mod nginx;
pub(crate) mod source;
mod usage;

pub(crate) use usage::{Cpu, flushes_per_second, own_cpu};

use crate::places::Places;
use anyhow::{Context as _, Result, bail, ensure};
pub(crate) use client::Connection;
use serde_json::{Value, json};
use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// How long a service may take to answer its first request.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running service. It ends with this value, and so does its folder.
#[derive(Debug)]
pub(crate) struct Service {
    child: Child,
    pub(crate) address: SocketAddr,
    /// The operator's key.
    pub(crate) key: String,
    home: PathBuf,
}

/// A folder for a service, below `target` so that it is on the disk that the repository is on.
pub(crate) fn fresh_home(places: &Places, name: &str) -> Result<PathBuf> {
    let home = places.target.join(format!("bench-service/{name}"));
    match fs::remove_dir_all(&home) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    fs::create_dir_all(&home)?;
    Ok(home)
}

impl Service {
    /// Starts a service in a folder, with limits on how often one may ask out of the way.
    pub(crate) fn start(places: &Places, home: &Path, settings: &[(&str, &str)]) -> Result<Self> {
        Self::start_with(places, home, settings, &[])
    }

    /// Starts a service in a folder that was filled with jobs. No service was there before, so that it has no key for receipts.
    pub(crate) fn start_filled(places: &Places, home: &Path) -> Result<Self> {
        Self::start_with(places, home, &[], &["--new-receipt-key"])
    }

    fn start_with(places: &Places, home: &Path, settings: &[(&str, &str)], arguments: &[&str]) -> Result<Self> {
        let mut command = serve(places, home)?;
        let sandbox = format!("sandbox={}", places.sandbox.display());
        set(&mut command, settings.iter().copied()).args(["--set", &sandbox]).args(arguments);
        Self::begin(command, home, &home.join("operator.key"))
    }

    /// Starts a replica of a service whose state is on a cluster.
    pub(crate) fn start_on_cluster(places: &Places, home: &Path, settings: &[(&str, String)]) -> Result<Self> {
        fs::create_dir_all(home)?;
        let secrets = home.join("secrets");
        let made = Command::new(program(places)?).arg("secrets").arg("--into").arg(&secrets).output()?;
        ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let (shared, results) = (secrets.display().to_string(), format!("file://{}", home.join("results").display()));
        let mut command = serve(places, home)?;
        let own = [("engine.kind", "k8s"), ("k8s.secrets", &shared), ("results.url", &results)];
        set(&mut command, settings.iter().map(|(name, value)| (*name, value.as_str())).chain(own));
        Self::begin(command, home, &secrets.join("operator.key"))
    }

    fn begin(mut command: Command, home: &Path, key: &Path) -> Result<Self> {
        // Another program could take the port before the service binds it. A benchmark accepts that.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        command.arg("--listen").arg(address.to_string());
        let child = spawn(command, &home.with_extension("log"))?;
        let mut service = Self { child, address, key: String::new(), home: home.to_owned() };
        service.await_ready()?;
        service.key = fs::read_to_string(key).with_context(|| key.display().to_string())?.trim().to_owned();
        Ok(service)
    }

    fn await_ready(&mut self) -> Result<()> {
        let since = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                bail!("the service ended with {status}: {}", self.log());
            }
            let ready = Connection::open(self.address, "").and_then(|mut connection| connection.get("/readyz"));
            if ready.is_ok_and(|answer| answer.status == 200) {
                return Ok(());
            }
            ensure!(since.elapsed() < PATIENCE, "the service is not ready: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.home.with_extension("log")).unwrap_or_default()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A connection of the operator.
    pub(crate) fn connect(&self) -> Result<Connection> {
        Connection::open(self.address, &self.key)
    }

    /// Processor time that the service itself has used, without the sandboxes it started.
    pub(crate) fn cpu(&self) -> Result<Cpu> {
        usage::cpu_of(self.pid())
    }

    /// Memory that it has now, in bytes.
    pub(crate) fn resident(&self) -> Result<u64> {
        usage::status_field(self.pid(), "VmRSS")
    }

    /// The most memory that it ever had, in bytes.
    pub(crate) fn peak_resident(&self) -> Result<u64> {
        usage::status_field(self.pid(), "VmHWM")
    }

    /// A key for another account.
    pub(crate) fn key_for(&self, account: &str, role: &str) -> Result<String> {
        let answer = self.connect()?.post("/v1/keys", &json!({"account": account, "role": role}))?;
        answer.created()?["key"].as_str().map(str::to_owned).context("a key")
    }

    /// Publishes a dataset of these file objects that takes any algorithm, and gives its DID.
    pub(crate) fn publish(&self, name: &str, files: &Value) -> Result<String> {
        let manifest = json!({
            "apiVersion": "cloister.dev/v1alpha1",
            "kind": "Dataset",
            "metadata": {"name": name},
            "spec": {
                "title": name,
                "files": files,
                "compute": {
                    "allowRawAlgorithm": true,
                    "profiles": ["deterministic", "standard"],
                    "outputContract": {"maxBytes": 4_u64 << 30},
                },
            },
        });
        let answer = self.connect()?.post("/v1/datasets", &manifest)?;
        answer.created()?["did"].as_str().map(str::to_owned).context("a DID")
    }

    /// A dataset of one line.
    pub(crate) fn publish_small(&self) -> Result<String> {
        self.publish("small", &json!([{"type": "inline", "content": "a,b\n1,2\n"}]))
    }

    /// Sends a program, and gives the digest that jobs of the operator name it by.
    pub(crate) fn upload(&self, module: &[u8]) -> Result<String> {
        self.upload_by(&self.key, module)
    }

    /// The same for jobs of another account.
    pub(crate) fn upload_by(&self, key: &str, module: &[u8]) -> Result<String> {
        let answer = Connection::open(self.address, key)?.request(
            "POST",
            "/v1/uploads",
            Some(("application/octet-stream", module)),
        )?;
        answer.created()?["sha256"].as_str().map(str::to_owned).context("a digest")
    }

    /// Submits a job and waits until it has ended well; gives its id.
    pub(crate) fn finish(&self, request: &Value) -> Result<String> {
        let mut connection = self.connect()?;
        let job = connection.post("/v1/jobs", request)?.created()?;
        let id = job["id"].as_str().context("a job's id")?.to_owned();
        loop {
            let job = connection.get(&format!("/v1/jobs/{id}"))?.ok()?;
            if job["phase"] == "Finished" {
                return Ok(id);
            }
            ensure!(job["ended"].is_null(), "the job ended badly: {job}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.home);
    }
}

/// A running `cloister engine`. It ends with this value.
#[derive(Debug)]
pub(crate) struct Controller(Child);

impl Controller {
    /// Starts one and waits until it is the one that works.
    pub(crate) fn start(places: &Places, home: &Path, settings: &[(&str, String)]) -> Result<Self> {
        fs::create_dir_all(home)?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut command = Command::new(program(places)?);
        command.env_clear().arg("engine").arg("--listen").arg(address.to_string()).args(["--set", "log.level=warn"]);
        set(&mut command, settings.iter().map(|(name, value)| (*name, value.as_str())));
        let (log, since) = (home.with_extension("log"), Instant::now());
        let mut controller = Self(spawn(command, &log)?);
        loop {
            let said = || fs::read_to_string(&log).unwrap_or_default();
            if let Some(status) = controller.0.try_wait()? {
                bail!("the controller ended with {status}: {}", said());
            }
            let metrics = Connection::open(address, "").and_then(|mut connection| connection.get("/metrics"));
            let works = |answer: client::Answer| String::from_utf8_lossy(&answer.body).contains("engine_working 1");
            if metrics.is_ok_and(works) {
                return Ok(controller);
            }
            ensure!(since.elapsed() < PATIENCE, "the controller does not work: {}", said());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Its memory, of which it shares nothing with others, in bytes.
    pub(crate) fn proportional(&self) -> Result<u64> {
        usage::proportional(self.0.id())
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn program(places: &Places) -> Result<PathBuf> {
    let program = places.target.join("release/cloister");
    ensure!(program.exists(), "`{}` is not there; run without --no-build", program.display());
    Ok(program)
}

/// `cloister serve` in a folder, without limits on how often one may ask.
fn serve(places: &Places, home: &Path) -> Result<Command> {
    let mut command = Command::new(program(places)?);
    command.env_clear().arg("serve").arg("--home").arg(home).args(["--set", "log.level=warn"]);
    for rate in ["account_per_second", "account_burst", "address_per_second", "address_burst"] {
        command.arg("--set").arg(format!("http.{rate}=1000000"));
    }
    command.args(["--set", "http.address_connections=100000"]);
    Ok(command)
}

fn set<'a>(command: &'a mut Command, settings: impl Iterator<Item = (&'a str, &'a str)>) -> &'a mut Command {
    for (name, value) in settings {
        command.arg("--set").arg(format!("{name}={value}"));
    }
    command
}

fn spawn(mut command: Command, log: &Path) -> Result<Child> {
    let log = fs::File::create(log)?;
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    command.spawn().with_context(|| format!("{command:?}"))
}

/// A job of an uploaded program on one dataset.
pub(crate) fn job(did: &str, sha256: &str) -> Value {
    json!({"datasets": [did], "algorithm": {"upload": sha256}})
}
