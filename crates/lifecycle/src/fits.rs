use cloister_model::{
    Denial, EnvironmentId, EnvironmentStatus, InterpreterId, JobSpec, Limits, LimitsError, RuntimeKind,
    container_denials,
};

/// Why an environment cannot run a job, however free it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// There is no such environment.
    #[error("there is no environment `{asked}` here; choose `{offered}`")]
    Environment {
        /// The name in the job.
        asked: EnvironmentId,
        /// The environment that there is.
        offered: EnvironmentId,
    },
    /// It does not run what the algorithm is.
    #[error("this environment does not run containers; choose one that does, or an algorithm for WebAssembly")]
    Runtime,
    /// It does not run the image of the algorithm, or cannot read its command.
    #[error("{0}")]
    Container(Denial),
    /// It does not have the interpreter of the algorithm.
    #[error("this environment does not have the interpreter `{0}`; choose one that has, or ask its operator for it")]
    Interpreter(InterpreterId),
    /// More memory than it gives one job.
    #[error("it may use {asked} bytes of memory; this environment gives one job at most {most}")]
    Memory {
        /// In bytes.
        asked: u64,
        /// In bytes.
        most: u64,
    },
    /// More time than it gives one run.
    #[error("it may run for {asked} ms; this environment gives one run at most {most}")]
    WallTime {
        /// In milliseconds.
        asked: u64,
        /// In milliseconds.
        most: u64,
    },
    /// A limit that no host can keep.
    #[error("{0}")]
    Limits(LimitsError),
}

impl Misfit {
    /// The field of a submission that is wrong.
    #[must_use]
    pub fn field(&self) -> String {
        match self {
            Self::Environment { .. } => "environment".to_owned(),
            Self::Runtime | Self::Container(_) | Self::Interpreter(_) => "algorithm".to_owned(),
            Self::Memory { .. } => "limits.memoryBytes".to_owned(),
            Self::WallTime { .. } => "limits.wallMs".to_owned(),
            Self::Limits(error) => format!("limits.{}", error.name),
        }
    }
}

/// Whether an environment can run a job with these limits: asked when a job is submitted, and again by the engine that takes
/// it in.
///
/// # Errors
/// The first thing that does not fit.
pub fn fits(environment: &EnvironmentStatus, limits: &Limits, runtime: RuntimeKind) -> Result<(), Misfit> {
    if !environment.offers.runtimes.contains(&runtime) {
        return Err(Misfit::Runtime);
    }
    let most = environment.job_memory_bytes.min(environment.memory_bytes);
    if limits.memory_bytes > most {
        return Err(Misfit::Memory { asked: limits.memory_bytes, most });
    }
    if limits.wall_ms > environment.max_wall_ms {
        return Err(Misfit::WallTime { asked: limits.wall_ms, most: environment.max_wall_ms });
    }
    limits.check(most).map_err(Misfit::Limits)
}

/// Whether an environment can run this job.
///
/// # Errors
/// As [`fits`], and if the job names another environment.
pub fn fits_job(environment: &EnvironmentStatus, job: &JobSpec) -> Result<(), Misfit> {
    if job.environment != environment.id {
        return Err(Misfit::Environment { asked: job.environment.clone(), offered: environment.id.clone() });
    }
    let denials = match job.terms.runtime {
        RuntimeKind::Container => container_denials(&job.algorithm.container, &environment.offers),
        RuntimeKind::Wasm => Vec::new(),
    };
    fits(environment, &job.limits, job.terms.runtime)?;
    denials.into_iter().next().map_or(Ok(()), |denial| Err(Misfit::Container(denial)))
}

/// Whether an environment has the interpreter of this job, if it needs one.
///
/// # Errors
/// [`Misfit::Interpreter`].
pub fn has_interpreter(environment: &EnvironmentStatus, job: &JobSpec) -> Result<(), Misfit> {
    let missing = job.algorithm.interpreter.as_ref().filter(|name| !environment.interpreters.contains(*name));
    missing.map_or(Ok(()), |missing| Err(Misfit::Interpreter(missing.clone())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::spec;
    use cloister_model::{Environment, Profile};
    use std::collections::{BTreeMap, BTreeSet};

    const MIB: u64 = 1024 * 1024;

    fn environment() -> EnvironmentStatus {
        EnvironmentStatus {
            id: "local".parse().expect("a name"),
            description: String::new(),
            offers: Environment {
                runtimes: [RuntimeKind::Wasm].into(),
                profiles: [Profile::Deterministic].into(),
                ..Environment::default()
            },
            interpreters: BTreeSet::new(),
            cpus: 1,
            memory_bytes: 300 * MIB,
            job_memory_bytes: 200 * MIB,
            max_wall_ms: 1000,
            max_jobs: 1,
            max_queued: 1,
            phases: BTreeMap::new(),
        }
    }

    #[test]
    fn the_first_thing_that_does_not_fit_is_named() {
        let fitting = Limits { memory_bytes: 200 * MIB, wall_ms: 1000, ..Limits::default() };
        let small = EnvironmentStatus { memory_bytes: 100 * MIB, ..environment() };
        let wasm = RuntimeKind::Wasm;
        for (environment, limits, runtime, field) in [
            (environment(), fitting.clone(), wasm, None),
            (environment(), fitting.clone(), RuntimeKind::Container, Some("algorithm")),
            (
                environment(),
                Limits { memory_bytes: 200 * MIB + 1, ..fitting.clone() },
                wasm,
                Some("limits.memoryBytes"),
            ),
            // What one job may have is bounded by what there is, too.
            (small, fitting.clone(), wasm, Some("limits.memoryBytes")),
            (environment(), Limits { wall_ms: 1001, ..fitting.clone() }, wasm, Some("limits.wallMs")),
            (environment(), Limits { fuel: Some(0), ..fitting.clone() }, wasm, Some("limits.fuel")),
            (environment(), Limits { memory_bytes: 1, ..fitting }, wasm, Some("limits.memoryBytes")),
        ] {
            let found = fits(&environment, &limits, runtime).map_err(|misfit| misfit.field());
            assert_eq!(found, field.map_or(Ok(()), |field| Err(field.to_owned())));
        }
    }

    #[test]
    fn a_job_of_another_environment_does_not_fit() {
        let mut job = spec();
        job.limits = Limits { memory_bytes: 100 * MIB, wall_ms: 1000, ..Limits::default() };
        assert_eq!(fits_job(&environment(), &job), Ok(()));
        job.algorithm.interpreter = Some("python".parse().expect("a name"));
        assert_eq!(has_interpreter(&environment(), &spec()), Ok(()), "it needs none");
        let misfit = has_interpreter(&environment(), &job).expect_err("no interpreter");
        assert_eq!(misfit, Misfit::Interpreter("python".parse().expect("a name")));
        let interpreters = ["python".parse().expect("a name")].into();
        assert_eq!(has_interpreter(&EnvironmentStatus { interpreters, ..environment() }, &job), Ok(()));
        job.environment = "elsewhere".parse().expect("a name");
        let misfit = fits_job(&environment(), &job).expect_err("another one");
        assert_eq!(misfit.to_string(), "there is no environment `elsewhere` here; choose `local`");
    }
}
