use super::{asset::AssetForm, card::RecordForm, terms::TermsForm};
use crate::store::DbError;
use cloister_model::{
    AgeRecipient, Container, Delivery, Did, EnvironmentId, InterpreterId, JobAlgorithm, JobId, JobInput, JobSource,
    JobSpec, Labels, Limits, Secret, Sha256, TimeLimits, Timestamp,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{collections::BTreeMap, fmt};

/// Texts up to this size stand in the specification itself; larger ones stand once, in a table of their own.
const MOST_INLINE_BYTES: usize = 1024;

/// Texts that a specification refers to by their SHA-256: descriptions of assets, and code. Many jobs name the same ones.
#[derive(Default)]
pub(crate) struct Documents(BTreeMap<Sha256, String>);

/// What finds the text of a digest.
pub(crate) type TextOf<'a> = &'a mut dyn FnMut(Sha256) -> Result<String, DbError>;

impl Documents {
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Sha256, &String)> {
        self.0.iter()
    }

    /// The digest of a text that is kept here; none if it is short enough for the specification.
    fn keep(&mut self, text: String) -> Option<Sha256> {
        if text.len() <= MOST_INLINE_BYTES {
            return None;
        }
        let sha256 = Sha256::of(text.as_bytes());
        self.0.insert(sha256, text);
        Some(sha256)
    }

    fn ddo(&mut self, ddo: Option<&Value>) -> (Option<Value>, Option<Sha256>) {
        let Some(ddo) = ddo else { return (None, None) };
        match self.keep(ddo.to_string()) {
            Some(sha256) => (None, Some(sha256)),
            None => (Some(ddo.clone()), None),
        }
    }
}

impl fmt::Debug for Documents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Code is secret.
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// A [`JobSpec`], secrets included. An unknown field may be a restriction: it is refused.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct SpecForm {
    id: JobId,
    created: Timestamp,
    environment: EnvironmentId,
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
    /// Where the description is, if not here. Versions 1 and 2 have it here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ddo_sha256: Option<Sha256>,
    source: JobSource,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AlgorithmForm {
    did: Option<Did>,
    ddo: Option<Value>,
    /// Where the description is, if not here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ddo_sha256: Option<Sha256>,
    container: ContainerForm,
    interpreter: Option<InterpreterId>,
    /// None: the code is the text of `code_sha256`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source: Option<JobSource>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    code_sha256: Option<Sha256>,
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
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TimesForm {
    queue_ms: u64,
    total_ms: u64,
    review_ms: u64,
    /// Absent: as long as in [`TimeLimits::default`], in jobs of earlier versions, too.
    #[serde(default = "publishing_ms", skip_serializing_if = "is_usual_publishing_ms")]
    publishing_ms: u64,
    keep_ms: u64,
}

fn publishing_ms() -> u64 {
    TimeLimits::default().publishing_ms
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_usual_publishing_ms(ms: &u64) -> bool {
    *ms == publishing_ms()
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct DeliveryForm {
    encrypt_to: Option<AgeRecipient>,
    register: Option<Box<AssetForm>>,
}

impl SpecForm {
    /// A specification, and the texts that it refers to.
    pub(crate) fn of(spec: &JobSpec) -> (Self, Documents) {
        let mut documents = Documents::default();
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
        let TimeLimits { queue_ms, total_ms, review_ms, publishing_ms, keep_ms } = *times;
        let Delivery { encrypt_to, register } = delivery;
        let form = Self {
            id: *id,
            created: *created,
            environment: environment.clone(),
            queue: queue.clone(),
            inputs: inputs.iter().map(|input| InputForm::of(input, &mut documents)).collect(),
            algorithm: AlgorithmForm::of(algorithm, &mut documents),
            parameters: parameters.clone(),
            terms: terms.into(),
            limits: limits.clone(),
            times: TimesForm { queue_ms, total_ms, review_ms, publishing_ms, keep_ms },
            delivery: DeliveryForm {
                encrypt_to: encrypt_to.clone(),
                register: register.as_deref().map(|asset| Box::new(asset.into())),
            },
            labels: labels.clone(),
            record: record.into(),
        };
        (form, documents)
    }

    /// The whole specification.
    pub(crate) fn with_documents(self, text_of: TextOf<'_>) -> Result<JobSpec, DbError> {
        self.into_spec(&mut Some(text_of))
    }

    /// The specification without the texts that it refers to: decisions and records need none of them.
    pub(crate) fn without_documents(self) -> Result<JobSpec, DbError> {
        self.into_spec(&mut None)
    }

    fn into_spec(self, text_of: &mut Option<TextOf<'_>>) -> Result<JobSpec, DbError> {
        let Self {
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
        } = self;
        let TimesForm { queue_ms, total_ms, review_ms, publishing_ms, keep_ms } = times;
        let DeliveryForm { encrypt_to, register } = delivery;
        Ok(JobSpec {
            id,
            created,
            environment,
            queue,
            inputs: inputs.into_iter().map(|input| input.into_input(text_of)).collect::<Result<_, _>>()?,
            algorithm: algorithm.into_algorithm(text_of)?,
            parameters,
            terms: terms.into(),
            limits,
            times: TimeLimits { queue_ms, total_ms, review_ms, publishing_ms, keep_ms },
            delivery: Delivery { encrypt_to, register: register.map(|asset| Box::new((*asset).into())) },
            labels,
            record: record.into(),
        })
    }
}

impl InputForm {
    fn of(input: &JobInput, documents: &mut Documents) -> Self {
        let JobInput { did, ddo, source } = input;
        let (ddo, ddo_sha256) = documents.ddo(ddo.as_ref());
        Self { did: did.clone(), ddo, ddo_sha256, source: source.clone() }
    }

    fn into_input(self, text_of: &mut Option<TextOf<'_>>) -> Result<JobInput, DbError> {
        let Self { did, ddo, ddo_sha256, source } = self;
        Ok(JobInput { did, ddo: described(ddo, ddo_sha256, text_of)?, source })
    }
}

impl AlgorithmForm {
    fn of(algorithm: &JobAlgorithm, documents: &mut Documents) -> Self {
        let JobAlgorithm { did, ddo, container, interpreter, source } = algorithm;
        let Container { image, tag, entrypoint, checksum } = container.clone();
        let container = ContainerForm { image, tag, entrypoint, checksum };
        let (ddo, ddo_sha256) = documents.ddo(ddo.as_ref());
        let code_sha256 = match source {
            JobSource::Rawcode(code) => documents.keep(code.expose().clone()),
            JobSource::Files(_) | JobSource::Unsupported(_) => None,
        };
        let source = code_sha256.is_none().then(|| source.clone());
        Self { did: did.clone(), ddo, ddo_sha256, container, interpreter: interpreter.clone(), source, code_sha256 }
    }

    fn into_algorithm(self, text_of: &mut Option<TextOf<'_>>) -> Result<JobAlgorithm, DbError> {
        let Self { did, ddo, ddo_sha256, container, interpreter, source, code_sha256 } = self;
        let ContainerForm { image, tag, entrypoint, checksum } = container;
        let container = Container { image, tag, entrypoint, checksum };
        let source = match (source, code_sha256) {
            (Some(source), _) => source,
            (None, Some(sha256)) => {
                let code = text_of.as_mut().map(|text_of| text_of(sha256)).transpose()?;
                JobSource::Rawcode(Secret::new(code.unwrap_or_default()))
            }
            (None, None) => return Err(DbError::Damaged("a job has no algorithm".to_owned())),
        };
        Ok(JobAlgorithm { did, ddo: described(ddo, ddo_sha256, text_of)?, container, interpreter, source })
    }
}

/// A description that stands in the specification, or elsewhere.
fn described(
    here: Option<Value>,
    sha256: Option<Sha256>,
    text_of: &mut Option<TextOf<'_>>,
) -> Result<Option<Value>, DbError> {
    match (sha256, text_of) {
        (Some(sha256), Some(text_of)) => Ok(Some(serde_json::from_str(&text_of(sha256)?)?)),
        (Some(_), None) | (None, _) => Ok(here),
    }
}
