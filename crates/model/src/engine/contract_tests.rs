use super::*;
use crate::{Event, Fault, Reason};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

/// The smallest engine: it takes jobs in and stops them.
#[derive(Debug, Default)]
struct Shelf(Mutex<BTreeMap<JobId, (Option<JobSpec>, JobStatus)>>);

fn ready<'a, T: Send + 'a>(result: Result<T, EngineError>) -> EngineFuture<'a, T> {
    Box::pin(std::future::ready(result))
}

impl Shelf {
    fn with<T>(&self, job: JobId, read: impl FnOnce(&mut (Option<JobSpec>, JobStatus)) -> T) -> Result<T, EngineError> {
        self.0.lock().expect("a lock").get_mut(&job).map(read).ok_or(EngineError::NoSuchJob(job))
    }
}

impl Engine for Shelf {
    fn submit(&self, job: JobSpec) -> EngineFuture<'_, JobStatus> {
        let status = JobStatus::queued(job.id, job.labels.clone(), job.created);
        self.0.lock().expect("a lock").insert(job.id, (Some(job), status.clone()));
        ready(Ok(status))
    }

    fn status(&self, job: JobId) -> EngineFuture<'_, JobStatus> {
        ready(self.with(job, |(_, status)| status.clone()))
    }

    fn spec(&self, job: JobId) -> EngineFuture<'_, JobSpec> {
        ready(self.with(job, |(spec, _)| spec.clone()).and_then(|spec| spec.ok_or(EngineError::NoSuchJob(job))))
    }

    fn list(&self, labels: &Labels, after: Option<JobId>, at_most: u32) -> EngineFuture<'_, Vec<JobStatus>> {
        let jobs = self.0.lock().expect("a lock");
        let found = jobs.values().map(|(_, status)| status).filter(|status| Some(status.id) > after);
        let found = found.filter(|status| status.labels.matches(labels)).take(at_most.try_into().expect("small"));
        ready(Ok(found.cloned().collect()))
    }

    fn stop(&self, job: JobId, at: Timestamp) -> EngineFuture<'_, JobStatus> {
        ready(self.with(job, |(_, status)| {
            let reason = Reason::new("stopped as asked", Fault::Nobody);
            if let Ok(stopped) = status.after(Event::Stop, at, Some(reason)) {
                *status = JobStatus { stop_requested: Some(at), ..stopped };
            }
            status.clone()
        }))
    }

    fn log(&self, job: JobId, _: ByteRange) -> EngineFuture<'_, Vec<u8>> {
        ready(self.with(job, |_| Vec::new()))
    }

    fn results(&self, job: JobId) -> EngineFuture<'_, Vec<ResultFile>> {
        ready(self.with(job, |_| Vec::new()))
    }

    fn read_result(&self, job: JobId, index: u32, _: ByteRange) -> EngineFuture<'_, Vec<u8>> {
        ready(Err(EngineError::NoSuchResult { job, index }))
    }
}

fn wait<T>(mut future: EngineFuture<'_, T>) -> Result<T, EngineError> {
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => panic!("the shelf never waits"),
    }
}

#[test]
fn any_engine_can_stand_behind_the_door() {
    let (id, other) = (JobId::from_bytes([1; 16]), JobId::from_bytes([2; 16]));
    let labels = Labels::new().with("owner", "0xab").expect("a label");
    let shelf = Shelf::default();
    for id in [id, other] {
        let status = JobStatus::queued(id, labels.clone(), Timestamp::from_unix_ms(1));
        shelf.0.lock().expect("a lock").insert(id, (None, status));
    }
    let engine: Arc<dyn Engine> = Arc::new(shelf);
    assert_eq!(wait(engine.list(&labels, None, 9)).expect("a list").len(), 2);
    assert_eq!(wait(engine.list(&labels, Some(id), 9)).expect("a list")[0].id, other);
    let first = wait(engine.stop(id, Timestamp::from_unix_ms(5))).expect("a status");
    assert_eq!(wait(engine.stop(id, Timestamp::from_unix_ms(6))), Ok(first.clone()));
    assert_eq!(wait(engine.status(id)), Ok(first));
    let unknown = JobId::from_bytes([3; 16]);
    assert_eq!(wait(engine.results(unknown)), Err(EngineError::NoSuchJob(unknown)));
}

#[test]
fn results_are_named_as_ocean_names_them() {
    let names = [ResultKind::Output, ResultKind::AlgorithmLog, ResultKind::ConfigurationLog, ResultKind::PublishLog]
        .map(|kind| serde_json::to_value(kind).expect("a name"));
    assert_eq!(names, ["output", "algorithmLog", "configrationLog", "publishLog"]);
}
