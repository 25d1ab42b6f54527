//! Two replicas behind one Service, each asked by itself: both say the same, and a signed request counts at one of them.

use super::{
    deployed::{Installation, kubectl},
    provider::Asking,
};
use cloister_tests::{
    chart::SYSTEM,
    cluster::{self, PATIENCE},
};
use serde_json::Value;
use std::{
    net::{Ipv4Addr, TcpStream},
    process::{Child, Stdio},
    time::{Duration, Instant},
};

/// The port of the service in its pods.
const PORT: u16 = 8090;

/// A pod of the service.
struct Replica {
    url: String,
    forward: Child,
}

impl Replica {
    fn reach(pod: &str) -> Self {
        let port = cluster::free_port();
        let (pod, ports) = (format!("pod/{pod}"), format!("{port}:{PORT}"));
        let forward = cluster::command(&["--namespace", SYSTEM, "port-forward", &pod, &ports])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("kubectl");
        let replica = Self { url: format!("http://127.0.0.1:{port}"), forward };
        let end = Instant::now() + PATIENCE;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            assert!(Instant::now() < end, "nothing listens for {pod}");
            std::thread::sleep(Duration::from_millis(50));
        }
        replica
    }

    /// What it answers a consumer.
    fn says(&self, installation: &mut Installation, command: &str) -> Value {
        let whose = format!("CLOISTER_URL={} CLOISTER_KEY=$(cat carol.key)", self.url);
        let printed = installation.guide.run(&format!("{whose} cloister {command} -o json"));
        serde_json::from_str(&printed).expect("JSON")
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        let _ = self.forward.kill();
        let _ = self.forward.wait();
    }
}

/// What both answer, once they answer the same: one may hear later than the other what has happened.
fn both_say([first, second]: [&Replica; 2], installation: &mut Installation, command: &str) -> Value {
    let end = Instant::now() + PATIENCE;
    loop {
        let said = [first.says(installation, command), second.says(installation, command)];
        if said[0] == said[1] {
            let [said, _] = said;
            return said;
        }
        assert!(Instant::now() < end, "{command}: {said:#?}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Asks both about the jobs that have ended. `assets` are those of jobs that a Provider has asked for.
pub(super) fn agree(installation: &mut Installation, assets: &[String; 2]) {
    let wanted = ["-l=app.kubernetes.io/component=api", "--field-selector=status.phase=Running"];
    let names = ["-o", "jsonpath={.items[*].metadata.name}"];
    let pods = kubectl(&[&["--namespace", SYSTEM, "get", "pods"], wanted.as_slice(), names.as_slice()].concat());
    let replicas: Vec<Replica> = pods.split_whitespace().map(Replica::reach).collect();
    let [first, second] = replicas.as_slice() else { panic!("there are to be two replicas: {pods}") };
    let list = both_say([first, second], installation, "job list");
    let jobs = list["items"].as_array().expect("jobs");
    assert!(jobs.len() > 1, "{list:#}");
    for job in jobs {
        let show = format!("job show {}", job["id"].as_str().expect("an id"));
        both_say([first, second], installation, &show);
    }
    Asking::start(&first.url, assets, &["--replica", &second.url]).passed();
}
