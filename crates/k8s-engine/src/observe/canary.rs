//! What the words of canaries mean for their environment. Pure.
//!
//! Canaries go round: each prefers a node that none of its round has been to, and a round ends when one comes to a node again. What is
//! known of an environment is what is known of the worst of these nodes.

use crate::resources::{
    Condition, ConditionStatus, Environment, FoundWall, Isolation, Moment, NETWORK_POLICY_ENFORCED, NodeIsolation,
    RuntimeRules, STORAGE_WORKS,
};
use cloister_model::{CanaryMessage, RuntimeKind, Timestamp, escape};
use std::{cmp::Reverse, time::Duration};

/// After how long an environment is checked again: nodes and network add-ons change without notice.
const AGAIN: Duration = Duration::from_secs(3600);
/// The same where a canary could not say anything.
const AGAIN_AFTER_FAILURE: Duration = Duration::from_secs(300);
/// What a file system may hold beyond the capacity of its volume, in bytes and in hundredths: it counts in units of its own.
const ROUNDING: (u64, u64) = (64 << 20, 10);
/// The most nodes of a round.
pub(super) const MOST_NODES: usize = 32;
/// The most walls of a kernel that are listed, and the characters of each.
const MOST_WALLS: usize = 16;
const MOST_OF_A_WALL: usize = 256;

/// What was found out about an environment.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// Whether its network policy and the size of its volumes are enforced.
    pub conditions: [Condition; 2],
    /// What was found on which node.
    pub isolation: Isolation,
}

/// What a canary came to.
#[derive(Clone, Copy, Debug)]
pub struct Sighting<'a> {
    /// The environment that sent it.
    pub environment: &'a Environment,
    /// The node that it ran on; none: no node took it.
    pub node: Option<&'a str>,
    /// When its end was seen.
    pub now: Timestamp,
}

/// Whether canaries look at the nodes of an environment: it runs containers, and wants a wall.
#[must_use]
pub fn sends_canaries(environment: &Environment) -> bool {
    let RuntimeRules { kinds, require_network_policy, require_enforced_storage, .. } = &environment.spec.runtimes;
    kinds.contains(&RuntimeKind::Container) && (*require_network_policy || *require_enforced_storage)
}

/// Whether an environment wants a canary now: canaries look at its nodes, and nothing recent says whether its walls stand there.
#[must_use]
pub fn is_due(environment: &Environment, now: Timestamp) -> bool {
    if !sends_canaries(environment) {
        return false;
    }
    let (Some(isolation), Some(status)) = (known(environment), &environment.status) else { return true };
    let Some(round_ended) = isolation.round_ended.filter(|_| been_to(environment).is_empty()) else { return true };
    let unknown = status.conditions.iter().any(|condition| {
        [NETWORK_POLICY_ENFORCED, STORAGE_WORKS].contains(&condition.kind.as_str())
            && condition.status == ConditionStatus::Unknown
    });
    let pause = if unknown { AGAIN_AFTER_FAILURE } else { AGAIN };
    let since = round_ended.timestamp().unix_ms();
    now.unix_ms() >= since.saturating_add(u64::try_from(pause.as_millis()).unwrap_or(u64::MAX))
}

/// The nodes that canaries of the present round have been to.
#[must_use]
pub fn been_to(environment: &Environment) -> Vec<&str> {
    let Some(isolation) = known(environment) else { return Vec::new() };
    isolation.nodes.iter().filter(|node| isolation.is_of_this_round(node)).map(|node| node.node.as_str()).collect()
}

/// What was found out about an environment as it is: what was found out about other rules says nothing of the present ones.
fn known(environment: &Environment) -> Option<&Isolation> {
    let status = environment.status.as_ref()?;
    let present = environment.metadata.generation;
    let is_present =
        |kind| Condition::of(&status.conditions, kind).is_some_and(|found| found.observed_generation == present);
    status.isolation.as_ref().filter(|_| is_present(NETWORK_POLICY_ENFORCED) && is_present(STORAGE_WORKS))
}

impl Isolation {
    fn is_of_this_round(&self, node: &NodeIsolation) -> bool {
        let after = |ended: Moment| node.at.timestamp().unix_ms() > ended.timestamp().unix_ms();
        self.round_ended.is_none_or(after)
    }
}

/// What a canary has found. `capacity` is that of its volume, in bytes.
#[must_use]
pub fn found(sighting: Sighting<'_>, message: &CanaryMessage, capacity: Option<u64>) -> Finding {
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
    let [network, storage] = [network, storage].map(wall);
    let lacks = message.kernel_lacks.iter().take(MOST_WALLS);
    let kernel_lacks = lacks.map(|wall| escape(wall.as_bytes(), MOST_OF_A_WALL).to_string()).collect();
    after(sighting, message.reached_until_ms, [network, storage], kernel_lacks)
}

/// What it means that a canary could not say anything.
#[must_use]
pub fn failed(sighting: Sighting<'_>, why: &str) -> Finding {
    let unknown = || wall((ConditionStatus::Unknown, "CanaryFailed", format!("it was not found out: {why}")));
    after(sighting, None, [unknown(), unknown()], Vec::new())
}

fn wall((status, reason, message): (ConditionStatus, &str, String)) -> FoundWall {
    FoundWall { status, reason: reason.to_owned(), message }
}

/// What is known of an environment after a canary.
fn after(
    sighting: Sighting<'_>,
    window_ms: Option<u64>,
    [network, storage]: [FoundWall; 2],
    kernel_lacks: Vec<String>,
) -> Finding {
    let Sighting { environment, node, now } = sighting;
    let generation = environment.metadata.generation;
    let before = known(environment).cloned();
    let mut isolation =
        before.unwrap_or(Isolation { at: now.into(), window_ms: None, round_ended: None, nodes: Vec::new() });
    isolation.at = now.into();
    let Some(node) = node else {
        // Whatever is known of nodes: none takes such a pod now.
        isolation.round_ended = Some(now.into());
        return Finding { conditions: conditions([network, storage], generation, now), isolation };
    };
    let looked = NodeIsolation { node: node.to_owned(), at: now.into(), window_ms, network, storage, kernel_lacks };
    let mut again = false;
    match isolation.nodes.iter().position(|known| known.node == node) {
        None => isolation.nodes.push(looked),
        Some(index) => {
            again = isolation.is_of_this_round(&isolation.nodes[index]);
            isolation.nodes[index] = looked;
        }
    }
    let in_round = isolation.nodes.iter().filter(|known| isolation.is_of_this_round(known)).count();
    if again || in_round >= MOST_NODES {
        // Nodes that are not there any more, or take no such pods.
        let round: Vec<_> = isolation.nodes.iter().filter(|known| isolation.is_of_this_round(known)).cloned().collect();
        isolation.nodes = round;
        isolation.round_ended = Some(now.into());
    }
    while isolation.nodes.len() > MOST_NODES {
        // The one that was checked the longest ago.
        let oldest = isolation.nodes.iter().enumerate().min_by_key(|(_, known)| known.at.timestamp().unix_ms());
        let Some((index, _)) = oldest else { break };
        isolation.nodes.remove(index);
    }
    isolation.window_ms = isolation.nodes.iter().filter_map(|known| known.window_ms).max();
    let worst = [worst(&isolation.nodes, |known| &known.network), worst(&isolation.nodes, |known| &known.storage)];
    Finding { conditions: conditions(worst, generation, now), isolation }
}

/// What holds for all of these nodes, of which there is one at least.
fn worst(nodes: &[NodeIsolation], of: impl Fn(&NodeIsolation) -> &FoundWall) -> FoundWall {
    let rank = |status| match status {
        ConditionStatus::False => 0,
        ConditionStatus::Unknown => 1,
        ConditionStatus::True => 2,
    };
    let worst = nodes.iter().min_by_key(|known| (rank(of(known).status), Reverse(known.window_ms)));
    let Some(known) = worst else {
        return wall((ConditionStatus::Unknown, "CanaryFailed", "no node was checked".to_owned()));
    };
    let FoundWall { status, reason, message } = of(known).clone();
    let message = match nodes.len() {
        0 | 1 => message,
        many => format!("{message} (node {}; {many} nodes were checked)", known.node),
    };
    FoundWall { status, reason, message }
}

fn conditions(found: [FoundWall; 2], generation: Option<i64>, now: Timestamp) -> [Condition; 2] {
    let [network, storage] = found;
    [(NETWORK_POLICY_ENFORCED, network), (STORAGE_WORKS, storage)].map(
        |(kind, FoundWall { status, reason, message })| Condition {
            kind: kind.to_owned(),
            status,
            reason,
            message,
            last_transition_time: now.into(),
            observed_generation: generation,
        },
    )
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
    use crate::observe::environment;
    use cloister_model::CanaryVersion;

    const NOW: Timestamp = Timestamp::from_unix_ms(1_800_000_000_000);
    const MIB: u64 = 1 << 20;

    fn message(reached_until_ms: Option<u64>, volume_bytes: Option<u64>) -> CanaryMessage {
        let reached = reached_until_ms.map(|_| "the API server".to_owned()).into_iter().collect();
        CanaryMessage {
            version: CanaryVersion::V1,
            tried_ms: 30_000,
            reached_until_ms,
            reached,
            volume_bytes,
            kernel_lacks: Vec::new(),
        }
    }

    #[test]
    fn a_wall_stands_only_if_the_canary_saw_it_stand() {
        use ConditionStatus::{False, True, Unknown};
        let environment = environment(&["container"]);
        for (said, capacity, network, storage) in [
            (message(None, Some(62 * MIB)), Some(64 * MIB), (True, "Closed"), (True, "SizeEnforced")),
            (message(Some(400), Some(64 * MIB)), Some(64 * MIB), (True, "ClosedLate"), (True, "SizeEnforced")),
            (message(Some(29_900), Some(64 * MIB)), Some(64 * MIB), (False, "Open"), (True, "SizeEnforced")),
            (message(None, Some(50 << 30)), Some(64 * MIB), (True, "Closed"), (False, "SizeNotEnforced")),
            (message(None, None), Some(64 * MIB), (True, "Closed"), (False, "NotWritable")),
            (message(None, Some(MIB)), None, (True, "Closed"), (Unknown, "NoCapacity")),
        ] {
            let found = found(at(&environment, "a", NOW), &said, capacity);
            let seen = found.conditions.clone().map(|condition| (condition.status, condition.reason));
            assert_eq!(seen, [network, storage].map(|(status, reason)| (status, reason.to_owned())), "{said:?}");
            assert_eq!(found.isolation.window_ms, said.reached_until_ms);
        }
        let failed = failed(at(&environment, "a", NOW), "no word");
        assert!(failed.conditions.iter().all(|condition| condition.status == Unknown));
    }

    /// A canary of an environment on a node.
    fn at<'a>(environment: &'a Environment, node: &'a str, now: Timestamp) -> Sighting<'a> {
        Sighting { environment, node: Some(node), now }
    }

    /// No canary of an environment runs.
    fn nowhere(environment: &Environment) -> Finding {
        failed(Sighting { environment, node: None, now: NOW }, "no node")
    }

    /// The canaries of a round on one node, which is the only one.
    fn alone(environment: &Environment, said: &CanaryMessage) -> Environment {
        let first = with(environment, &found(at(environment, "a", NOW), said, Some(64 * MIB)));
        assert!(is_due(&first, NOW) && been_to(&first) == ["a"]);
        let second = with(&first, &found(at(&first, "a", NOW), said, Some(64 * MIB)));
        assert!(been_to(&second).is_empty(), "its round is over");
        second
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
        let good = alone(&containers, &message(None, Some(64 * MIB)));
        assert_eq!(offers(&good), (true, true));
        // It speaks of other rules, such as another storage class.
        let mut changed = good.clone();
        changed.metadata.generation = Some(4);
        for bad in [
            alone(&containers, &message(Some(29_900), Some(64 * MIB))),
            alone(&containers, &message(None, Some(64 << 30))),
            changed,
            with(&containers, &nowhere(&containers)),
            with(&good, &nowhere(&good)),
        ] {
            assert_eq!(offers(&bad), (true, false), "{bad:?}");
            assert!(bad.offered().expect("an environment").offers.withholds_containers);
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
    fn an_environment_is_checked_again_as_soon_as_it_changes() {
        assert!(!is_due(&environment(&["wasm"]), NOW));
        let containers = environment(&["wasm", "container"]);
        assert!(is_due(&containers, NOW));
        let later = |seconds: u64| Timestamp::from_unix_ms(NOW.unix_ms() + seconds * 1000);
        let good = alone(&containers, &message(None, Some(1)));
        assert_eq!([0, 3599, 3600].map(|seconds| is_due(&good, later(seconds))), [false, false, true]);
        let unknown = with(&containers, &nowhere(&containers));
        assert_eq!([0, 299, 300].map(|seconds| is_due(&unknown, later(seconds))), [false, false, true]);
        let mut changed = good;
        changed.metadata.generation = Some(4);
        assert!(is_due(&changed, NOW) && been_to(&changed).is_empty());
    }

    #[test]
    fn what_the_kernel_of_a_node_lacks_is_said_of_that_node() {
        let environment = environment(&["container"]);
        let lacking = CanaryMessage {
            kernel_lacks: vec!["landlock: absent: \u{1b}[31mno".to_owned(); 2 * MOST_WALLS],
            ..message(None, Some(1))
        };
        let first = with(&environment, &found(at(&environment, "a", NOW), &lacking, Some(MIB)));
        let second = with(&first, &found(at(&first, "b", NOW), &message(None, Some(1)), Some(MIB)));
        let nodes = second.status.and_then(|status| status.isolation).expect("known").nodes;
        assert_eq!((nodes[0].kernel_lacks.len(), nodes[1].kernel_lacks.len()), (MOST_WALLS, 0));
        assert!(nodes[0].kernel_lacks[0].starts_with("landlock: absent: "), "{nodes:?}");
        assert!(!nodes[0].kernel_lacks[0].contains('\u{1b}'), "{nodes:?}");
    }

    /// One node without a wall closes the environment, until a canary has seen the wall stand there, or its node is gone.
    #[test]
    fn canaries_go_from_node_to_node_and_the_worst_one_counts() {
        use ConditionStatus::{False, True, Unknown};
        let (closed, late, open) = (message(None, Some(1)), message(Some(7), Some(1)), message(Some(29_900), Some(1)));
        let mut environment = environment(&["container"]);
        let mut now = NOW.unix_ms();
        let mut looks = |environment: &mut Environment, node: &str, said: Option<&CanaryMessage>| {
            now += 40_000;
            let sighting = at(environment, node, Timestamp::from_unix_ms(now));
            let finding = match said {
                Some(said) => found(sighting, said, Some(64 * MIB)),
                None => failed(sighting, "no word"),
            };
            let network = finding.conditions[0].clone();
            *environment = with(environment, &finding);
            assert!(network.message.contains("(node ") == (finding.isolation.nodes.len() > 1), "{}", network.message);
            (network.status, network.reason, finding.isolation.window_ms)
        };
        let is = |status, reason: &str, window| (status, reason.to_owned(), window);
        assert_eq!(looks(&mut environment, "a", Some(&closed)), is(True, "Closed", None));
        assert_eq!(looks(&mut environment, "b", Some(&late)), is(True, "ClosedLate", Some(7)));
        assert_eq!(looks(&mut environment, "c", Some(&open)), is(False, "Open", Some(29_900)));
        assert_eq!(been_to(&environment), ["a", "b", "c"]);
        assert_eq!(looks(&mut environment, "d", None), is(False, "Open", Some(29_900)));
        assert_eq!(looks(&mut environment, "a", Some(&closed)), is(False, "Open", Some(29_900)));
        assert!(been_to(&environment).is_empty(), "one came to a node again");
        // The next round: what was found in the last one counts until a canary comes there again.
        assert_eq!(looks(&mut environment, "a", Some(&closed)), is(False, "Open", Some(29_900)));
        assert_eq!(looks(&mut environment, "c", Some(&closed)), is(Unknown, "CanaryFailed", Some(7)));
        assert_eq!(been_to(&environment), ["a", "c"]);
        assert_eq!(looks(&mut environment, "d", Some(&closed)), is(True, "ClosedLate", Some(7)));
        // No canary of the round came to the node `b`.
        assert_eq!(looks(&mut environment, "d", Some(&closed)), is(True, "Closed", None));
        let nodes = &environment.status.as_ref().and_then(|status| status.isolation.as_ref()).expect("known").nodes;
        assert_eq!(nodes.iter().map(|known| known.node.as_str()).collect::<Vec<_>>(), ["a", "c", "d"]);
        // A round has an end, however many nodes there are.
        for number in 0..MOST_NODES {
            assert!(!is_due(&environment, Timestamp::from_unix_ms(0)) || number > 0);
            looks(&mut environment, &format!("node-{number}"), Some(&closed));
        }
        assert!(been_to(&environment).is_empty());
        let status = environment.status.as_ref().expect("a status");
        assert_eq!(status.isolation.as_ref().map(|isolation| isolation.nodes.len()), Some(MOST_NODES));
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
