use super::{
    Submission, SubmitError, parameters,
    record::{RecordedAsset, RecordedDataset},
    resolve::{self, Dataset, Program},
};
use crate::state::Shared;
use cloister_model::{
    Account, AlgorithmOrigin, Container, Decision, EnvironmentStatus, FilesChecksum, InterpreterId, Limits, Parameter,
    PublishedAlgorithm, RequestError, RequestedAlgorithm, RequestedDataset, RuntimeKind,
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// A request, all that it names found, and what was decided.
#[derive(Clone, Debug)]
pub(crate) struct Decided {
    /// Whether it may run.
    pub(crate) decision: Decision,
    /// Where it would.
    pub(crate) environment: EnvironmentStatus,
    pub(super) datasets: Vec<Dataset>,
    pub(super) program: Program,
    pub(super) interpreter: Option<InterpreterId>,
    pub(super) parameters: Option<Value>,
    pub(super) limits: Limits,
}

/// Finds what a request names and decides whether it may run. Puts nothing on record and starts nothing.
pub(crate) async fn decide(shared: &Shared, owner: &Account, submission: &Submission) -> Result<Decided, SubmitError> {
    let environment = environment(shared, submission.environment.as_deref()).await?;
    let datasets = resolve::datasets(shared, owner, &submission.datasets).await?;
    let program = resolve::program(shared, owner, &submission.algorithm).await?;
    let limits = limits(submission, &environment)?;

    let of_datasets: Vec<Parameter> =
        datasets.iter().flat_map(|dataset| dataset.service.consumer_parameters.clone()).collect();
    let given = submission.parameters.as_ref().map(cloister_model::Secret::expose);
    let parameters = parameters::resolve(&declared(&program), &of_datasets, given)?;

    let (runtime, interpreter) = runtime(&shared.settings.images, &environment.interpreters, &program.container);
    let algorithm = RequestedAlgorithm {
        origin: origin(&program).map_err(|error| SubmitError::field("algorithm", error.to_string()))?,
        runtime,
        profile: submission.profile.unwrap_or_default(),
        network: false,
    };
    let mut requested = Vec::with_capacity(datasets.len());
    for (dataset, reference) in datasets.iter().zip(&submission.datasets) {
        let dataset = RequestedDataset::new(&dataset.asset.ddo, &dataset.service.id);
        requested.push(dataset.map_err(|error| SubmitError::field(&reference.field, error.to_string()))?);
    }
    let decision = cloister_model::decide(&requested, &algorithm, owner, &environment.offers);
    Ok(Decided { decision, environment, datasets, program, interpreter, parameters, limits })
}

async fn environment(shared: &Shared, wanted: Option<&str>) -> Result<EnvironmentStatus, SubmitError> {
    let mut all = shared.backend.environments().await?.into_iter();
    let found = match wanted {
        Some(id) => all.find(|environment| environment.id.as_str() == id),
        None => all.next(),
    };
    found.ok_or_else(|| {
        SubmitError::field("environment", "there is no such environment; /v1/environments lists those there are")
    })
}

fn declared(program: &Program) -> Vec<Parameter> {
    let Some((asset, service)) = &program.published else { return Vec::new() };
    let of_asset = asset.ddo.metadata().algorithm.iter().flat_map(|algorithm| &algorithm.consumer_parameters);
    of_asset.chain(&service.consumer_parameters).cloned().collect()
}

/// Where the algorithm comes from. Published here is published by its owner, whatever its description says.
fn origin(program: &Program) -> Result<AlgorithmOrigin, RequestError> {
    let Some((asset, service)) = &program.published else { return Ok(AlgorithmOrigin::Raw) };
    let known = PublishedAlgorithm::new(&asset.ddo, &service.id)?;
    // The digests are those of the service that is chosen if none is named.
    let digests = asset.files.as_ref().filter(|_| resolve::choose(&asset.ddo, None).is_ok_and(|s| s.id == service.id));
    let files_checksum =
        digests.and_then(|files| FilesChecksum::of(files.iter().map(|file| file.sha256).collect()).ok());
    Ok(AlgorithmOrigin::Published(Box::new(PublishedAlgorithm {
        publishers: vec![asset.owner.clone()],
        held_here: true,
        files_checksum,
        ..known
    })))
}

/// What an image stands for: the sandbox, with or without an interpreter that is installed, or a real container.
fn runtime(
    images: &BTreeMap<String, String>,
    interpreters: &BTreeSet<InterpreterId>,
    container: &Container,
) -> (RuntimeKind, Option<InterpreterId>) {
    const WASM: &str = "wasm";
    match images.get(&container.image).map_or(container.image.as_str(), String::as_str) {
        WASM => (RuntimeKind::Wasm, None),
        name => match interpreters.get(name).filter(|_| images.contains_key(&container.image)) {
            Some(interpreter) => (RuntimeKind::Wasm, Some(interpreter.clone())),
            None => (RuntimeKind::Container, None),
        },
    }
}

/// What the run may use: what is asked for, or else the defaults, within what the environment gives one job.
fn limits(submission: &Submission, environment: &EnvironmentStatus) -> Result<Limits, SubmitError> {
    let wanted = submission.limits;
    let safe = Limits::default();
    let memory_bytes = wanted.memory_bytes.unwrap_or(safe.memory_bytes.min(environment.job_memory_bytes));
    let wall_ms = wanted.wall_ms.unwrap_or(safe.wall_ms.min(environment.max_wall_ms));
    for (field, value, most) in [
        ("limits.memoryBytes", memory_bytes, environment.job_memory_bytes),
        ("limits.wallMs", wall_ms, environment.max_wall_ms),
    ] {
        if value > most {
            return Err(SubmitError::field(field, format!("is {value}; this environment gives a job at most {most}")));
        }
    }
    // A job that asks for hours means to compute all the while.
    let cpu_seconds = wanted.cpu_seconds.unwrap_or(safe.cpu_seconds.max(wall_ms.div_ceil(1000)));
    let limits = Limits { memory_bytes, wall_ms, cpu_seconds, fuel: wanted.fuel, ..safe };
    limits
        .check(environment.job_memory_bytes)
        .map_err(|error| SubmitError::field(format!("limits.{}", error.name), error.to_string()))?;
    Ok(limits)
}

impl Decided {
    /// What was asked for, for the record.
    pub(super) fn summary(&self) -> Value {
        let datasets: Vec<Value> = self
            .datasets
            .iter()
            .map(|dataset| json!({"did": dataset.asset.ddo.id(), "service": dataset.service.id}))
            .collect();
        let algorithm = match &self.program.published {
            Some((asset, service)) => json!({"did": asset.ddo.id(), "service": service.id}),
            None => json!("raw"),
        };
        json!({"datasets": datasets, "algorithm": algorithm, "environment": self.environment.id})
    }

    /// The first dataset, which a record of a denial is filed under.
    pub(super) fn first_subject(&self) -> String {
        self.datasets.first().map_or_else(|| "job".to_owned(), |dataset| dataset.asset.ddo.id().to_string())
    }

    pub(super) fn recorded_datasets(&self) -> Vec<RecordedDataset> {
        let review = |service: &cloister_model::Service| match &service.kind {
            cloister_model::ServiceKind::Compute(permissions) => permissions.output_contract.release.review,
            cloister_model::ServiceKind::Access => false,
        };
        self.datasets
            .iter()
            .map(|Dataset { asset, service, source: _ }| RecordedDataset {
                asset: recorded(asset, service),
                review: review(service),
            })
            .collect()
    }

    pub(super) fn recorded_algorithm(&self) -> Option<RecordedAsset> {
        self.program.published.as_ref().map(|(asset, service)| recorded(asset, service))
    }
}

fn recorded(asset: &cloister_model::Asset, service: &cloister_model::Service) -> RecordedAsset {
    RecordedAsset {
        did: asset.ddo.id().clone(),
        service: service.id.clone(),
        publisher: asset.owner.clone(),
        revision: asset.revision,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_the_sandbox_only_if_the_operator_says_so() {
        let images = BTreeMap::from([("python", "python"), ("r", "r"), ("mine", "wasm")])
            .into_iter()
            .map(|(image, name)| (image.to_owned(), name.to_owned()))
            .collect();
        let interpreters = BTreeSet::from(["python", "ruby"].map(|name| name.parse().expect("a name")));
        let of = |image: &str| {
            let container =
                Container { image: image.to_owned(), tag: None, entrypoint: "$ALGO".to_owned(), checksum: None };
            runtime(&images, &interpreters, &container)
        };
        assert_eq!(of("wasm"), (RuntimeKind::Wasm, None));
        assert_eq!(of("mine"), (RuntimeKind::Wasm, None));
        assert_eq!(of("python"), (RuntimeKind::Wasm, Some("python".parse().expect("a name"))));
        for image in ["r", "ruby", "alpine", "Python", "library/python"] {
            assert_eq!(of(image), (RuntimeKind::Container, None), "{image}");
        }
    }
}
