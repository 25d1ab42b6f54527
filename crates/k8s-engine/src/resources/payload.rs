use super::schema;
use cloister_model::{ConfigureOrder, JobId, Sha256};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Bytes of one part. A Secret holds a mebibyte.
const PART_BYTES: usize = 700 * 1024;

/// Parts of a payload.
const MOST_PARTS: usize = 8;

/// Where the secrets of a job are: immutable Secrets in the job's namespace, that hold a
/// [`ConfigureOrder`] as JSON, cut into parts, under the key [`Payload::KEY`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct Payload {
    /// Their names, in the order of the parts.
    #[schemars(length(min = 1, max = 8), inner(length(max = 253), regex(pattern = schema::OBJECT_NAME)))]
    pub secrets: Vec<String>,
    /// The digest of all parts together.
    #[schemars(schema_with = "schema::sha256")]
    pub sha256: Sha256,
    /// The size of all parts together, in bytes.
    #[schemars(schema_with = "schema::amount")]
    pub bytes: u64,
}

impl Payload {
    /// The key in each Secret.
    pub const KEY: &str = "part";

    /// What the Secrets of a job hold, and what its order says of them.
    ///
    /// # Errors
    /// [`PayloadError::TooLarge`].
    pub fn cut(order: &ConfigureOrder) -> Result<(Self, Vec<Vec<u8>>), PayloadError> {
        let unwritable = |_| PayloadError::Json { job: order.job, problem: "they cannot be written as JSON" };
        let whole = serde_json::to_vec(order).map_err(unwritable)?;
        if whole.len() > PART_BYTES * MOST_PARTS {
            return Err(PayloadError::TooLarge(whole.len()));
        }
        let parts: Vec<Vec<u8>> = whole.chunks(PART_BYTES).map(<[u8]>::to_vec).collect();
        let secrets = (0..parts.len()).map(|number| format!("{}-p{number}", order.job)).collect();
        let sha256 = Sha256::of(&whole);
        Ok((Self { secrets, sha256, bytes: whole.len() as u64 }, parts))
    }

    /// The order that the parts are.
    ///
    /// # Errors
    /// If they are not what was stored.
    pub fn join(&self, job: JobId, parts: &[Vec<u8>]) -> Result<ConfigureOrder, PayloadError> {
        let whole = parts.concat();
        let sha256 = Sha256::of(&whole);
        if sha256 != self.sha256 || whole.len() as u64 != self.bytes {
            return Err(PayloadError::Changed(job));
        }
        serde_json::from_slice(&whole)
            .map_err(|_| PayloadError::Json { job, problem: "they are not an order of this version" })
    }
}

/// Why the secrets of a job cannot be stored or read.
#[derive(Debug, thiserror::Error)]
pub enum PayloadError {
    /// More than eight Secrets hold.
    #[error("sources, parameters, code and DDOs of the job take {0} bytes, and its Secrets hold {most}; use fewer datasets in one job, or upload large files", most = PART_BYTES * MOST_PARTS)]
    TooLarge(usize),
    /// It is not what was stored.
    #[error("the secrets of job {0} are not those that were stored; submit it again under another id")]
    Changed(JobId),
    /// It is not an order.
    #[error("the secrets of job {job} cannot be read: {problem}")]
    Json {
        /// Which job.
        job: JobId,
        /// What is wrong. It quotes nothing of them.
        problem: &'static str,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_model::{JobSource, Secret as Hidden, Timestamp};

    fn order(code_bytes: usize) -> ConfigureOrder {
        let mut job = cloister_testkit::job(1, Timestamp::from_unix_ms(5));
        job.algorithm.source = JobSource::Rawcode(Hidden::new("x".repeat(code_bytes)));
        ConfigureOrder::of(&job)
    }

    #[test]
    fn parts_are_the_whole() {
        for (bytes, expected) in [(0, 1), (PART_BYTES, 2), (3 * PART_BYTES, 4)] {
            let order = order(bytes);
            let (payload, parts) = Payload::cut(&order).expect("parts");
            assert_eq!((payload.secrets.len(), parts.len()), (expected, expected));
            assert!(parts.iter().all(|part| part.len() <= PART_BYTES));
            assert_eq!(payload.join(order.job, &parts).expect("the order"), order);
        }
    }

    #[test]
    fn what_was_changed_is_not_read() {
        let order = order(PART_BYTES);
        let (payload, mut parts) = Payload::cut(&order).expect("parts");
        parts.swap(0, 1);
        let error = payload.join(order.job, &parts).expect_err("another order");
        assert!(matches!(error, PayloadError::Changed(_)), "{error}");
    }

    #[test]
    fn a_payload_has_a_bound() {
        assert!(matches!(Payload::cut(&order(PART_BYTES * MOST_PARTS)), Err(PayloadError::TooLarge(_))));
    }
}
