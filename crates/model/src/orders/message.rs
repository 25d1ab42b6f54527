use super::{StepFailure, StepName, StepReport, StepResult};
use crate::{FailureDetail, Fault, FilesChecksum, JobId, Outcome, Reason, Report, ResultFile, Sha256};
use serde::{Deserialize, Serialize};

/// Bytes of a message at most. The kubelet keeps 4096 of each container.
pub const MOST_MESSAGE_BYTES: usize = 3584;

/// What a step says at its end where a whole report does not fit: the termination message of a pod. Lists are in it as
/// their digests, which bind the files that hold them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StepMessage {
    /// Which form this is.
    pub version: MessageVersion,
    /// Which job.
    pub job: JobId,
    /// What became of the step.
    pub said: Said,
}

/// The version of a message. Readers refuse versions that they do not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum MessageVersion {
    /// The only one so far.
    #[default]
    #[serde(rename = "cloister.dev/message/v1")]
    V1,
}

/// What became of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Said {
    /// The inputs are laid out.
    Configured {
        /// The algorithm's files: [`FilesChecksum::digest`].
        algorithm: Sha256,
        /// Whether the algorithm's file starts as a WebAssembly module does.
        is_wasm: bool,
    },
    /// The run has ended.
    Ran(RunSummary),
    /// Nothing was run, because the sandbox could not.
    NotRun {
        /// Why.
        reason: Reason,
    },
    /// The outputs may leave, as far as programs can say.
    Passed {
        /// What may leave.
        checked: ListDigest,
    },
    /// The results are stored.
    Published {
        /// What was to be stored, as the step that stored it read it.
        checked: ListDigest,
        /// What is stored.
        stored: ListDigest,
    },
    /// What is known of the run is in the store, and nothing else was asked for.
    Kept,
    /// The step could not be done.
    Failed {
        /// Which step.
        step: StepName,
        /// What kind of failure it is.
        failure: StepFailure,
        /// The rule that outputs broke; none if it was another failure.
        rule: Option<String>,
        /// For the consumer.
        reason: Reason,
        /// For the publisher of the files that it is about. It is the first to be shortened.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        detail: Option<FailureDetail>,
    },
}

/// What a job needs to know of the report of its run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RunSummary {
    /// How it ended.
    pub end: RunEnd,
    /// The same in words; none if it succeeded.
    pub reason: Option<Reason>,
    /// The digest of the file that ran.
    pub algorithm: Sha256,
    /// Whether an interpreter ran it.
    pub interpreted: bool,
    /// All files of the algorithm, the one that ran first: [`FilesChecksum::digest`]. None if they are no asset's files.
    pub files: Option<Sha256>,
    /// The digest of the file with the whole report; none where the report itself is at hand.
    pub report: Option<Sha256>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunEnd {
    /// The algorithm ended well.
    Succeeded,
    /// The algorithm failed or crashed.
    Failed,
    /// The algorithm met a limit.
    MetLimit,
    /// The algorithm was not run, because of what it is.
    Refused,
    /// The host could not do its work.
    HostFault,
}

/// A list of results, by its digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ListDigest {
    /// The digest of the list as JSON: names, kinds, sizes and digests, in order.
    pub sha256: Sha256,
    /// How many files.
    pub files: u64,
    /// The bytes of all files.
    pub bytes: u64,
}

impl ListDigest {
    /// Of a list.
    #[must_use]
    pub fn of(files: &[ResultFile]) -> Self {
        let list = serde_json::to_vec(files).unwrap_or_default();
        Self {
            sha256: Sha256::of(&list),
            files: files.len() as u64,
            bytes: files.iter().fold(0, |sum, file| file.bytes.saturating_add(sum)),
        }
    }
}

impl RunSummary {
    /// Of a report.
    #[must_use]
    pub fn of(report: &Report) -> Self {
        let end = match &report.outcome {
            Outcome::Succeeded => RunEnd::Succeeded,
            Outcome::AlgorithmFailed { .. } | Outcome::Crashed { .. } => RunEnd::Failed,
            Outcome::LimitExceeded { .. } => RunEnd::MetLimit,
            Outcome::Refused { .. } => RunEnd::Refused,
            Outcome::HostFault { .. } => RunEnd::HostFault,
        };
        let fault = if end == RunEnd::HostFault { Fault::System } else { Fault::Algorithm };
        let reason = (end != RunEnd::Succeeded).then(|| Reason::new(&report.outcome.to_string(), fault));
        let beside = |number: usize| {
            let path = format!("transformations/{number}");
            report.inputs.iter().find(|file| file.path == path).map(|file| file.sha256)
        };
        let files = std::iter::once(report.algorithm.sha256).chain((1..).map_while(beside)).collect();
        Self {
            end,
            reason,
            algorithm: report.algorithm.sha256,
            interpreted: report.algorithm.runtime.is_some(),
            files: FilesChecksum::of(files).ok().map(|files| files.digest()),
            report: None,
        }
    }
}

impl StepMessage {
    /// A message.
    #[must_use]
    pub fn new(job: JobId, said: Said) -> Self {
        Self { version: MessageVersion::V1, job, said }
    }

    /// What a report says. `checked` is the list that publishing was to store; `is_wasm` matters for configuration.
    #[must_use]
    pub fn of(report: &StepReport, checked: Option<ListDigest>, is_wasm: bool) -> Self {
        let said = match &report.result {
            StepResult::Configured { datasets: _, files: _, algorithm } => {
                Said::Configured { algorithm: algorithm.digest(), is_wasm }
            }
            StepResult::Passed { files } => Said::Passed { checked: ListDigest::of(files) },
            StepResult::Published { files } => {
                let stored = ListDigest::of(files);
                Said::Published { checked: checked.unwrap_or(stored), stored }
            }
            StepResult::Failed { failure, rule, reason, detail } => Said::Failed {
                step: report.step,
                failure: *failure,
                rule: rule.clone(),
                reason: reason.clone(),
                detail: detail.clone(),
            },
        };
        Self::new(report.job, said)
    }

    /// The message as it is written: at most [`MOST_MESSAGE_BYTES`]. Where it would be longer, the end of its text is left
    /// out, and never a digest.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        let mut message = self.clone();
        loop {
            let text = serde_json::to_vec(&message).unwrap_or_default();
            let beyond = text.len().saturating_sub(MOST_MESSAGE_BYTES);
            if beyond == 0 || !message.said.shorten(beyond) {
                return text;
            }
        }
    }

    /// Reads a message: of this version, and whole.
    #[must_use]
    pub fn read(text: &[u8]) -> Option<Self> {
        if text.len() > MOST_MESSAGE_BYTES {
            return None;
        }
        serde_json::from_slice(text).ok()
    }
}

impl Said {
    /// Leaves out so many bytes of its text at least. False if there is none.
    fn shorten(&mut self, bytes: usize) -> bool {
        let shorter = |text: &str| {
            let mut end = text.len().saturating_sub(bytes);
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            text[..end].to_owned()
        };
        match self {
            Self::Failed { detail: Some(detail), .. } if !detail.text().is_empty() => {
                *detail = detail.cut(&shorter(detail.text()));
                true
            }
            Self::Failed { reason, .. }
            | Self::NotRun { reason }
            | Self::Ran(RunSummary { reason: Some(reason), .. })
                if !reason.text().is_empty() =>
            {
                *reason = reason.cut(&shorter(reason.text()));
                true
            }
            Self::Failed { rule: Some(rule), .. } if !rule.is_empty() => {
                *rule = shorter(rule);
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ResultKind;

    const JOB: JobId = JobId::from_bytes([255; 16]);
    const DIGEST: Sha256 = Sha256::from_bytes([255; 32]);

    #[test]
    fn the_longest_message_fits_and_keeps_its_digests() {
        // Every character of these is escaped, to six or more bytes.
        let hostile = "\u{1f}\u{10ffff}".repeat(5000);
        let reason = Reason::new(&hostile, Fault::Algorithm);
        let detail = Some(crate::FailureDetail::new(Some("did:op:a".parse().expect("a DID")), &hostile));
        let failed = |rule: &str| Said::Failed {
            step: StepName::Configure,
            failure: StepFailure::Algorithm,
            rule: Some(rule.to_owned()),
            reason: reason.clone(),
            detail: detail.clone(),
        };
        let summary = RunSummary {
            end: RunEnd::HostFault,
            reason: Some(reason.clone()),
            algorithm: DIGEST,
            interpreted: false,
            files: Some(DIGEST),
            report: Some(DIGEST),
        };
        let list = ListDigest { sha256: DIGEST, files: u64::MAX, bytes: u64::MAX };
        for said in [
            failed("check"),
            failed(&hostile),
            Said::NotRun { reason: reason.clone() },
            Said::Ran(summary.clone()),
            Said::Published { checked: list, stored: list },
            Said::Configured { algorithm: DIGEST, is_wasm: true },
        ] {
            let text = StepMessage::new(JOB, said.clone()).write();
            assert!(text.len() <= MOST_MESSAGE_BYTES, "{} bytes", text.len());
            let read = StepMessage::read(&text).expect("a message");
            match (&read.said, &said) {
                (Said::Ran(read), Said::Ran(_)) => {
                    let without = |summary: &RunSummary| RunSummary { reason: None, ..summary.clone() };
                    assert_eq!(without(read), without(&summary));
                    assert!(read.reason.as_ref().is_some_and(|reason| reason.text().len() > 1000));
                }
                (Said::Failed { reason, .. }, Said::Failed { .. }) | (Said::NotRun { reason }, Said::NotRun { .. }) => {
                    assert_eq!(reason.fault(), Fault::Algorithm);
                }
                (read, said) => assert_eq!(read, said),
            }
        }
    }

    #[test]
    fn cut_or_foreign_text_is_no_message() {
        let text = StepMessage::new(JOB, Said::Configured { algorithm: DIGEST, is_wasm: false }).write();
        assert!(StepMessage::read(&text).is_some());
        assert_eq!(StepMessage::read(&text[..text.len() - 1]), None);
        assert_eq!(StepMessage::read(b""), None);
        let later = String::from_utf8(text).expect("text").replace("message/v1", "message/v2");
        assert_eq!(StepMessage::read(later.as_bytes()), None);
        assert_eq!(StepMessage::read(&vec![b' '; MOST_MESSAGE_BYTES + 1]), None);
    }

    #[test]
    fn a_list_is_its_names_sizes_and_digests_in_order() {
        let file =
            |name: &str, bytes| ResultFile { name: name.to_owned(), kind: ResultKind::Output, bytes, sha256: DIGEST };
        let list = [file("a", 1), file("b", 2)];
        let digest = ListDigest::of(&list);
        assert_eq!((digest.files, digest.bytes), (2, 3));
        for other in [[file("b", 2), file("a", 1)], [file("a", 2), file("b", 1)]] {
            assert_ne!(ListDigest::of(&other).sha256, digest.sha256);
        }
    }
}
