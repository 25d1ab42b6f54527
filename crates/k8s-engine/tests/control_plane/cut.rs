//! Connections to the API server that are cut: closed, reset, and silent, which neither side notices by itself. The controller goes
//! on.

use crate::{
    controller::{Installation, options},
    installed::kubeconfig,
};
use cloister_k8s_engine::{Cluster, controller::Controller};
use cloister_model::{Jobs as _, Phase};
use serde_json::json;
use std::time::Duration;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

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
    let mut config = kubeconfig();
    let cluster = &mut config["clusters"][0]["cluster"]["server"];
    let server = cluster.as_str().and_then(|url| url.strip_prefix("https://")).expect("a URL").to_owned();
    let wire = Wire::to(server).await;
    *cluster = json!(format!("https://{}", wire.address));
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), serde_saphyr::to_string(&config).expect("YAML")).expect("written");
    let names = installation.room.cluster.namespaces().clone();
    let cluster = Cluster::connect(Some(file.path()), names).await.expect("a cluster");
    let controller = Controller::open(cluster, options()).await.expect("a controller");
    let controller = tokio::spawn(async move { controller.run(std::future::pending()).await });
    for (number, how) in [None, Some(Cut::Closed), Some(Cut::Reset), Some(Cut::Silent)].into_iter().enumerate() {
        if how.is_some() {
            wire.cut.send_replace(how);
        }
        let job = installation.submit(number as u64).await;
        // A silent connection is given up after more than a minute.
        let mut phase = Phase::Queued;
        for _ in 0..3000 {
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
