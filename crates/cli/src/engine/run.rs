use super::{options, state::State};
use crate::{cluster, config::Settings, exit::Usage, signals::end_signal};
use anyhow::Context as _;
use cloister_api::{Probed, serve_probes};
use cloister_k8s_engine::{
    Cluster,
    controller::{Candidate, Controller, EngineOptions},
};
use std::{sync::Arc, time::Duration};
use tokio::{net::TcpListener, sync::watch, time::sleep};

/// The pause after the first attempt to open the controller that failed; it doubles, up to [`LONGEST_PAUSE`].
const PAUSE: Duration = Duration::from_secs(1);

/// The longest pause between two attempts to open the controller.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How often a controller that works is asked whether it still sees everything.
const LOOK: Duration = Duration::from_secs(5);

/// Runs the controller until it gets a signal to end.
pub(super) fn run(settings: &Settings) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("starting")?;
    let outcome = runtime.block_on(run_controller(settings));
    runtime.shutdown_background();
    outcome
}

async fn run_controller(settings: &Settings) -> anyhow::Result<()> {
    let ends = ends()?;
    let options = options::options(settings)?;
    let cluster = cluster::connect(settings).await?;
    let address = settings.k8s_listen;
    let listener = TcpListener::bind(address).await.map_err(|error| {
        Usage::error(format!("cannot listen on {address}: {error}; set another `k8s.listen`, or end that program"))
    })?;
    let state = Arc::new(State::new());
    tracing::info!(address = %listener.local_addr().unwrap_or(address), "the controller starts");
    let probed = Arc::clone(&state) as Arc<dyn Probed>;
    let until = ended(ends.clone());
    tokio::spawn(async move {
        if let Err(error) = serve_probes(listener, probed, until).await {
            tracing::error!(%error, "probes are not answered any more");
        }
    });
    let opened = tokio::select! {
        () = ended(ends.clone()) => None,
        controller = open(&cluster, &options, &state) => Some(Arc::new(controller)),
    };
    if let Some(controller) = opened {
        state.opened(Arc::clone(&controller));
        if settings.k8s_lease {
            let candidate = Candidate::new(&cluster, identity()?);
            in_turn(&controller, candidate, &state, &ends).await;
        } else {
            state.works(true);
            controller.run(ended(ends.clone())).await;
        }
    }
    tracing::info!("the controller has ended");
    Ok(())
}

/// Opens the controller, however long that takes: an API server that is away at the start is no reason to end.
async fn open(cluster: &Cluster, options: &EngineOptions, state: &State) -> Controller {
    let mut pause = PAUSE;
    loop {
        match Controller::open(cluster.clone(), options.clone()).await {
            Ok(controller) => return controller,
            Err(error) => {
                tracing::warn!(%error, pause_s = pause.as_secs(), "the controller cannot be opened; it is tried again");
                state.waits_for(error.to_string());
            }
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Runs jobs while this process holds the lease, and stands by otherwise.
async fn in_turn(controller: &Controller, mut candidate: Candidate, state: &State, ends: &watch::Receiver<bool>) {
    loop {
        let acquired = async {
            sees(controller).await;
            candidate.acquire().await;
        };
        tokio::select! {
            () = ended(ends.clone()) => return candidate.release().await,
            () = acquired => {}
        }
        tracing::info!("this controller runs the jobs");
        state.works(true);
        let stop = async {
            tokio::select! {
                () = ended(ends.clone()) => {}
                () = candidate.keep() => {}
                // Another one may see more.
                () = is_blind(controller) => {}
            }
        };
        controller.run(stop).await;
        state.works(false);
        candidate.release().await;
        if *ends.borrow() {
            return;
        }
        tracing::warn!("this controller does not run the jobs any more; it stands by");
    }
}

async fn sees(controller: &Controller) {
    while controller.problem().is_some() {
        sleep(LOOK).await;
    }
}

async fn is_blind(controller: &Controller) {
    while controller.problem().is_none() {
        sleep(LOOK).await;
    }
}

/// Becomes true when the controller has to end.
fn ends() -> anyhow::Result<watch::Receiver<bool>> {
    let signal = end_signal()?;
    let (send, receive) = watch::channel(false);
    tokio::spawn(async move {
        signal.await;
        tracing::info!("the controller ends; running algorithms continue, and the next controller takes their jobs up");
        send.send_replace(true);
        // Without a sender, receivers would not know whether they have to end.
        send.closed().await;
    });
    Ok(receive)
}

async fn ended(mut ends: watch::Receiver<bool>) {
    // An error: the sender is gone, so the program ends.
    let _ = ends.wait_for(|ends| *ends).await;
}

/// A name that no other process ever had.
fn identity() -> anyhow::Result<String> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).context("random bytes")?;
    let host = rustix::system::uname();
    let host: String = host.nodename().to_string_lossy().chars().take(64).collect();
    Ok(format!("{host}_{:016x}", u64::from_be_bytes(bytes)))
}
