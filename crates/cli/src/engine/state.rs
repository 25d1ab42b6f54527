use super::metrics;
use cloister_api::Probed;
use cloister_k8s_engine::controller::Controller;
use std::{
    fmt,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

/// How the controller is doing, for probes and metrics.
#[derive(Debug)]
pub(super) struct State {
    controller: OnceLock<Arc<Controller>>,
    /// Why it is not open yet.
    waits_for: Mutex<String>,
    /// Whether it runs jobs, and does not stand by.
    works: AtomicBool,
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            controller: OnceLock::new(),
            waits_for: Mutex::new("the controller is being opened".to_owned()),
            works: AtomicBool::new(false),
        }
    }

    pub(super) fn waits_for(&self, problem: String) {
        *self.waits_for.lock().unwrap_or_else(PoisonError::into_inner) = problem;
    }

    pub(super) fn opened(&self, controller: Arc<Controller>) {
        // It is opened once.
        let _ = self.controller.set(controller);
    }

    pub(super) fn works(&self, works: bool) {
        self.works.store(works, Ordering::Relaxed);
    }
}

impl Probed for State {
    /// One that stands by is ready: it knows everything, and takes over.
    fn problem(&self) -> Option<String> {
        match self.controller.get() {
            Some(controller) => controller.problem(),
            None => Some(self.waits_for.lock().unwrap_or_else(PoisonError::into_inner).clone()),
        }
    }

    fn metrics(&self) -> Result<String, fmt::Error> {
        let figures = self.controller.get().map(|controller| controller.figures());
        metrics::text(&figures.unwrap_or_default(), self.works.load(Ordering::Relaxed))
    }
}
