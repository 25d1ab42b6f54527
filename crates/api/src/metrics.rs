//! Metrics, for Prometheus. Every label comes from a list of ours, so no client can create new ones.

use cloister_model::{EnvironmentStatus, Phase};
use cloister_service::{SubmitError, Submitted};
use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};
use std::{fmt, time::Duration};

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
    jobs: Family<Labels, Gauge>,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("cloister");
        let requests = Family::<Labels, Counter>::default();
        let durations: Family<Labels, Histogram, fn() -> Histogram> = Family::new_with_constructor(histogram);
        let decisions = Family::<Labels, Counter>::default();
        let downloaded = Counter::default();
        let jobs = Family::<Labels, Gauge>::default();
        registry.register("http_requests", "Requests, by route, method and class of status", requests.clone());
        let help = "Seconds from a request to the head of its answer";
        registry.register("http_request_duration_seconds", help, durations.clone());
        registry.register(
            "decisions",
            "Decisions about jobs, by outcome and by the rule that made it",
            decisions.clone(),
        );
        registry.register("downloaded_bytes", "Bytes of files that were sent", downloaded.clone());
        registry.register("jobs", "Jobs, by environment and phase", jobs.clone());
        Self { registry, requests, durations, decisions, downloaded, jobs }
    }

    /// Counts a request. `route` is a template of ours, never the path itself.
    pub(crate) fn request(&self, route: &str, method: &axum::http::Method, status: u16, took: Duration) {
        let method = if METHODS.contains(&method.as_str()) { method.as_str() } else { "other" };
        let route = ("route", route.to_owned());
        let class = format!("{}xx", status / 100);
        self.requests.get_or_create(&vec![route.clone(), ("method", method.to_owned()), ("status", class)]).inc();
        self.durations.get_or_create(&vec![route]).observe(took.as_secs_f64());
    }

    /// Counts a decision about a submission, by every rule that admitted its algorithm or denied the job.
    pub(crate) fn decided(&self, submitted: &Result<Submitted, SubmitError>) {
        match submitted {
            Ok(submitted) => submitted.admitted.iter().for_each(|rule| self.decision("allowed", rule)),
            Err(SubmitError::Denied(denials)) => {
                denials.iter().for_each(|denial| self.decision("denied", &denial.rule));
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
    pub(crate) fn text(&self, environments: &[EnvironmentStatus]) -> Result<String, fmt::Error> {
        for environment in environments {
            for phase in Phase::ALL {
                let count = environment.phases.get(&phase).copied().unwrap_or(0);
                let labels = vec![("environment", environment.id.to_string()), ("phase", phase.as_str().to_owned())];
                self.jobs.get_or_create(&labels).set(i64::try_from(count).unwrap_or(i64::MAX));
            }
        }
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
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
    use cloister_model::{AdmittedBy, Denial, DenialRule, JobId, JobStatus, Labels, Timestamp};

    #[test]
    fn labels_are_ours() {
        let metrics = Metrics::new();
        let odd = Method::from_bytes(b"BREW").expect("a method");
        metrics.request("/v1/jobs/{id}", &odd, 405, Duration::from_millis(3));
        let denial = Denial { rule: DenialRule::RawAlgorithm, subject: None };
        metrics.decided(&Err(SubmitError::Denied(vec![denial])));
        let status = JobStatus::queued(JobId::from_bytes([1; 16]), Labels::new(), Timestamp::from_unix_ms(0));
        let admitted = vec![AdmittedBy::AllowRawAlgorithm];
        metrics.decided(&Ok(Submitted { status, admitted, repeated: false }));
        let text = metrics.text(&[]).expect("text");
        for line in [
            r#"cloister_http_requests_total{route="/v1/jobs/{id}",method="other",status="4xx"} 1"#,
            r#"cloister_decisions_total{outcome="denied",rule="raw-algorithm"} 1"#,
            r#"cloister_decisions_total{outcome="allowed",rule="allow-raw-algorithm"} 1"#,
            "# EOF",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
