use super::schemas::{DidSchema, ProfileSchema};
use crate::problem::Problem;
use cloister_model::{AgeRecipientError, AssetName, Container, Did, MOST_RAWCODE_BYTES, Profile, Secret, Sha256};
use cloister_service::{AlgorithmRef, DatasetRef, Identity, RawSource, Register, Submission, WantedLimits};
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::Value;
use std::fmt;
use utoipa::ToSchema;

/// Datasets of one job.
const MOST_DATASETS: usize = 100;

/// A request for a job.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({
    "datasets": ["did:op:5b1f0a"],
    "algorithm": {"did": "did:op:e4d8c2"},
    "parameters": {"bins": 20}
}))]
pub(super) struct JobRequest {
    /// What it computes on, each once: a DID, or a DID and the id of a service.
    #[schema(value_type = Vec<DatasetSchema>, min_items = 1, max_items = 100)]
    datasets: Vec<DatasetChoice>,
    #[schema(value_type = AlgorithmSchema)]
    algorithm: AlgorithmChoice,
    /// What becomes `algoCustomData.json`, checked against what the algorithm and the datasets declare.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    parameters: Option<Value>,
    /// Where; the first one if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 256)]
    environment: Option<String>,
    /// What it may learn of time and chance; `deterministic` if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<ProfileSchema>)]
    profile: Option<Profile>,
    /// What one run may use; safe defaults where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    limits: Option<LimitsChoice>,
    /// An age recipient that results are encrypted to.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^age1[02-9ac-hj-np-z]{58}$")]
    encrypt_to: Option<String>,
    /// Makes the results a dataset of yours.
    #[serde(skip_serializing_if = "Option::is_none")]
    register: Option<RegisterChoice>,
}

/// A dataset: its DID, or an object.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum DatasetChoice {
    Did(Did),
    Service(DatasetService),
}

/// A dataset: its DID, or an object.
#[derive(ToSchema)]
#[schema(as = DatasetChoice)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes `DatasetChoice` to readers of the documentation")]
pub(super) enum DatasetSchema {
    /// Its DID.
    Did(DidSchema),
    /// Its DID, and through which service.
    Service(DatasetService),
}

/// A dataset through one of its services.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DatasetService {
    #[schema(value_type = String, pattern = "^(did:op:)?[A-Za-z0-9_-]{1,64}$")]
    did: Did,
    /// The id of the service; its only compute service if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 128)]
    service: Option<String>,
}

/// What a job runs: exactly one of `did`, `rawcode` and `upload`.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct AlgorithmChoice {
    #[serde(skip_serializing_if = "Option::is_none")]
    did: Option<Did>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rawcode: Option<Secret<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upload: Option<Sha256>,
    #[serde(skip_serializing_if = "Option::is_none")]
    container: Option<ContainerChoice>,
}

/// What a job runs.
#[derive(ToSchema)]
#[schema(as = AlgorithmChoice)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes `AlgorithmChoice` to readers of the documentation")]
pub(super) enum AlgorithmSchema {
    /// A published algorithm.
    Published(PublishedSchema),
    /// A program in the request itself.
    Rawcode(RawcodeSchema),
    /// A program that was uploaded before.
    Upload(UploadSchema),
}

/// A published algorithm.
#[derive(ToSchema)]
#[schema(as = PublishedAlgorithm)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes `AlgorithmChoice` to readers of the documentation")]
pub(super) struct PublishedSchema {
    #[schema(pattern = "^(did:op:)?[A-Za-z0-9_-]{1,64}$")]
    did: String,
    /// The id of the service; its only compute service if absent.
    #[schema(min_length = 1, max_length = 128)]
    service: Option<String>,
}

/// A program in the request itself, such as a script.
#[derive(ToSchema)]
#[schema(as = RawAlgorithm)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes `AlgorithmChoice` to readers of the documentation")]
pub(super) struct RawcodeSchema {
    #[schema(min_length = 1, max_length = 1_048_576)]
    rawcode: String,
    container: Option<ContainerChoice>,
}

/// A program that was uploaded before, by the same account.
#[derive(ToSchema)]
#[schema(as = UploadedAlgorithm)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes `AlgorithmChoice` to readers of the documentation")]
pub(super) struct UploadSchema {
    #[schema(pattern = "^[0-9a-fA-F]{64}$")]
    upload: String,
    container: Option<ContainerChoice>,
}

/// What a program runs in; `wasm` if absent: it is a WebAssembly program.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ContainerChoice {
    /// `wasm`, or an image that the operator maps to an interpreter, such as `python`.
    #[schema(min_length = 1, max_length = 500)]
    image: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 200)]
    tag: Option<String>,
    /// The command, with `$ALGO` for the program's file.
    #[schema(min_length = 1, max_length = 4096)]
    entrypoint: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 200)]
    checksum: Option<String>,
}

/// What one run may use.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct LimitsChoice {
    /// Memory in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 65536)]
    memory_bytes: Option<u64>,
    /// Wall-clock time in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    wall_ms: Option<u64>,
    /// Processor time in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    cpu_seconds: Option<u64>,
    /// Instructions, in units of fuel.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    fuel: Option<u64>,
}

/// The dataset that results become: yours alone.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RegisterChoice {
    /// What you call it: one that none of your datasets has.
    #[schema(value_type = String, pattern = "^[a-z0-9-]{1,63}$")]
    name: AssetName,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 250)]
    title: Option<String>,
}

impl<'de> Deserialize<'de> for DatasetChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> de::Visitor<'de> for Either {
            type Value = DatasetChoice;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a DID, or an object with `did` and `service`")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<DatasetChoice, E> {
                text.parse().map(DatasetChoice::Did).map_err(E::custom)
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<DatasetChoice, A::Error> {
                DatasetService::deserialize(de::value::MapAccessDeserializer::new(map)).map(DatasetChoice::Service)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl JobRequest {
    /// A digest of the request, the same for all spellings of it.
    pub(super) fn digest(&self) -> Sha256 {
        Sha256::of(&serde_json::to_vec(self).unwrap_or_default())
    }

    /// The request, as the use cases take it.
    pub(super) fn into_submission(self, identity: Identity) -> Result<Submission, Problem> {
        let Self { datasets, algorithm, parameters, environment, profile, limits, encrypt_to, register } = self;
        if datasets.is_empty() || datasets.len() > MOST_DATASETS {
            return Err(Problem::field("datasets", format!("a job has 1 to {MOST_DATASETS} datasets")));
        }
        let encrypt_to = encrypt_to
            .as_deref()
            .map(str::parse)
            .transpose()
            .map_err(|error: AgeRecipientError| Problem::field("encryptTo", error.to_string()))?;
        let LimitsChoice { memory_bytes, wall_ms, cpu_seconds, fuel } = limits.unwrap_or_default();
        let register = register.map(|RegisterChoice { name, title }| match title {
            Some(title) if title.len() > 1000 => Err(Problem::field("register.title", "is longer than 1000 bytes")),
            title => Ok(Register { name, title }),
        });
        let datasets = datasets.into_iter().enumerate().map(|(at, choice)| {
            let field = format!("datasets[{at}]");
            match choice {
                DatasetChoice::Did(did) => DatasetRef { did, service: None, field },
                DatasetChoice::Service(DatasetService { did, service }) => DatasetRef { did, service, field },
            }
        });
        Ok(Submission {
            datasets: datasets.collect(),
            algorithm: algorithm.into_reference()?,
            parameters: parameters.map(Secret::new),
            environment,
            profile,
            limits: WantedLimits { memory_bytes, wall_ms, cpu_seconds, fuel },
            encrypt_to,
            register: register.transpose()?,
            agreement: None,
            identity,
        })
    }
}

impl AlgorithmChoice {
    fn into_reference(self) -> Result<AlgorithmRef, Problem> {
        let wrong = |detail: &str| Err(Problem::field("algorithm", detail));
        match self {
            Self { did: Some(did), service, rawcode: None, upload: None, container: None } => {
                Ok(AlgorithmRef::Published { did, service })
            }
            Self { did: Some(_), rawcode: None, upload: None, container: Some(_), service: _ } => {
                wrong("a published algorithm has its container in its description; leave `container` out")
            }
            Self { did: None, service: Some(_), .. } => wrong("only a published algorithm has services"),
            Self { did: None, service: None, rawcode: Some(code), upload: None, container } => {
                if code.expose().is_empty() || code.expose().len() > MOST_RAWCODE_BYTES {
                    let detail =
                        format!("has to have 1 to {MOST_RAWCODE_BYTES} bytes; send larger ones to /v1/uploads");
                    return Err(Problem::field("algorithm.rawcode", detail));
                }
                let container = container.map(ContainerChoice::check).transpose()?;
                Ok(AlgorithmRef::Raw { source: RawSource::Code(code), container })
            }
            Self { did: None, service: None, rawcode: None, upload: Some(sha256), container } => {
                let container = container.map(ContainerChoice::check).transpose()?;
                Ok(AlgorithmRef::Raw { source: RawSource::Upload(sha256), container })
            }
            _ => wrong("give exactly one of `did`, `rawcode` and `upload`"),
        }
    }
}

impl ContainerChoice {
    fn check(self) -> Result<Container, Problem> {
        let Self { image, tag, entrypoint, checksum } = self;
        for (field, text, least, most) in [
            ("algorithm.container.image", Some(&image), 1, 500),
            ("algorithm.container.tag", tag.as_ref(), 0, 200),
            ("algorithm.container.entrypoint", Some(&entrypoint), 1, 4096),
            ("algorithm.container.checksum", checksum.as_ref(), 0, 200),
        ] {
            if text.is_some_and(|text| !(least..=most).contains(&text.len())) {
                return Err(Problem::field(field, format!("has to have {least} to {most} bytes")));
            }
        }
        Ok(Container { image, tag, entrypoint, checksum })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(value: Value) -> Result<Submission, Problem> {
        let request: JobRequest = serde_json::from_value(value).expect("a request");
        request.into_submission(Identity::Random)
    }

    #[test]
    fn both_spellings_of_a_dataset_are_taken() {
        let submission = read(json!({
            "datasets": ["did:op:a", {"did": "b", "service": "s"}], "algorithm": {"rawcode": "x"}
        }))
        .expect("a submission");
        assert_eq!(submission.datasets[0].field, "datasets[0]");
        assert_eq!(submission.datasets[1].service.as_deref(), Some("s"));
        for wrong in [json!([1]), json!([{"did": "a", "more": 1}]), json!([{}]), json!(["did:web:x"]), json!("a")] {
            let request = json!({"datasets": wrong, "algorithm": {"rawcode": "x"}});
            assert!(serde_json::from_value::<JobRequest>(request).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_algorithm_comes_from_one_place() {
        let digest = "ab".repeat(32);
        for good in [json!({"did": "a", "service": "s"}), json!({"rawcode": "x"}), json!({"upload": digest})] {
            assert!(read(json!({"datasets": ["d"], "algorithm": good})).is_ok(), "{good}");
        }
        for bad in [
            json!({}),
            json!({"did": "a", "rawcode": "x"}),
            json!({"rawcode": "x", "upload": digest}),
            json!({"rawcode": "x", "service": "s"}),
            json!({"did": "a", "container": {"image": "wasm", "entrypoint": "$ALGO"}}),
            json!({"rawcode": ""}),
            json!({"rawcode": "x", "container": {"image": "", "entrypoint": "x"}}),
        ] {
            assert!(read(json!({"datasets": ["d"], "algorithm": bad})).is_err(), "{bad}");
        }
        assert!(read(json!({"datasets": [], "algorithm": {"rawcode": "x"}})).is_err());
    }

    #[test]
    fn code_is_not_shown() {
        let submission =
            read(json!({"datasets": ["d"], "algorithm": {"rawcode": "SECRET"}, "parameters": {"a": "SECRET"}}));
        assert!(!format!("{submission:?}").contains("SECRET"));
    }
}
