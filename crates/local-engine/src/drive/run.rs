use super::{Drive, Unrecorded};
use crate::store::DbError;
use cloister_lifecycle::{RunFacts, run_contract};
use cloister_runner::{DATA, Run, RunnerError};

impl Drive<'_> {
    /// Starts the algorithm and waits for its end. What it left is observed afterwards, as for a run that another process
    /// started.
    pub(super) async fn start_run(&self) -> Result<RunFacts, Unrecorded> {
        let running = match self.core.sandbox.start(&self.run()) {
            Ok(running) => running,
            // Another process looked at its lock in this instant.
            Err(error @ RunnerError::InUse) => return Err(DbError::Disk(error.to_string()).into()),
            // Nothing could run now. The job waits, as those in the queue do.
            Err(error @ RunnerError::Start(_)) if self.core.sandbox.check().is_err() => {
                return Err(DbError::Disk(error.to_string()).into());
            }
            Err(error) => return Ok(RunFacts { start_error: Some(error.to_string()), ..RunFacts::default() }),
        };
        let exit = running.wait().await.map_err(super::unusable)?;
        Ok(RunFacts { exit: Some(exit.0), ..RunFacts::default() })
    }

    fn run(&self) -> Run {
        let spec = &self.spec;
        Run {
            algorithm: [DATA, "transformations", "algorithm"].iter().collect(),
            did: spec.algorithm.did.clone(),
            folder: self.core.home.job(spec.id),
            datasets: spec.inputs.iter().map(|input| input.did.clone()).collect(),
            contract: run_contract(&spec.terms),
            limits: spec.limits.clone(),
            profile: spec.terms.profile,
            interpreter: spec.algorithm.interpreter.clone(),
            command_line: spec.command_line(),
        }
    }
}
