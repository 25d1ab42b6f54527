//! `Backend::ready`, `Jobs::environments` and `Jobs::explain`.

use crate::{Conditions, Trial};
use cloister_model::{EnvironmentStatus, JobSpec, Phase, RuntimeKind};
use cloister_testkit::guests;

async fn environment(trial: &Trial) -> EnvironmentStatus {
    let JobSpec { environment, .. } = trial.idle_job();
    let all = trial.engine().environments().await.expect("environments");
    all.into_iter().find(|found| found.id == environment).expect("the environment of the fixture")
}

/// An engine that is open takes work.
pub async fn an_open_engine_is_ready(trial: &mut Trial) {
    for _ in 0..2 {
        for _ in 0..3 {
            assert_eq!(trial.engine().ready().await, Ok(()));
        }
        trial.restart().await;
    }
    assert_eq!(trial.records().await, [], "a probe changed something");
}

/// An environment says what it offers, as it was set up.
pub async fn an_environment_says_what_it_offers(trial: &mut Trial) {
    trial.reopen(Conditions { max_jobs: 3, max_queued: 7, ..Conditions::default() }).await;
    let environment = environment(trial).await;
    assert_eq!((environment.max_jobs, environment.max_queued), (3, 7));
    assert!(environment.offers.runtimes.contains(&RuntimeKind::Wasm));
    assert!(environment.cpus > 0 && environment.max_wall_ms > 0);
    assert!(environment.job_memory_bytes <= environment.memory_bytes);
}

/// Jobs are counted by the phase that they are in, and the counts are those of the store after a restart.
pub async fn jobs_are_counted_by_phase(trial: &mut Trial) {
    let fails = trial.job(guests::FAILS).await;
    trial.run(&fails).await;
    trial.start_no_jobs().await;
    let stopped = trial.idle_job();
    for job in [&stopped, &trial.idle_job(), &trial.idle_job()] {
        trial.submit(job).await;
    }
    trial.stop_to_the_end(stopped.id).await;
    for _ in 0..2 {
        let phases = environment(trial).await.phases;
        let count = |phase| phases.get(&phase).copied().unwrap_or_default();
        let counts = [Phase::Queued, Phase::Stopped, Phase::AlgorithmFailed, Phase::Running].map(count);
        assert_eq!(counts, [2, 1, 1, 0]);
        trial.restart().await;
    }
}

/// Every job has a line that says why it is where it is, and a waiting one may say how many come before it.
pub async fn every_job_says_why_it_is_where_it_is(trial: &mut Trial) {
    let fails = trial.job(guests::FAILS).await;
    let status = trial.run(&fails).await;
    let running = trial.job(guests::ENDLESS).await;
    trial.submit(&running).await;
    trial.until_phase(running.id, Phase::Running).await;
    let mut texts = Vec::new();
    for job in [fails.id, running.id] {
        let explanation = trial.engine().explain(job).await.expect("an explanation");
        assert_eq!(explanation.ahead, None, "it does not wait for its turn");
        texts.push(explanation.text);
    }
    let (reason, phase) = (status.reason.expect("a reason"), status.phase.text());
    assert!(texts[0].contains(reason.text()), "{}", texts[0]);
    assert!(!texts[0].contains(phase), "the phase is shown beside it: {}", texts[0]);
    trial.stop(running.id).await;
    trial.ended(running.id).await;
    trial.start_no_jobs().await;
    for ahead in 0..3 {
        let job = trial.idle_job();
        trial.submit(&job).await;
        let explanation = trial.engine().explain(job.id).await.expect("an explanation");
        assert!(explanation.ahead.is_none_or(|found| found == ahead), "{explanation:?}");
        texts.push(explanation.text);
    }
    for text in texts {
        assert!(!text.is_empty() && text.chars().all(|character| !character.is_control()), "{text:?}");
    }
}
