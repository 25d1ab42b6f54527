use super::{
    Share, Submission, SubmitError,
    resolve::{self, Dataset, Program},
};
use crate::UseCases;
use cloister_lifecycle::{Misfit, fits};
use cloister_model::{
    Account, AlgorithmOrigin, Container, Decision, Denial, DenialRule, EnvironmentStatus, InterpreterId, Limits,
    MOST_PARAMETER_BYTES, OceanProvider, Parameter, PublishedAlgorithm, RequestError, RequestedAlgorithm,
    RequestedDataset, RuntimeKind, Secret, container_denials, resolve_parameters,
};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// A request, everything that it names, and what was decided about it.
#[derive(Clone, Debug)]
pub(super) struct Decided {
    /// Whether it may run.
    pub(super) decision: Decision,
    /// Where it would.
    pub(super) environment: EnvironmentStatus,
    pub(super) datasets: Vec<Dataset>,
    pub(super) program: Program,
    pub(super) interpreter: Option<InterpreterId>,
    /// The interpreter that the operator has named for its image, if the decision is a denial because this is not installed.
    pub(super) lacking: Option<String>,
    pub(super) parameters: Option<Value>,
    pub(super) limits: Limits,
}

/// Finds what a request names and decides whether it may run. Records nothing and starts nothing.
pub(super) async fn decide(
    use_cases: &UseCases,
    owner: &Account,
    provider: Option<&OceanProvider>,
    submission: &Submission,
    share: &Share,
) -> Result<Decided, SubmitError> {
    let environment = environment(use_cases, submission.environment.as_deref()).await?;
    let datasets = resolve::datasets(use_cases, (owner, provider), &submission.datasets, share).await?;
    let program = resolve::program(use_cases, owner, &submission.algorithm, share).await?;

    let of_datasets: Vec<Parameter> =
        datasets.iter().flat_map(|dataset| dataset.service.consumer_parameters.clone()).collect();
    let given = submission.parameters.as_ref().map(Secret::expose);
    let declared = declared(&program);
    let parameters = parameters(&declared, &of_datasets, given)?;

    let (runtime, interpreter) = runtime(&use_cases.options().images, &environment.interpreters, &program.container);
    if runtime == RuntimeKind::Wasm {
        // Nothing of it may be lost on the way to the program.
        let is_declared = |name: &str| declared.iter().any(|parameter| parameter.name == name);
        let dataset = datasets.first().map(|dataset| dataset.asset.ddo.id());
        let understood = program.container.command_line(interpreter.is_some(), dataset, is_declared);
        let line = understood.map_err(|error| SubmitError::field("algorithm", format!("its entrypoint: {error}")))?;
        line.filled(parameters.as_ref().unwrap_or(&Value::Null))
            .map_err(|error| SubmitError::field("parameters", error.to_string()))?;
    }
    let limits = limits(submission, &environment, runtime)?;
    let algorithm = RequestedAlgorithm {
        origin: origin(&program).map_err(|error| SubmitError::field("algorithm", error.to_string()))?,
        runtime,
        profile: submission.profile.unwrap_or_default(),
    };
    let mut requested = Vec::with_capacity(datasets.len());
    for (dataset, reference) in datasets.iter().zip(&submission.datasets) {
        let dataset = RequestedDataset::new(&dataset.asset.ddo, &dataset.service.id);
        requested.push(dataset.map_err(|error| SubmitError::field(&reference.field, error.to_string()))?);
    }
    let decision = cloister_model::decide(&requested, &algorithm, owner, &environment.offers);
    let of_container = match runtime {
        RuntimeKind::Container => container_denials(&program.container, &environment.offers),
        RuntimeKind::Wasm => Vec::new(),
    };
    let decision = refused_by(decision, of_container);
    let images = &use_cases.options().images;
    let lacking = lacking_interpreter(images, &environment.interpreters, &program.container).map(str::to_owned);
    let (decision, lacking) = match lacking {
        Some(name) => refused_for_want_of(name, decision),
        None => (decision, None),
    };
    Ok(Decided { decision, environment, datasets, program, interpreter, lacking, parameters, limits })
}

/// A decision, with reasons against it that no dataset has.
fn refused_by(decision: Decision, more: Vec<Denial>) -> Decision {
    match decision {
        decision if more.is_empty() => decision,
        Decision::Allowed(_) => Decision::Denied(more),
        Decision::Denied(mut denials) => {
            denials.extend(more);
            denials.sort();
            Decision::Denied(denials)
        }
    }
}

async fn environment(use_cases: &UseCases, wanted: Option<&str>) -> Result<EnvironmentStatus, SubmitError> {
    let mut all = use_cases.environments().await?.into_iter();
    let found = match wanted {
        Some(id) => all.find(|environment| environment.id.as_str() == id),
        None => all.next(),
    };
    found.ok_or_else(|| SubmitError::field("environment", "there is no such environment; /v1/environments lists them"))
}

fn declared(program: &Program) -> Vec<Parameter> {
    let Some((asset, service)) = &program.published else { return Vec::new() };
    let of_asset = asset.ddo.metadata().algorithm.iter().flat_map(|algorithm| &algorithm.consumer_parameters);
    of_asset.chain(&service.consumer_parameters).cloned().collect()
}

/// Where the algorithm comes from.
fn origin(program: &Program) -> Result<AlgorithmOrigin, RequestError> {
    let Some((asset, service)) = &program.published else { return Ok(AlgorithmOrigin::Raw) };
    Ok(AlgorithmOrigin::Published(Box::new(PublishedAlgorithm::registered(asset, &service.id)?)))
}

/// The image of WebAssembly programs.
const WASM: &str = "wasm";

/// What an image stands for: the sandbox, with or without an installed interpreter, or a real container.
fn runtime(
    images: &BTreeMap<String, String>,
    interpreters: &BTreeSet<InterpreterId>,
    container: &Container,
) -> (RuntimeKind, Option<InterpreterId>) {
    match images.get(&container.image).map_or(container.image.as_str(), String::as_str) {
        WASM => (RuntimeKind::Wasm, None),
        name => match interpreters.get(name).filter(|_| images.contains_key(&container.image)) {
            Some(interpreter) => (RuntimeKind::Wasm, Some(interpreter.clone())),
            None => (RuntimeKind::Container, None),
        },
    }
}

/// The interpreter that runs this image, as the operator says, if it is not installed.
fn lacking_interpreter<'a>(
    images: &'a BTreeMap<String, String>,
    interpreters: &BTreeSet<InterpreterId>,
    container: &Container,
) -> Option<&'a str> {
    let name = images.get(&container.image).map(String::as_str)?;
    (name != WASM && !interpreters.contains(name)).then_some(name)
}

/// The image would be a container only because this interpreter is missing: that is what is said where no container can run, instead of
/// blaming the dataset. With the interpreter, if it is what is said.
fn refused_for_want_of(interpreter: String, decision: Decision) -> (Decision, Option<String>) {
    match decision {
        Decision::Denied(mut denials) if denials.iter().any(|denial| denial.rule == DenialRule::EnvironmentRuntime) => {
            denials.retain(|denial| !matches!(denial.rule, DenialRule::EnvironmentRuntime | DenialRule::Runtime));
            denials.push(Denial { rule: DenialRule::EnvironmentInterpreter, subject: None });
            denials.sort();
            (Decision::Denied(denials), Some(interpreter))
        }
        decision => (decision, None),
    }
}

/// What the run may use: what is asked for, otherwise the defaults, within what the environment gives one job.
fn limits(
    submission: &Submission,
    environment: &EnvironmentStatus,
    runtime: RuntimeKind,
) -> Result<Limits, SubmitError> {
    let wanted = submission.limits;
    let safe = Limits::default();
    let memory_bytes = wanted.memory_bytes.unwrap_or(safe.memory_bytes.min(environment.job_memory_bytes));
    let wall_ms = wanted.wall_ms.unwrap_or(safe.wall_ms.min(environment.max_wall_ms));
    // A job that asks for hours means to compute all the while.
    let cpu_seconds = wanted.cpu_seconds.unwrap_or(safe.cpu_seconds.max(wall_ms.div_ceil(1000)));
    let limits = Limits { memory_bytes, wall_ms, cpu_seconds, fuel: wanted.fuel, ..safe };
    match fits(environment, &limits, runtime) {
        // The decision says which rule a container breaks.
        Ok(()) | Err(Misfit::Runtime) => Ok(limits),
        Err(misfit) => Err(SubmitError::field(misfit.field(), misfit.to_string())),
    }
}

/// What becomes `algoCustomData.json`: what the consumer gives, as the algorithm and the datasets declare it. None if the
/// consumer gives nothing and nothing has a default.
///
/// An algorithm that declares nothing takes anything, beside what its datasets declare.
fn parameters(
    of_algorithm: &[Parameter],
    of_datasets: &[Parameter],
    given: Option<&Value>,
) -> Result<Option<Value>, SubmitError> {
    let value = given.unwrap_or(&Value::Null);
    let mut declared: Vec<Parameter> = Vec::new();
    for parameter in of_algorithm.iter().chain(of_datasets) {
        if !declared.iter().any(|earlier| earlier.name == parameter.name) {
            declared.push(parameter.clone());
        }
    }
    let (checked, free) = match value {
        Value::Object(all) if of_algorithm.is_empty() && !declared.is_empty() => {
            let known = |name: &String| declared.iter().any(|parameter| parameter.name == *name);
            let (checked, free): (Map<_, _>, Map<_, _>) =
                all.iter().map(|(name, value)| (name.clone(), value.clone())).partition(|(name, _)| known(name));
            (Value::Object(checked), free)
        }
        _ => (value.clone(), Map::new()),
    };
    let mut values = resolve_parameters(&declared, &checked).map_err(|errors| {
        let texts: Vec<String> = errors.iter().take(20).map(ToString::to_string).collect();
        SubmitError::field("parameters", texts.join("; "))
    })?;
    values.extend(free);
    let size = serde_json::to_string(&values).map_or(usize::MAX, |text| text.len());
    if size > MOST_PARAMETER_BYTES {
        let problem = format!("the parameters have more than {MOST_PARAMETER_BYTES} bytes as JSON");
        return Err(SubmitError::field("parameters", problem));
    }
    Ok((given.is_some_and(|given| !given.is_null()) || !values.is_empty()).then_some(Value::Object(values)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_model::ParameterKind;
    use serde_json::json;

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

    #[test]
    fn a_missing_interpreter_is_named_and_no_dataset_is_blamed() {
        let images = [("python", "python"), ("python-plain", "python-plain"), ("mine", "wasm")];
        let images = BTreeMap::from(images.map(|(image, name)| (image.to_owned(), name.to_owned())));
        let lacks = |image: &str, interpreters: &BTreeSet<InterpreterId>| {
            let container =
                Container { image: image.to_owned(), tag: None, entrypoint: "$ALGO".to_owned(), checksum: None };
            lacking_interpreter(&images, interpreters, &container).map(str::to_owned)
        };
        let python = BTreeSet::from(["python".parse().expect("a name")]);
        assert_eq!(lacks("python", &BTreeSet::new()).as_deref(), Some("python"));
        for image in ["python", "mine", "alpine"] {
            assert_eq!(lacks(image, &python), None, "{image}");
        }
        // One of them does not stand in for the other.
        assert_eq!(lacks("python-plain", &python).as_deref(), Some("python-plain"));
        let denied = |rules: &[DenialRule]| {
            Decision::Denied(rules.iter().map(|rule| Denial { rule: *rule, subject: None }).collect())
        };
        use DenialRule::{EnvironmentInterpreter, EnvironmentRuntime, NoDataset, RawAlgorithm, Runtime};
        let refused = |decision| refused_for_want_of("python".to_owned(), decision);
        assert_eq!(
            refused(denied(&[NoDataset, Runtime, EnvironmentRuntime])),
            (denied(&[NoDataset, EnvironmentInterpreter]), Some("python".to_owned()))
        );
        // Where containers run, the image is one.
        assert_eq!(refused(denied(&[RawAlgorithm])), (denied(&[RawAlgorithm]), None));
    }

    fn number(name: &str, default: Option<u64>) -> Parameter {
        Parameter {
            name: name.to_owned(),
            label: None,
            description: None,
            kind: ParameterKind::Number,
            required: default.is_none(),
            default: default.map(Value::from),
        }
    }

    #[test]
    fn what_is_declared_is_kept() {
        let (bins, year) = ([number("bins", Some(20))], [number("year", None)]);
        let resolved = parameters(&bins, &year, Some(&json!({"year": 2007}))).expect("values");
        assert_eq!(resolved, Some(json!({"bins": 20, "year": 2007})));
        for wrong in [json!({}), json!({"year": "2007"}), json!({"year": 1, "more": 1}), json!([])] {
            assert!(parameters(&bins, &year, Some(&wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_algorithm_that_declares_nothing_takes_anything() {
        assert_eq!(parameters(&[], &[], None).expect("nothing"), None);
        assert_eq!(parameters(&[], &[], Some(&json!({}))).expect("nothing"), Some(json!({})));
        let given = json!({"anything": [1], "year": 2007});
        assert_eq!(parameters(&[], &[number("year", None)], Some(&given)).expect("values"), Some(given));
        assert!(parameters(&[], &[number("year", None)], Some(&json!({"anything": 1}))).is_err());
    }
}
