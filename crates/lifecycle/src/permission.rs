//! Whether a job that was allowed may still run, and whether its results may still leave.
//!
//! A publisher may change rules, publish anew or withdraw while a job waits or runs. So the decision is asked again when the
//! job leaves its queue, and again before its results are released. The transition that depends on the answer is stored only
//! if the assets still have the revisions that the answer is about ([`Transition::apply`](crate::Transition::apply)).

use crate::{LogFate, Recorded, Transition, run::ran_as_allowed};
use cloister_model::{
    AlgorithmOrigin, Asset, Decision, Denial, DenialRule, Did, Environment, Event, Fault, JobSource, JobSpec,
    PublishedAlgorithm, Reason, RecordedAsset, RequestedAlgorithm, RequestedDataset, RunSummary, Service,
    container_section_checksum,
};
use std::collections::BTreeMap;

/// Denials that a reason names; the record has all of them.
const MOST_NAMED: usize = 3;

/// What a job is about to do.
#[derive(Clone, Copy, Debug)]
pub enum Asked<'a> {
    /// Leave its queue.
    ToRun,
    /// Release its results. The summary of the run says which bytes ran; none: it is lost.
    ToRelease(Option<&'a RunSummary>),
}

/// The answer, and what it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permission {
    to_release: bool,
    revisions: Vec<AssetRevision>,
    denials: Vec<Denial>,
}

/// An asset that a job uses, and the revision that it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssetRevision {
    /// Which asset.
    pub did: Did,
    /// Its revision; none: it does not exist.
    pub revision: Option<u64>,
}

/// An asset as it is now, as far as a permission depends on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssetNow {
    /// The asset. Of its description, [`Ddo::rules`](cloister_model::Ddo::rules) is enough.
    pub asset: Asset,
    /// What is known of the files of its services.
    pub files: PublishedFiles,
}

/// What is known of the files of the services of an asset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublishedFiles {
    /// They stand in its description.
    Described,
    /// They do not, because the caller may not know them: by the id of a service, the revision of the asset since which its
    /// files have been the same. A service without files that can be fetched is absent.
    SameSince(BTreeMap<String, u64>),
}

impl From<Asset> for AssetNow {
    fn from(asset: Asset) -> Self {
        Self { asset, files: PublishedFiles::Described }
    }
}

impl Permission {
    /// Asks whether a job may go on. `revision` and `asset` look an asset up in the registry; the revisions are asked first,
    /// and no asset if all of them are those of the decision at submission.
    ///
    /// A job without recorded datasets, which no service submits, has no rules to keep.
    ///
    /// # Errors
    /// Those of the look-ups.
    pub fn ask<E>(
        spec: &JobSpec,
        asked: Asked<'_>,
        revision: impl Fn(&Did) -> Result<Option<u64>, E>,
        asset: impl Fn(&Did) -> Result<Option<AssetNow>, E>,
    ) -> Result<Self, E> {
        let to_release = matches!(asked, Asked::ToRelease(_));
        let mut revisions = Vec::new();
        let mut as_decided = true;
        for used in assets(spec) {
            let found = revision(&used.did)?;
            as_decided &= found == Some(used.revision);
            revisions.push(AssetRevision { did: used.did.clone(), revision: found });
        }
        if as_decided {
            return Ok(Self { to_release, revisions, denials: Vec::new() });
        }
        let mut found = BTreeMap::new();
        for AssetRevision { did, revision } in &mut revisions {
            let present = asset(did)?;
            *revision = present.as_ref().map(|now| now.asset.revision);
            found.extend(present.map(|now| (did.clone(), now)));
        }
        Ok(Self { to_release, revisions, denials: denials(spec, asked, &found) })
    }

    /// Why the job may not go on; empty: it may.
    #[must_use]
    pub fn denials(&self) -> &[Denial] {
        &self.denials
    }

    /// Whether it answers the question about the release; otherwise, the one about leaving the queue.
    pub(crate) fn is_to_release(&self) -> bool {
        self.to_release
    }

    /// The revisions that the answer is about.
    pub(crate) fn revisions(&self) -> Vec<AssetRevision> {
        self.revisions.clone()
    }
}

/// The assets whose rules and files a job depends on.
fn assets(spec: &JobSpec) -> impl Iterator<Item = &RecordedAsset> {
    let datasets = spec.record.datasets.iter().map(|dataset| &dataset.asset);
    datasets.chain(spec.record.algorithm.as_ref().filter(|_| !spec.record.datasets.is_empty()))
}

fn denials(spec: &JobSpec, asked: Asked<'_>, found: &BTreeMap<Did, AssetNow>) -> Vec<Denial> {
    let mut denials = Vec::new();
    let mut deny = |did: &Did, rule| denials.push(Denial { rule, subject: Some(did.clone()) });
    let mut datasets = Vec::new();
    for dataset in &spec.record.datasets {
        let used = &dataset.asset;
        let present = present(used, found);
        let request = present.and_then(|(now, _)| RequestedDataset::new(&now.asset.ddo, &used.service).ok());
        let (Some((now, service)), Some(request)) = (present, request) else {
            deny(&used.did, DenialRule::Withdrawn);
            continue;
        };
        let provider = spec.record.provider.as_ref();
        let meant = |asset: &Asset| provider.is_none_or(|it| asset.ddo.is_meant_for(it.account.as_ref()));
        if !meant(&now.asset) {
            deny(&used.did, DenialRule::OceanProvider);
        }
        let input = spec.inputs.iter().find(|input| input.did == used.did);
        if matches!(asked, Asked::ToRun) && !input.is_some_and(|input| now.has_files(service, used, &input.source)) {
            deny(&used.did, DenialRule::Changed);
        }
        datasets.push(request);
    }
    let mut origin = AlgorithmOrigin::Raw;
    if let Some(used) = &spec.record.algorithm {
        let present = present(used, found);
        let known = present.and_then(|(now, _)| PublishedAlgorithm::registered(&now.asset, &used.service).ok());
        match (present, known) {
            (Some((now, service)), Some(mut known)) => {
                match asked {
                    Asked::ToRun => {
                        let described = now.asset.ddo.metadata().algorithm.as_ref();
                        let same = described.is_some_and(|described| described.container == spec.algorithm.container)
                            && now.has_files(service, used, &spec.algorithm.source);
                        if !same {
                            deny(&used.did, DenialRule::Changed);
                        }
                    }
                    // About what ran, whatever is published by now.
                    Asked::ToRelease(_) => {
                        known.files_checksum = None;
                        known.container_section_checksum = container_section_checksum(&spec.algorithm.container);
                    }
                }
                origin = AlgorithmOrigin::Published(Box::new(known));
            }
            _ => deny(&used.did, DenialRule::Withdrawn),
        }
    }
    if denials.is_empty() { decided_again(spec, asked, &datasets, origin) } else { denials }
}

fn decided_again(
    spec: &JobSpec,
    asked: Asked<'_>,
    datasets: &[RequestedDataset],
    origin: AlgorithmOrigin,
) -> Vec<Denial> {
    let terms = &spec.terms;
    let algorithm = RequestedAlgorithm { origin, runtime: terms.runtime, profile: terms.profile };
    // Whether the environment offers what the job uses is not a publisher's rule.
    let decision = cloister_model::decide(datasets, &algorithm, &spec.record.owner, &Environment::for_terms(terms));
    let present = match decision {
        Decision::Denied(denials) => return denials,
        Decision::Allowed(present) => present,
    };
    let mut denials = Vec::new();
    let files_are_allowed = match asked {
        Asked::ToRun => terms.pins_files_as(&present),
        Asked::ToRelease(ran) => ran.is_some_and(|ran| ran_as_allowed(&present, ran).is_ok()),
    };
    if !files_are_allowed {
        denials.push(Denial { rule: DenialRule::FilesChecksum, subject: spec.algorithm.did.clone() });
    }
    if !terms.lets_out_no_more_than(&present) {
        denials.push(Denial { rule: DenialRule::Narrowed, subject: None });
    }
    denials
}

/// An asset with the service that a job uses; none if they are gone, or someone else's by now.
fn present<'a>(used: &RecordedAsset, found: &'a BTreeMap<Did, AssetNow>) -> Option<(&'a AssetNow, &'a Service)> {
    let now = found.get(&used.did)?;
    let service = now.asset.ddo.service(&used.service)?;
    (now.asset.withdrawn.is_none() && now.asset.owner == used.publisher).then_some((now, service))
}

impl AssetNow {
    /// Whether a job would fetch what is published.
    fn has_files(&self, service: &Service, used: &RecordedAsset, source: &JobSource) -> bool {
        match &self.files {
            PublishedFiles::Described => {
                let published = service.open_files();
                matches!((source, published), (JobSource::Files(files), Some(published)) if files == published)
            }
            // Its files are those of the revision that it was allowed with. One that is younger now is another asset.
            PublishedFiles::SameSince(revisions) => revisions
                .get(&service.id)
                .is_some_and(|since| *since <= used.revision && used.revision <= self.asset.revision),
        }
    }
}

/// The end of a job in [`Phase::Queued`](cloister_model::Phase::Queued) that may not run any more. It ends where the asset
/// that it lost would be prepared.
pub(crate) fn kept_from_running(spec: &JobSpec, denials: &[Denial]) -> Transition {
    let lost = |denial: &Denial| denial.subject.is_some() && denial.subject == spec.algorithm.did;
    let event = if denials.iter().all(lost) { Event::AlgorithmUnavailable } else { Event::DataUnavailable };
    let ended = Transition::end(&[Event::Accept, Event::Configure, event], reason(denials), LogFate::Discarded);
    Transition { records: vec![Recorded::no_longer_allowed(denials)], ..ended }
}

/// The end of a job whose results may not be released any more. Its log goes with them.
pub(crate) fn kept_from_release(denials: &[Denial]) -> Transition {
    let ended = Transition::end(&[Event::Refused], reason(denials), LogFate::Discarded);
    Transition { records: vec![Recorded::withheld(denials)], discard_results: true, ..ended }
}

fn reason(denials: &[Denial]) -> Reason {
    let named: Vec<String> = denials.iter().take(MOST_NAMED).map(Denial::to_string).collect();
    let more = denials.len().saturating_sub(MOST_NAMED);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    Reason::new(&format!("no longer allowed: {}{more}", named.join("; ")), Fault::Publisher)
}

#[cfg(test)]
mod tests;
