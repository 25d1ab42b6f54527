use super::{Place, close, ended, files, guests, log, remove, review, run, soon, stop, submit, until, upload, why};
use crate::testing;
use cloister_model::{
    Asset, AssetKind, AuditAction, AuditLog as _, Check, Ddo, Delivery, EngineError, FileDigest, JobSpec, NamePattern,
    OutputContract, Outputs as _, Phase, Registry as _, ResultSet, ReviewVerdict,
};
use serde_json::json;

fn expected() -> Vec<(String, String)> {
    [("result.csv", "a,b\n"), ("algorithm.log", "a,b\n")]
        .map(|(name, text)| (name.to_owned(), text.to_owned()))
        .to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn results_are_there_from_the_release_on_and_go_with_the_job() {
    let place = Place::new();
    let engine = place.open().await;
    let job = place.job(&engine, guests::WRITES).await;
    let status = run(&engine, &job).await;
    assert_eq!((status.phase, why(&status)), (Phase::Finished, "finished"));
    let steps = [
        Phase::Queued,
        Phase::Accepted,
        Phase::Configuring,
        Phase::Configured,
        Phase::Running,
        Phase::Filtering,
        Phase::Publishing,
        Phase::Finished,
    ];
    assert_eq!(super::phases(&status), steps);
    assert_eq!(files(&engine, job.id, ResultSet::Released).await, expected());
    assert_eq!(files(&engine, job.id, ResultSet::UnderReview).await, []);
    assert_eq!(log(&engine, job.id).await, "a,b\n");
    let missing = EngineError::NoSuchResult { job: job.id, index: 2 };
    assert_eq!(engine.read_result(job.id, ResultSet::Released, 2, super::ALL).await, Err(missing));
    let records = engine.records(0, 10).await.expect("records");
    let actions: Vec<_> = records.iter().map(|record| record.event.action).collect();
    assert_eq!(actions, [AuditAction::JobAllowed, AuditAction::Released]);
    soon("the folders go", || place.leftovers().is_empty()).await;

    remove(&engine, job.id).await.expect("removed");
    assert_eq!(engine.results(job.id, ResultSet::Released).await, Err(EngineError::NoSuchJob(job.id)));
    for _ in 0..super::LOOKS {
        if engine.core.results.jobs().await.expect("a list").is_empty() {
            break;
        }
        tokio::time::sleep(super::LOOK).await;
    }
    assert_eq!(engine.core.results.jobs().await.expect("a list"), []);
    close(engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn outputs_that_break_a_rule_do_not_leave() {
    let place = Place::new();
    let engine = place.open().await;
    let mut job = place.job(&engine, guests::WRITES).await;
    job.terms.release.media_types = Some(["image/png".parse().expect("a media type")].into());
    let status = run(&engine, &job).await;
    assert_eq!(status.phase, Phase::OutputRefused);
    assert_eq!(engine.results(job.id, ResultSet::Released).await, Ok(vec![]));
    assert_eq!(log(&engine, job.id).await, "a,b\n");

    // The sandbox keeps what is not allowed from being written at all.
    let mut job = place.job(&engine, guests::WRITES).await;
    let names: Vec<NamePattern> = vec!["*.txt".parse().expect("a pattern")];
    job.terms.output_contract = OutputContract { names, max_log_bytes: 2, ..OutputContract::default() };
    let status = run(&engine, &job).await;
    assert_eq!(log(&engine, job.id).await, "a,", "{status:?}");
    assert!(files(&engine, job.id, ResultSet::Released).await.iter().all(|(name, _)| name == "algorithm.log"));
    let records = engine.records(0, 10).await.expect("records");
    assert!(records.iter().any(|record| record.event.action == AuditAction::ReleaseRefused));
    close(engine).await;
}

/// A name and a column are a hundred characters each that an algorithm could tell in a refusal, job after job.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_repeats_the_algorithm_only_where_its_log_may_leave() {
    let place = Place::new();
    let engine = place.open().await;
    for (review, max_log_bytes, speaks) in [(false, 100, true), (false, 0, false), (true, 100, false)] {
        let mut job = place.job(&engine, guests::WRITES).await;
        job.terms.release.media_types = Some(["image/png".parse().expect("a media type")].into());
        job.terms.release.review = review;
        job.terms.output_contract.max_log_bytes = max_log_bytes;
        let status = run(&engine, &job).await;
        assert_eq!(status.phase, Phase::OutputRefused);
        let text = why(&status);
        assert!(
            text.contains("media-type") && text.contains("result.csv") == speaks,
            "{review} {max_log_bytes}: {text}"
        );
    }
    close(engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_review_holds_outputs_and_log_until_the_reviewer_decides() {
    let place = Place::new();
    let engine = place.open().await;
    let mut jobs = Vec::new();
    for _ in 0..3 {
        let mut job = place.job(&engine, guests::WRITES).await;
        job.terms.release.review = true;
        submit(&engine, job.clone()).await.expect("submitted");
        until(&engine, job.id, |status| status.phase == Phase::InReview).await;
        assert_eq!(log(&engine, job.id).await, "");
        assert_eq!(files(&engine, job.id, ResultSet::Released).await, []);
        assert_eq!(files(&engine, job.id, ResultSet::UnderReview).await, expected());
        jobs.push(job);
    }
    let [approved, refused, stopped] = jobs.as_slice() else { panic!("three jobs") };
    // Across a restart, too.
    close(engine).await;
    let engine = place.open().await;
    assert_eq!(files(&engine, approved.id, ResultSet::UnderReview).await, expected());

    review(&engine, approved.id, ReviewVerdict::Approve).await.expect("approved");
    assert_eq!(ended(&engine, approved.id).await.phase, Phase::Finished);
    assert_eq!(files(&engine, approved.id, ResultSet::Released).await, expected());
    assert_eq!(log(&engine, approved.id).await, "a,b\n");
    let again = review(&engine, approved.id, ReviewVerdict::Approve).await;
    assert_eq!(again, Err(EngineError::NotInReview(approved.id)));

    let verdict = ReviewVerdict::Refuse("too\nfine".to_owned());
    let status = review(&engine, refused.id, verdict).await.expect("refused");
    assert_eq!((status.phase, why(&status)), (Phase::OutputRefused, r"refused in review: too\nfine"));
    assert_eq!(log(&engine, refused.id).await, "");

    stop(&engine, stopped.id).await.expect("stopped");
    assert_eq!(ended(&engine, stopped.id).await.phase, Phase::Stopped);
    soon("the folders go", || place.leftovers().is_empty()).await;
    close(engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_that_check_outputs_must_agree() {
    let place = Place::new();
    let engine = place.open().await;
    let check = |guest: &str| wat::parse_str(guest).expect("a guest");
    let agrees = upload(&engine, &check(guests::CHECKS_FIRST_BYTE)).await;
    let refuses = upload(&engine, &check(guests::FAILS)).await;
    let broken = upload(&engine, &check("(module)")).await;
    let missing = cloister_model::Sha256::from_bytes([9; 32]);
    for (programs, text) in [
        (vec![agrees], ""),
        (vec![agrees, refuses], "exit code 3"),
        (vec![broken], "entry-point"),
        (vec![missing], "could not be run"),
    ] {
        let mut job = place.job(&engine, guests::WRITES).await;
        job.terms.release.checks =
            programs.into_iter().map(|sha256| Check { name: "groups".to_owned(), sha256 }).collect();
        let status = run(&engine, &job).await;
        if text.is_empty() {
            assert_eq!(status.phase, Phase::Finished, "{}", why(&status));
            assert_eq!(files(&engine, job.id, ResultSet::Released).await, expected());
        } else {
            assert_eq!(status.phase, Phase::OutputRefused, "{}", why(&status));
            assert!(why(&status).contains(text) && why(&status).contains("`groups`"), "{}", why(&status));
            assert_eq!(log(&engine, job.id).await, "");
        }
    }
    close(engine).await;
}

fn prepared(did: &str, name: &str) -> Asset {
    let document = json!({
        "id": format!("did:op:{did}"), "metadata": {"type": "dataset", "name": name},
        "services": [{"id": "compute", "type": "compute", "compute": {"allowRawAlgorithm": true}}]
    });
    Asset {
        ddo: Ddo::from_value(document).expect("a DDO"),
        owner: "alice".parse().expect("an account"),
        name: name.to_owned(),
        created: testing::at(1),
        updated: testing::at(1),
        revision: 1,
        withdrawn: None,
        files: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn results_become_a_dataset_at_the_release_and_stay_for_as_long_as_it_does() {
    let place = Place::new();
    let engine = place.open().await;
    let register = |asset: &Asset| Delivery { register: Some(Box::new(asset.clone())), ..Delivery::default() };
    let asset = prepared("derived", "derived");
    let delivery = register(&asset);
    let job = JobSpec { delivery, ..place.job(&engine, guests::WRITES).await };
    let status = run(&engine, &job).await;
    assert_eq!((status.phase, status.expires), (Phase::Finished, None));
    let stored = engine.asset(asset.ddo.id().clone()).await.expect("asked").expect("an asset");
    let result = engine.results(job.id, ResultSet::Released).await.expect("results").remove(0);
    assert_eq!(stored.files, Some(vec![FileDigest { sha256: result.sha256, bytes: result.bytes }]));
    let document = serde_json::to_value(&stored.ddo).expect("json");
    let source = json!({"type": "result", "job": job.id, "index": 0, "sha256": result.sha256, "bytes": result.bytes});
    assert_eq!(document["services"][0]["files"], json!([source]));

    // Another of that name: nothing is released.
    let delivery = register(&prepared("other", "derived"));
    let second = JobSpec { delivery, ..place.job(&engine, guests::WRITES).await };
    let status = run(&engine, &second).await;
    assert_eq!(status.phase, Phase::PublishingFailed, "{}", why(&status));
    assert_eq!(engine.results(second.id, ResultSet::Released).await, Ok(vec![]));
    assert_eq!(
        engine
            .assets(cloister_model::AssetQuery {
                kind: AssetKind::Dataset,
                owner: None,
                after: None,
                withdrawn: true,
                at_most: 9,
            })
            .await
            .expect("a list")
            .assets
            .len(),
        1
    );

    // The job goes and its results stay, and count for their owner, until the asset is withdrawn.
    let owner = job.record.owner.clone();
    let bytes = engine.result_bytes(owner.clone()).await.expect("asked");
    assert!(bytes >= result.bytes);
    remove(&engine, job.id).await.expect("removed");
    assert_eq!(engine.result_bytes(owner.clone()).await, Ok(bytes));
    assert_eq!(submit(&engine, job.clone()).await, Err(EngineError::JobExists(job.id)));
    close(engine).await;
    let engine = place.open().await;
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert_eq!(engine.core.results.jobs().await.expect("a list"), [job.id]);
    let withdrawn = Asset { withdrawn: Some(testing::at(9)), revision: 2, ..stored };
    engine
        .put_asset(withdrawn, u64::MAX, testing::event(cloister_model::AuditAction::AssetWithdrawn))
        .await
        .expect("withdrawn");
    for _ in 0..super::LOOKS {
        if engine.core.results.jobs().await.expect("a list").is_empty() {
            break;
        }
        tokio::time::sleep(super::LOOK).await;
    }
    assert_eq!(engine.core.results.jobs().await.expect("a list"), []);
    assert_eq!(engine.result_bytes(owner).await, Ok(0));
    close(engine).await;
}
