use super::{Condition, Moment, schema};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A request for a job, made with `kubectl` or by GitOps in the namespace of an account. The service decides about it as it
/// decides about a request over HTTP, and creates the `ComputeJob`.
///
/// Fields that are not known are kept, so that the service sees and refuses them: a misspelt `encryptTo` must not mean that
/// results are stored in the clear.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "cloister.dev",
    version = "v1alpha1",
    kind = "JobRequest",
    namespaced,
    status = "JobRequestStatus",
    derive = "PartialEq",
    shortname = "jr",
    category = "cloister",
    doc = "A request for a job. The service decides about it as it does about a request over HTTP.",
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Job", type_ = "string", json_path = ".status.job"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.reason"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self == oldSelf").message("a JobRequest is decided once; create another one")
)]
pub struct JobRequestSpec {
    /// The datasets to compute on.
    #[schemars(length(min = 1, max = 100))]
    pub datasets: Vec<RequestedInput>,
    /// The algorithm to run.
    pub algorithm: RequestedAlgorithm,
    /// The parameters, which the algorithm finds in `algoCustomData.json`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_object")]
    pub parameters: Option<Map<String, Value>>,
    /// The environment to run in. If absent, the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub environment: Option<String>,
    /// Which clock and randomness the algorithm gets, `deterministic` or `standard`. If absent, `deterministic`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub profile: Option<String>,
    /// What the run may use at most, in the form of the HTTP API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_object")]
    pub limits: Option<Map<String, Value>>,
    /// An age recipient that results are encrypted to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 62), regex(pattern = "^age1[02-9ac-hj-np-z]{58}$"))]
    pub encrypt_to: Option<String>,
    /// Registers the results as a dataset, in the form of the HTTP API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_object")]
    pub register: Option<Map<String, Value>>,
    /// What is not known: refused by the service.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

impl JobRequestSpec {
    /// One that asks for nothing, in the place of one that need not be in memory.
    pub(crate) fn left_out() -> Self {
        let algorithm = RequestedAlgorithm {
            did: None,
            service: None,
            rawcode: None,
            upload: None,
            container: None,
            unknown: Map::new(),
        };
        Self {
            datasets: Vec::new(),
            algorithm,
            parameters: None,
            environment: None,
            profile: None,
            limits: None,
            encrypt_to: None,
            register: None,
            unknown: Map::new(),
        }
    }
}

/// A dataset of a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct RequestedInput {
    /// The DID of the dataset.
    #[schemars(length(max = 71), regex(pattern = schema::DID))]
    pub did: String,
    /// The id of a compute service of the dataset. If absent, its only compute service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub service: Option<String>,
    /// What is not known: refused by the service.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// The algorithm of a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
#[x_kube(
    validation = Rule::new("[has(self.did), has(self.rawcode), has(self.upload)].filter(given, given).size() == 1")
        .message("give exactly one of did, rawcode and upload")
)]
pub struct RequestedAlgorithm {
    /// The DID of a published algorithm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 71), regex(pattern = schema::DID))]
    pub did: Option<String>,
    /// The id of a service of the algorithm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub service: Option<String>,
    /// A program in the request itself, such as a script.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 262_144))]
    pub rawcode: Option<String>,
    /// The SHA-256 of a program that the account uploaded before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), regex(pattern = schema::SHA256))]
    pub upload: Option<String>,
    /// What the program runs in, in the form of the HTTP API. Absent for a WebAssembly program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_object")]
    pub container: Option<Map<String, Value>>,
    /// What is not known: refused by the service.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// The outcome of a request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
#[schemars(inline)]
pub struct JobRequestStatus {
    /// `Denied`, or the phase of its job.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub phase: Option<String>,
    /// The id of the job. Absent until the request is decided, and if it is denied.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub job: Option<String>,
    /// Why it was denied, or why its job ended. Safe to show.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 6000))]
    pub reason: Option<String>,
    /// The rules that denied it, as over HTTP.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 400), inner(length(max = 256)))]
    pub denials: Vec<String>,
    /// When it was decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decided: Option<Moment>,
    /// The generation of the resource that was decided about.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
    /// `Accepted`, and `Complete` or `Failed` as in the status of the job.
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}

/// An object of any fields.
fn any_object(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true, "nullable": true})
}
