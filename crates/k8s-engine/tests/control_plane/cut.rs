//! Connections to the API server that are cut: closed, reset, and silent, which neither side notices by itself. The controller goes
//! on, and a replica of the service learns of what others do.

use crate::{
    cluster::Room,
    controller::{Installation, options},
    installed::kubeconfig,
};
use cloister_k8s_engine::{Cluster, controller::Controller};
use cloister_model::{ApiKey, AuditAction, Jobs as _, Keyring as _, Phase, Timestamp};
use serde_json::json;
use std::time::Duration;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

/// The ends of connections, one after the other.
const CUTS: [Cut; 3] = [Cut::Closed, Cut::Reset, Cut::Silent];

/// What happens to the connections that are open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    /// They end with a FIN.
    Closed,
    /// They end with a RST.
    Reset,
    /// They stay open, and nothing comes any more.
    Silent,
}

/// A way to the API server that can be cut. Connections that are made afterwards work.
struct Wire {
    address: String,
    cut: watch::Sender<Option<Cut>>,
    task: JoinHandle<()>,
}

impl Wire {
    async fn to(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let (cut, _) = watch::channel(None);
        let cuts = cut.clone();
        let task = tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.expect("a connection");
                let server = TcpStream::connect(&server).await.expect("the API server");
                tokio::spawn(carry(client, server, cuts.subscribe()));
            }
        });
        Self { address, cut, task }
    }
}

/// The cluster as a process sees it whose way to the API server can be cut.
async fn wired(room: &Room) -> (Wire, Cluster) {
    let mut config = kubeconfig();
    let url = &mut config["clusters"][0]["cluster"]["server"];
    let server = url.as_str().and_then(|url| url.strip_prefix("https://")).expect("a URL").to_owned();
    let wire = Wire::to(server).await;
    *url = json!(format!("https://{}", wire.address));
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), serde_saphyr::to_string(&config).expect("YAML")).expect("written");
    let cluster = Cluster::connect(Some(file.path()), room.cluster.namespaces().clone()).await.expect("a cluster");
    (wire, cluster)
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry(mut client: TcpStream, mut server: TcpStream, mut cut: watch::Receiver<Option<Cut>>) {
    tokio::select! {
        _ = copy_bidirectional(&mut client, &mut server) => return,
        changed = cut.changed() => changed.expect("the way is there"),
    }
    let how = *cut.borrow();
    match how {
        Some(Cut::Silent) => std::future::pending().await,
        Some(Cut::Reset) => client.set_zero_linger().expect("an option of the socket"),
        Some(Cut::Closed) | None => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn jobs_go_on_when_the_connections_of_the_controller_are_cut() {
    let installation = Installation::open(10).await;
    let (wire, cluster) = wired(&installation.room).await;
    let controller = Controller::open(cluster, options()).await.expect("a controller");
    let controller = tokio::spawn(async move { controller.run(std::future::pending()).await });
    for (number, how) in std::iter::once(None).chain(CUTS.map(Some)).enumerate() {
        if how.is_some() {
            wire.cut.send_replace(how);
        }
        let job = installation.submit(number as u64).await;
        let mut phase = Phase::Queued;
        for _ in 0..crate::LOOKS {
            phase = installation.store.status(job).await.expect("a status").phase;
            if phase.has_ended() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(phase, Phase::Finished, "{how:?}");
    }
    controller.abort();
}

/// Keys are asked for on every request and known from a watch. One whose connection is silent shows nothing, and does not fail.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn a_key_that_is_revoked_elsewhere_ends_on_a_replica_whose_connections_are_cut() {
    let installation = Installation::open(10).await;
    let (wire, cluster) = wired(&installation.room).await;
    let folder = tempfile::tempdir().expect("a folder");
    let replica = crate::controller::store(cluster, folder.path()).await;
    let elsewhere = &installation.store;
    let record = |action| cloister_testkit::event(action, cloister_testkit::now());
    for (number, how) in std::iter::once(None).chain(CUTS.map(Some)).enumerate() {
        let key = cloister_testkit::api_key(&format!("{number:016x}"), "alice", Timestamp::from_unix_ms(5));
        elsewhere.put_key(key.clone(), record(AuditAction::KeyCreated)).await.expect("a key");
        // What is listed is in memory. A key that is not is read from the API server, and would not be late.
        let known = async || replica.keys(None).await.is_ok_and(|keys| keys.contains(&key));
        assert!(comes(known).await, "{how:?}: the replica does not learn of a key");
        if how.is_some() {
            wire.cut.send_replace(how);
        }
        let (at, revoked) = (Timestamp::from_unix_ms(6), record(AuditAction::KeyRevoked));
        elsewhere.revoke_key(key.id.clone(), at, revoked).await.expect("revoked");
        let revoked = ApiKey { revoked: Some(at), ..key.clone() };
        let ended = async || replica.key(key.id.clone()).await == Ok(Some(revoked.clone()));
        assert!(comes(ended).await, "{how:?}: a revoked key goes on working");
    }
}

/// Whether it holds at last.
async fn comes(holds: impl AsyncFn() -> bool) -> bool {
    for _ in 0..crate::LOOKS {
        if holds().await {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    false
}
