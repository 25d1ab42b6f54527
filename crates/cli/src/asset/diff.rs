//! How an asset that is about to be published differs from what is published.

use cloister_model::Permissions;
use serde_json::{Map, Value};

/// A difference at one place of a DDO.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    /// Where, such as `services[0].compute.outputContract.maxBytes`.
    pub(super) place: String,
    pub(super) what: What,
}

/// What differs. Values of sources are never held: they may contain credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// It is new, or an entry of a list is.
    Added(Value),
    /// It is gone, or an entry of a list is.
    Removed(Value),
    /// It has another value.
    Changed(Value, Value),
    /// It is another source. Which one is not shown.
    OtherSource,
}

/// The differences between two DDOs, in the order of their fields. Rules are compared by their meaning: a rule that is not
/// written and one that says what is the default anyway are equal.
pub(super) fn changes(before: &Value, after: &Value) -> Vec<Change> {
    let mut found = Vec::new();
    compare("", &with_plain_rules(before), &with_plain_rules(after), &mut found);
    found
}

/// The document with every rule of its compute services written out.
fn with_plain_rules(ddo: &Value) -> Value {
    let mut ddo = ddo.clone();
    for service in ddo.get_mut("services").and_then(Value::as_array_mut).into_iter().flatten() {
        if service["type"] == "compute"
            && let Ok(rules) = serde_json::from_value::<Permissions>(service["compute"].clone())
            && let Ok(rules) = serde_json::to_value(rules)
        {
            service["compute"] = rules;
        }
    }
    ddo
}

fn compare(place: &str, before: &Value, after: &Value, found: &mut Vec<Change>) {
    if before == after {
        return;
    }
    let mut add = |place: &str, what| found.push(Change { place: place.to_owned(), what });
    match (before, after) {
        (Value::Object(one), Value::Object(other)) => compare_fields(place, one, other, found),
        (Value::Array(one), Value::Array(other)) if place.ends_with(".files") => {
            for n in 0..one.len().max(other.len()) {
                if one.get(n) != other.get(n) {
                    add(&format!("{place}[{n}]"), What::OtherSource);
                }
            }
        }
        // Services are told apart by their place, because what belongs to them would be repeated otherwise.
        (Value::Array(one), Value::Array(other)) if place == "services" && one.len() == other.len() => {
            for (n, (one, other)) in one.iter().zip(other).enumerate() {
                compare(&format!("{place}[{n}]"), one, other, found);
            }
        }
        (Value::Array(one), Value::Array(other)) if place != "services" => {
            let mut new: Vec<&Value> = other.iter().filter(|entry| !one.contains(entry)).collect();
            for entry in one.iter().filter(|entry| !other.contains(entry)) {
                // An entry about the same thing is the same entry, changed.
                let same = name(entry).and_then(|known| new.iter().position(|new| name(new) == Some(known)));
                match same {
                    Some(place_of) => add(place, What::Changed(entry.clone(), new.remove(place_of).clone())),
                    None => add(place, What::Removed(entry.clone())),
                }
            }
            new.into_iter().for_each(|entry| add(place, What::Added(entry.clone())));
        }
        _ if place.ends_with(".files") || place == "services" => add(place, What::OtherSource),
        (Value::Null, after) => add(place, What::Added(after.clone())),
        (before, Value::Null) => add(place, What::Removed(before.clone())),
        (before, after) => add(place, What::Changed(before.clone(), after.clone())),
    }
}

/// What an entry of a list is about: an algorithm, a column, a check, a parameter.
fn name(entry: &Value) -> Option<&str> {
    ["did", "name", "column", "id"].into_iter().find_map(|field| entry[field].as_str())
}

fn compare_fields(place: &str, one: &Map<String, Value>, other: &Map<String, Value>, found: &mut Vec<Change>) {
    let new = other.keys().filter(|name| !one.contains_key(*name));
    for name in one.keys().chain(new) {
        let below = if place.is_empty() { name.clone() } else { format!("{place}.{name}") };
        let value = |fields: &Map<String, Value>| fields.get(name).cloned().unwrap_or_default();
        compare(&below, &value(one), &value(other), found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn ddo(title: &str, files: &Value, compute: &Value) -> Value {
        json!({"id": "did:op:a", "metadata": {"name": title},
            "services": [{"id": "compute", "type": "compute", "files": files, "compute": compute}]})
    }

    #[test]
    fn a_difference_is_named_by_its_place() {
        let change = |place: &str, what: What| Change { place: place.to_owned(), what };
        let compute = "services[0].compute";
        let (one, other) = (json!({"did": "did:op:x"}), json!({"did": "did:op:y"}));
        let (files, section) = ("ab".repeat(32), "cd".repeat(32));
        let newer = json!({"did": "did:op:x", "filesChecksum": files, "containerSectionChecksum": section});
        let secret = json!([{"type": "url", "url": "https://a", "headers": {"Authorization": "SECRET"}}]);
        for (before, after, expected) in [
            (ddo("t", &json!([]), &json!({})), ddo("t", &json!([]), &json!(null)), vec![]),
            // What is the default may be written or not.
            (
                ddo("t", &json!([]), &json!({"runtimes": ["wasm"], "outputContract": {"maxLogBytes": 0}})),
                ddo("t", &json!([]), &json!({"allowRawAlgorithm": false})),
                vec![],
            ),
            (
                ddo("t", &json!([]), &json!({})),
                ddo("u", &json!([]), &json!({"outputContract": {"maxFiles": 3, "review": true}})),
                vec![
                    change("metadata.name", What::Changed(json!("t"), json!("u"))),
                    change(&format!("{compute}.outputContract.maxFiles"), What::Changed(json!(20), json!(3))),
                    change(&format!("{compute}.outputContract.review"), What::Added(json!(true))),
                ],
            ),
            (
                ddo("t", &json!([]), &json!({"publisherTrustedAlgorithms": [one]})),
                ddo("t", &json!([]), &json!({"publisherTrustedAlgorithms": [other]})),
                vec![
                    change(&format!("{compute}.publisherTrustedAlgorithms"), What::Removed(one.clone())),
                    change(&format!("{compute}.publisherTrustedAlgorithms"), What::Added(other.clone())),
                ],
            ),
            // An entry about the same thing is one difference.
            (
                ddo("t", &json!([]), &json!({"publisherTrustedAlgorithms": [one, other]})),
                ddo("t", &json!([]), &json!({"publisherTrustedAlgorithms": [newer, other]})),
                vec![change(
                    &format!("{compute}.publisherTrustedAlgorithms"),
                    What::Changed(one.clone(), newer.clone()),
                )],
            ),
            (
                ddo("t", &secret, &json!({})),
                ddo("t", &json!([{"type": "inline", "content": "x"}, {"type": "inline", "content": "y"}]), &json!({})),
                vec![
                    change("services[0].files[0]", What::OtherSource),
                    change("services[0].files[1]", What::OtherSource),
                ],
            ),
            (
                ddo("t", &secret, &json!({})),
                json!({"id": "did:op:a", "metadata": {"name": "t"}, "services": []}),
                vec![change("services", What::OtherSource)],
            ),
        ] {
            let found = changes(&before, &after);
            assert_eq!(found, expected);
            assert!(!format!("{found:?}").contains("SECRET"));
        }
    }
}
