//! Denials on record: one for each account, dataset and broken rules within a while, and then how many more there were. An
//! account that is denied a thousand times a second does not fill the disk with it.

use cloister_model::{AuditEvent, Sha256, Timestamp};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

/// How long equal denials are counted instead of recorded, in milliseconds.
const WINDOW_MS: u64 = 10 * 60 * 1000;

/// Different denials of one account within a window. Those beyond are counted together.
const MOST_OF_ACCOUNT: usize = 100;

/// Denials that are counted, in memory. After a restart, the first of each kind is recorded again.
#[derive(Debug, Default)]
pub(crate) struct Denials(Mutex<HashMap<Sha256, Counted>>);

#[derive(Debug)]
struct Counted {
    /// The first one, which is on record.
    event: AuditEvent,
    more: u64,
}

impl Denials {
    /// What is to be recorded when something is denied: the denial, unless an equal one was recorded a moment ago, and how
    /// many there were of those whose while has passed.
    pub(crate) fn events(&self, denial: AuditEvent, rules: &str) -> Vec<AuditEvent> {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut events = passed(&mut counted, denial.at);
        let mut key = key(&denial, &[&denial.subject, rules]);
        if !counted.contains_key(&key) {
            let of_account = counted.values().filter(|known| known.event.actor == denial.actor).count();
            if of_account >= MOST_OF_ACCOUNT {
                key = self::key(&denial, &[]);
            }
        }
        match counted.get_mut(&key) {
            Some(known) => known.more = known.more.saturating_add(1),
            None => {
                events.push(denial.clone());
                counted.insert(key, Counted { event: denial, more: 0 });
            }
        }
        events
    }

    /// How many more there were of every kind, up to now. For a reader of the record.
    pub(crate) fn flush(&self) -> Vec<AuditEvent> {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let later = Timestamp::from_unix_ms(u64::MAX);
        passed(&mut counted, later)
    }
}

fn passed(counted: &mut HashMap<Sha256, Counted>, now: Timestamp) -> Vec<AuditEvent> {
    let over = |known: &Counted| now.unix_ms().saturating_sub(known.event.at.unix_ms()) >= WINDOW_MS;
    let gone = counted.extract_if(|_, known| over(known)).map(|(_, known)| known);
    let mut events: Vec<AuditEvent> = gone.filter(|known| known.more > 0).map(repeated).collect();
    events.sort_by_key(|event| event.at);
    events
}

/// The record of denials that were counted.
fn repeated(Counted { event, more }: Counted) -> AuditEvent {
    let mut detail: Value = serde_json::from_str(&event.detail).unwrap_or_default();
    detail = json!({"more": more, "like": detail});
    AuditEvent { detail: detail.to_string(), ..event }
}

fn key(denial: &AuditEvent, parts: &[&str]) -> Sha256 {
    Sha256::of(json!([denial.actor, denial.action, parts]).to_string().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_model::AuditAction;

    fn denial(at: u64, actor: &str, subject: &str) -> AuditEvent {
        AuditEvent {
            at: Timestamp::from_unix_ms(at),
            actor: actor.to_owned(),
            action: AuditAction::JobDenied,
            subject: subject.to_owned(),
            detail: json!({"rules": ["r"]}).to_string(),
        }
    }

    #[test]
    fn equal_denials_are_recorded_once_and_counted() {
        let denials = Denials::default();
        assert_eq!(denials.events(denial(1, "bob", "d"), "r"), [denial(1, "bob", "d")]);
        for _ in 0..1000 {
            assert_eq!(denials.events(denial(2, "bob", "d"), "r"), []);
        }
        for other in [denial(2, "carol", "d"), denial(2, "bob", "e")] {
            assert_eq!(denials.events(other.clone(), "r"), [other]);
        }
        assert_eq!(denials.events(denial(2, "bob", "d"), "s").len(), 1, "other rules");
        let events = denials.events(denial(WINDOW_MS + 2, "bob", "d"), "r");
        let [count, again] = events.as_slice() else { panic!("{events:?}") };
        assert_eq!(count.detail, json!({"more": 1000, "like": {"rules": ["r"]}}).to_string());
        assert_eq!(*again, denial(WINDOW_MS + 2, "bob", "d"));
    }

    #[test]
    fn one_account_makes_so_many_records_and_no_more() {
        let denials = Denials::default();
        let made: usize = (0..10_000).map(|n| denials.events(denial(1, "bob", &n.to_string()), "r").len()).sum();
        assert_eq!(made, MOST_OF_ACCOUNT + 1);
        assert_eq!(denials.events(denial(1, "carol", "d"), "r").len(), 1);
        let counted: u64 = denials
            .flush()
            .iter()
            .map(|event| {
                serde_json::from_str::<Value>(&event.detail).expect("json")["more"].as_u64().expect("a number")
            })
            .sum();
        assert_eq!(counted, 10_000 - made as u64, "none is lost");
    }
}
