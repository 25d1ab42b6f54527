//! What the runs of jobs say of the kernels of their nodes: a condition of their environment, where no canary is sent.

use super::Controller;
use crate::{
    clock::now,
    observe::{
        PodFacts,
        kernels::{Kernel, after_runs, kernel_of},
    },
};
use cloister_model::EnvironmentId;
use std::{
    collections::BTreeMap,
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// The pause between two looks at what runs have said.
const LOOK: Duration = Duration::from_secs(5);

/// What runs have said since the last look: by the names of environments, and of nodes. What is lost with the process, the next run says
/// again.
#[derive(Debug, Default)]
pub(super) struct Kernels(Mutex<BTreeMap<String, BTreeMap<String, Kernel>>>);

impl Kernels {
    fn all(&self) -> MutexGuard<'_, BTreeMap<String, BTreeMap<String, Kernel>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of what the pod of an algorithm says.
    pub(super) fn note(&self, environment: &EnvironmentId, pod: &PodFacts) {
        if let Some((node, kernel)) = kernel_of(pod) {
            self.all().entry(environment.as_str().to_owned()).or_default().insert(node, kernel);
        }
    }

    fn take(&self) -> BTreeMap<String, BTreeMap<String, Kernel>> {
        mem::take(&mut *self.all())
    }

    /// Keeps what could not be stored, unless a run has said something newer.
    fn keep(&self, environment: String, found: BTreeMap<String, Kernel>) {
        let mut all = self.all();
        let known = all.entry(environment).or_default();
        for (node, kernel) in found {
            known.entry(node).or_insert(kernel);
        }
    }
}

impl Controller {
    /// Stores what is new in what runs have said, for ever.
    pub(super) async fn say_what_kernels_lack(&self) {
        let kernels = &self.reconciler.kernels;
        loop {
            for (name, found) in kernels.take() {
                let Some(environment) = self.environments.get(&name) else { continue };
                let Some((condition, isolation)) = after_runs(&environment, &found, now()) else { continue };
                tracing::info!(
                    environment = name,
                    status = ?condition.status,
                    why = condition.message,
                    "runs say what the kernels of nodes lack"
                );
                if let Err(error) = self.store_findings(&environment, &[condition], &isolation).await {
                    tracing::warn!(%error, environment = name, "what kernels lack cannot be stored; the controller tries again");
                    kernels.keep(name, found);
                }
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_stored_is_kept_unless_something_newer_was_said() {
        let (kernels, lacks) = (Kernels::default(), Kernel::Lacks("landlock".to_owned()));
        let old = BTreeMap::from(["a", "b"].map(|node| (node.to_owned(), lacks.clone())));
        kernels.all().insert("e".to_owned(), BTreeMap::from([("a".to_owned(), Kernel::Complete)]));
        kernels.keep("e".to_owned(), old);
        let found = kernels.take();
        assert_eq!(found["e"], BTreeMap::from([("a".to_owned(), Kernel::Complete), ("b".to_owned(), lacks)]));
        assert_eq!(kernels.take(), BTreeMap::new());
    }
}
