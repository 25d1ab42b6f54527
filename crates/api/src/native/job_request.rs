use super::schemas::{DidText, ProfileSchema};
use crate::problem::Problem;
use cloister_model::{
    AgeRecipientError, AssetName, Container, Did, MOST_RAWCODE_BYTES, Profile, Secret, Sha256, escape,
};
use cloister_service::{
    AlgorithmRef, DatasetRef, Identity, JobLabelError, RawSource, Register, Submission, WantedLimits,
};
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
    #[schema(min_items = 1, max_items = 100)]
    datasets: Vec<DatasetChoice>,
    algorithm: AlgorithmChoice,
    /// The parameters, which the algorithm finds in `algoCustomData.json`. They are checked against what algorithm and datasets declare.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    parameters: Option<Value>,
    /// Where; the first one if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 256)]
    environment: Option<String>,
    /// Which clock and randomness it gets; `deterministic` if absent.
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
    /// What you call the job: one line. Everyone who may see the job sees it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 100)]
    label: Option<String>,
    /// Makes the results a dataset of yours.
    #[serde(skip_serializing_if = "Option::is_none")]
    register: Option<RegisterChoice>,
}

/// A dataset: its DID, or an object.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum DatasetChoice {
    /// Its DID.
    Did(DidText),
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

/// What a job runs.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(untagged, try_from = "AlgorithmFields")]
pub(super) enum AlgorithmChoice {
    /// A published algorithm.
    Published(PublishedAlgorithm),
    /// A program in the request itself.
    Raw(RawAlgorithm),
    /// A program that was uploaded before.
    Uploaded(UploadedAlgorithm),
}

/// A published algorithm.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PublishedAlgorithm {
    #[schema(value_type = String, pattern = "^(did:op:)?[A-Za-z0-9_-]{1,64}$")]
    did: Did,
    /// The id of the service; its only compute service if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 128)]
    service: Option<String>,
}

/// A program in the request itself, such as a script.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAlgorithm {
    #[schema(value_type = String, min_length = 1, max_length = 1_048_576)]
    rawcode: Secret<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    container: Option<ContainerChoice>,
}

/// A program that was uploaded before, by the same account.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UploadedAlgorithm {
    #[schema(value_type = String, pattern = "^[0-9a-fA-F]{64}$")]
    upload: Sha256,
    #[serde(skip_serializing_if = "Option::is_none")]
    container: Option<ContainerChoice>,
}

/// The fields of all kinds of algorithms, so that a wrong combination is named.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AlgorithmFields {
    did: Option<Did>,
    service: Option<String>,
    rawcode: Option<Secret<String>>,
    upload: Option<Sha256>,
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
                text.parse().map(|did| DatasetChoice::Did(DidText(did))).map_err(E::custom)
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
        let Self { datasets, algorithm, parameters, environment, profile, limits, encrypt_to, label, register } = self;
        if datasets.is_empty() || datasets.len() > MOST_DATASETS {
            return Err(Problem::field("datasets", format!("a job has 1 to {MOST_DATASETS} datasets")));
        }
        let encrypt_to = encrypt_to
            .as_deref()
            .map(str::parse)
            .transpose()
            .map_err(|error: AgeRecipientError| Problem::field("encryptTo", error.to_string()))?;
        let label = label
            .as_deref()
            .map(str::parse)
            .transpose()
            .map_err(|error: JobLabelError| Problem::field("label", error.to_string()))?;
        let LimitsChoice { memory_bytes, wall_ms, cpu_seconds, fuel } = limits.unwrap_or_default();
        let register = register.map(|RegisterChoice { name, title }| match title {
            Some(title) if title.len() > 1000 => Err(Problem::field("register.title", "is longer than 1000 bytes")),
            title => Ok(Register { name, title }),
        });
        let datasets = datasets.into_iter().enumerate().map(|(at, choice)| {
            let field = format!("datasets[{at}]");
            match choice {
                DatasetChoice::Did(DidText(did)) => DatasetRef { did, service: None, field },
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
            label,
            register: register.transpose()?,
            agreement: None,
            identity,
        })
    }
}

/// Reads a request for a job that did not come over HTTP.
pub(crate) fn read_job_request(request: Value, identity: Identity) -> Result<Submission, Problem> {
    let request: JobRequest = serde_json::from_value(request).map_err(|error| {
        // What serde says can quote the request.
        Problem::field("spec", escape(error.to_string().as_bytes(), 500).to_string())
    })?;
    request.into_submission(identity)
}

impl TryFrom<AlgorithmFields> for AlgorithmChoice {
    type Error = &'static str;

    fn try_from(fields: AlgorithmFields) -> Result<Self, &'static str> {
        match fields {
            AlgorithmFields { did: Some(did), service, rawcode: None, upload: None, container: None } => {
                Ok(Self::Published(PublishedAlgorithm { did, service }))
            }
            AlgorithmFields { did: Some(_), rawcode: None, upload: None, container: Some(_), service: _ } => {
                Err("a published algorithm has its container in its description; leave `container` out")
            }
            AlgorithmFields { did: None, service: Some(_), .. } => Err("only a published algorithm has services"),
            AlgorithmFields { did: None, service: None, rawcode: Some(rawcode), upload: None, container } => {
                Ok(Self::Raw(RawAlgorithm { rawcode, container }))
            }
            AlgorithmFields { did: None, service: None, rawcode: None, upload: Some(upload), container } => {
                Ok(Self::Uploaded(UploadedAlgorithm { upload, container }))
            }
            _ => Err("give exactly one of `did`, `rawcode` and `upload`"),
        }
    }
}

impl AlgorithmChoice {
    fn into_reference(self) -> Result<AlgorithmRef, Problem> {
        let (source, container) = match self {
            Self::Published(PublishedAlgorithm { did, service }) => {
                return Ok(AlgorithmRef::Published { did, service });
            }
            Self::Raw(RawAlgorithm { rawcode, .. }) if !(1..=MOST_RAWCODE_BYTES).contains(&rawcode.expose().len()) => {
                let detail = format!("has to have 1 to {MOST_RAWCODE_BYTES} bytes; send larger ones to /v1/uploads");
                return Err(Problem::field("algorithm.rawcode", detail));
            }
            Self::Raw(RawAlgorithm { rawcode, container }) => (RawSource::Code(rawcode), container),
            Self::Uploaded(UploadedAlgorithm { upload, container }) => (RawSource::Upload(upload), container),
        };
        let container = container.map(ContainerChoice::check).transpose()?;
        Ok(AlgorithmRef::Raw { source, container })
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

    fn read(value: Value) -> Result<Submission, String> {
        let request: JobRequest = serde_json::from_value(value).map_err(|error| error.to_string())?;
        request.into_submission(Identity::Random).map_err(|problem| problem.to_string())
    }

    #[test]
    fn a_number_that_is_written_and_read_again_has_the_same_digest() {
        // The first was read as a neighbour of what was written.
        for number in
            ["277777777777777777777777777777777", "1.7976931348623157e308", "5e-324", "0.1", "9007199254740993"]
        {
            let text =
                format!(r#"{{"datasets": ["a"], "algorithm": {{"did": "b"}}, "parameters": {{"n": {number}}}}}"#);
            let request: JobRequest = serde_json::from_str(&text).expect("a request");
            let written = serde_json::to_vec(&request).expect("JSON");
            let again: JobRequest = serde_json::from_slice(&written).expect("the same request");
            assert_eq!(again.digest(), request.digest(), "{number}");
        }
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
    fn a_field_that_is_given_twice_is_refused() {
        for twice in [
            r#"{"datasets": ["d"], "datasets": ["d"], "algorithm": {"rawcode": "x"}}"#,
            r#"{"datasets": ["d"], "algorithm": {"rawcode": "x", "rawcode": "y"}}"#,
            r#"{"datasets": [{"did": "d", "did": "e"}], "algorithm": {"rawcode": "x"}}"#,
        ] {
            let error = serde_json::from_str::<JobRequest>(twice).expect_err("a duplicate");
            assert!(error.to_string().contains("duplicate field"), "{error}");
        }
    }

    #[test]
    fn code_is_not_shown() {
        let submission =
            read(json!({"datasets": ["d"], "algorithm": {"rawcode": "SECRET"}, "parameters": {"a": "SECRET"}}));
        assert!(!format!("{submission:?}").contains("SECRET"));
    }
}
