use cloister_model::{ListDigest, Report, ResultFile, StepMessage, StepReport};

/// What a step answered, as its engine got it.
#[derive(Clone, Copy, Debug)]
pub enum StepAnswer<'a> {
    /// Its whole report.
    Report(&'a StepReport),
    /// A message, which has the lists of its report as digests.
    Message(&'a StepMessage),
}

impl<'a> From<&'a StepReport> for StepAnswer<'a> {
    fn from(report: &'a StepReport) -> Self {
        Self::Report(report)
    }
}

impl<'a> From<&'a StepMessage> for StepAnswer<'a> {
    fn from(message: &'a StepMessage) -> Self {
        Self::Message(message)
    }
}

/// Where the report of a run is.
#[derive(Clone, Copy, Debug)]
pub enum StoredReport<'a> {
    /// The engine has it.
    Here(&'a Report),
    /// The steps have it, and the engine knows its digest. Orders are without what is in it; the step that gets the order
    /// takes that from the report.
    Elsewhere,
}

/// A list of results, as its engine has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResultList {
    /// The list itself.
    Files(Vec<ResultFile>),
    /// Its digest: the steps and the result store have the list.
    Digest(ListDigest),
}

impl ResultList {
    /// Its digest.
    #[must_use]
    pub fn digest(&self) -> ListDigest {
        match self {
            Self::Files(files) => ListDigest::of(files),
            Self::Digest(digest) => *digest,
        }
    }

    /// The list itself; empty where the engine has its digest.
    #[must_use]
    pub fn files(&self) -> &[ResultFile] {
        match self {
            Self::Files(files) => files,
            Self::Digest(_) => &[],
        }
    }
}
