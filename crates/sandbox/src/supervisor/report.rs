//! Building the report of a run.

use super::collect::Collected;
use cloister_model::{
    AlgorithmReport, Did, EngineReport, FileReport, Isolation, Limits, LogReport, ModuleKind, Outcome, OutputContract,
    Profile, REPORT_VERSION, Report, Usage,
};
use std::time::Duration;

/// What is known of a run before the guest starts.
///
/// It turns into a [`Report`] only together with an outcome ([`Self::not_started`], [`Self::executed`]), so a report of
/// a run without an end cannot exist.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) algorithm: AlgorithmReport,
    pub(super) engine: EngineReport,
    pub(super) profile: Profile,
    pub(super) limits: Limits,
    pub(super) contract: OutputContract,
    pub(super) datasets: Vec<Did>,
    /// As in [`Usage::compile_ms`].
    pub(super) compile_ms: Option<u64>,
}

/// What the execution of a guest adds.
#[derive(Debug)]
pub(super) struct Execution {
    pub(super) outcome: Outcome,
    /// Without the compile time, which is in the draft.
    pub(super) usage: Usage,
    pub(super) isolation: Option<Isolation>,
    pub(super) inputs: Vec<FileReport>,
    pub(super) outputs: Collected,
    pub(super) log: LogReport,
}

impl Draft {
    /// Adds what compiling showed. `elapsed` is `None` if a cached artifact was used.
    pub(super) fn compiled(mut self, kind: Option<ModuleKind>, elapsed: Option<Duration>) -> Self {
        self.algorithm.kind = kind;
        self.compile_ms = elapsed.map(millis);
        self
    }

    /// The report of a run that ended before the guest's process started.
    pub(super) fn not_started(self, outcome: Outcome) -> Report {
        self.executed(Execution {
            outcome,
            usage: Usage::default(),
            isolation: None,
            inputs: Vec::new(),
            outputs: Collected::default(),
            log: LogReport::default(),
        })
    }

    /// The report of a run whose guest was executed.
    pub(super) fn executed(self, execution: Execution) -> Report {
        let Self { algorithm, engine, profile, limits, contract, datasets, compile_ms } = self;
        let Execution { outcome, usage, isolation, inputs, outputs, log } = execution;
        let Collected { files: outputs, directories: output_directories } = outputs;
        Report {
            version: REPORT_VERSION.to_owned(),
            outcome,
            algorithm,
            engine,
            profile,
            limits,
            output_contract: contract,
            usage: Usage { compile_ms, ..usage },
            isolation,
            datasets,
            inputs,
            outputs,
            output_directories,
            log,
        }
    }
}

/// A duration in whole milliseconds.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
