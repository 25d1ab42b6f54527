//! Metrics, for Prometheus. Every label comes from a list of ours, so no client can create new ones.

use cloister_model::{Distribution, EngineFigures, EnvironmentStatus, Phase};
use cloister_service::{SubmitError, Submitted};
use prometheus_client::{
    encoding::{
        EncodeMetric, MetricEncoder, NoLabelSet,
        text::{encode_eof, encode_registry},
    },
    metrics::{MetricType, counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};
use std::{collections::BTreeMap, fmt, time::Duration};

/// The media type of [`Metrics::text`].
pub(crate) const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type Labels = Vec<(&'static str, String)>;

/// All metrics.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Labels, Counter>,
    durations: Family<Labels, Histogram, fn() -> Histogram>,
    decisions: Family<Labels, Counter>,
    downloaded: Counter,
    uploads: Counter,
    uploaded: Counter,
    unauthenticated: Counter,
    limited: Counter,
}

impl Metrics {
    /// `commit`: the one that the program was built from; empty: unknown.
    pub(crate) fn new(commit: &'static str) -> Self {
        let mut registry = Registry::with_prefix("cloister");
        let build = Family::<Vec<(&'static str, &'static str)>, Gauge>::default();
        build.get_or_create(&vec![("version", env!("CARGO_PKG_VERSION")), ("commit", commit)]).set(1);
        registry.register("build_info", "The version of the program, with the value 1", build);
        let requests = Family::<Labels, Counter>::default();
        let durations: Family<Labels, Histogram, fn() -> Histogram> = Family::new_with_constructor(histogram);
        let decisions = Family::<Labels, Counter>::default();
        let downloaded = Counter::default();
        let (uploads, uploaded) = (Counter::default(), Counter::default());
        let (unauthenticated, limited) = (Counter::default(), Counter::default());
        registry.register("http_requests", "Requests, by route, method and class of status", requests.clone());
        let help = "Seconds from a request to the head of its answer";
        registry.register("http_request_duration_seconds", help, durations.clone());
        registry.register(
            "decisions",
            "Decisions about jobs, by outcome and by the rule that made it",
            decisions.clone(),
        );
        registry.register("downloaded_bytes", "Bytes of files that were sent", downloaded.clone());
        registry.register("uploads", "Files that were received", uploads.clone());
        registry.register("uploaded_bytes", "Bytes of files that were received", uploaded.clone());
        let help = "Requests without valid credentials (status 401)";
        registry.register("unauthenticated_requests", help, unauthenticated.clone());
        registry.register("rate_limited_requests", "Requests that came too fast (status 429)", limited.clone());
        Self { registry, requests, durations, decisions, downloaded, uploads, uploaded, unauthenticated, limited }
    }

    /// Counts a request. `route` is a template of ours, never the path itself.
    pub(crate) fn request(&self, route: &str, method: &axum::http::Method, status: u16, took: Duration) {
        let method = if METHODS.contains(&method.as_str()) { method.as_str() } else { "other" };
        let route = ("route", route.to_owned());
        let class = format!("{}xx", status / 100);
        self.requests.get_or_create(&vec![route.clone(), ("method", method.to_owned()), ("status", class)]).inc();
        self.durations.get_or_create(&vec![route]).observe(took.as_secs_f64());
        if status == 401 {
            self.unauthenticated.inc();
        } else if status == 429 {
            self.limited.inc();
        }
    }

    /// Counts a file that was received whole.
    pub(crate) fn uploaded(&self, bytes: u64) {
        self.uploads.inc();
        self.uploaded.inc_by(bytes);
    }

    /// Counts a decision about a submission, by every rule that admitted its algorithm or denied the job.
    pub(crate) fn decided(&self, submitted: &Result<Submitted, SubmitError>) {
        match submitted {
            Ok(submitted) => submitted.admitted.iter().for_each(|rule| self.decision("allowed", rule)),
            Err(SubmitError::Denied { rules, .. }) => {
                rules.iter().for_each(|denial| self.decision("denied", &denial.rule));
            }
            Err(_) => {}
        }
    }

    fn decision(&self, outcome: &str, rule: &impl serde::Serialize) {
        // The name that is in answers and records, too.
        let rule = serde_json::to_value(rule).ok().and_then(|name| name.as_str().map(str::to_owned));
        let labels = vec![("outcome", outcome.to_owned()), ("rule", rule.unwrap_or_default())];
        self.decisions.get_or_create(&labels).inc();
    }

    /// Counts bytes of a file that were sent.
    pub(crate) fn downloaded(&self, bytes: u64) {
        self.downloaded.inc_by(bytes);
    }

    /// Everything, as text.
    pub(crate) fn text(
        &self,
        environments: &[EnvironmentStatus],
        figures: &EngineFigures,
    ) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode_registry(&mut text, &self.registry)?;
        encode_registry(&mut text, &of_environments(environments))?;
        encode_registry(&mut text, &of_engine(figures))?;
        encode_eof(&mut text)?;
        Ok(text)
    }
}

/// What the environments say of themselves now.
fn of_environments(environments: &[EnvironmentStatus]) -> Registry {
    let mut registry = Registry::with_prefix("cloister");
    let (jobs, queue, slots) = <(Family<Labels, Gauge>, Family<Labels, Gauge>, Family<Labels, Gauge>)>::default();
    for environment in environments {
        let name = ("environment", environment.id.to_string());
        for phase in Phase::ALL {
            let count = environment.phases.get(&phase).copied().unwrap_or(0);
            let labels = vec![name.clone(), ("phase", phase.as_str().to_owned())];
            jobs.get_or_create(&labels).set(gauge(count));
        }
        queue.get_or_create(&vec![name.clone()]).set(gauge(environment.max_queued));
        slots.get_or_create(&vec![name]).set(gauge(environment.max_jobs));
    }
    registry.register("jobs", "Jobs that are kept, by environment and phase", jobs);
    registry.register("queue_limit_jobs", "Jobs that may wait at most, by environment", queue);
    registry.register("running_limit_jobs", "Jobs that may be in progress at most, by environment", slots);
    registry
}

/// What the engine of this program has counted.
fn of_engine(figures: &EngineFigures) -> Registry {
    let EngineFigures { ended, queue_wait, total, phases, free_bytes, cache_bytes, cache_limit_bytes, damaged_jobs } =
        figures;
    let mut registry = Registry::with_prefix("cloister");
    let by_end = Family::<Vec<(&'static str, &'static str)>, Counter>::default();
    for ((phase, fault), count) in ended {
        by_end.get_or_create(&vec![("phase", phase.as_str()), ("fault", fault.as_str())]).inc_by(*count);
    }
    registry.register("jobs_ended", "Jobs that ended since the start, by phase and by whose fault it was", by_end);
    let help = "From the submission of a job to its start";
    registry.register_with_unit("job_queue_wait", help, Unit::Seconds, One(queue_wait.clone()));
    let help = "From the submission of a job to its end";
    registry.register_with_unit("job_total", help, Unit::Seconds, One(total.clone()));
    let help = "How long jobs were in a phase that they left";
    registry.register_with_unit("job_phase", help, Unit::Seconds, ByPhase(phases.clone()));
    let bytes = [
        ("disk_free", "Free bytes of the disk that the service works on", free_bytes),
        ("cache", "Bytes of cached inputs", cache_bytes),
        ("cache_limit", "Bytes of inputs that are cached at most", cache_limit_bytes),
    ];
    for (name, help, value) in bytes {
        if let Some(value) = value {
            let now = Gauge::<i64>::default();
            now.set(gauge(*value));
            registry.register_with_unit(name, help, Unit::Bytes, now);
        }
    }
    if let Some(damaged) = damaged_jobs {
        let now = Gauge::<i64>::default();
        now.set(gauge(*damaged));
        registry.register("damaged_jobs", "Unfinished jobs that cannot be read, and do not go on", now);
    }
    registry
}

fn gauge(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A distribution that was counted elsewhere.
#[derive(Debug)]
struct One(Distribution);

/// One for each phase.
#[derive(Debug)]
struct ByPhase(BTreeMap<Phase, Distribution>);

fn encode_distribution(times: &Distribution, mut encoder: MetricEncoder<'_>) -> fmt::Result {
    encoder.encode_histogram::<NoLabelSet>(times.seconds(), times.count(), &times.buckets(), None)
}

impl EncodeMetric for One {
    fn encode(&self, encoder: MetricEncoder<'_>) -> fmt::Result {
        encode_distribution(&self.0, encoder)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

impl EncodeMetric for ByPhase {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        for (phase, times) in &self.0 {
            encode_distribution(times, encoder.encode_family(&[("phase", phase.as_str())])?)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"];

fn histogram() -> Histogram {
    Histogram::new([0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0])
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Method;
    use cloister_model::{AdmittedBy, Denial, DenialRule, Fault, JobId, JobStatus, Labels, PhaseChange, Timestamp};

    #[test]
    fn labels_are_ours() {
        let metrics = Metrics::new("0123456789ab");
        let odd = Method::from_bytes(b"BREW").expect("a method");
        metrics.request("/v1/jobs/{id}", &odd, 405, Duration::from_millis(3));
        let denial = Denial { rule: DenialRule::RawAlgorithm, subject: None };
        metrics.decided(&Err(SubmitError::Denied { rules: vec![denial], interpreter: None }));
        let status = JobStatus::queued(JobId::from_bytes([1; 16]), Labels::new(), Timestamp::from_unix_ms(0));
        let admitted = vec![AdmittedBy::AllowRawAlgorithm];
        metrics.decided(&Ok(Submitted { status, admitted, repeated: false }));
        metrics.request("/v1/jobs", &Method::GET, 401, Duration::ZERO);
        metrics.uploaded(7);
        let mut figures = EngineFigures { free_bytes: Some(5), damaged_jobs: Some(2), ..EngineFigures::default() };
        for (before, after, fault) in
            [(Phase::Queued, Phase::Accepted, None), (Phase::Running, Phase::AlgorithmFailed, Some(Fault::Algorithm))]
        {
            figures.count(&PhaseChange { before: Some(before), after, ms: 1500, since_submission_ms: 7000, fault });
        }
        let text = metrics.text(&[], &figures).expect("text");
        for line in [
            concat!(r#"cloister_build_info{version=""#, env!("CARGO_PKG_VERSION"), r#"",commit="0123456789ab"} 1"#),
            "cloister_unauthenticated_requests_total 1",
            "cloister_uploaded_bytes_total 7",
            r#"cloister_jobs_ended_total{phase="AlgorithmFailed",fault="algorithm"} 1"#,
            r#"cloister_job_queue_wait_seconds_bucket{le="2.5"} 1"#,
            r#"cloister_job_phase_seconds_bucket{le="1.0",phase="Running"} 0"#,
            "cloister_job_total_seconds_sum 7",
            "cloister_disk_free_bytes 5",
            "cloister_damaged_jobs 2",
            r#"cloister_http_requests_total{route="/v1/jobs/{id}",method="other",status="4xx"} 1"#,
            r#"cloister_decisions_total{outcome="denied",rule="raw-algorithm"} 1"#,
            r#"cloister_decisions_total{outcome="allowed",rule="allow-raw-algorithm"} 1"#,
            "# EOF",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
