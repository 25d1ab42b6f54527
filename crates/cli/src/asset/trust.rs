//! Trust in algorithms that `dataset allow` has given and a description does not mention.

use serde_json::{Value, json};

/// The field that holds it.
pub(super) const TRUSTED: &str = "publisherTrustedAlgorithms";

/// The fields that `dataset allow` writes. An entry with others, or with `*`, was written by hand.
const ALLOWED: [&str; 3] = ["did", "filesChecksum", "containerSectionChecksum"];

/// Puts trust that is published and that the description does not mention into the description, so that publishing it does not
/// take the trust back. What was written by hand is not kept: who deletes it from the file means it. An algorithm that the
/// description names has the trust that the description gives it. Returns the entries that were kept.
pub(super) fn keep(published: &Value, description: &mut Value) -> Vec<Value> {
    let mut kept = Vec::new();
    for service in published["services"].as_array().into_iter().flatten() {
        let entries = service["compute"][TRUSTED].as_array().into_iter().flatten();
        let given: Vec<&Value> = entries.filter(|entry| is_given(entry)).collect();
        let Some(rules) = service["id"].as_str().and_then(|id| rules_of(description, id)) else { continue };
        if given.is_empty() || !(rules.is_object() || rules.is_null()) {
            continue;
        }
        let own = rules[TRUSTED].as_array().cloned().unwrap_or_default();
        let is_named = |entry: &Value| own.iter().any(|own| own["did"] == entry["did"]);
        let new: Vec<Value> = given.into_iter().filter(|entry| !is_named(entry)).cloned().collect();
        if new.is_empty() {
            continue;
        }
        if rules.is_null() {
            *rules = json!({});
        }
        rules[TRUSTED] = own.into_iter().chain(new.iter().cloned()).collect();
        kept.extend(new);
    }
    kept
}

/// Whether `dataset allow` writes such an entry: exactly these bytes of exactly this algorithm.
fn is_given(entry: &Value) -> bool {
    let fields = entry.as_object().filter(|fields| fields.len() == ALLOWED.len());
    let is_exact = |name: &&str| entry[*name].as_str().is_some_and(|text| !text.is_empty() && text != "*");
    fields.is_some() && ALLOWED.iter().all(is_exact)
}

/// The rules of the compute service of this id, in a manifest or a DDO.
fn rules_of<'a>(description: &'a mut Value, id: &str) -> Option<&'a mut Value> {
    let manifest = description.get("spec").is_some();
    let holder = if manifest { description.get_mut("spec")? } else { description };
    if manifest && holder.get("services").is_none_or(Value::is_null) {
        let holder = holder.as_object_mut().filter(|_| id == "compute")?;
        return Some(holder.entry("compute").or_insert(Value::Null));
    }
    let services = holder.get_mut("services")?.as_array_mut()?;
    let is_meant =
        |service: &&mut Value| service["type"] == "compute" && service["id"].as_str().unwrap_or("compute") == id;
    let service = services.iter_mut().find(is_meant)?.as_object_mut()?;
    Some(service.entry("compute").or_insert(Value::Null))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(did: &str) -> Value {
        json!({"did": did, "filesChecksum": "ab".repeat(32), "containerSectionChecksum": "cd".repeat(32)})
    }

    fn published(entries: &[Value]) -> Value {
        json!({"services": [{"id": "compute", "type": "compute", "compute": {TRUSTED: entries}}]})
    }

    #[test]
    fn what_allow_has_given_stays_and_what_a_file_has_said_is_as_the_file_says_now() {
        let by_hand = json!({"did": "*", "filesChecksum": "*", "containerSectionChecksum": "*"});
        let any_files = json!({"did": "did:op:h", "filesChecksum": "*", "containerSectionChecksum": "cd".repeat(32)});
        let of_service =
            json!({"did": "did:op:s", "filesChecksum": "ab", "containerSectionChecksum": "cd", "serviceId": "s"});
        let before = published(&[entry("did:op:a"), by_hand, any_files, of_service, entry("did:op:b")]);
        let newer = json!({"did": "did:op:b", "filesChecksum": "00".repeat(32), "containerSectionChecksum": "*"});
        for (mut description, place, own) in [
            (json!({"spec": {"files": []}}), "/spec/compute", vec![]),
            (json!({"spec": {"compute": {TRUSTED: [newer]}}}), "/spec/compute", vec![newer.clone()]),
            (
                json!({"spec": {"services": [{"type": "access"}, {"type": "compute", "compute": {}}]}}),
                "/spec/services/1/compute",
                vec![],
            ),
            (
                json!({"id": "did:op:d", "services": [{"id": "compute", "type": "compute"}]}),
                "/services/0/compute",
                vec![],
            ),
        ] {
            let kept = keep(&before, &mut description);
            let mut expected = vec![entry("did:op:a")];
            if own.is_empty() {
                expected.push(entry("did:op:b"));
            }
            assert_eq!(kept, expected, "{description}");
            let all: Vec<Value> = own.into_iter().chain(expected).collect();
            let rules = description.pointer(place).expect("rules");
            assert_eq!(rules[TRUSTED], json!(all), "{description}");
        }
    }

    #[test]
    fn a_service_that_is_gone_keeps_nothing_and_what_is_not_rules_is_left_to_the_check() {
        let before = published(&[entry("did:op:a")]);
        for description in [
            json!({"spec": {"services": [{"type": "access"}]}}),
            json!({"spec": {"services": [{"id": "other", "type": "compute", "compute": {}}]}}),
            json!({"spec": {"compute": "yes"}}),
            json!({"spec": 3}),
            json!([]),
        ] {
            let mut same = description.clone();
            assert_eq!(keep(&before, &mut same), Vec::<Value>::new());
            assert_eq!(same["spec"].get("compute"), description["spec"].get("compute"));
        }
    }
}
