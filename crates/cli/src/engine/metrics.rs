//! What the controller has done, for Prometheus. Every label comes from a list of ours.

use cloister_k8s_engine::controller::Figures;
use cloister_model::Phase;
use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use std::{fmt, sync::atomic::AtomicU64};

type Labels = Vec<(&'static str, &'static str)>;

/// The metrics as text. `works`: it runs jobs, and does not stand by.
pub(super) fn text(figures: &Figures, works: bool) -> Result<String, fmt::Error> {
    let Figures { jobs, looks, failures, acts, leaving_volumes, watch_failing } = figures;
    let mut registry = Registry::with_prefix("cloister_engine");
    let gauge = |value: u64| {
        let gauge = Gauge::<i64>::default();
        gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        gauge
    };
    let counter = |value: u64| {
        let counter = Counter::<u64>::default();
        counter.inc_by(value);
        counter
    };
    let by_phase = Family::<Labels, Gauge>::default();
    for phase in Phase::ALL {
        let count = jobs.get(&phase).copied().unwrap_or(0);
        by_phase.get_or_create(&vec![("phase", phase.as_str())]).set(i64::try_from(count).unwrap_or(i64::MAX));
    }
    let by_kind = Family::<Labels, Counter>::default();
    for (kind, count) in acts {
        by_kind.get_or_create(&vec![("kind", *kind)]).inc_by(*count);
    }
    let seconds = Gauge::<f64, AtomicU64>::default();
    seconds.set(watch_failing.as_secs_f64());
    registry.register("jobs", "Jobs, by phase", by_phase);
    registry.register("looks", "Looks at a job", counter(*looks));
    registry.register("failed_looks", "Looks at a job that failed and were tried again", counter(*failures));
    registry.register("acts", "What was done for jobs, by kind", by_kind);
    let help = "Volumes of jobs that are being deleted";
    registry.register("leaving_volumes", help, gauge(*leaving_volumes));
    registry.register("working", "1 if this controller runs jobs, 0 if it stands by", gauge(u64::from(works)));
    let help = "For how long a watch of the API server has been failing, 0 if none is";
    registry.register("watch_failing_seconds", help, seconds);
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn every_figure_is_shown() {
        let figures = Figures {
            jobs: [(Phase::Running, 3)].into(),
            looks: 7,
            failures: 2,
            acts: [("create-pod", 5)].into(),
            leaving_volumes: 4,
            watch_failing: Duration::from_millis(1500),
        };
        let text = text(&figures, true).expect("text");
        for line in [
            r#"cloister_engine_jobs{phase="Running"} 3"#,
            r#"cloister_engine_jobs{phase="Queued"} 0"#,
            "cloister_engine_looks_total 7",
            "cloister_engine_failed_looks_total 2",
            r#"cloister_engine_acts_total{kind="create-pod"} 5"#,
            "cloister_engine_leaving_volumes 4",
            "cloister_engine_working 1",
            "cloister_engine_watch_failing_seconds 1.5",
            "# EOF",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
