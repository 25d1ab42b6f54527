//! The command line. The engine writes it; people have no use for it.

use std::{ffi::OsString, net::SocketAddr, path::PathBuf, time::Duration};

/// What the program is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Claim the run, and make this program available to the container of the algorithm.
    Begin(Begin),
    /// Run the algorithm.
    Run(Box<Run>),
    /// Find out what can be reached from here.
    Canary(Canary),
}

/// What a canary does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Canary {
    /// For how long it tries.
    pub duration: Duration,
    /// A folder of its volume.
    pub folder: PathBuf,
    /// What it tries to reach, by a name for each.
    pub reach: Vec<(String, SocketAddr)>,
    /// Where it says what it found.
    pub message: PathBuf,
}

/// What comes before the container of the algorithm starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begin {
    /// The file that one run of a job can create once. The container of the algorithm does not see it.
    pub claim: PathBuf,
    /// Where this program is copied to.
    pub copy_to: PathBuf,
}

/// A run of an algorithm.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// The command, as the algorithm's `container.entrypoint` has it.
    pub entrypoint: String,
    /// Where what it prints goes. Must not exist: a run that has a log was begun before.
    pub log: PathBuf,
    /// The most bytes of it.
    pub log_bytes: u64,
    /// The most bytes of it that are printed at once, too.
    pub live_log_bytes: u64,
    /// How long it may run.
    pub wall: Duration,
    /// Seconds of processor time of each of its processes; 0: no limit.
    pub cpu_seconds: u64,
    /// Bytes of each file that it writes; 0: no limit.
    pub file_bytes: u64,
    /// Processes and threads of its user; 0: no limit.
    pub processes: u64,
    /// The folders that it may change, besides devices without effect.
    pub writable: Vec<PathBuf>,
    /// Its home, which is created.
    pub home: PathBuf,
    /// Variables of its environment.
    pub environment: Vec<(String, String)>,
}

/// The command line is not one of an engine.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the command line is wrong at `{0}`; this program is started by an engine")]
pub struct UsageError(String);

/// Reads a command line, without the name of the program.
///
/// # Errors
/// If it is not complete, or has something that is not known.
pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Order, UsageError> {
    let mut texts = Vec::new();
    for argument in arguments {
        texts.push(argument.into_string().map_err(|argument| UsageError(argument.to_string_lossy().into_owned()))?);
    }
    let mut texts = texts.into_iter();
    match texts.next().as_deref() {
        Some("begin") => begin(texts),
        Some("run") => run(texts),
        Some("canary") => canary(texts),
        other => Err(UsageError(other.unwrap_or_default().to_owned())),
    }
}

fn begin(mut texts: impl Iterator<Item = String>) -> Result<Order, UsageError> {
    let (mut claim, mut copy_to) = (None, None);
    while let Some(name) = texts.next() {
        let value = value(&name, &mut texts)?;
        match name.as_str() {
            "--claim" => claim = Some(value.into()),
            "--copy-to" => copy_to = Some(value.into()),
            _ => return Err(UsageError(name)),
        }
    }
    let missing = |name: &str| UsageError(name.to_owned());
    let (claim, copy_to) = (claim.ok_or_else(|| missing("--claim"))?, copy_to.ok_or_else(|| missing("--copy-to"))?);
    Ok(Order::Begin(Begin { claim, copy_to }))
}

fn run(mut texts: impl Iterator<Item = String>) -> Result<Order, UsageError> {
    let mut run = Run::default();
    let (mut has_entrypoint, mut has_log, mut has_wall) = (false, false, false);
    while let Some(name) = texts.next() {
        let value = value(&name, &mut texts)?;
        let number = || value.parse::<u64>().map_err(|_| UsageError(name.clone()));
        match name.as_str() {
            "--entrypoint" => (run.entrypoint, has_entrypoint) = (value, true),
            "--log" => (run.log, has_log) = (value.into(), true),
            "--log-bytes" => run.log_bytes = number()?,
            "--live-log-bytes" => run.live_log_bytes = number()?,
            "--wall-ms" => (run.wall, has_wall) = (Duration::from_millis(number()?), true),
            "--cpu-seconds" => run.cpu_seconds = number()?,
            "--file-bytes" => run.file_bytes = number()?,
            "--processes" => run.processes = number()?,
            "--writable" => run.writable.push(value.into()),
            "--home" => run.home = value.into(),
            "--env" => {
                let (name, value) = value.split_once('=').ok_or_else(|| UsageError(name.clone()))?;
                run.environment.push((name.to_owned(), value.to_owned()));
            }
            _ => return Err(UsageError(name)),
        }
    }
    for (there, name) in [(has_entrypoint, "--entrypoint"), (has_log, "--log"), (has_wall, "--wall-ms")] {
        if !there {
            return Err(UsageError(name.to_owned()));
        }
    }
    Ok(Order::Run(Box::new(run)))
}

fn canary(mut texts: impl Iterator<Item = String>) -> Result<Order, UsageError> {
    let (mut duration, mut folder, mut message, mut reach) = (None, None, None, Vec::new());
    while let Some(name) = texts.next() {
        let value = value(&name, &mut texts)?;
        let wrong = || UsageError(name.clone());
        match name.as_str() {
            "--ms" => duration = Some(Duration::from_millis(value.parse().map_err(|_| wrong())?)),
            "--folder" => folder = Some(value.into()),
            "--message" => message = Some(value.into()),
            "--reach" => {
                let (place, address) = value.split_once('=').ok_or_else(wrong)?;
                reach.push((place.to_owned(), address.parse().map_err(|_| wrong())?));
            }
            _ => return Err(wrong()),
        }
    }
    let missing = |name: &str| UsageError(name.to_owned());
    Ok(Order::Canary(Canary {
        duration: duration.ok_or_else(|| missing("--ms"))?,
        folder: folder.ok_or_else(|| missing("--folder"))?,
        message: message.ok_or_else(|| missing("--message"))?,
        reach,
    }))
}

fn value(name: &str, texts: &mut impl Iterator<Item = String>) -> Result<String, UsageError> {
    texts.next().ok_or_else(|| UsageError(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(arguments: &[&str]) -> Result<Order, UsageError> {
        read(arguments.iter().map(OsString::from))
    }

    #[test]
    fn what_an_engine_writes_is_read_and_nothing_else() {
        let all = [
            "run",
            "--entrypoint",
            "python3 $ALGO",
            "--log",
            "/l",
            "--log-bytes",
            "1",
            "--live-log-bytes",
            "2",
            "--wall-ms",
            "3000",
            "--cpu-seconds",
            "4",
            "--file-bytes",
            "5",
            "--processes",
            "6",
            "--writable",
            "/o",
            "--writable",
            "/t",
            "--home",
            "/t/h",
            "--env",
            "A=b=c",
        ];
        let expected = Run {
            entrypoint: "python3 $ALGO".to_owned(),
            log: "/l".into(),
            log_bytes: 1,
            live_log_bytes: 2,
            wall: Duration::from_secs(3),
            cpu_seconds: 4,
            file_bytes: 5,
            processes: 6,
            writable: vec!["/o".into(), "/t".into()],
            home: "/t/h".into(),
            environment: vec![("A".to_owned(), "b=c".to_owned())],
        };
        assert_eq!(of(&all), Ok(Order::Run(Box::new(expected))));
        let begin = Begin { claim: "/c".into(), copy_to: "/e".into() };
        assert_eq!(of(&["begin", "--claim", "/c", "--copy-to", "/e"]), Ok(Order::Begin(begin)));
        let canary = Canary {
            duration: Duration::from_millis(7),
            folder: "/f".into(),
            reach: vec![("metadata".to_owned(), "169.254.169.254:80".parse().expect("an address"))],
            message: "/m".into(),
        };
        let options =
            ["canary", "--ms", "7", "--folder", "/f", "--reach", "metadata=169.254.169.254:80", "--message", "/m"];
        assert_eq!(of(&options), Ok(Order::Canary(canary)));
        for wrong in [
            &[][..],
            &["canary", "--ms", "7"],
            &["canary", "--reach", "nowhere"],
            &["other"],
            &["begin", "--claim", "/c"],
            &["run", "--entrypoint", "a", "--log", "/l"],
            &["run", "--entrypoint", "a", "--log", "/l", "--wall-ms", "x"],
            &["run", "--entrypoint", "a", "--log", "/l", "--wall-ms"],
            &["run", "--entrypoint", "a", "--log", "/l", "--wall-ms", "1", "--env", "A"],
            &["run", "--entrypoint", "a", "--log", "/l", "--wall-ms", "1", "--no-walls", "1"],
        ] {
            assert!(of(wrong).is_err(), "{wrong:?}");
        }
    }
}
