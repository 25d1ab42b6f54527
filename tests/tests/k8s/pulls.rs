//! Algorithms whose image is in a registry that wants credentials: the kubelet has them from the pull secret of the Environment, and
//! nothing else of a job has them.

use super::{
    containers::{self, python},
    jobs::{Installation, LONGEST},
    registry::{HOST, MARK_FILE, PASSWORD, REPOSITORY, Registry, USER, Who, credentials},
};
use cloister_model::{Fault, JobId, JobSpec, Jobs as _, Phase, Reason};
use cloister_tests::cluster;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::task::block_in_place;

/// A wrong password.
const WRONG: &str = "PLANTED-GUESS";

/// What a job is told whose Environment has no pull secret.
const WITHOUT: &str = "without a pull secret, because the Environment has no `pullSecrets`";

/// A script that must not run.
const RUNS: &str = "print('it runs')";

/// Prints what the file of the image says, and in which files and processes of its pod there are credentials; fails if there are any, or
/// if it would not find them.
const LOOKS: &str = r#"
import base64, os, sys, time
# In parts: this script has none of them as they are.
user, password = b"planted-" + b"puller", b"PLANTED-" + b"PASSWORD"
words = [user, password, base64.b64encode(user + b":" + password)]
own = b"own-" + b"words"
open("/data/outputs/own", "wb").write(own)
found, sees = [], False
def search(path):
    global sees
    try:
        with open(path, "rb") as file:
            content = file.read(1 << 20)
    except OSError:
        return
    sees = sees or own in content
    found.extend(path for word in words if word in content)
# The folders of the image are the same in every pod.
for folder, below, names in os.walk("/"):
    below[:] = [name for name in below if os.path.join(folder, name) not in ("/proc", "/sys", "/usr", "/lib", "/lib64")]
    for name in names:
        path = os.path.join(folder, name)
        if os.path.isfile(path):
            search(path)
for process in filter(str.isdigit, os.listdir("/proc")):
    for name in ("environ", "cmdline", "mountinfo"):
        search(f"/proc/{process}/{name}")
print(open("/MARK_FILE").read(), found, flush=True)
# Its pod is looked at meanwhile.
time.sleep(30)
sys.exit(len(found) + (not sees))
"#;

/// An environment that runs images of the registry, with these pull secrets. Its pods are small: some wait for minutes.
fn environment(name: &str, pull_secrets: &[&str]) -> Value {
    let mut environment = containers::environment();
    environment["metadata"]["name"] = json!(name);
    environment["spec"]["storage"] = cluster::environment()["spec"]["storage"].clone();
    environment["spec"]["steps"]["algorithmCpuMillis"] = json!(200);
    environment["spec"]["runtimes"]["registries"] = json!([format!("{HOST}/private")]);
    environment["spec"]["runtimes"]["pullSecrets"] = json!(pull_secrets);
    environment
}

/// A pull secret, as `kubectl create secret docker-registry` makes it.
fn pull_secret(name: &str, password: &str) -> Value {
    let registries = json!({"auths": {HOST: {"auth": credentials(USER, password)}}});
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name},
        "type": "kubernetes.io/dockerconfigjson",
        "stringData": {".dockerconfigjson": registries.to_string()},
    })
}

/// A job with the image of the registry.
fn private(environment: &str, digest: &str, script: &str) -> impl FnOnce(&mut JobSpec) {
    move |job| {
        python(script)(job);
        job.environment = environment.parse().expect("a name");
        job.algorithm.container.image = format!("{HOST}/{REPOSITORY}");
        job.algorithm.container.checksum = Some(digest.to_owned());
    }
}

/// Asserts that a text has nothing of the credentials, neither the right nor the wrong ones.
fn has_no_credentials(what: &str, text: &str) {
    let encoded = [PASSWORD, WRONG].map(|password| credentials(USER, password));
    for word in [USER, PASSWORD, WRONG].into_iter().chain(encoded.iter().map(String::as_str)) {
        assert!(!text.contains(word), "{what} has `{word}`: {text}");
    }
}

/// What the namespace of jobs shows of these kinds.
fn shown(installation: &Installation, kinds: &str) -> String {
    let shown = installation.jobs.kubectl(&["get", kinds, "-o", "json"]);
    assert!(shown.status.success(), "{}", String::from_utf8_lossy(&shown.stderr));
    String::from_utf8_lossy(&shown.stdout).into_owned()
}

/// Waits until the registry has been asked with credentials of this kind.
async fn asked_by(registry: &Registry, who: Who) {
    let end = Instant::now() + LONGEST;
    while registry.asked_by(who).is_empty() {
        assert!(Instant::now() < end, "the registry was never asked by {who:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Asserts how a job ends whose image cannot be pulled.
async fn ends_without_its_image(installation: &Installation, job: JobId, image: &str, words: &str) {
    let status = installation.ended(job).await;
    let reason = status.reason.as_ref();
    assert_eq!(
        (status.phase, reason.map(Reason::fault)),
        (Phase::AlgorithmFailed, Some(Fault::Algorithm)),
        "{status:?}"
    );
    let text = reason.map_or("", Reason::text);
    for part in ["the container image of the algorithm cannot be pulled", image, words] {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
    has_no_credentials("the reason", text);
    let explained = installation.store.explain(job).await.expect("an explanation").text;
    has_no_credentials("the explanation", &explained);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster with nodes: make test-k8s"]
async fn a_private_image_runs_with_the_pull_secret_of_its_environment_and_no_job_has_the_credentials() {
    let folder = cluster::needs_own_cluster();
    let registry = block_in_place(|| Registry::start(&folder, "node1"));
    let image = format!("{HOST}/{REPOSITORY}@{}", registry.digest());
    let installation = Installation::open_with("pulls", &environment("local", &["registry"])).await;
    for made in [
        pull_secret("registry", PASSWORD),
        pull_secret("wrong", WRONG),
        environment("without", &[]),
        // There is no such Secret.
        environment("absent", &["absent"]),
        environment("wrong", &["wrong"]),
    ] {
        installation.jobs.create(&made);
    }

    let mut refused = Vec::new();
    for (number, (environment, words)) in (1..).zip([
        ("without", WITHOUT),
        ("absent", "with the pull secret `absent`"),
        ("wrong", "with the pull secret `wrong`"),
    ]) {
        let job = private(environment, registry.digest(), RUNS);
        refused.push((installation.submit(number, job).await, words));
    }
    for (job, words) in &refused {
        let said = ["the container image of the algorithm cannot be pulled", image.as_str(), *words];
        installation.explained(*job, &said).await;
    }
    for who in [Who::Nobody, Who::Stranger] {
        asked_by(&registry, who).await;
    }
    assert!(registry.asked_by(Who::User).is_empty(), "{:?}", registry.asked_by(Who::User));

    let script = LOOKS.replace("MARK_FILE", MARK_FILE);
    let allowed = installation.submit(4, private("local", registry.digest(), &script)).await;
    installation.runs(allowed);
    let pod = installation.jobs.get(&format!("pod/{allowed}-a"));
    let spec = &pod["spec"];
    assert_eq!(spec["imagePullSecrets"], json!([{"name": "registry"}]), "{pod}");
    // Only the kubelet has the Secret: neither a volume nor a variable of a container is made of it.
    for part in ["volumes", "initContainers", "containers"] {
        assert!(!spec[part].to_string().contains("\"registry\""), "{part}: {pod}");
    }
    has_no_credentials("the pod", &pod.to_string());
    // The node has the image by now. It stays closed to those who could not pull it.
    let late = installation.submit(5, private("without", registry.digest(), RUNS)).await;
    refused.push((late, WITHOUT));
    let status = installation.ended(allowed).await;
    let log = String::from_utf8_lossy(&installation.stored("log").concat()).into_owned();
    assert_eq!(status.phase, Phase::Finished, "{status:?}\n{log}");
    assert!(log.contains(registry.mark()), "it was another image: {log}");
    assert!(registry.has_sent_the_image(), "{:?}", registry.asked_by(Who::User));

    for (job, words) in refused {
        ends_without_its_image(&installation, job, &image, words).await;
    }
    has_no_credentials("a job", &shown(&installation, "computejobs"));
    has_no_credentials("an event", &shown(&installation, "events"));
    has_no_credentials("a pod", &shown(&installation, "pods"));
    installation.nothing_is_left();
}
