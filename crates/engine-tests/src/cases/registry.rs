//! `Registry`: assets, and the names that jobs claim for theirs.

use crate::Trial;
use cloister_model::{
    Account, Asset, AssetKind, AssetLimit, AssetQuery, AuditAction, CheckedSource, Claim, Delivery, EngineError,
    FileDigest, JobId, JobInput, JobSource, JobSpec, LastCheck, Phase, ResultSet, Sha256, Source, SourceOutcome,
    Sources, StoreError, TimeLimits, Timestamp,
};
use cloister_testkit::{OWNER, account, dataset, guests};
use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// How long jobs of [`results_stay_for_every_asset_that_names_them`] are kept: longer than it takes to publish an asset.
const KEEP_MS: u64 = 10_000;

/// Stores an asset, and checks that it has its record if it was stored, and none otherwise.
async fn put(trial: &Trial, asset: Asset) -> Result<(), StoreError> {
    let event = trial.event(AuditAction::AssetPublished);
    let answer = trial.engine().put_asset(asset, u64::MAX, event.clone()).await;
    assert_eq!(trial.recorded(&event).await, usize::from(answer.is_ok()), "{answer:?}");
    answer
}

fn revised(asset: &Asset, revision: u64) -> Asset {
    Asset { revision, updated: Timestamp::from_unix_ms(revision), ..asset.clone() }
}

fn algorithm(did: &str, owner: &str, name: &str) -> Asset {
    let container = serde_json::json!({"image": "wasm", "entrypoint": "$ALGO"});
    let document = serde_json::json!({
        "id": format!("did:op:{did}"),
        "metadata": {"type": "algorithm", "name": name, "algorithm": {"container": container}},
        "services": [{"id": "compute", "type": "compute"}]
    });
    Asset { ddo: cloister_model::Ddo::from_value(document).expect("a DDO"), ..dataset(did, owner, name) }
}

fn query(kind: AssetKind) -> AssetQuery {
    AssetQuery { kind, owner: None, after: None, withdrawn: false, at_most: 100 }
}

async fn listed(trial: &Trial, query: AssetQuery) -> Vec<String> {
    let found = trial.engine().assets(query).await.expect("a list");
    found.assets.iter().map(|asset| asset.did.id().to_owned()).collect()
}

async fn named(trial: &Trial, owner: &str, kind: AssetKind, name: &str) -> Option<Asset> {
    let owner: Account = account(owner);
    trial.engine().asset_named(owner, kind, name.to_owned()).await.expect("an answer")
}

/// The result of the last check of a dataset's sources is kept until they are checked again, through changes of the dataset and a restart, and
/// nothing is kept of a dataset that does not exist.
pub async fn the_last_look_at_sources_is_kept(trial: &mut Trial) {
    let source = |n: usize, outcome| CheckedSource {
        field: format!("services[0].files[{n}]"),
        place: "https://example.org".to_owned(),
        outcome,
    };
    let asset = dataset("a", OWNER, "one");
    let did = asset.ddo.id().clone();
    let at = Timestamp::from_unix_ms;
    let found = SourceOutcome::Found { bytes: Some(4), sha256: Some(Sha256::from_bytes([7; 32])) };
    let first = LastCheck { at: at(5), revision: 1, sources: vec![source(0, found)], others: 0 };
    assert_eq!(trial.engine().put_check(did.clone(), first.clone()).await, Err(StoreError::Missing));
    put(trial, asset.clone()).await.expect("stored");
    assert_eq!(trial.engine().last_check(did.clone()).await, Ok(None));
    trial.engine().put_check(did.clone(), first.clone()).await.expect("kept");
    put(trial, revised(&asset, 2)).await.expect("stored");
    assert_eq!(trial.engine().last_check(did.clone()).await, Ok(Some(first)));
    let many = |n: usize| source(n, SourceOutcome::Failed("\u{fc}".repeat(LastCheck::MOST_PROBLEM_CHARACTERS)));
    let sources: Vec<_> = (0..LastCheck::MOST_SOURCES).map(many).chain([source(100, SourceOutcome::Skipped)]).collect();
    let second = LastCheck::of(&sources, 2, at(6));
    assert_eq!((second.sources.len(), second.others), (LastCheck::MOST_SOURCES, 1));
    trial.engine().put_check(did.clone(), second.clone()).await.expect("kept");
    trial.restart().await;
    assert_eq!(trial.engine().last_check(did.clone()).await, Ok(Some(second)));
    assert_eq!(trial.engine().asset(did).await.expect("asked").expect("an asset").revision, 2);
}

/// The assets of an owner are counted, withdrawn ones included, and each one once.
pub async fn assets_are_counted(trial: &mut Trial) {
    let count = async |trial: &Trial, owner: &str| trial.engine().asset_count(account(owner)).await;
    assert_eq!(count(trial, OWNER).await, Ok(0));
    let first = dataset("a", OWNER, "one");
    put(trial, first.clone()).await.expect("stored");
    put(trial, revised(&first, 2)).await.expect("stored");
    put(trial, algorithm("b", OWNER, "one")).await.expect("stored");
    put(trial, dataset("c", "eve", "one")).await.expect("stored");
    let withdrawn = Asset { withdrawn: Some(Timestamp::from_unix_ms(3)), ..revised(&first, 3) };
    put(trial, withdrawn).await.expect("stored");
    trial.restart().await;
    for (owner, expected) in [(OWNER, 2), ("eve", 1), ("carol", 0)] {
        assert_eq!(count(trial, owner).await, Ok(expected), "{owner}");
    }
}

/// However many are published at once, an owner gets no more assets than its limit. What was refused is not there, and a change of
/// one that is there is no new asset.
pub async fn many_assets_at_once_stay_within_the_limit(trial: &mut Trial) {
    const LIMIT: u64 = 4;
    let first = dataset("a0", OWNER, "name-0");
    trial.engine().put_asset(first.clone(), LIMIT, trial.event(AuditAction::AssetPublished)).await.expect("stored");
    let mut tasks = Vec::new();
    for (number, engine) in trial.processes().into_iter().cycle().take(12).enumerate() {
        let (did, name) = (format!("a{}", number + 1), format!("name-{}", number + 1));
        let asset = if number % 2 == 0 { dataset(&did, OWNER, &name) } else { algorithm(&did, OWNER, &name) };
        let event = trial.event(AuditAction::AssetPublished);
        tasks.push(tokio::spawn(
            async move { (engine.put_asset(asset.clone(), LIMIT, event.clone()).await, asset, event) },
        ));
    }
    let mut stored = 1;
    for task in tasks {
        let (answer, asset, event) = task.await.expect("an answer");
        assert!(matches!(answer, Ok(()) | Err(StoreError::Quota(_))), "{answer:?}");
        let found = trial.engine().asset(asset.ddo.id().clone()).await.expect("asked");
        assert_eq!((found.is_some(), trial.recorded(&event).await), (answer.is_ok(), usize::from(answer.is_ok())));
        stored += u64::from(answer.is_ok());
    }
    assert!(stored <= LIMIT, "{stored} assets");
    assert_eq!(trial.engine().asset_count(account(OWNER)).await, Ok(stored));
    // A refusal takes neither a place nor a name.
    for number in 0..LIMIT - stored {
        let asset = dataset(&format!("b{number}"), OWNER, &format!("name-{}", number + 1));
        let answer = trial.engine().put_asset(asset, LIMIT, trial.event(AuditAction::AssetPublished)).await;
        assert!(matches!(answer, Ok(()) | Err(StoreError::Conflict)), "{answer:?}");
    }
    let changed = trial.engine().put_asset(revised(&first, 2), 1, trial.event(AuditAction::AssetPublished)).await;
    assert_eq!(changed, Ok(()));
    let eves = dataset("e", "eve", "name-0");
    assert_eq!(trial.engine().put_asset(eves, 1, trial.event(AuditAction::AssetPublished)).await, Ok(()));
}

/// A job that will register its results takes the place of an asset from the moment at which it is taken in until it ends without
/// one. However many are submitted at once, assets and such jobs stay within the limit together.
pub async fn jobs_that_register_results_stay_within_the_limit(trial: &mut Trial) {
    const LIMIT: u64 = 3;
    trial.start_no_jobs().await;
    put(trial, dataset("a", OWNER, "one")).await.expect("stored");
    let limit = || AssetLimit { owner: account(OWNER), most: LIMIT };
    let mut tasks = Vec::new();
    for (number, engine) in trial.processes().into_iter().cycle().take(6).enumerate() {
        let (job, event) = (trial.idle_job(), trial.event(AuditAction::JobAllowed));
        let name = Claim::asset_name(&account(OWNER), AssetKind::Dataset, &format!("results-{number}"));
        let claims = vec![name.within(limit())];
        tasks.push(tokio::spawn(async move { (job.id, engine.submit(job, claims, event).await) }));
    }
    let mut taken = Vec::new();
    for task in tasks {
        match task.await.expect("an answer") {
            (job, Ok(_)) => taken.push(job),
            (job, answer) => {
                assert!(matches!(answer, Err(EngineError::Quota(_))), "{answer:?}");
                assert_eq!(trial.engine().status(job).await, Err(EngineError::NoSuchJob(job)));
            }
        }
    }
    let used = 1 + taken.len() as u64;
    assert!(used <= LIMIT, "{used} assets");
    trial.restart().await;
    assert_eq!(trial.engine().asset_count(account(OWNER)).await, Ok(used));
    // Two replicas that count at once may both refuse what would have fitted.
    for number in used..LIMIT {
        let name = Claim::asset_name(&account(OWNER), AssetKind::Dataset, &format!("more-{number}"));
        let job = trial.idle_job();
        trial.submit_with(&job, vec![name.within(limit())]).await;
        taken.push(job.id);
    }
    let more = dataset("b", OWNER, "two");
    let publish = async |trial: &Trial| {
        trial.engine().put_asset(more.clone(), LIMIT, trial.event(AuditAction::AssetPublished)).await
    };
    assert!(matches!(publish(trial).await, Err(StoreError::Quota(_))));
    assert_eq!(trial.engine().asset_count(account("eve")).await, Ok(0));
    trial.stop_to_the_end(taken[0]).await;
    assert_eq!(publish(trial).await, Ok(()));
    assert_eq!(trial.engine().asset_count(account(OWNER)).await, Ok(LIMIT));
}

/// An asset is stored whole, with its record, and read again by its DID and its name, also after a restart.
pub async fn an_asset_is_read_as_it_was_stored(trial: &mut Trial) {
    let files = Some(vec![FileDigest { sha256: cloister_model::Sha256::from_bytes([5; 32]), bytes: 7 }]);
    let asset = Asset { files, ..dataset("a", OWNER, "one") };
    let did = asset.ddo.id().clone();
    assert_eq!(trial.engine().asset(did.clone()).await, Ok(None));
    assert_eq!(put(trial, asset.clone()).await, Ok(()));
    for _ in 0..2 {
        assert_eq!(trial.engine().asset(did.clone()).await, Ok(Some(asset.clone())));
        assert_eq!(named(trial, OWNER, AssetKind::Dataset, "one").await, Some(asset.clone()));
        assert_eq!(named(trial, "eve", AssetKind::Dataset, "one").await, None);
        assert_eq!(named(trial, OWNER, AssetKind::Algorithm, "one").await, None);
        assert_eq!(named(trial, OWNER, AssetKind::Dataset, "two").await, None);
        trial.restart().await;
    }
}

/// A revision follows the stored one, or nothing is stored and nothing recorded.
pub async fn revisions_follow_each_other(trial: &mut Trial) {
    let asset = dataset("a", OWNER, "one");
    let stored =
        async || trial.engine().asset(asset.ddo.id().clone()).await.expect("asked").map(|asset| asset.revision);
    for (revision, answer, then) in [
        (0, Err(StoreError::Conflict), None),
        (2, Err(StoreError::Conflict), None),
        (1, Ok(()), Some(1)),
        (1, Err(StoreError::Conflict), Some(1)),
        (3, Err(StoreError::Conflict), Some(1)),
        (2, Ok(()), Some(2)),
        (1, Err(StoreError::Conflict), Some(2)),
        (3, Ok(()), Some(3)),
    ] {
        assert_eq!((put(trial, revised(&asset, revision)).await, stored().await), (answer, then), "{revision}");
    }
}

/// Of many changes at the same time, one counts.
pub async fn of_many_changes_at_once_one_counts(trial: &mut Trial) {
    let asset = dataset("a", OWNER, "one");
    assert_eq!(put(trial, asset.clone()).await, Ok(()));
    let mut tasks = Vec::new();
    for engine in trial.processes().into_iter().cycle().take(8) {
        let (next, event) = (revised(&asset, 2), trial.event(AuditAction::PermissionsChanged));
        tasks.push(tokio::spawn(async move { (engine.put_asset(next, u64::MAX, event.clone()).await, event) }));
    }
    let mut stored = 0;
    for task in tasks {
        let (answer, event) = task.await.expect("no panic");
        assert!(matches!(answer, Ok(()) | Err(StoreError::Conflict)), "{answer:?}");
        assert_eq!(trial.recorded(&event).await, usize::from(answer.is_ok()));
        stored += usize::from(answer.is_ok());
    }
    assert_eq!(stored, 1);
}

/// An owner has one asset of a kind and name. Other owners and the other kind have names of their own.
pub async fn a_name_is_unique_for_owner_and_kind(trial: &mut Trial) {
    assert_eq!(put(trial, dataset("a", OWNER, "one")).await, Ok(()));
    assert_eq!(put(trial, dataset("b", OWNER, "one")).await, Err(StoreError::Conflict));
    assert_eq!(put(trial, dataset("b", "bob", "one")).await, Ok(()));
    assert_eq!(put(trial, dataset("c", OWNER, "two")).await, Ok(()));
    assert_eq!(put(trial, algorithm("d", OWNER, "one")).await, Ok(()));
    assert_eq!(put(trial, algorithm("e", OWNER, "one")).await, Err(StoreError::Conflict));
    trial.restart().await;
    assert_eq!(put(trial, dataset("f", OWNER, "one")).await, Err(StoreError::Conflict));
    assert_eq!(put(trial, revised(&dataset("a", OWNER, "one"), 2)).await, Ok(()));
    assert_eq!(listed(trial, query(AssetKind::Dataset)).await, ["a", "b", "c"]);
    assert_eq!(listed(trial, query(AssetKind::Algorithm)).await, ["d"]);
}

/// A withdrawn asset is read by its DID and its name, and listed for those who ask for withdrawn ones.
pub async fn a_withdrawn_asset_stays_readable(trial: &mut Trial) {
    let asset = dataset("a", OWNER, "one");
    let withdrawn = Asset { withdrawn: Some(trial.now()), ..revised(&asset, 2) };
    for asset in [asset, dataset("b", OWNER, "two"), withdrawn.clone()] {
        assert_eq!(put(trial, asset).await, Ok(()));
    }
    for _ in 0..2 {
        assert_eq!(trial.engine().asset(withdrawn.ddo.id().clone()).await, Ok(Some(withdrawn.clone())));
        assert_eq!(named(trial, OWNER, AssetKind::Dataset, "one").await, Some(withdrawn.clone()));
        assert_eq!(listed(trial, query(AssetKind::Dataset)).await, ["b"]);
        let all = AssetQuery { withdrawn: true, ..query(AssetKind::Dataset) };
        assert_eq!(listed(trial, all).await, ["a", "b"]);
        trial.restart().await;
    }
}

/// Lists are sorted by DID, by owner and page after page.
pub async fn lists_are_sorted_by_did(trial: &mut Trial) {
    for (did, owner) in [("d", "bob"), ("b", OWNER), ("a", "bob"), ("c", OWNER)] {
        assert_eq!(put(trial, dataset(did, owner, did)).await, Ok(()));
    }
    let after = |did: &str| Some(did.parse().expect("a DID"));
    let all = query(AssetKind::Dataset);
    for (query, expected) in [
        (all.clone(), vec!["a", "b", "c", "d"]),
        (AssetQuery { at_most: 3, ..all.clone() }, vec!["a", "b", "c"]),
        (AssetQuery { after: after("c"), ..all.clone() }, vec!["d"]),
        (AssetQuery { after: after("bb"), ..all.clone() }, vec!["c", "d"]),
        (AssetQuery { owner: Some(account("bob")), ..all.clone() }, vec!["a", "d"]),
        (AssetQuery { owner: Some(account("bob")), after: after("a"), ..all.clone() }, vec!["d"]),
        (AssetQuery { owner: Some(account("eve")), ..all.clone() }, vec![]),
        (query(AssetKind::Algorithm), vec![]),
    ] {
        assert_eq!(listed(trial, query).await, expected);
    }
}

/// A job that registers its results under a name.
fn registering(job: JobSpec, asset: &Asset) -> (JobSpec, Claim) {
    let claim = Claim::asset_name(&asset.owner, AssetKind::Dataset, &asset.name);
    (JobSpec { delivery: Delivery { register: Some(Box::new(asset.clone())), ..Delivery::default() }, ..job }, claim)
}

/// No other asset and no other job gets a name that a job has claimed. The name is free again when the job ends without
/// registering anything.
pub async fn a_job_holds_the_name_of_its_asset_until_it_fails(trial: &mut Trial) {
    trial.start_no_jobs().await;
    let (job, claim) = registering(trial.idle_job(), &dataset("results", OWNER, "results"));
    trial.submit_with(&job, vec![claim.clone()]).await;
    for _ in 0..2 {
        assert_eq!(put(trial, dataset("other", OWNER, "results")).await, Err(StoreError::Conflict));
        let (second, event) = (trial.idle_job(), trial.event(AuditAction::JobAllowed));
        let answer = trial.engine().submit(second, vec![claim.clone()], event).await;
        assert_eq!(answer, Err(EngineError::Claimed(claim.clone())));
        trial.restart().await;
    }
    // Others' names and the other kind are not touched.
    assert_eq!(put(trial, dataset("bobs", "bob", "results")).await, Ok(()));
    assert_eq!(put(trial, algorithm("algorithm", OWNER, "results")).await, Ok(()));
    trial.stop_to_the_end(job.id).await;
    assert_eq!(trial.engine().asset(dataset("results", OWNER, "results").ddo.id().clone()).await, Ok(None));
    assert_eq!(put(trial, dataset("other", OWNER, "results")).await, Ok(()));
}

/// A job cannot claim the name of an asset that exists.
pub async fn the_name_of_an_asset_cannot_be_claimed(trial: &mut Trial) {
    trial.start_no_jobs().await;
    assert_eq!(put(trial, dataset("a", OWNER, "results")).await, Ok(()));
    let (job, claim) = registering(trial.idle_job(), &dataset("results", OWNER, "results"));
    let event = trial.event(AuditAction::JobAllowed);
    let answer = trial.engine().submit(job.clone(), vec![claim.clone()], event.clone()).await;
    assert_eq!(answer, Err(EngineError::Claimed(claim)));
    assert_eq!(trial.recorded(&event).await, 0);
    assert_eq!(trial.engine().status(job.id).await, Err(EngineError::NoSuchJob(job.id)));
}

/// A finished job's results are an asset under the name that it claimed, which stays taken. They outlive the job.
pub async fn a_finished_job_registers_its_results(trial: &mut Trial) {
    let asset = dataset("results", OWNER, "results");
    let (job, claim) = registering(trial.job(guests::WRITES).await, &asset);
    trial.submit_with(&job, vec![claim.clone()]).await;
    let status = trial.ended(job.id).await;
    assert_eq!((status.phase, status.expires), (Phase::Finished, None), "kept for as long as the asset");
    let result = trial.engine().results(job.id, ResultSet::Released).await.expect("results").remove(0);
    let files = Some(vec![FileDigest { sha256: result.sha256, bytes: result.bytes }]);
    for _ in 0..2 {
        let stored = trial.engine().asset(asset.ddo.id().clone()).await.expect("asked").expect("an asset");
        assert_eq!((stored.owner, stored.name, stored.revision), (account(OWNER), "results".to_owned(), 1));
        assert_eq!(stored.files, files);
        assert_eq!(put(trial, dataset("other", OWNER, "results")).await, Err(StoreError::Conflict));
        let (second, event) = (trial.idle_job(), trial.event(AuditAction::JobAllowed));
        let answer = trial.engine().submit(second, vec![claim.clone()], event).await;
        assert_eq!(answer, Err(EngineError::Claimed(claim.clone())));
        trial.restart().await;
    }
    trial.engine().remove(job.id, trial.event(AuditAction::JobRemoved)).await.expect("removed");
    let stored = trial.engine().asset(asset.ddo.id().clone()).await.expect("asked").expect("an asset");
    assert_eq!(trial.run(&reading(trial, &stored).await).await.phase, Phase::Finished);
}

/// A job that reads the files of an asset.
async fn reading(trial: &Trial, asset: &Asset) -> JobSpec {
    let job = trial.job(guests::TRIVIAL).await;
    let source = JobSource::Files(asset.ddo.services()[0].open_files().expect("files").clone());
    JobSpec { inputs: vec![JobInput { source, ..job.inputs[0].clone() }], ..job }
}

/// The first revision of an asset whose file is a result of a job.
fn made_of(job: JobId, asset: &Asset) -> Asset {
    let mut document = serde_json::to_value(&asset.ddo).expect("json");
    document["services"][0]["files"] = serde_json::json!([{"type": "result", "job": job, "index": 0}]);
    Asset { ddo: cloister_model::Ddo::from_value(document).expect("a DDO"), ..asset.clone() }
}

/// Whether the first result of a job is in the store.
async fn is_stored(trial: &Trial, job: JobId) -> bool {
    // Engines remember for a while what they have found for an account.
    static ASKED: AtomicU64 = AtomicU64::new(0);
    let who = account(&format!("asks-{}", ASKED.fetch_add(1, Ordering::Relaxed)));
    let sources = Sources::from(Source::result(job, 0));
    let look = async || {
        let patience = Duration::from_secs(60);
        trial.engine().check_sources(who.clone(), sources.clone(), patience).await.expect("a look")
    };
    loop {
        if let Some(looked) = look().await {
            return matches!(looked[0].outcome, SourceOutcome::Found { .. });
        }
    }
}

/// The results of a job whose time is over, or that its owner removed, stay for every asset that was published with them, whoever else
/// names them, and go with the last one.
pub async fn results_stay_for_every_asset_that_names_them(trial: &mut Trial) {
    let job = async |trial: &Trial, keep_ms: u64| {
        let job = trial.job(guests::WRITES).await;
        let job = JobSpec { times: TimeLimits { keep_ms, ..TimeLimits::default() }, ..job };
        assert_eq!(trial.run(&job).await.phase, Phase::Finished);
        let results = trial.engine().results(job.id, ResultSet::Released).await.expect("results");
        (job.id, results.iter().map(|file| file.bytes).sum::<u64>())
    };
    let (expires, its_bytes) = job(trial, KEEP_MS).await;
    let (a, b) = (made_of(expires, &dataset("a", OWNER, "a")), made_of(expires, &dataset("b", OWNER, "b")));
    for asset in [&a, &b] {
        put(trial, asset.clone()).await.expect("stored");
    }
    let (removed, more_bytes) = job(trial, TimeLimits::default().keep_ms).await;
    let c = made_of(removed, &algorithm("c", OWNER, "c"));
    put(trial, c.clone()).await.expect("stored");
    // One that no asset names ends last, and shows that results go.
    let (unnamed, _) = job(trial, KEEP_MS).await;
    trial.engine().remove(removed, trial.event(AuditAction::JobRemoved)).await.expect("removed");
    for gone in [expires, removed, unnamed] {
        let is_gone = async || trial.engine().status(gone).await == Err(EngineError::NoSuchJob(gone));
        trial.eventually("the job goes", is_gone).await;
    }
    trial.eventually("results that no asset needs go", async || !is_stored(trial, unnamed).await).await;
    // What is there counts for its owner.
    assert_eq!(trial.engine().result_bytes(account(OWNER)).await, Ok(its_bytes + more_bytes));
    trial.restart().await;
    assert_eq!(trial.run(&reading(trial, &a).await).await.phase, Phase::Finished);
    assert!(is_stored(trial, expires).await && is_stored(trial, removed).await);

    // An asset whose job is gone can be changed. One that is withdrawn takes nothing from another.
    put(trial, revised(&a, 2)).await.expect("stored");
    let withdrawn = |asset: &Asset, revision| Asset { withdrawn: Some(trial.now()), ..revised(asset, revision) };
    put(trial, withdrawn(&a, 3)).await.expect("stored");
    put(trial, withdrawn(&c, 2)).await.expect("stored");
    trial.eventually("results go with the last asset", async || !is_stored(trial, removed).await).await;
    assert!(is_stored(trial, expires).await);
    // The other one has another file now.
    put(trial, revised(&dataset("b", OWNER, "b"), 2)).await.expect("stored");
    trial.eventually("results go with the last asset", async || !is_stored(trial, expires).await).await;
    // Nobody can make an asset of what has gone, even if it was there when the service looked for it.
    let late = made_of(expires, &dataset("late", OWNER, "late"));
    assert_eq!(put(trial, late).await, Err(StoreError::Conflict));
}
