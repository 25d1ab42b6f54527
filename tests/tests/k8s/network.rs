//! The network of each step, with the policies of `deploy/network` and pods that have the labels of steps: what they reach, and what
//! reaches them. This module runs a second time where policies are late.

use super::containers::{IMAGE, digest};
use cloister_tests::cluster::{self, Namespace};
use serde_json::{Value, json};

/// Where listeners listen.
pub(super) const PORT: u16 = 7000;

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

/// Waits until each of its arguments is as it says: `open HOST PORT`, `closed HOST PORT`, and `names HOST` and `no-names HOST` for a server
/// of DNS. A policy may be late, and from then on it holds: what is closed is closed twice in a row.
const LOOKS: &str = r"
import socket, sys, time
QUESTION = (b'\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00'
            b'\x0akubernetes\x07default\x03svc\x07cluster\x05local\x00\x00\x01\x00\x01')
def connects(host, port):
    socket.create_connection((host, int(port)), 1).close()
def answers(host):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(1)
        asking.sendto(QUESTION, (host, 53))
        asking.recv(512)
def works(attempt, place):
    try:
        attempt(*place)
    except OSError:
        return False
    return True
for line in sys.argv[1:]:
    word, *place = line.split()
    attempt = answers if word.endswith('names') else connects
    wanted = word in ('open', 'names')
    end, seen = time.monotonic() + 240, 0
    while seen < (1 if wanted else 2):
        if time.monotonic() > end:
            sys.exit('not as it should be: ' + line)
        if works(attempt, place) == wanted:
            seen += 1
        else:
            seen = 0
            time.sleep(0.1)
    print(line, flush=True)
";

/// Makes one connection, as soon as there is a way.
const CONNECTS: &str = "
import socket, time
while True:
    try:
        socket.create_connection(('ADDRESS', PORT), 10).close()
        break
    except OSError:
        time.sleep(0.1)
";

/// Adds a pod that runs a script with these arguments.
fn add(namespace: &Namespace, name: &str, labels: &Value, script: &str, arguments: &[String]) {
    let security = json!({
        "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": true,
    });
    let begin = ["python3", "-c", script].map(str::to_owned);
    let command = [begin.as_slice(), arguments].concat();
    namespace.create(&json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels},
        "spec": {
            "automountServiceAccountToken": false, "restartPolicy": "Never", "terminationGracePeriodSeconds": 0,
            "securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": name, "image": format!("{IMAGE}:test"), "imagePullPolicy": "Never", "securityContext": security,
                "command": command,
            }],
        },
    }));
}

/// Adds a pod that listens, and waits until it does. Its address.
fn listen(namespace: &Namespace, labels: &Value) -> String {
    add(namespace, "listener", labels, &LISTENS.replace("PORT", &PORT.to_string()), &[]);
    namespace.until("the listener", |namespace| namespace.logs("listener").contains("listens").then_some(()));
    namespace.get("pod/listener")["status"]["podIP"].as_str().expect("an address").to_owned()
}

/// A listener in a namespace without policies.
pub(super) struct Listener {
    namespace: Namespace,
    address: String,
}

impl Listener {
    pub(super) fn start() -> Self {
        digest();
        let namespace = Namespace::new("listener", "restricted");
        let address = listen(&namespace, &json!({}));
        Self { namespace, address }
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    pub(super) fn connections(&self) -> usize {
        self.namespace.logs("listener").lines().filter(|line| line.starts_with("count ")).count()
    }

    /// A pod without walls makes one connection, so that a listener that hears nothing is known to listen. Every connection before it is
    /// counted by then. Such a pod may have no network at first.
    pub(super) fn hears(&self, name: &str) {
        let before = self.connections();
        let script = CONNECTS.replace("ADDRESS", &self.address).replace("PORT", &PORT.to_string());
        add(&self.namespace, name, &json!({}), &script, &[]);
        self.namespace.until("a connection", |_| (self.connections() > before).then_some(()));
    }
}

/// The labels of a pod of a step.
fn step(name: &str) -> Value {
    json!({"app.kubernetes.io/managed-by": "cloister", "cloister.dev/step": name})
}

fn address_of_service(namespace: &str, name: &str) -> String {
    let service = ["--namespace", namespace, "get", "service", name, "-o", "jsonpath={.spec.clusterIP}"];
    let found = cluster::run(&service, b"");
    assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stderr));
    String::from_utf8(found.stdout).expect("an address")
}

#[test]
#[ignore = "needs a cluster with nodes: make test-k8s"]
fn each_step_reaches_what_its_policies_open_and_nothing_reaches_an_algorithm() {
    let outside = Listener::start();
    let jobs = Namespace::new("network", "restricted");
    let policies = cloister_testkit::root().join("deploy/network/policies.yaml");
    let applied = jobs.kubectl(&["apply", "-f", &policies.display().to_string()]);
    assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
    // An algorithm that would take connections, if any came.
    let algorithm = format!("{} {PORT}", listen(&jobs, &step("algorithm")));
    let other = format!("{} {PORT}", outside.address());
    let api = format!("{} 443", address_of_service("default", "kubernetes"));
    let names = address_of_service("kube-system", "kube-dns");
    // Without policies, all of it can be reached but the algorithm.
    let [other_open, api_open, finds] = [format!("open {other}"), format!("open {api}"), format!("names {names}")];
    let [other_closed, api_closed] = [format!("closed {other}"), format!("closed {api}")];
    let unreached = format!("closed {algorithm}");
    let lines = [other_open, api_open, finds.clone(), unreached.clone()];
    add(&outside.namespace, "anyone", &json!({}), LOOKS, &lines);
    for name in ["configuration", "publishing"] {
        let lines = [&finds, &other_closed, &api_closed, &unreached].map(String::clone);
        add(&jobs, name, &step(name), LOOKS, &lines);
    }
    let lines = [format!("no-names {names}"), other_closed, api_closed, unreached];
    add(&jobs, "algorithm", &step("algorithm"), LOOKS, &lines);
    for (namespace, name) in
        [(&outside.namespace, "anyone"), (&jobs, "configuration"), (&jobs, "publishing"), (&jobs, "algorithm")]
    {
        assert_eq!(namespace.ended(name), "Succeeded", "{name}: {}", namespace.logs(name));
    }
}
