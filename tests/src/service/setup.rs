use super::{PATIENCE, Service, Who};
use crate::{sandbox, shared_home};
use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// How a service is started. What is not set is what `cloister serve` does by itself, except that compiled programs are
/// shared with all other tests, requests are not counted, and everything is logged.
#[derive(Clone, Debug)]
pub struct Setup {
    settings: Vec<(String, String)>,
    environment: Vec<(String, String)>,
    home: Option<PathBuf>,
    program: Option<PathBuf>,
}

pub(super) struct Started {
    pub(super) child: Child,
    pub(super) address: SocketAddr,
}

/// The built program.
///
/// # Panics
/// If it was not built. The message says how to build it.
#[must_use]
pub fn cloister() -> PathBuf {
    cloister_testkit::program("cloister").unwrap_or_else(|missing| panic!("{missing}"))
}

impl Default for Setup {
    fn default() -> Self {
        Self::new()
    }
}

impl Setup {
    /// The settings of all tests.
    #[must_use]
    pub fn new() -> Self {
        Self { settings: Vec::new(), environment: Vec::new(), home: None, program: None }
    }

    /// With a setting: its name in the configuration file, and its value as in the environment.
    #[must_use]
    pub fn set(mut self, key: &str, value: &str) -> Self {
        self.settings.retain(|(known, _)| known != key);
        self.settings.push((key.to_owned(), value.to_owned()));
        self
    }

    /// With a variable in its environment.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Linked dynamically, for libraries that are loaded before the C library.
    ///
    /// # Panics
    /// If that program was not built. The message says how to build it.
    #[must_use]
    pub fn dynamic(mut self) -> Self {
        let program = cloister_testkit::program("examples/cloister-dynamic");
        self.program = Some(program.unwrap_or_else(|missing| panic!("{missing}")));
        self
    }

    /// With its home folder here.
    #[must_use]
    pub fn home(mut self, home: &Path) -> Self {
        self.home = Some(home.to_owned());
        self
    }

    pub(super) fn home_in(&self, folder: &Path) -> PathBuf {
        self.home.clone().unwrap_or_else(|| folder.join("home"))
    }

    /// Starts it, and waits until it answers.
    ///
    /// # Panics
    /// If it does not start: with what it said.
    #[must_use]
    #[track_caller]
    pub fn start(self) -> Service {
        match self.try_start() {
            Ok(service) => service,
            Err((folder, why)) => panic!("{why}\n{}", read_log(folder.path())),
        }
    }

    /// Starts it; gives its folder and why, if it does not.
    ///
    /// # Errors
    /// If it ends before it answers.
    ///
    /// # Panics
    /// If it neither answers nor ends.
    pub fn try_start(self) -> Result<Service, (TempDir, String)> {
        let folder = TempDir::new().expect("a temporary directory");
        fs::create_dir(folder.path().join("data")).expect("made");
        let Started { child, address } = match self.run(folder.path()) {
            Ok(started) => started,
            Err(why) => return Err((folder, why)),
        };
        let key = fs::read_to_string(self.home_in(folder.path()).join("operator.key"));
        let key = key.unwrap_or_else(|error| panic!("the operator's key: {error}")).trim().to_owned();
        let id = key.split('_').nth(1).unwrap_or_default().to_owned();
        let mut operator = Who { account: String::new(), id, key };
        let who = super::Request::new(address, "GET", "/v1/whoami").by(&operator).send().expect_json(200);
        who["account"].as_str().expect("an account").clone_into(&mut operator.account);
        Ok(Service { setup: self, folder, child: Some(child), address, operator })
    }

    /// The command, for tests that start it themselves.
    #[must_use]
    pub fn command(&self, folder: &Path) -> Command {
        let mut command = Command::new(self.program.clone().unwrap_or_else(cloister));
        command.env_clear().stdin(Stdio::null()).current_dir(folder);
        for name in ["PATH", "HOME", "TMPDIR"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.arg("serve").arg("--home").arg(self.home_in(folder)).args(["--listen", "127.0.0.1:0"]);
        command.arg("--ready-file").arg(ready_in(folder));
        for (key, value) in [
            ("sandbox", sandbox().display().to_string()),
            ("sandbox_home", shared_home().display().to_string()),
            ("sources.local_roots", format!("*={}", folder.join("data").display())),
            ("http.account_per_second", "1000000".to_owned()),
            ("http.account_burst", "1000000".to_owned()),
            ("http.address_per_second", "1000000".to_owned()),
            ("http.address_burst", "1000000".to_owned()),
            ("log.level", "debug".to_owned()),
        ] {
            if !self.settings.iter().any(|(known, _)| known == key) {
                command.arg("--set").arg(format!("{key}={value}"));
            }
        }
        for (key, value) in &self.settings {
            command.arg("--set").arg(format!("{key}={value}"));
        }
        command
    }

    /// Starts it where it has no reason to: its exit code, and what it said.
    ///
    /// # Panics
    /// If it goes on, or a signal ends it.
    #[must_use]
    #[track_caller]
    pub fn refused(&self, folder: &Path) -> (i32, String) {
        fs::create_dir_all(folder.join("data")).expect("made");
        let before = read_log(folder).len();
        let log = fs::OpenOptions::new().create(true).append(true).open(log_in(folder)).expect("a log file");
        let mut child = self.command(folder).stdout(Stdio::null()).stderr(log).spawn().expect("the program starts");
        let began = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().expect("a child") {
                break status;
            }
            if began.elapsed() > PATIENCE {
                drop(child.kill());
                panic!("it goes on\n{}", read_log(folder));
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        let said = read_log(folder).split_off(before);
        (status.code().unwrap_or_else(|| panic!("{status}: {said}")), said)
    }

    pub(super) fn run(&self, folder: &Path) -> Result<Started, String> {
        fs::create_dir_all(shared_home()).expect("the shared home");
        let (before, ready) = (read_log(folder).len(), ready_in(folder));
        drop(fs::remove_file(&ready));
        let log = fs::OpenOptions::new().create(true).append(true).open(log_in(folder)).expect("a log file");
        let mut command = self.command(folder);
        command.stdout(log.try_clone().expect("a file")).stderr(log);
        let mut child = command.spawn().expect("the program starts");
        let began = Instant::now();
        loop {
            if let Some(address) = address(&fs::read_to_string(&ready).unwrap_or_default()) {
                return Ok(Started { child, address });
            }
            if let Some(status) = child.try_wait().expect("a child") {
                let said = read_log(folder);
                return Err(format!("the service ended with {status}: {}", said.get(before..).unwrap_or_default()));
            }
            if began.elapsed() > PATIENCE {
                drop(child.kill());
                panic!("the service neither answers nor ends\n{}", read_log(folder));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// The address in the file that says that the service is ready: `http://127.0.0.1:PORT`, or without the scheme.
fn address(text: &str) -> Option<SocketAddr> {
    let text = text.trim().trim_end_matches('/');
    text.strip_prefix("http://").unwrap_or(text).parse().ok()
}

fn ready_in(folder: &Path) -> PathBuf {
    folder.join("ready")
}

fn log_in(folder: &Path) -> PathBuf {
    folder.join("log")
}

pub(super) fn read_log(folder: &Path) -> String {
    fs::read(log_in(folder)).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

#[expect(clippy::print_stderr, reason = "what a service said belongs to the test that failed")]
pub(super) fn show_log(folder: &Path) {
    let log = read_log(folder);
    let from = log.len().saturating_sub(8000);
    let from = (from..=log.len()).find(|at| log.is_char_boundary(*at)).unwrap_or(0);
    eprintln!("--- the service said last ---\n{}", &log[from..]);
}

pub(super) fn terminate(pid: u32) {
    let sent = Command::new("sh").args(["-c", r#"kill -TERM "$0""#, &pid.to_string()]).status().expect("a shell");
    assert!(sent.success(), "the service is gone");
}
