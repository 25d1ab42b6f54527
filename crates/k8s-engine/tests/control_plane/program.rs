//! `cloister engine`, as the program that it is.

use crate::{cluster::Room, controller::Installation};
use cloister_model::Phase;
use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError, mpsc},
    time::Duration,
};

/// A running `cloister engine`.
pub(crate) struct Program {
    child: Child,
    address: SocketAddr,
    refusals: Arc<Mutex<Vec<String>>>,
}

/// The words of the program's log where the API server refuses what it asks for, as without a right.
const REFUSED: &str = "the API server refuses to";

impl Program {
    /// Starts one for the namespaces of a test.
    pub(crate) fn start(room: &Room, more: &[&str]) -> Self {
        let program = cloister_testkit::program("cloister").unwrap_or_else(|missing| panic!("{missing}"));
        let namespaces = room.cluster.namespaces();
        let digest = "1".repeat(64);
        let mut command = Command::new(program);
        command.args(["engine", "--listen", "127.0.0.1:0", "--log-format", "json"]);
        for (key, value) in [
            ("k8s.system_namespace", namespaces.system.as_str()),
            ("k8s.jobs_namespace", &namespaces.jobs),
            ("k8s.assets_namespace", &namespaces.assets),
            ("k8s.cloister_image", &format!("registry.example/cloister@sha256:{digest}")),
            ("k8s.sandbox_image", &format!("registry.example/sandbox@sha256:{digest}")),
        ] {
            command.arg("--set").arg(format!("{key}={value}"));
        }
        let mut child = command.args(more).stderr(Stdio::piped()).spawn().expect("the program starts");
        let lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let (send, receive) = mpsc::channel();
        let refusals = Arc::new(Mutex::new(Vec::new()));
        let refused = Arc::clone(&refusals);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if line.contains(REFUSED) {
                    refused.lock().unwrap_or_else(PoisonError::into_inner).push(line.clone());
                }
                let line: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
                if let Some(address) = line["address"].as_str().and_then(|address| address.parse().ok()) {
                    let _ = send.send(address);
                }
            }
        });
        let address = receive.recv_timeout(Duration::from_secs(300)).expect("it says where it listens");
        Self { child, address, refusals }
    }

    /// What the program has logged so far that the API server refused.
    pub(crate) fn refusals(&self) -> Vec<String> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The status and the body of an answer.
    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address).expect("it listens");
        write!(stream, "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").expect("asked");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        (status, answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
    }

    pub(crate) async fn until(&self, path: &str, wanted: impl Fn(&(u16, String)) -> bool) {
        let mut last = None;
        for _ in 0..crate::LOOKS {
            let answer = self.get(path);
            if wanted(&answer) {
                return;
            }
            last = Some(answer);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{path} stays as it is: {last:?}");
    }

    /// Asks it to end, and returns its exit code.
    pub(crate) fn end(mut self) -> Option<i32> {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().expect("kill").success());
        self.child.wait().expect("it ends").code()
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("it ends");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn works((status, text): &(u16, String)) -> bool {
    *status == 200 && text.contains("cloister_engine_working 1")
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn the_program_carries_jobs_one_at_a_time_works_and_it_ends_when_asked() {
    let installation = Installation::open(10).await;
    let first = Program::start(&installation.room, &[]);
    assert_eq!(first.get("/livez").0, 200);
    first.until("/readyz", |(status, _)| *status == 200).await;
    first.until("/metrics", works).await;
    let job = installation.submit(1).await;
    assert_eq!(installation.ended(job).await.phase, Phase::Finished);
    let (_, text) = first.get("/metrics");
    for line in [r#"cloister_engine_jobs{phase="Finished"} 1"#, r#"cloister_engine_acts_total{kind="create-pod"} 3"#] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }

    // One that stands by is ready, and takes over from one that is killed.
    let second = Program::start(&installation.room, &[]);
    second.until("/readyz", |(status, _)| *status == 200).await;
    assert!(second.get("/metrics").1.contains("cloister_engine_working 0"));
    first.kill();
    let job = installation.submit(2).await;
    assert_eq!(installation.ended(job).await.phase, Phase::Finished);
    assert!(works(&second.get("/metrics")));

    // One that ends gives its place up.
    let third = Program::start(&installation.room, &[]);
    third.until("/readyz", |(status, _)| *status == 200).await;
    assert_eq!(second.end(), Some(0));
    third.until("/metrics", works).await;
    let job = installation.submit(3).await;
    assert_eq!(installation.ended(job).await.phase, Phase::Finished);
    assert_eq!(third.end(), Some(0));
}
