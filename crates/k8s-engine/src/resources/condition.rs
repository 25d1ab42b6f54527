use super::Moment;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A condition in the form that `kubectl wait` and kstatus understand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct Condition {
    /// The type of the condition, such as `Ready`.
    #[serde(rename = "type")]
    #[schemars(length(min = 1, max = 316))]
    pub kind: String,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// Why, in one word in CamelCase.
    #[schemars(length(min = 1, max = 1024))]
    pub reason: String,
    /// Why, in a sentence. Safe to show.
    #[schemars(length(max = 4096))]
    pub message: String,
    /// When the status changed last.
    pub last_transition_time: Moment,
    /// The generation of the resource that the condition describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
}

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum ConditionStatus {
    /// It does.
    True,
    /// It does not.
    False,
    /// It cannot be told.
    Unknown,
}

impl Condition {
    /// Puts a condition in the place of the one of its type. While the status stays the same, so does the time since when.
    pub fn put(conditions: &mut Vec<Self>, mut new: Self) {
        match conditions.iter_mut().find(|condition| condition.kind == new.kind) {
            None => conditions.push(new),
            Some(old) => {
                if old.status == new.status {
                    new.last_transition_time = old.last_transition_time;
                }
                *old = new;
            }
        }
    }

    /// The condition of this type, if there is one.
    #[must_use]
    pub fn of<'a>(conditions: &'a [Self], kind: &str) -> Option<&'a Self> {
        conditions.iter().find(|condition| condition.kind == kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_model::Timestamp;

    #[test]
    fn the_time_of_a_condition_is_that_of_its_last_change() {
        let ready = |status, ms, reason: &str| Condition {
            kind: "Ready".to_owned(),
            status,
            reason: reason.to_owned(),
            message: String::new(),
            last_transition_time: Timestamp::from_unix_ms(ms).into(),
            observed_generation: Some(1),
        };
        let mut conditions = vec![];
        Condition::put(&mut conditions, ready(ConditionStatus::False, 1, "A"));
        Condition::put(&mut conditions, ready(ConditionStatus::False, 2, "B"));
        assert_eq!(conditions, [ready(ConditionStatus::False, 1, "B")]);
        Condition::put(&mut conditions, ready(ConditionStatus::True, 3, "C"));
        assert_eq!(Condition::of(&conditions, "Ready"), Some(&ready(ConditionStatus::True, 3, "C")));
        assert_eq!(Condition::of(&conditions, "Complete"), None);
    }
}
