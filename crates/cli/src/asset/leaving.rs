//! What may leave a dataset, said to its publisher whenever the rules are changed or shown.

use crate::output::{note, shown};
use cloister_model::{OutputPolicy, Permissions};
use serde_json::Value;

/// Says what these rules let out, and where they have a hole. Rules of a form that this version does not know are left to the
/// service, which has accepted them.
pub(super) fn say_of_rules(rules: &Value) {
    if let Some(policy) = policy(rules) {
        lines(None, &policy).iter().for_each(|line| note(line));
    }
}

/// Says the same of each compute service of a dataset, as the service answers with it.
pub(super) fn say_of_asset(answer: &Value) {
    of_asset(answer).iter().for_each(|line| note(line));
}

/// Says the same of a DDO that is not published.
pub(super) fn say_of_ddo(ddo: &Value) {
    of_ddo(ddo).iter().for_each(|line| note(line));
}

/// The same as sentences.
pub(super) fn of_asset(answer: &Value) -> Vec<String> {
    of_ddo(&answer["ddo"])
}

fn of_ddo(ddo: &Value) -> Vec<String> {
    if ddo.pointer("/metadata/type").is_some_and(|kind| kind == "algorithm") {
        return Vec::new();
    }
    let services = ddo["services"].as_array().map(Vec::as_slice).unwrap_or_default();
    let computed: Vec<&Value> = services.iter().filter(|service| service["type"] == "compute").collect();
    let several = computed.len() > 1;
    let said = |service: &&Value| {
        let name = service["id"].as_str().filter(|_| several);
        policy(&service["compute"]).map(|policy| lines(name, &policy)).unwrap_or_default()
    };
    computed.iter().flat_map(said).collect()
}

fn policy(rules: &Value) -> Option<OutputPolicy> {
    serde_json::from_value::<Permissions>(rules.clone()).ok().map(|permissions| permissions.output_contract)
}

fn lines(service: Option<&str>, policy: &OutputPolicy) -> Vec<String> {
    let name = service.map(|name| format!(" through service {}", shown(name))).unwrap_or_default();
    let cautions = policy.cautions();
    let cautions = cautions.iter().map(|caution| format!("Caution: {caution}."));
    std::iter::once(format!("May leave{name}: {policy}.")).chain(cautions).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_compute_service_is_said() {
        let compute =
            |id: &str, contract: Value| json!({"id": id, "type": "compute", "compute": {"outputContract": contract}});
        let answer = |services: Value| of_asset(&json!({"ddo": {"services": services}}));
        assert_eq!(answer(json!([{"id": "a", "type": "access"}])), Vec::<String>::new());
        let one = answer(json!([{"id": "c", "type": "compute"}]));
        assert_eq!(one[0], "May leave: at most 10 MB in 20 files, any type, no log, without review.");
        assert!(one[1].starts_with("Caution: files of any name and of any type may leave"), "{one:?}");
        let several =
            answer(json!([compute("a\u{1b}", json!({"review": true})), compute("b", json!({"maxFiles": 0}))]));
        assert_eq!(
            several,
            [
                "May leave through service a\\u{1b}: at most 10 MB in 20 files, any type, no log, after review.",
                "May leave through service b: no files, no log, without review.",
            ]
        );
    }

    #[test]
    fn rules_of_a_newer_service_are_not_guessed() {
        let newer =
            json!({"ddo": {"services": [{"id": "c", "type": "compute", "compute": {"outputContract": {"newer": 1}}}]}});
        assert_eq!(of_asset(&newer), Vec::<String>::new());
    }
}
