//! Containers that are started many times and try to make a connection from their first instruction on. A listener that everything on the
//! cluster reaches counts.

use super::{
    containers::{IMAGE, digest, environment, python},
    jobs::Installation,
};
use cloister_model::{Jobs as _, Phase};
use cloister_tests::cluster::Namespace;
use serde_json::json;
use std::time::{Duration, Instant};

const PORT: u16 = 7000;

/// How many containers are started, unless `CLOISTERDEV_STARTS` says otherwise.
const STARTS: u32 = 6;

/// Longest that one of them takes on a busy machine.
const LONGEST_START: Duration = Duration::from_secs(60);

/// Counts connections, and prints the count after each.
const LISTENS: &str = "
import socket
listener = socket.create_server(('', PORT), backlog=1000)
count = 0
print('listens', flush=True)
while True:
    connection, _ = listener.accept()
    connection.close()
    count += 1
    print('count', count, flush=True)
";

/// Tries for two seconds without a pause, and fails if it came to anything.
const TRIES: &str = "
import socket, sys, time
end, tries = time.monotonic() + 2, 0
while time.monotonic() < end:
    tries += 1
    try:
        socket.create_connection(('ADDRESS', PORT), 1)
    except OSError:
        continue
    sys.exit('a connection')
print(tries, 'tries')
";

/// A listener in a namespace without policies.
struct Listener(Namespace);

impl Listener {
    fn start() -> Self {
        digest();
        let listener = Self(Namespace::new("listener", "restricted"));
        listener.pod("listener", &LISTENS.replace("PORT", &PORT.to_string()));
        listener.0.until("the listener", |namespace| namespace.logs("listener").contains("listens").then_some(()));
        listener
    }

    fn pod(&self, name: &str, script: &str) {
        let security = json!({
            "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": true,
        });
        self.0.create(&json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
            "spec": {
                "automountServiceAccountToken": false, "restartPolicy": "Never", "terminationGracePeriodSeconds": 0,
                "securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
                "containers": [{
                    "name": name, "image": format!("{IMAGE}:test"), "imagePullPolicy": "Never", "securityContext": security,
                    "command": ["python3", "-c", script],
                }],
            },
        }));
    }

    fn tries(&self) -> String {
        let address = self.0.get("pod/listener")["status"]["podIP"].as_str().expect("an address").to_owned();
        TRIES.replace("ADDRESS", &address).replace("PORT", &PORT.to_string())
    }

    /// A pod without walls makes a connection, so that a listener that hears nothing is known to listen. Every connection before it
    /// is counted by then.
    fn hears(&self, name: &str) {
        let before = self.connections();
        self.pod(name, &self.tries());
        self.0.until("a connection", |_| (self.connections() > before).then_some(()));
    }

    fn connections(&self) -> usize {
        self.0.logs("listener").lines().filter(|line| line.starts_with("count ")).count()
    }
}

/// Run a second time where policies are late.
mod network {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "needs a cluster with nodes: make test-k8s"]
    async fn no_start_of_a_container_makes_a_connection() {
        let starts = std::env::var("CLOISTERDEV_STARTS").ok();
        let starts: u32 = starts.map_or(STARTS, |number| number.parse().expect("CLOISTERDEV_STARTS is a number"));
        let listener = Listener::start();
        listener.hears("before");
        assert_eq!(listener.connections(), 1);
        let installation = Installation::open_with("starts", &environment()).await;
        let mut jobs = Vec::new();
        for number in 1..=starts {
            jobs.push(installation.submit(number.into(), python(&listener.tries())).await);
        }
        // Many wait for their turn.
        let end = Instant::now() + LONGEST_START * starts;
        for job in jobs {
            let status = loop {
                let status = installation.store.status(job).await.expect("a status");
                if status.phase.has_ended() || Instant::now() > end {
                    break status;
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            };
            // It started, and no attempt came to anything.
            assert_eq!(status.phase, Phase::Finished, "{status:?}");
        }
        listener.hears("after");
        assert_eq!(listener.connections(), 2, "one before {starts} starts, and one after them");
        installation.nothing_is_left();
    }
}
