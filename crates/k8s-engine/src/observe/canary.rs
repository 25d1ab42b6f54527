//! What a canary's word means for its environment. Pure.

use crate::resources::{
    Condition, ConditionStatus, Environment, Isolation, NETWORK_POLICY_ENFORCED, RuntimeRules, STORAGE_WORKS,
};
use cloister_model::{CanaryMessage, RuntimeKind, Timestamp};
use std::time::Duration;

/// After how long an environment is looked at again: nodes and network plugins change without a word.
const AGAIN: Duration = Duration::from_secs(3600);
/// The same where a canary could not say anything.
const AGAIN_AFTER_FAILURE: Duration = Duration::from_secs(300);
/// What a file system may hold beyond the capacity of its volume, in bytes and in hundredths: it counts in units of its own.
const ROUNDING: (u64, u64) = (64 << 20, 10);

/// What was found out about an environment.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// Whether its network policy and the size of its volumes are enforced.
    pub conditions: [Condition; 2],
    /// What was reached, and until when.
    pub isolation: Isolation,
}

/// Whether an environment wants a canary now: it runs containers, wants a wall, and nothing recent says whether that stands.
#[must_use]
pub fn is_due(environment: &Environment, now: Timestamp) -> bool {
    let RuntimeRules { kinds, require_network_policy, require_enforced_storage, .. } = &environment.spec.runtimes;
    if !kinds.contains(&RuntimeKind::Container) || !(*require_network_policy || *require_enforced_storage) {
        return false;
    }
    let Some(status) = &environment.status else { return true };
    let found = [NETWORK_POLICY_ENFORCED, STORAGE_WORKS].map(|kind| Condition::of(&status.conditions, kind));
    let (Some(isolation), [Some(network), Some(storage)]) = (&status.isolation, found) else { return true };
    let present = environment.metadata.generation;
    if [network, storage].iter().any(|condition| condition.observed_generation != present) {
        return true;
    }
    let unknown = [network, storage].iter().any(|condition| condition.status == ConditionStatus::Unknown);
    let pause = if unknown { AGAIN_AFTER_FAILURE } else { AGAIN };
    let since = isolation.at.timestamp().unix_ms();
    now.unix_ms() >= since.saturating_add(u64::try_from(pause.as_millis()).unwrap_or(u64::MAX))
}

/// What a canary has found. `capacity` is that of its volume, in bytes.
#[must_use]
pub fn found(message: &CanaryMessage, capacity: Option<u64>, generation: Option<i64>, now: Timestamp) -> Finding {
    let reached = message.reached.join(", ");
    let network = match message.reached_until_ms {
        None => (ConditionStatus::True, "Closed", "a fresh pod reached nothing".to_owned()),
        Some(_) if message.is_open() => {
            let text = format!("a pod like those of algorithms reaches {reached}: no NetworkPolicy is enforced here");
            (ConditionStatus::False, "Open", text)
        }
        Some(until) => {
            let text = format!(
                "a fresh pod reached {reached} until {until} ms after its first instruction; then it was closed. Until then \
                 process 1 of a container is its wall"
            );
            (ConditionStatus::True, "ClosedLate", text)
        }
    };
    let most = capacity.map(|bytes| bytes.saturating_add(bytes / ROUNDING.1).saturating_add(ROUNDING.0));
    let storage = match (message.volume_bytes, most) {
        (None, _) => (ConditionStatus::False, "NotWritable", "a volume could not be written".to_owned()),
        (Some(_), None) => (ConditionStatus::Unknown, "NoCapacity", "a volume does not say its capacity".to_owned()),
        (Some(holds), Some(most)) if holds <= most => {
            (ConditionStatus::True, "SizeEnforced", "a volume holds no more than its size".to_owned())
        }
        (Some(holds), Some(_)) => {
            let text = format!(
                "a volume holds {holds} bytes whatever its size, so that a container could fill the disk of others; choose a \
                 storage class that enforces sizes"
            );
            (ConditionStatus::False, "SizeNotEnforced", text)
        }
    };
    let isolation = Isolation { at: now.into(), window_ms: message.reached_until_ms, reached: message.reached.clone() };
    Finding { conditions: conditions(network, storage, generation, now), isolation }
}

/// What it means that a canary could not say anything.
#[must_use]
pub fn failed(why: &str, generation: Option<i64>, now: Timestamp) -> Finding {
    let unknown = || (ConditionStatus::Unknown, "CanaryFailed", format!("it was not found out: {why}"));
    let isolation = Isolation { at: now.into(), window_ms: None, reached: Vec::new() };
    Finding { conditions: conditions(unknown(), unknown(), generation, now), isolation }
}

type Found = (ConditionStatus, &'static str, String);

fn conditions(network: Found, storage: Found, generation: Option<i64>, now: Timestamp) -> [Condition; 2] {
    [(NETWORK_POLICY_ENFORCED, network), (STORAGE_WORKS, storage)].map(|(kind, (status, reason, message))| Condition {
        kind: kind.to_owned(),
        status,
        reason: reason.to_owned(),
        message,
        last_transition_time: now.into(),
        observed_generation: generation,
    })
}

/// A quantity of the API server's in bytes, such as `64Mi`; none: it is written in another way.
#[must_use]
pub fn bytes(quantity: &str) -> Option<u64> {
    let split = quantity.find(|found: char| !found.is_ascii_digit()).unwrap_or(quantity.len());
    let (number, unit) = quantity.split_at(split);
    let power = |base: u64, exponent: u32| base.checked_pow(exponent);
    let unit = match unit {
        "" => 1,
        "k" => 1000,
        "M" => power(1000, 2)?,
        "G" => power(1000, 3)?,
        "T" => power(1000, 4)?,
        "P" => power(1000, 5)?,
        "Ki" => 1024,
        "Mi" => power(1024, 2)?,
        "Gi" => power(1024, 3)?,
        "Ti" => power(1024, 4)?,
        "Pi" => power(1024, 5)?,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_model::CanaryVersion;
    use serde_json::json;

    const NOW: Timestamp = Timestamp::from_unix_ms(1_800_000_000_000);
    const MIB: u64 = 1 << 20;

    fn message(reached_until_ms: Option<u64>, volume_bytes: Option<u64>) -> CanaryMessage {
        let reached = reached_until_ms.map(|_| "the API server".to_owned()).into_iter().collect();
        CanaryMessage { version: CanaryVersion::V1, tried_ms: 30_000, reached_until_ms, reached, volume_bytes }
    }

    #[test]
    fn a_wall_stands_only_if_the_canary_saw_it_stand() {
        use ConditionStatus::{False, True, Unknown};
        for (said, capacity, network, storage) in [
            (message(None, Some(62 * MIB)), Some(64 * MIB), (True, "Closed"), (True, "SizeEnforced")),
            (message(Some(400), Some(64 * MIB)), Some(64 * MIB), (True, "ClosedLate"), (True, "SizeEnforced")),
            (message(Some(29_900), Some(64 * MIB)), Some(64 * MIB), (False, "Open"), (True, "SizeEnforced")),
            (message(None, Some(50 << 30)), Some(64 * MIB), (True, "Closed"), (False, "SizeNotEnforced")),
            (message(None, None), Some(64 * MIB), (True, "Closed"), (False, "NotWritable")),
            (message(None, Some(MIB)), None, (True, "Closed"), (Unknown, "NoCapacity")),
        ] {
            let found = found(&said, capacity, Some(3), NOW);
            let seen = found.conditions.clone().map(|condition| (condition.status, condition.reason));
            assert_eq!(seen, [network, storage].map(|(status, reason)| (status, reason.to_owned())), "{said:?}");
            assert_eq!(found.isolation.window_ms, said.reached_until_ms);
        }
        assert!(failed("no node", Some(3), NOW).conditions.iter().all(|condition| condition.status == Unknown));
    }

    fn environment(kinds: &[&str]) -> Environment {
        serde_json::from_value(json!({
            "apiVersion": "cloister.dev/v1alpha1", "kind": "Environment", "metadata": {"name": "e", "generation": 3},
            "spec": {
                "limits": {"jobs": 1, "queued": 1, "cpus": 1, "memoryBytes": 1, "jobMemoryBytes": 1, "wallMs": 1},
                "runtimes": {"kinds": kinds, "registries": ["registry.example"]},
            },
        }))
        .expect("an environment")
    }

    /// What was found out about an environment.
    fn with(environment: &Environment, finding: &Finding) -> Environment {
        let mut environment = environment.clone();
        let status = environment.status.get_or_insert_default();
        status.conditions = finding.conditions.to_vec();
        status.isolation = Some(finding.isolation.clone());
        environment
    }

    #[test]
    fn containers_are_offered_where_every_wall_that_they_want_stands_now() {
        let containers = environment(&["wasm", "container"]);
        let offers = |environment: &Environment| {
            let offers = environment.offered().expect("an environment").offers;
            (offers.runtimes.contains(&RuntimeKind::Wasm), offers.runtimes.contains(&RuntimeKind::Container))
        };
        assert_eq!(offers(&containers), (true, false));
        assert_eq!(containers.missing_walls(), [NETWORK_POLICY_ENFORCED, STORAGE_WORKS]);
        let good = found(&message(None, Some(64 * MIB)), Some(64 * MIB), Some(3), NOW);
        assert_eq!(offers(&with(&containers, &good)), (true, true));
        for bad in [
            found(&message(Some(29_900), Some(64 * MIB)), Some(64 * MIB), Some(3), NOW),
            found(&message(None, Some(64 << 30)), Some(64 * MIB), Some(3), NOW),
            // It speaks of other rules, such as another storage class.
            found(&message(None, Some(64 * MIB)), Some(64 * MIB), Some(2), NOW),
            failed("no node", Some(3), NOW),
        ] {
            let environment = with(&containers, &bad);
            assert_eq!(offers(&environment), (true, false), "{bad:?}");
            assert!(environment.offered().expect("an environment").offers.withholds_containers);
        }
        // The operator can do without.
        let mut without = containers.clone();
        without.spec.runtimes.require_network_policy = false;
        assert_eq!(offers(&without), (true, false));
        without.spec.runtimes.require_enforced_storage = false;
        assert_eq!((offers(&without), is_due(&without, NOW)), ((true, true), false));
        without.spec.storage.mode = crate::resources::StorageMode::Shared;
        assert_eq!(offers(&without), (true, false), "a container could fill what all jobs share");
    }

    #[test]
    fn an_environment_is_looked_at_again_as_soon_as_it_is_another_one() {
        assert!(!is_due(&environment(&["wasm"]), NOW));
        let containers = environment(&["wasm", "container"]);
        assert!(is_due(&containers, NOW));
        let later = |seconds: u64| Timestamp::from_unix_ms(NOW.unix_ms() + seconds * 1000);
        let good = with(&containers, &found(&message(None, Some(1)), Some(1), Some(3), NOW));
        assert_eq!([0, 3599, 3600].map(|seconds| is_due(&good, later(seconds))), [false, false, true]);
        let unknown = with(&containers, &failed("no node", Some(3), NOW));
        assert_eq!([0, 299, 300].map(|seconds| is_due(&unknown, later(seconds))), [false, false, true]);
        let mut changed = good;
        changed.metadata.generation = Some(4);
        assert!(is_due(&changed, NOW));
    }

    #[test]
    fn quantities_are_bytes() {
        for (text, expected) in [
            ("0", Some(0)),
            ("67108864", Some(64 * MIB)),
            ("64Mi", Some(64 * MIB)),
            ("1Gi", Some(1 << 30)),
            ("1G", Some(1_000_000_000)),
            ("1e3", None),
            ("1.5Gi", None),
            ("", None),
            ("99999999999Pi", None),
        ] {
            assert_eq!(bytes(text), expected, "{text}");
        }
    }
}
