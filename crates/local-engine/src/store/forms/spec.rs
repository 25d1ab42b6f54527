use super::{asset::AssetForm, card::RecordForm, terms::TermsForm};
use cloister_model::{
    Container, Delivery, Did, JobAlgorithm, JobId, JobInput, JobSource, JobSpec, Labels, Limits, Secret, TimeLimits,
    Timestamp,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A [`JobSpec`], secrets included. An unknown field may be a restriction: it is refused.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct SpecForm {
    id: JobId,
    created: Timestamp,
    environment: String,
    queue: String,
    inputs: Vec<InputForm>,
    algorithm: AlgorithmForm,
    parameters: Option<Secret<Value>>,
    terms: TermsForm,
    limits: Limits,
    times: TimesForm,
    delivery: DeliveryForm,
    labels: Labels,
    record: RecordForm,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct InputForm {
    did: Did,
    ddo: Option<Value>,
    source: SourceForm,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AlgorithmForm {
    did: Option<Did>,
    ddo: Option<Value>,
    container: ContainerForm,
    interpreter: Option<String>,
    source: SourceForm,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ContainerForm {
    image: String,
    tag: Option<String>,
    entrypoint: String,
    checksum: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum SourceForm {
    Files(Secret<Value>),
    Rawcode(Secret<String>),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TimesForm {
    queue_ms: u64,
    total_ms: u64,
    review_ms: u64,
    keep_ms: u64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct DeliveryForm {
    encrypt_to: Option<String>,
    register: Option<Box<AssetForm>>,
}

impl From<&JobSpec> for SpecForm {
    fn from(spec: &JobSpec) -> Self {
        let JobSpec {
            id,
            created,
            environment,
            queue,
            inputs,
            algorithm,
            parameters,
            terms,
            limits,
            times,
            delivery,
            labels,
            record,
        } = spec;
        let TimeLimits { queue_ms, total_ms, review_ms, keep_ms } = *times;
        let Delivery { encrypt_to, register } = delivery;
        Self {
            id: *id,
            created: *created,
            environment: environment.clone(),
            queue: queue.clone(),
            inputs: inputs.iter().map(InputForm::from).collect(),
            algorithm: algorithm.into(),
            parameters: parameters.clone(),
            terms: terms.into(),
            limits: limits.clone(),
            times: TimesForm { queue_ms, total_ms, review_ms, keep_ms },
            delivery: DeliveryForm {
                encrypt_to: encrypt_to.clone(),
                register: register.as_deref().map(|asset| Box::new(asset.into())),
            },
            labels: labels.clone(),
            record: record.into(),
        }
    }
}

impl From<SpecForm> for JobSpec {
    fn from(form: SpecForm) -> Self {
        let SpecForm {
            id,
            created,
            environment,
            queue,
            inputs,
            algorithm,
            parameters,
            terms,
            limits,
            times,
            delivery,
            labels,
            record,
        } = form;
        let TimesForm { queue_ms, total_ms, review_ms, keep_ms } = times;
        let DeliveryForm { encrypt_to, register } = delivery;
        Self {
            id,
            created,
            environment,
            queue,
            inputs: inputs.into_iter().map(JobInput::from).collect(),
            algorithm: algorithm.into(),
            parameters,
            terms: terms.into(),
            limits,
            times: TimeLimits { queue_ms, total_ms, review_ms, keep_ms },
            delivery: Delivery { encrypt_to, register: register.map(|asset| Box::new((*asset).into())) },
            labels,
            record: record.into(),
        }
    }
}

impl From<&JobInput> for InputForm {
    fn from(input: &JobInput) -> Self {
        let JobInput { did, ddo, source } = input;
        Self { did: did.clone(), ddo: ddo.clone(), source: source.into() }
    }
}

impl From<InputForm> for JobInput {
    fn from(form: InputForm) -> Self {
        let InputForm { did, ddo, source } = form;
        Self { did, ddo, source: source.into() }
    }
}

impl From<&JobAlgorithm> for AlgorithmForm {
    fn from(algorithm: &JobAlgorithm) -> Self {
        let JobAlgorithm { did, ddo, container, interpreter, source } = algorithm.clone();
        let Container { image, tag, entrypoint, checksum } = container;
        let container = ContainerForm { image, tag, entrypoint, checksum };
        Self { did, ddo, container, interpreter, source: (&source).into() }
    }
}

impl From<AlgorithmForm> for JobAlgorithm {
    fn from(form: AlgorithmForm) -> Self {
        let AlgorithmForm { did, ddo, container, interpreter, source } = form;
        let ContainerForm { image, tag, entrypoint, checksum } = container;
        let container = Container { image, tag, entrypoint, checksum };
        Self { did, ddo, container, interpreter, source: source.into() }
    }
}

impl From<&JobSource> for SourceForm {
    fn from(source: &JobSource) -> Self {
        match source {
            JobSource::Files(files) => Self::Files(files.clone()),
            JobSource::Rawcode(code) => Self::Rawcode(code.clone()),
        }
    }
}

impl From<SourceForm> for JobSource {
    fn from(form: SourceForm) -> Self {
        match form {
            SourceForm::Files(files) => Self::Files(files),
            SourceForm::Rawcode(code) => Self::Rawcode(code),
        }
    }
}
