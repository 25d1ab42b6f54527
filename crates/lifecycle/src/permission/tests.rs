use super::*;
use crate::{Action, Facts, NotApplied, ResultList, StepAnswer, decide, testing::*};
use cloister_model::{
    AdmittedBy, AdmittedDataset, Ddo, FileDigest, FilesChecksum, JobAlgorithm, JobInput, OceanProvider, Outcome,
    OutputContract, Phase, RecordedDataset, Sha256, Timestamp,
};
use serde_json::{Value, json};
use std::convert::Infallible;

/// What is published now: a dataset and an algorithm, as documents.
#[derive(Clone)]
struct World {
    dataset: Value,
    algorithm: Value,
    dataset_owner: &'static str,
    withdrawn: [bool; 2],
    revision: u64,
}

impl World {
    fn new() -> Self {
        let trusted = json!({"did": "did:op:a", "filesChecksum": ALGORITHM, "containerSectionChecksum": "*"});
        let compute = json!({"publisherTrustedAlgorithms": [trusted], "outputContract": OutputContract::default()});
        let files = json!([{"type": "inline", "content": "1"}]);
        Self {
            dataset: json!({"id": "did:op:d", "metadata": {"type": "dataset", "name": "d"}, "services": [
                {"id": "compute", "type": "compute", "files": files, "compute": compute}
            ]}),
            algorithm: json!({"id": "did:op:a", "metadata": {"type": "algorithm", "name": "a",
                "algorithm": {"container": {"image": "wasm", "entrypoint": "$ALGO"}}}, "services": [
                {"id": "access", "type": "access", "files": files}
            ]}),
            dataset_owner: "bob",
            withdrawn: [false; 2],
            revision: 2,
        }
    }

    fn assets(&self) -> [Asset; 2] {
        let asset = |document: &Value, owner: &str, withdrawn: bool, files| Asset {
            ddo: Ddo::from_value(document.clone()).expect("a DDO"),
            owner: owner.parse().expect("an account"),
            name: "n".to_owned(),
            created: at(1),
            updated: at(1),
            revision: self.revision,
            withdrawn: withdrawn.then(|| Timestamp::from_unix_ms(2)),
            files,
        };
        let files = vec![FileDigest { sha256: ALGORITHM, bytes: 1 }];
        [
            asset(&self.dataset, self.dataset_owner, self.withdrawn[0], None),
            asset(&self.algorithm, "carol", self.withdrawn[1], Some(files)),
        ]
    }

    /// The job that was allowed at revision 1, when the world was new.
    fn job() -> JobSpec {
        let now = Self::new().assets();
        let recorded = |asset: &Asset, service: &str| RecordedAsset {
            did: asset.ddo.id().clone(),
            service: service.to_owned(),
            publisher: asset.owner.clone(),
            revision: 1,
        };
        let files = |asset: &Asset| {
            let service = asset.ddo.services().first().expect("a service");
            JobSource::Files(service.open_files().expect("files").clone())
        };
        let [dataset, algorithm] = &now;
        let mut spec = spec();
        spec.inputs = vec![JobInput { did: dataset.ddo.id().clone(), ddo: None, source: files(dataset) }];
        let described = algorithm.ddo.metadata().algorithm.as_ref().expect("an algorithm");
        spec.algorithm = JobAlgorithm {
            did: Some(algorithm.ddo.id().clone()),
            container: described.container.clone(),
            source: files(algorithm),
            ..spec.algorithm
        };
        spec.terms.admitted = vec![AdmittedDataset {
            did: dataset.ddo.id().clone(),
            service: "compute".to_owned(),
            by: AdmittedBy::TrustedAlgorithm,
            files_checksums: Some([FilesChecksum::of(vec![ALGORITHM]).expect("a checksum")].into()),
        }];
        spec.record.datasets =
            vec![RecordedDataset { asset: recorded(dataset, "compute"), review: false, log_bytes: 0 }];
        spec.record.algorithm = Some(recorded(algorithm, "access"));
        spec
    }

    fn ask(&self, spec: &JobSpec, asked: Asked<'_>) -> Permission {
        let assets = self.assets();
        let find = |did: &Did| assets.iter().find(|asset| asset.ddo.id() == did);
        let Ok(permission) = Permission::ask::<Infallible>(
            spec,
            asked,
            |did| Ok(find(did).map(|asset| asset.revision)),
            |did| Ok(find(did).cloned().map(AssetNow::from)),
        );
        assert_eq!(permission, self.ask_without_files(spec, asked), "{:?} {:?}", self.dataset, self.algorithm);
        permission
    }

    /// As an engine asks that knows the rules of assets and no file of them, nor of the job.
    fn ask_without_files(&self, spec: &JobSpec, asked: Asked<'_>) -> Permission {
        let before = Self::new().assets();
        let same_since = |asset: &Asset, before: &Asset| {
            let since = |service: &Service| {
                let files = service.open_files()?;
                let same = before.ddo.service(&service.id).and_then(Service::open_files) == Some(files);
                Some((service.id.clone(), if same { 1 } else { asset.revision }))
            };
            asset.ddo.services().iter().filter_map(since).collect()
        };
        let assets: Vec<AssetNow> = self
            .assets()
            .into_iter()
            .zip(&before)
            .map(|(asset, before)| {
                let files = PublishedFiles::SameSince(same_since(&asset, before));
                let ddo = asset.ddo.rules().expect("rules");
                AssetNow { asset: Asset { ddo, ..asset }, files }
            })
            .collect();
        let nothing = || JobSource::Rawcode(cloister_model::Secret::new(String::new()));
        let mut spec = spec.clone();
        spec.inputs.iter_mut().for_each(|input| input.source = nothing());
        spec.algorithm.source = nothing();
        let find = |did: &Did| assets.iter().find(|now| now.asset.ddo.id() == did);
        let Ok(permission) = Permission::ask::<Infallible>(
            &spec,
            asked,
            |did| Ok(find(did).map(|now| now.asset.revision)),
            |did| Ok(find(did).cloned()),
        );
        permission
    }

    fn denials(&self, spec: &JobSpec) -> [Vec<DenialRule>; 2] {
        let ran = RunSummary::of(&report(Outcome::Succeeded));
        [Asked::ToRun, Asked::ToRelease(Some(&ran))]
            .map(|asked| self.ask(spec, asked).denials().iter().map(|denial| denial.rule).collect())
    }
}

type Change = fn(&mut World);

/// What publishers can do while a job waits or runs, and which rules it breaks: before the run, and before the release.
#[test]
fn whatever_a_publisher_takes_back_reaches_jobs_that_were_allowed() {
    use DenialRule::*;
    fn compute(world: &mut World) -> &mut Value {
        &mut world.dataset["services"][0]["compute"]
    }
    let cases: [(&str, Change, &[DenialRule], &[DenialRule]); 17] = [
        ("another title", |world| world.dataset["metadata"]["name"] = json!("e"), &[], &[]),
        ("wider rules", |world| compute(world)["publisherTrustedAlgorithmPublishers"] = json!(["*"]), &[], &[]),
        ("disallowed", |world| *compute(world) = json!({}), &[AlgorithmNotTrusted], &[AlgorithmNotTrusted]),
        (
            "trusted with other files",
            |world| compute(world)["publisherTrustedAlgorithms"][0]["filesChecksum"] = json!("ab".repeat(32)),
            &[FilesChecksum],
            &[FilesChecksum],
        ),
        (
            "trusted with another container",
            |world| {
                compute(world)["publisherTrustedAlgorithms"][0]["containerSectionChecksum"] = json!("ab".repeat(32));
            },
            &[ContainerSectionChecksum],
            &[ContainerSectionChecksum],
        ),
        ("dataset withdrawn", |world| world.withdrawn[0] = true, &[Withdrawn], &[Withdrawn]),
        ("algorithm withdrawn", |world| world.withdrawn[1] = true, &[Withdrawn], &[Withdrawn]),
        ("service gone", |world| world.dataset["services"][0]["id"] = json!("other"), &[Withdrawn], &[Withdrawn]),
        ("another owner's", |world| world.dataset_owner = "mallory", &[Withdrawn], &[Withdrawn]),
        (
            "consumer excluded",
            |world| world.dataset["credentials"] = json!({"deny": [{"type": "address", "values": ["alice"]}]}),
            &[CredentialsDeny],
            &[CredentialsDeny],
        ),
        (
            "consumer excluded by the algorithm",
            |world| world.algorithm["credentials"] = json!({"allow": [{"type": "address", "values": ["x"]}]}),
            &[CredentialsAllow],
            &[CredentialsAllow],
        ),
        ("fewer bytes", |world| compute(world)["outputContract"] = json!({"maxBytes": 10}), &[Narrowed], &[Narrowed]),
        ("review", |world| compute(world)["outputContract"] = json!({"review": true}), &[Narrowed], &[Narrowed]),
        ("no runtime", |world| compute(world)["runtimes"] = json!([]), &[Runtime], &[Runtime]),
        // The data that was used was allowed when it was used.
        (
            "other data",
            |world| world.dataset["services"][0]["files"] = json!([{"type": "inline", "content": "2"}]),
            &[Changed],
            &[],
        ),
        (
            "another program",
            |world| world.algorithm["services"][0]["files"] = json!([{"type": "inline", "content": "2"}]),
            &[Changed],
            &[],
        ),
        (
            "another container of the program",
            |world| world.algorithm["metadata"]["algorithm"]["container"]["entrypoint"] = json!("x $ALGO"),
            &[Changed],
            &[],
        ),
    ];
    let job = World::job();
    for (what, change, before_run, before_release) in cases {
        let mut world = World::new();
        change(&mut world);
        assert_eq!(world.denials(&job), [before_run, before_release].map(<[DenialRule]>::to_vec), "{what}");
        // Two at a time: an engine that knows no file comes to the same answer, which `ask` compares.
        for (_, other, _, _) in cases {
            let mut both = world.clone();
            // The first may have taken away what the second changes.
            if both.dataset["services"][0]["compute"]["publisherTrustedAlgorithms"].is_array() {
                other(&mut both);
                let _ = both.denials(&job);
            }
        }
    }
}

#[test]
fn an_asset_that_is_younger_than_the_decision_about_it_is_another_one() {
    let mut job = World::job();
    let mut world = World::new();
    world.revision = 1;
    for recorded in job.record.datasets.iter_mut().map(|dataset| &mut dataset.asset).chain(&mut job.record.algorithm) {
        recorded.revision = 3;
    }
    let rules: Vec<DenialRule> =
        world.ask_without_files(&job, Asked::ToRun).denials().iter().map(|denial| denial.rule).collect();
    assert_eq!(rules, [DenialRule::Changed; 2]);
}

#[test]
fn a_dataset_that_is_not_meant_for_the_provider_any_more_is_not_used() {
    let mut job = World::job();
    job.record.provider = Some(OceanProvider { account: Some("0xAB".parse().expect("an account")) });
    let mut world = World::new();
    assert_eq!(world.denials(&job), [[DenialRule::OceanProvider]; 2].map(|rules| rules.to_vec()));
    world.dataset["oceanProviders"] = json!(["0xAB"]);
    assert_eq!(world.denials(&job), [vec![], vec![]]);
}

#[test]
fn an_asset_that_is_gone_is_withdrawn_and_one_that_did_not_change_is_not_read() {
    let job = World::job();
    let gone: Permission =
        Permission::ask::<Infallible>(&job, Asked::ToRun, |_| Ok(None), |_| Ok(None)).expect("asked");
    assert!(gone.denials().iter().all(|denial| denial.rule == DenialRule::Withdrawn) && gone.denials().len() == 2);
    let unchanged = Permission::ask(&job, Asked::ToRun, |_| Ok(Some(1)), |did| Err(format!("{did} was read")));
    assert_eq!(unchanged.expect("nothing was read").denials(), []);
}

/// The rules pin files only now, and nothing says yet which ones the job would run.
#[test]
fn a_job_that_could_be_anything_does_not_run_once_its_files_are_pinned() {
    let mut job = World::job();
    job.terms.admitted[0].files_checksums = None;
    assert_eq!(World::new().denials(&job), [vec![DenialRule::FilesChecksum], vec![]], "what ran is pinned");
    let mut other = World::new();
    other.dataset["services"][0]["compute"]["publisherTrustedAlgorithms"][0]["filesChecksum"] =
        json!(Sha256::from_bytes([9; 32]));
    assert_eq!(other.denials(&job)[1], [DenialRule::FilesChecksum], "what ran is not");
    // Without the report, nothing says what ran.
    let lost = World::new().ask(&job, Asked::ToRelease(None));
    assert_eq!(lost.denials()[0].rule, DenialRule::FilesChecksum);
}

/// What each engine does when the permission is gone, and what it stores.
#[test]
fn a_job_without_permission_neither_runs_nor_releases() {
    let job = World::job();
    let mut world = World::new();
    world.dataset["services"][0]["compute"] = json!({});
    let (to_run, to_release) = (world.ask(&job, Asked::ToRun), world.ask(&job, Asked::ToRelease(None)));

    let waiting = queued();
    let facts = Facts { has_turn: true, ..Facts::of(&job, &waiting) };
    assert_eq!(decide(&facts), Action::AskToRun);
    let Action::Record(ended) = decide(&Facts { permission: Some(&to_run), ..facts }) else { panic!("it goes on") };
    let after = ended.apply(&waiting, at(3000), keep(), &[]).expect("applied");
    let reason = after.status.reason.expect("a reason");
    assert_eq!((after.status.phase, reason.fault()), (Phase::DataProvisioningFailed, Fault::Publisher));
    assert!(reason.text().contains("no longer allowed: did:op:d: the dataset trusts neither"), "{}", reason.text());
    assert_eq!(after.records.len(), 1);
    assert!(after.records[0].detail.contains("algorithm-not-trusted"), "{}", after.records[0].detail);

    let (publishing, checked) = (publishing(), checked());
    let list = ResultList::Files(checked.clone());
    let facts = Facts { checked: Some(&list), ..Facts::of(&job, &publishing) };
    // The answer to the other question does not count.
    for permission in [None, Some(&to_run)] {
        assert_eq!(decide(&Facts { permission, ..facts.clone() }), Action::AskToRelease);
    }
    let published = published(checked.clone());
    // Also if the results were stored already.
    for published in [None, Some(&published)] {
        let published = published.map(StepAnswer::from);
        let facts = Facts { permission: Some(&to_release), published, ..facts.clone() };
        let Action::Record(ended) = decide(&facts) else { panic!("it goes on") };
        assert!(ended.discard_results && ended.release.is_none() && ended.log == LogFate::Discarded);
        let after = ended.apply(&publishing, at(3000), keep(), &[]).expect("applied");
        assert_eq!(after.status.phase, Phase::OutputRefused);
        assert_eq!(after.status.reason.expect("a reason").fault(), Fault::Publisher);
        assert!(after.records[0].detail.contains(r#""rule":"permission""#), "{}", after.records[0].detail);
    }
}

#[test]
fn an_answer_counts_only_while_the_assets_are_those_it_is_about() {
    let (job, mut world) = (World::job(), World::new());
    world.dataset["metadata"]["name"] = json!("another title");
    let permission = world.ask(&job, Asked::ToRun);
    let waiting = queued();
    let facts = Facts { has_turn: true, permission: Some(&permission), ..Facts::of(&job, &waiting) };
    let Action::Record(start) = decide(&facts) else { panic!("it does not start") };
    assert!(start.apply(&waiting, at(3000), keep(), &start.revisions).is_ok());
    let mut later = start.revisions.clone();
    later[0].revision = Some(3);
    for present in [later, Vec::new()] {
        assert_eq!(start.apply(&waiting, at(3000), keep(), &present), Err(NotApplied::AssetsChanged));
    }
}

#[test]
fn a_job_whose_algorithm_alone_is_gone_ends_where_algorithms_do() {
    let (job, mut world) = (World::job(), World::new());
    world.withdrawn[1] = true;
    let permission = world.ask(&job, Asked::ToRun);
    assert_eq!(
        kept_from_running(&job, permission.denials()).leads_to(Phase::Queued),
        Some(Phase::AlgorithmProvisioningFailed)
    );
}
