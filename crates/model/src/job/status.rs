use super::{JobId, Labels};
use crate::{Account, Did, Event, ImpossibleStep, Phase, escape};
use serde::{Deserialize, Deserializer, Serialize};
use std::{fmt, time::SystemTime};

/// Characters of a reason.
const MOST_REASON_CHARACTERS: usize = 500;

/// A moment: milliseconds since 1970, UTC. The caller passes it in, because this crate reads no clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// From milliseconds since 1970.
    #[must_use]
    pub const fn from_unix_ms(ms: u64) -> Self {
        Self(ms)
    }

    /// Milliseconds since 1970.
    #[must_use]
    pub const fn unix_ms(self) -> u64 {
        self.0
    }
}

impl From<SystemTime> for Timestamp {
    /// Whole milliseconds. Before 1970 counts as 1970.
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

impl fmt::Display for Timestamp {
    /// Seconds with a fraction, as Ocean writes its dates.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}", self.0 / 1000, self.0 % 1000)
    }
}

/// How a job is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JobStatus {
    /// Which.
    pub id: JobId,
    /// What the service marked it with.
    pub labels: Labels,
    /// Where it is.
    pub phase: Phase,
    /// Why it ended; none while it has not.
    pub reason: Option<Reason>,
    /// What the publisher of an asset of the job, or its owner, is told beyond that: see [`FailureDetail::asset`].
    #[serde(default)]
    pub detail: Option<FailureDetail>,
    /// When it was allowed.
    pub created: Timestamp,
    /// When it came to its phase.
    pub changed: Timestamp,
    /// When it ended; none while it has not.
    pub ended: Option<Timestamp>,
    /// When it was asked to stop; none: it was not.
    pub stop_requested: Option<Timestamp>,
    /// When its results are deleted; none while it has not ended, or if an asset needs them.
    pub expires: Option<Timestamp>,
    /// The reviewer's decision, if there was one.
    #[serde(default)]
    pub review: Option<Review>,
    /// The log, if the job has ended and its consumer may read none of it without the publisher's consent.
    #[serde(default)]
    pub withheld_log: Option<WithheldLog>,
    /// Grows with every change that a follower wants to see, [`JobStatus::progress`] included. Followers compare
    /// [`JobStatus::seen`] instead: how revisions are counted is the engine's own affair.
    pub revision: u64,
    /// How far its inputs are fetched; none outside configuration.
    pub progress: Option<Progress>,
    /// That its results wait for a result store which is away or refuses them; none while they do not.
    #[serde(default)]
    pub store_wait: Option<StoreWait>,
    /// Every phase that it came to, and when, the present one last.
    pub history: Vec<Step>,
}

/// The state of a job that a follower has seen. Opaque: two of them can be compared for equality and nothing else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen(String);

impl Seen {
    /// From the text of an earlier [`Seen`], as a client sends it back. Any other text equals the state of no job, so that
    /// such a client starts from the beginning; so does a text of more than 64 bytes.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        if text.len() <= 64 { Self(text.to_owned()) } else { Self::default() }
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A reviewer's decision on the outputs of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Review {
    /// Whether the outputs may leave.
    pub approved: bool,
    /// Who decided.
    pub by: Account,
    /// When.
    pub at: Timestamp,
    /// Who approved before, where two accounts have to. While a job is in review and this is absent, `by` is the first of the two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<Approval>,
}

/// The first approval of two.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Approval {
    /// Who approved.
    pub by: Account,
    /// When.
    pub at: Timestamp,
}

/// A log that the rules of a dataset keep from the consumer. It is kept, bounded, for the publishers of the datasets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WithheldLog {
    /// The datasets whose rules withhold it.
    pub by: Vec<Did>,
    /// The releases by publishers, in the order in which they were made; one of each publisher at most.
    pub releases: Vec<LogRelease>,
    /// Those of `by` whose publisher has not released it yet.
    pub missing: Vec<Did>,
    /// The most bytes of it, from its beginning, that the consumer may read: 0 while a release is missing.
    pub bytes: u64,
}

/// A publisher's decision to let the consumer read a withheld log, as far as the rules of its own datasets withhold it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LogRelease {
    /// Who released it.
    pub by: Account,
    /// When.
    pub at: Timestamp,
}

impl WithheldLog {
    /// A log that these datasets withhold and that no publisher has released.
    #[must_use]
    pub fn by(datasets: Vec<Did>) -> Self {
        Self { missing: datasets.clone(), by: datasets, releases: Vec::new(), bytes: 0 }
    }

    /// When the consumer was let read it; none: it may not.
    #[must_use]
    pub fn released(&self) -> Option<Timestamp> {
        self.releases.last().filter(|_| self.bytes > 0).map(|release| release.at)
    }
}

impl fmt::Display for WithheldLog {
    /// What the consumer is told: whose rules withhold it, and whose release is missing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { by, releases, missing, bytes } = self;
        if *bytes > 0 {
            return f.write_str("the log was released by all publishers that withheld it");
        }
        write!(f, "the log is withheld by the rules of {}", Listed(by))?;
        match (releases.is_empty(), by.len()) {
            (true, ..=1) => f.write_str("; its publisher can read the log and release it"),
            (true, _) => f.write_str("; it can be read once the publishers of all of them have released it"),
            (false, _) => write!(f, "; the release by the publisher of {} is missing", Listed(missing)),
        }
    }
}

/// DIDs, separated by commas.
struct Listed<'a>(&'a [Did]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, did) in self.0.iter().enumerate() {
            write!(f, "{}{did}", if number == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

/// The wait for a result store that is away or refuses the results. The outputs are kept meanwhile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StoreWait {
    /// When the first attempt to store them failed.
    pub since: Timestamp,
    /// How many attempts have failed since then, that one included.
    pub failures: u32,
    /// When the next attempt begins, unless an earlier one is requested.
    pub next: Timestamp,
    /// When the job ends without results, if the store has not taken the results by then.
    pub until: Timestamp,
    /// Why the last attempt failed, and what can be done: at most 500 characters that are safe to show.
    pub why: String,
}

/// How far the fetching of inputs is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Progress {
    /// Bytes that are here.
    pub done_bytes: u64,
    /// Bytes in all; none if a source does not say.
    pub total_bytes: Option<u64>,
}

/// A phase that a job came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Step {
    /// Which.
    pub phase: Phase,
    /// When.
    pub at: Timestamp,
}

/// Why a job ended: the rule or the limit that it met.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reason {
    text: String,
    fault: Fault,
}

/// Whose doing it was that a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// No fault: it finished, or was stopped on request.
    Nobody,
    /// The algorithm's: running it again will end the same way.
    Algorithm,
    /// A publisher's: where the files of a dataset or an algorithm are kept, they cannot be fetched as described. Running it
    /// again may help; otherwise the publisher has to mend it.
    Publisher,
    /// The system's: running it again may help.
    System,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Nobody, Self::Algorithm, Self::Publisher, Self::System];

    /// Its name, as everywhere: in answers, receipts, logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nobody => "nobody",
            Self::Algorithm => "algorithm",
            Self::Publisher => "publisher",
            Self::System => "system",
        }
    }
}

/// What is known of a failure beyond its [`Reason`], and not for every reader: it may name where files are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FailureDetail {
    asset: Option<Did>,
    text: String,
}

impl FailureDetail {
    /// One line, made safe to show and cut to 500 characters of input, about the files of this asset. None: those of an
    /// algorithm that the job brought.
    #[must_use]
    pub fn new(asset: Option<Did>, text: &str) -> Self {
        Self { asset, text: escape(text.as_bytes(), MOST_REASON_CHARACTERS).to_string() }
    }

    /// The same with another line, which is a part of this one: it is not escaped again.
    #[must_use]
    pub(crate) fn cut(&self, text: &str) -> Self {
        debug_assert!(self.text.starts_with(text));
        Self { asset: self.asset.clone(), text: text.to_owned() }
    }

    /// Whose files it is about: the publisher of this asset may read it. None: those that the job's owner brought.
    #[must_use]
    pub fn asset(&self) -> Option<&Did> {
        self.asset.as_ref()
    }

    /// The line.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl<'de> Deserialize<'de> for FailureDetail {
    /// As a [`Reason`] is read.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Written {
            asset: Option<Did>,
            text: String,
        }
        let Written { asset, text } = Written::deserialize(deserializer)?;
        let text = if is_safe(&text) { text } else { Self::new(None, &text).text };
        Ok(Self { asset, text })
    }
}

/// Whether a line may be taken as it was written: it is escaped already, and not longer than a line that was escaped can be.
fn is_safe(text: &str) -> bool {
    // A text that escaping would only give more backslashes has been escaped before.
    let undone = text.replace('\\', "");
    let safe = escape(undone.as_bytes(), usize::MAX).to_string() == undone;
    // Escaping makes at most ten characters of one.
    safe && text.len() <= MOST_REASON_CHARACTERS * 10 + '…'.len_utf8()
}

/// A step that a status cannot take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StatusError {
    /// It leads nowhere.
    #[error(transparent)]
    Impossible(#[from] ImpossibleStep),
    /// It ends the job without saying why.
    #[error("a job that ends in {0:?} needs a reason; say which rule or limit it met")]
    NoReason(Phase),
}

impl Reason {
    /// One line, made safe to show and cut to 500 characters of input. It may hold a stranger's text.
    #[must_use]
    pub fn new(text: &str, fault: Fault) -> Self {
        Self { text: escape(text.as_bytes(), MOST_REASON_CHARACTERS).to_string(), fault }
    }

    /// The same with another line, which is a part of this one: it is not escaped again.
    #[must_use]
    pub(crate) fn cut(&self, text: &str) -> Self {
        debug_assert!(self.text.starts_with(text));
        Self { text: text.to_owned(), fault: self.fault }
    }

    /// The line.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whose doing it was.
    #[must_use]
    pub fn fault(&self) -> Fault {
        self.fault
    }
}

impl<'de> Deserialize<'de> for Reason {
    /// Takes what was written as it is if it is safe to show, and makes it safe if it is not.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Written {
            text: String,
            fault: Fault,
        }
        let Written { text, fault } = Written::deserialize(deserializer)?;
        Ok(if is_safe(&text) { Self { text, fault } } else { Self::new(&text, fault) })
    }
}

impl JobStatus {
    /// A job that was just taken in.
    #[must_use]
    pub fn queued(id: JobId, labels: Labels, created: Timestamp) -> Self {
        Self {
            id,
            labels,
            phase: Phase::Queued,
            reason: None,
            detail: None,
            created,
            changed: created,
            ended: None,
            stop_requested: None,
            expires: None,
            review: None,
            withheld_log: None,
            revision: 1,
            progress: None,
            store_wait: None,
            history: vec![Step { phase: Phase::Queued, at: created }],
        }
    }

    /// What a follower who has this status has seen.
    #[must_use]
    pub fn seen(&self) -> Seen {
        Seen(self.revision.to_string())
    }

    /// The status after an event. The reason counts only where the event ends the job.
    ///
    /// # Errors
    /// If the event cannot happen now, or ends the job other than well without a reason.
    pub fn after(&self, event: Event, at: Timestamp, reason: Option<Reason>) -> Result<Self, StatusError> {
        let phase = self.phase.next(event)?;
        let reason = match reason {
            _ if !phase.has_ended() => None,
            None if phase.is_success() => Some(Reason::new("finished", Fault::Nobody)),
            None => return Err(StatusError::NoReason(phase)),
            given => given,
        };
        let mut history = self.history.clone();
        history.push(Step { phase, at });
        let (ended, revision) = (phase.has_ended().then_some(at), self.revision + 1);
        let (progress, store_wait) = (None, None);
        Ok(Self { phase, reason, changed: at, ended, revision, progress, store_wait, history, ..self.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*, sample::select};

    fn queued() -> JobStatus {
        JobStatus::queued(JobId::from_bytes([1; 16]), Labels::new(), Timestamp::from_unix_ms(1_795_363_289_021))
    }

    #[test]
    fn dates_are_oceans() {
        assert_eq!(queued().created.to_string(), "1795363289.021");
    }

    #[test]
    fn moments_of_a_clock_are_whole_milliseconds_since_1970() {
        let (epoch, micros) = (SystemTime::UNIX_EPOCH, std::time::Duration::from_micros);
        for (time, expected) in [
            (epoch, 0),
            (epoch + micros(1999), 1),
            (epoch + micros(1_795_363_289_021_000), 1_795_363_289_021),
            (epoch - micros(5000), 0),
        ] {
            assert_eq!(Timestamp::from(time).unix_ms(), expected);
        }
    }

    #[test]
    fn an_end_needs_a_reason_and_a_failed_step_changes_nothing() {
        let at = Timestamp::from_unix_ms(9);
        assert_eq!(queued().after(Event::Stop, at, None), Err(StatusError::NoReason(Phase::Stopped)));
        assert!(matches!(queued().after(Event::Run, at, None), Err(StatusError::Impossible(_))));
        let reason = Reason::new("stopped\nby \u{1b}[31mits owner", Fault::Nobody);
        assert_eq!(reason.text(), r"stopped\nby \u{1b}[31mits owner");
        let stopped = queued().after(Event::Stop, at, Some(reason.clone())).expect("a step");
        assert_eq!((stopped.phase, stopped.ended, stopped.reason), (Phase::Stopped, Some(at), Some(reason)));
    }

    #[test]
    fn a_reason_is_safe_wherever_it_came_from() {
        let forged = serde_json::json!({"text": "\u{1b}[31m\n", "fault": "system"});
        let reason: Reason = serde_json::from_value(forged).expect("a reason");
        assert_eq!(reason.text(), r"\u{1b}[31m\n");
    }

    proptest! {
        #[test]
        fn every_ended_job_says_why(events in vec(select(Event::ALL.to_vec()), 0..200), text in "\\PC{0,600}") {
            let mut status = queued();
            for (event, ms) in events.into_iter().zip(1..) {
                let reason = Some(Reason::new(&text, Fault::System));
                status = status.after(event, Timestamp::from_unix_ms(ms), reason).unwrap_or(status);
            }
            prop_assert_eq!(status.phase.has_ended(), status.reason.is_some());
            prop_assert_eq!(status.phase.has_ended(), status.ended.is_some());
            let json = serde_json::to_value(&status).expect("json");
            prop_assert_eq!(serde_json::from_value::<JobStatus>(json).expect("a status"), status);
        }
    }
}
