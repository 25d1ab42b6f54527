//! The network policies that are installed beside the jobs, against the labels of the pods that are built.

use super::testing::*;
use k8s_openapi::{
    api::{core::v1::Pod, networking::v1::NetworkPolicy},
    apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement},
};
use std::{collections::BTreeMap, fs, path::PathBuf};

fn policies() -> Vec<NetworkPolicy> {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../deploy/network/policies.yaml");
    let text = fs::read_to_string(file).expect("the policies");
    text.split("\n---\n").map(|document| serde_saphyr::from_str(document).expect("a policy")).collect()
}

fn selects(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    let matches = |requirement: &LabelSelectorRequirement| {
        let LabelSelectorRequirement { key, operator, values } = requirement;
        let value = labels.get(key);
        let listed = value.is_some_and(|value| values.iter().flatten().any(|listed| listed == value));
        match operator.as_str() {
            "In" => listed,
            "NotIn" => !listed,
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            other => panic!("an unknown operator: {other}"),
        }
    };
    selector.match_labels.iter().flatten().all(|(key, value)| labels.get(key) == Some(value))
        && selector.match_expressions.iter().flatten().all(matches)
}

/// The names of the policies that select a pod.
fn selecting(pod: &Pod) -> Vec<String> {
    let labels = pod.metadata.labels.clone().expect("labels");
    let of_pod = |policy: &NetworkPolicy| {
        let spec = policy.spec.as_ref().expect("a spec");
        spec.pod_selector.as_ref().is_none_or(|selector| selects(selector, &labels))
    };
    let policies = policies().into_iter().filter(of_pod);
    policies.map(|policy| policy.metadata.name.expect("a name")).collect()
}

#[test]
fn nothing_is_opened_for_algorithm_pods() {
    for settings in [settings(), bare_settings()] {
        assert_eq!(selecting(&algorithm(&settings)), ["default-deny"]);
        assert_eq!(selecting(&container(&settings)), ["default-deny"]);
        assert_eq!(selecting(&canary(&settings, &["a"]).1), ["default-deny"]);
        assert_eq!(selecting(&configuration(&settings)), ["default-deny", "configuration"]);
        assert_eq!(selecting(&publishing(&settings)), ["default-deny", "publishing"]);
    }
}

#[test]
fn the_default_closes_both_directions_for_every_pod() {
    let policies = policies();
    let default = policies[0].spec.as_ref().expect("a spec");
    assert_eq!(default.pod_selector, Some(LabelSelector::default()));
    assert_eq!(default.policy_types.as_deref(), Some(["Ingress".to_owned(), "Egress".to_owned()].as_slice()));
    assert!(default.ingress.is_none() && default.egress.is_none());
    // No policy lets anything in.
    assert!(policies.iter().all(|policy| policy.spec.as_ref().is_some_and(|spec| spec.ingress.is_none())));
}

/// What the program that fetches refuses itself is closed to its pod as well.
#[test]
fn configuration_reaches_no_network_beside_the_cluster_and_no_metadata_of_its_machine() {
    let rules = policies().into_iter().filter_map(|policy| policy.spec?.egress).flatten();
    let blocks: Vec<_> = rules.filter_map(|rule| rule.to).flatten().filter_map(|peer| peer.ip_block).collect();
    let of_everything = blocks.iter().find(|block| block.cidr == "0.0.0.0/0").expect("a block");
    let closed = of_everything.except.as_deref().unwrap_or_default();
    for network in [
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "168.63.129.16/32",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
    ] {
        assert!(closed.iter().any(|other| other == network), "{network}");
    }
    // Of IPv6, what is public.
    assert!(blocks.iter().all(|block| ["0.0.0.0/0", "2000::/3"].contains(&block.cidr.as_str())));
}
