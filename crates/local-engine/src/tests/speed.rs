//! Measurements, to be looked at.

use super::{Place, close, ended, guests, run};
use cloister_model::Engine as _;
use std::time::Instant;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn trivial_jobs() {
    let place = Place::new();
    let mut options = place.options();
    (options.environment.max_queued, options.environment.max_jobs, options.environment.cpus) = (1000, 4, 2);
    let engine = place.open_with(options).await;
    let first = place.job(&engine, guests::TRIVIAL).await;
    run(&engine, &first).await;
    let (mut times, mut steps) = (Vec::new(), std::collections::BTreeMap::new());
    for _ in 0..50 {
        let job = place.job(&engine, guests::TRIVIAL).await;
        let began = Instant::now();
        let status = run(&engine, &job).await;
        times.push(began.elapsed());
        assert!(status.phase.is_success(), "{status:?}");
        for pair in status.history.windows(2) {
            *steps.entry(pair[0].phase).or_insert(0) += pair[1].at.unix_ms() - pair[0].at.unix_ms();
        }
    }
    times.sort();
    for (phase, total) in steps {
        println!("{phase:?}: {} ms on average", total as f64 / 50.0);
    }
    println!("one trivial job: median {:?}, 45th of 50 {:?}", times[25], times[45]);
    let mut jobs = Vec::new();
    for _ in 0..200 {
        jobs.push(place.job(&engine, guests::TRIVIAL).await);
    }
    let began = Instant::now();
    for job in &jobs {
        engine.submit(job.clone()).await.expect("submitted");
    }
    for job in &jobs {
        ended(&engine, job.id).await;
    }
    println!("trivial jobs, on two processors: {:.1}/s", 200.0 / began.elapsed().as_secs_f64());
    close(engine).await;
}
