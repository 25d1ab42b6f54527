//! What the engine does next for one job: what exists in, one act out. Pure.
//!
//! What comes next in the life of a job is decided by `cloister-lifecycle`; here stands how a cluster does it. The engine
//! looks, plans, performs the act, and looks again. It remembers nothing about a job that it could not lose, so an engine that
//! was killed at any moment and one that was not do the same.

mod steps;
#[cfg(test)]
mod tests;
mod world;

pub use world::{Act, Stored, World};

use crate::{
    build::{PodSettings, PodStep},
    observe::{Patience, PodFacts, PodState},
};
use cloister_lifecycle::{
    Action, Asked, Deadlines, Facts, LogFate, NotApplied, ResultList, Retention, StepAnswer, StoredReport, Transition,
    decide, ended_unfit, reviewed,
};
use cloister_model::{AuditAction, Phase, StepMessage, Timestamp};
use steps::{Seen, Steps};

/// What a job waits for whose result store is away. The status says the rest.
const STORE_IS_AWAY: &str =
    "its results are kept until the result store takes them; status.storeWait says since when, why and until when";

/// How soon to look again for a job whose pause is over while as many others store their results as may at once.
const OTHERS_STORE_MS: u64 = 30_000;

/// How soon to look again after a step that could not be stored.
const RETRY_MS: u64 = 1000;

/// What comes next for a job.
#[must_use]
pub fn plan(world: &World, settings: &PodSettings, patience: &mut Patience, now: Timestamp) -> Act {
    let Stored { status, attempts, report, results, rule: _, awaits_registration, log_discarded: _ } = &world.stored;
    // A pod of an attempt that was given up makes room for the next one. If its node does not answer, it cannot: then it ends the
    // step as a pod of the present attempt would.
    let ended = status.phase.has_ended();
    let makes_room =
        |step: &PodStep, pod: &PodFacts| pod.attempt < attempts.of(*step) && (ended || !pod.state.node_is_silent(now));
    if let Some((step, pod)) = world.pods.iter().find(|(step, pod)| makes_room(step, pod)) {
        return match pod.state {
            PodState::Leaving { .. } if !ended => wait("its pod is being deleted", pod.state.given_up_at()),
            _ => Act::DeletePod { step: *step, uid: pod.uid.clone() },
        };
    }
    let steps = match Steps::look(world, patience, now) {
        Ok(steps) => steps,
        Err(step) => return again(world, step),
    };
    let record = |transition: &Transition| {
        if transition.release.is_some() && world.spec.delivery.register.is_some() && world.registered.is_none() {
            return match awaits_registration {
                Some(_) => wait("its results are being registered as a dataset", None),
                None => await_registration(world, transition),
            };
        }
        let first = steps.keep(transition, world, settings, now);
        first.unwrap_or_else(|| store(world, transition, &steps, now))
    };
    if status.phase == Phase::InReview
        && status.stop_requested.is_none()
        && let Some((verdict, review)) = &world.review
    {
        return record(&reviewed(&world.spec, verdict, review.clone()));
    }
    if status.phase == Phase::Queued
        && status.stop_requested.is_none()
        && let Some(misfit) = &world.misfit
    {
        return record(&ended_unfit(&misfit.to_string()));
    }
    let deadlines = Deadlines::of(status, &world.spec.times, now, now);
    let checked = results.map(ResultList::Digest);
    // Everything that the answer depends on is of this look, so that it is asked at once.
    let permission = match status.phase {
        Phase::Queued => Some(world.permission(Asked::ToRun)),
        Phase::Publishing => Some(world.permission(Asked::ToRelease(steps.ran(world).as_ref()))),
        _ => None,
    };
    let action = decide(&Facts {
        has_turn: world.has_turn,
        overdue: deadlines.passed(status.phase, now),
        run_ended: world.nothing_runs(now),
        configured: steps.configured.as_ref().map(StepAnswer::from),
        algorithm_is_wasm: steps.is_wasm(),
        run: &steps.run,
        // A container leaves none that counts: the step that checks its outputs takes them from their folder.
        report: (report.is_some() || world.is_container()).then_some(StoredReport::Elsewhere),
        filtered: steps.filtered.as_ref().map(StepAnswer::from),
        checked: checked.as_ref(),
        published: steps.published.as_ref().map(StepAnswer::from),
        permission: permission.as_ref(),
        awaits_store: status.store_wait.as_ref().is_some_and(|wait| now < wait.next || !world.may_store),
        name_taken: world.registered == Some(false),
        cleaned: world.pods.is_empty() && !world.has_volume,
        ..Facts::of(&world.spec, status)
    });
    let next = deadlines.next(status.phase).map(|(at, _)| at);
    let act = match action {
        Action::Record(transition) => record(&transition),
        Action::Configure(_) => steps.configure(world, settings),
        Action::StartRun => steps.create(PodStep::Algorithm, world, settings),
        Action::AwaitRun => steps.wait(PodStep::Algorithm),
        Action::Filter(_) | Action::Publish(_) => steps.create(PodStep::Publishing, world, settings),
        Action::AwaitStore => {
            // Where the pause is over, others store first.
            let later = Timestamp::from_unix_ms(now.unix_ms() + OTHERS_STORE_MS);
            let look = status.store_wait.as_ref().map(|wait| if now < wait.next { wait.next } else { later });
            wait(STORE_IS_AWAY, look)
        }
        Action::EndRun => end_run(world),
        // They were asked above.
        Action::AskToRun | Action::AskToRelease => wait("its permission is asked", None),
        Action::Wait => wait("it waits for its turn or for a reviewer", None),
        Action::Clean => clean(world),
        Action::Nothing => Act::Nothing,
    };
    match act {
        Act::Wait { text, until } => Act::Wait { text, until: [until, next].into_iter().flatten().min() },
        act => act,
    }
}

fn wait(text: &str, until: Option<Timestamp>) -> Act {
    Act::Wait { text: text.to_owned(), until }
}

/// Gives the pod of a step up: the next look deletes it, because its attempt is not the present one.
fn again(world: &World, step: PodStep) -> Act {
    let stored = Stored { attempts: world.stored.attempts.after(step), ..world.stored.clone() };
    Act::Store { stored: Box::new(stored), records: Vec::new() }
}

/// Stores what was released, so that the service can register it. The job finishes afterwards.
fn await_registration(world: &World, transition: &Transition) -> Act {
    let released = transition.release.as_ref().map(|release| release.files.digest());
    let stored = Stored { awaits_registration: released, ..world.stored.clone() };
    Act::Store { stored: Box::new(stored), records: Vec::new() }
}

/// Stores a transition, with the digests that belong to it.
fn store(world: &World, transition: &Transition, steps: &Steps, now: Timestamp) -> Act {
    let before = &world.stored;
    // Results that are a dataset are kept for as long as it is there.
    let needed = world.registered == Some(true);
    let retention = Retention { keep_ms: world.spec.times.keep_ms, needed };
    let applied = match transition.apply(&before.status, now, retention, &world.revisions(&transition.revisions)) {
        Ok(applied) => applied,
        // Facts and status are of one look: this cannot be, and if it is, the next look shows something else.
        Err(NotApplied::Stopping | NotApplied::AssetsChanged | NotApplied::Impossible(_)) => {
            return wait(
                "the controller reads its state again",
                Some(Timestamp::from_unix_ms(now.unix_ms() + RETRY_MS)),
            );
        }
    };
    let Transition { checked, release, records, log, store_away, .. } = transition;
    // The pod goes, and the next attempt makes another one.
    let attempts = if store_away.is_some() { before.attempts.after_store_away() } else { before.attempts };
    let listed = release.as_ref().map(|release| &release.files).or(checked.as_ref());
    let summary = steps.run.summary.as_ref();
    let refusal = records.iter().find(|record| record.action == AuditAction::ReleaseRefused);
    let stored = Stored {
        awaits_registration: None,
        log_discarded: applied.status.phase.has_ended() && *log == LogFate::Discarded,
        status: applied.status,
        attempts,
        report: summary.and_then(|summary| summary.report).or(before.report),
        results: listed.map(ResultList::digest).or(before.results),
        rule: refusal.and_then(|record| Some(record.detail.get("rule")?.as_str()?.to_owned())).or(before.rule.clone()),
    };
    Act::Store { stored: Box::new(stored), records: applied.records }
}

/// Deletes what runs, one pod at a look.
fn end_run(world: &World) -> Act {
    for (step, pod) in world.pods.iter().filter(|(_, pod)| !pod.keeps) {
        match pod.state {
            PodState::Waiting { .. } | PodState::Running => {
                return Act::DeletePod { step: *step, uid: pod.uid.clone() };
            }
            PodState::Leaving { .. } | PodState::Ended(_) => {}
        }
    }
    let given_up = world.pods.values().filter(|pod| !pod.keeps).filter_map(|pod| pod.state.given_up_at()).max();
    wait("its pods are being deleted", given_up)
}

/// Removes what an ended job has left: pods first, because a claim stays while a pod refers to it.
fn clean(world: &World) -> Act {
    if !world.pods.values().all(|pod| matches!(pod.state, PodState::Leaving { .. })) {
        return Act::DeletePods;
    }
    if !world.pods.is_empty() {
        return wait("its pods are being deleted", None);
    }
    if world.volume_leaving { wait("its volume is being deleted", None) } else { Act::DeleteVolume }
}

/// What a step said or came to, in the form that lifecycle decides on.
fn answer(seen: &Seen) -> Option<StepMessage> {
    match seen {
        Seen::Message(message) => Some(message.clone()),
        Seen::Missing | Seen::Waiting { .. } | Seen::Ended(_) => None,
    }
}
