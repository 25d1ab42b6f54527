use super::{Moment, Payload, schema};
use cloister_model::{
    Account, AdmittedBy, AdmittedDataset, AgeRecipient, Asset, ConfigureOrder, Container, Delivery, Did, EnvironmentId,
    FilesChecksum, InterpreterId, JobAlgorithm, JobId, JobInput, JobRecord, JobSource, JobSpec, Labels, Limits,
    OceanProvider, OutputContract, Profile, RecordedAsset, RecordedDataset, ReleaseRules, RuntimeKind, Secret, Sha256,
    Terms, TimeLimits, Timestamp,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Bytes of the document of an order. The API server takes objects of 1.5 MiB.
pub const MOST_DOCUMENT_BYTES: usize = 256 * 1024;

/// The version of the document.
const DOCUMENT_VERSION: &str = "cloister.dev/order/v1";

/// What was allowed: a summary for people and selectors, and the whole as one text.
///
/// The whole is a text because the API server drops fields that its definition does not know: an older definition would
/// make terms that a newer service wrote wider. Its reader refuses a document that it does not understand, and one that
/// does not agree with the summary.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct Order {
    /// When the job was allowed.
    pub created: Moment,
    /// The environment that the job runs in.
    #[schemars(length(min = 1, max = 256), regex(pattern = schema::GRAPHIC))]
    pub environment: String,
    /// The queue that it waits in.
    #[schemars(length(max = 256))]
    pub queue: String,
    /// Its datasets, in the order of `DIDS`.
    #[schemars(length(max = 128), inner(length(max = 71), regex(pattern = schema::DID)))]
    pub inputs: Vec<String>,
    /// The algorithm.
    pub algorithm: OrderedAlgorithm,
    /// Whether configuration reads files of the result store: uploads, or results of other jobs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reads_store: bool,
    /// Whether files of its datasets may be on volume claims that the operator lists in `roots`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reads_local: bool,
    /// The Secrets with what only configuration is told, such as sources and parameters.
    pub payload: Payload,
    /// Everything that was decided about the job, as JSON.
    #[schemars(length(min = 2, max = 262_144))]
    pub document: String,
}

/// The algorithm of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct OrderedAlgorithm {
    /// The DID of the algorithm. Absent if the job brought it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 71), regex(pattern = schema::DID))]
    pub did: Option<String>,
    /// `wasm`, an image, or the name of a runtime.
    #[schemars(length(max = 500))]
    pub image: String,
    /// The interpreter that runs it. Absent if it needs none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 40))]
    pub interpreter: Option<String>,
}

/// Why an order cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// The name of the object is not the id of a job.
    #[error("`{0}` is not the name of a job; delete the object")]
    Name(String),
    /// More than a resource may hold.
    #[error(
        "what was decided about the job takes {0} bytes, and a ComputeJob holds {MOST_DOCUMENT_BYTES}; use fewer datasets in one job, or shorter lists of trusted files"
    )]
    TooLarge(usize),
    /// Another version, or not an order.
    #[error("the order of job {job} cannot be read: {problem}; was it written by a later version of Cloister?")]
    Document {
        /// Which job.
        job: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Summary and document differ.
    #[error("the order of job {job} says one thing in `{field}` and another in its document; delete the job")]
    Contradiction {
        /// Which job.
        job: JobId,
        /// Where.
        field: &'static str,
    },
}

/// The document of an order. An unknown field may be a restriction: it is refused.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Document {
    version: String,
    id: JobId,
    created: Timestamp,
    environment: EnvironmentId,
    queue: String,
    inputs: Vec<Did>,
    algorithm: AlgorithmForm,
    // Absent if false: a controller that does not know it refuses only orders that it could not carry out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    reads_store: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    reads_local: bool,
    terms: TermsForm,
    limits: Limits,
    times: TimesForm,
    delivery: DeliveryForm,
    labels: Labels,
    record: RecordForm,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AlgorithmForm {
    did: Option<Did>,
    image: String,
    tag: Option<String>,
    entrypoint: String,
    checksum: Option<String>,
    interpreter: Option<InterpreterId>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TermsForm {
    admitted: Vec<AdmittedForm>,
    output_contract: OutputContract,
    release: ReleaseRules,
    runtime: RuntimeKind,
    profile: Profile,
    /// Always false, because no algorithm has a network. Orders of all versions have it, and earlier ones refuse orders without it.
    network: bool,
    runtimes: BTreeSet<RuntimeKind>,
    profiles: BTreeSet<Profile>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AdmittedForm {
    did: Did,
    service: String,
    by: AdmittedBy,
    files_checksums: Option<BTreeSet<FilesChecksum>>,
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

/// The asset is prepared by the service and names no source: the files are filled in when the job finishes.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct DeliveryForm {
    encrypt_to: Option<AgeRecipient>,
    register: Option<Box<Asset>>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RecordForm {
    owner: Account,
    request: Option<Sha256>,
    attempt: u64,
    datasets: Vec<RecordedDatasetForm>,
    algorithm: Option<RecordedAssetForm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    provider: Option<OceanProviderForm>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct OceanProviderForm {
    account: Option<Account>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RecordedDatasetForm {
    asset: RecordedAssetForm,
    review: bool,
    log_bytes: u64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RecordedAssetForm {
    did: Did,
    service: String,
    publisher: Account,
    revision: u64,
}

impl Document {
    pub(crate) fn labels(&self) -> &Labels {
        &self.labels
    }

    pub(crate) fn created(&self) -> Timestamp {
        self.created
    }
}

impl Order {
    /// The order for a job whose secrets lie there.
    ///
    /// # Errors
    /// [`OrderError::TooLarge`].
    pub fn of(job: &JobSpec, payload: Payload) -> Result<Self, OrderError> {
        let document = Document::from(job);
        let text = serde_json::to_string(&document)
            .map_err(|error| OrderError::Document { job: job.id.to_string(), problem: error.to_string() })?;
        if text.len() > MOST_DOCUMENT_BYTES {
            return Err(OrderError::TooLarge(text.len()));
        }
        Ok(Self::summary(&document, payload, text))
    }

    fn summary(document: &Document, payload: Payload, text: String) -> Self {
        let AlgorithmForm { did, image, interpreter, .. } = &document.algorithm;
        Self {
            created: document.created.into(),
            environment: document.environment.to_string(),
            queue: document.queue.clone(),
            inputs: document.inputs.iter().map(ToString::to_string).collect(),
            algorithm: OrderedAlgorithm {
                did: did.as_ref().map(ToString::to_string),
                image: image.clone(),
                interpreter: interpreter.as_ref().map(ToString::to_string),
            },
            reads_store: document.reads_store,
            reads_local: document.reads_local,
            payload,
            document: text,
        }
    }

    pub(crate) fn read(&self) -> Result<Document, OrderError> {
        let unreadable = |problem: String| OrderError::Document { job: "of this order".to_owned(), problem };
        let document: Document = serde_json::from_str(&self.document).map_err(|error| unreadable(error.to_string()))?;
        if document.version != DOCUMENT_VERSION {
            return Err(unreadable(format!("its version is not `{DOCUMENT_VERSION}`")));
        }
        let expected = Self::summary(&document, self.payload.clone(), String::new());
        let Self { created, environment, queue, inputs, algorithm, reads_store, reads_local, payload: _, document: _ } =
            self;
        for (field, same) in [
            ("created", *created == expected.created),
            ("environment", *environment == expected.environment),
            ("queue", *queue == expected.queue),
            ("inputs", *inputs == expected.inputs),
            ("algorithm", *algorithm == expected.algorithm),
            ("readsStore", *reads_store == expected.reads_store),
            ("readsLocal", *reads_local == expected.reads_local),
        ] {
            if !same {
                return Err(OrderError::Contradiction { job: document.id, field });
            }
        }
        Ok(document)
    }

    /// The job without its secrets: sources are empty, and parameters and DDOs are absent.
    ///
    /// # Errors
    /// [`OrderError`]; [`OrderError::Contradiction`] too if the order is that of another job.
    pub fn job(&self, id: JobId) -> Result<JobSpec, OrderError> {
        let document = self.read()?;
        if document.id != id {
            return Err(OrderError::Contradiction { job: id, field: "metadata.name" });
        }
        Ok(document.into())
    }

    /// The job with its secrets, which were read from where [`Order::payload`] says.
    ///
    /// # Errors
    /// As [`Order::job`]; [`OrderError::Contradiction`] too if the secrets are not about the same job and the same assets.
    pub fn whole(&self, id: JobId, secrets: ConfigureOrder) -> Result<JobSpec, OrderError> {
        let job = self.job(id)?;
        let ConfigureOrder { version: _, job: other, algorithm, inputs, parameters, trusted: _, checks: _ } = secrets;
        let same = |field, same| if same { Ok(()) } else { Err(OrderError::Contradiction { job: id, field }) };
        same("payload", other == id)?;
        same("payload.inputs", inputs.iter().map(|input| &input.did).eq(job.inputs.iter().map(|input| &input.did)))?;
        same("payload.algorithm", algorithm.did == job.algorithm.did)?;
        let algorithm = JobAlgorithm { ddo: algorithm.ddo, source: algorithm.source, ..job.algorithm };
        Ok(JobSpec { inputs, algorithm, parameters, ..job })
    }
}

fn without_source() -> JobSource {
    JobSource::Rawcode(Secret::new(String::new()))
}

impl From<&JobSpec> for Document {
    fn from(spec: &JobSpec) -> Self {
        let JobSpec {
            id,
            created,
            environment,
            queue,
            inputs,
            algorithm,
            parameters: _,
            terms,
            limits,
            times,
            delivery,
            labels,
            record,
        } = spec;
        let configure = ConfigureOrder::of(spec);
        let (reads_store, reads_local) = (configure.reads_store(), configure.reads_local());
        let JobAlgorithm { did, ddo: _, container, interpreter, source: _ } = algorithm.clone();
        let Container { image, tag, entrypoint, checksum } = container;
        let TimeLimits { queue_ms, total_ms, review_ms, publishing_ms, keep_ms } = *times;
        let Delivery { encrypt_to, register } = delivery.clone();
        Self {
            version: DOCUMENT_VERSION.to_owned(),
            id: *id,
            created: *created,
            environment: environment.clone(),
            queue: queue.clone(),
            inputs: inputs.iter().map(|input| input.did.clone()).collect(),
            algorithm: AlgorithmForm { did, image, tag, entrypoint, checksum, interpreter },
            reads_store,
            reads_local,
            terms: terms.clone().into(),
            limits: limits.clone(),
            times: TimesForm { queue_ms, total_ms, review_ms, publishing_ms, keep_ms },
            delivery: DeliveryForm { encrypt_to, register },
            labels: labels.clone(),
            record: record.clone().into(),
        }
    }
}

impl From<Document> for JobSpec {
    fn from(document: Document) -> Self {
        let Document {
            version: _,
            id,
            created,
            environment,
            queue,
            inputs,
            algorithm,
            reads_store: _,
            reads_local: _,
            terms,
            limits,
            times,
            delivery,
            labels,
            record,
        } = document;
        let AlgorithmForm { did, image, tag, entrypoint, checksum, interpreter } = algorithm;
        let TimesForm { queue_ms, total_ms, review_ms, publishing_ms, keep_ms } = times;
        let DeliveryForm { encrypt_to, register } = delivery;
        let container = Container { image, tag, entrypoint, checksum };
        Self {
            id,
            created,
            environment,
            queue,
            inputs: inputs.into_iter().map(|did| JobInput { did, ddo: None, source: without_source() }).collect(),
            algorithm: JobAlgorithm { did, ddo: None, container, interpreter, source: without_source() },
            parameters: None,
            terms: terms.into(),
            limits,
            times: TimeLimits { queue_ms, total_ms, review_ms, publishing_ms, keep_ms },
            delivery: Delivery { encrypt_to, register },
            labels,
            record: record.into(),
        }
    }
}

impl From<Terms> for TermsForm {
    fn from(terms: Terms) -> Self {
        let Terms { admitted, output_contract, release, runtime, profile, runtimes, profiles } = terms;
        let form =
            |AdmittedDataset { did, service, by, files_checksums }| AdmittedForm { did, service, by, files_checksums };
        let admitted = admitted.into_iter().map(form).collect();
        Self { admitted, output_contract, release, runtime, profile, network: false, runtimes, profiles }
    }
}

impl From<TermsForm> for Terms {
    fn from(form: TermsForm) -> Self {
        let TermsForm { admitted, output_contract, release, runtime, profile, network: _, runtimes, profiles } = form;
        let read =
            |AdmittedForm { did, service, by, files_checksums }| AdmittedDataset { did, service, by, files_checksums };
        let admitted = admitted.into_iter().map(read).collect();
        Self { admitted, output_contract, release, runtime, profile, runtimes, profiles }
    }
}

impl From<JobRecord> for RecordForm {
    fn from(record: JobRecord) -> Self {
        let JobRecord { owner, request, attempt, datasets, algorithm, provider } = record;
        let form = |RecordedDataset { asset, review, log_bytes }: RecordedDataset| RecordedDatasetForm {
            asset: asset.into(),
            review,
            log_bytes,
        };
        Self {
            owner,
            request,
            attempt,
            datasets: datasets.into_iter().map(form).collect(),
            algorithm: algorithm.map(Into::into),
            provider: provider.map(|OceanProvider { account }| OceanProviderForm { account }),
        }
    }
}

impl From<RecordForm> for JobRecord {
    fn from(form: RecordForm) -> Self {
        let RecordForm { owner, request, attempt, datasets, algorithm, provider } = form;
        let read = |RecordedDatasetForm { asset, review, log_bytes }: RecordedDatasetForm| RecordedDataset {
            asset: asset.into(),
            review,
            log_bytes,
        };
        Self {
            owner,
            request,
            attempt,
            datasets: datasets.into_iter().map(read).collect(),
            algorithm: algorithm.map(Into::into),
            provider: provider.map(|OceanProviderForm { account }| OceanProvider { account }),
        }
    }
}

impl From<RecordedAsset> for RecordedAssetForm {
    fn from(asset: RecordedAsset) -> Self {
        let RecordedAsset { did, service, publisher, revision } = asset;
        Self { did, service, publisher, revision }
    }
}

impl From<RecordedAssetForm> for RecordedAsset {
    fn from(form: RecordedAssetForm) -> Self {
        let RecordedAssetForm { did, service, publisher, revision } = form;
        Self { did, service, publisher, revision }
    }
}
