use crate::{jobs::Found, principal::Principal, submission::Record};
use cloister_model::{JobSpec, Report, Role};

/// The part of a report, and of the job that it is about, that somebody may see. A publisher sees what ran on their own
/// data. What the files of other publishers and the consumer's parameters are is not for them: the digest of little tells
/// what it is of.
pub(super) fn without_others(found: Found, report: Option<Report>, who: &Principal) -> (Found, Option<Report>) {
    let Some(record) = Record::of(&found.spec) else { return (found, None) };
    if who.is(Role::Operator) || record.owner == who.account {
        return (found, report);
    }
    let own = |folder: &str| {
        let mut datasets = record.datasets.iter();
        datasets.any(|dataset| dataset.asset.publisher == who.account && dataset.asset.did.id() == folder)
    };
    let seen = |path: &str| match path.strip_prefix("inputs/") {
        Some(rest) => rest.split_once('/').is_some_and(|(folder, _)| own(folder)),
        None => true,
    };
    let report = report.map(|mut report| {
        report.inputs.retain(|file| seen(&file.path));
        report
    });
    let Found { spec, status } = found;
    (Found { spec: JobSpec { parameters: None, ..spec }, status }, report)
}
