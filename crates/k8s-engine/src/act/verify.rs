//! Compares a pod as it was created with the pod that was meant.
//!
//! The API server lets admission webhooks change a pod before it is stored: service meshes add containers, secret injectors
//! add volumes and tokens. Whatever they add would have the rights of the step, and whatever they change may widen them.

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// How a created pod differs from the intended one, in what its rights depend on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Tampered {
    /// It has a container more.
    #[error(
        "an admission webhook added the container `{container}` to the pod `{pod}`; exclude the namespace of the jobs from it"
    )]
    Container {
        /// The pod.
        pod: String,
        /// The container.
        container: String,
    },
    /// It has a volume more.
    #[error(
        "an admission webhook added the volume `{volume}` to the pod `{pod}`; exclude the namespace of the jobs from it"
    )]
    Volume {
        /// The pod.
        pod: String,
        /// The volume.
        volume: String,
    },
    /// A field has another value.
    #[error("an admission webhook changed `{field}` of the pod `{pod}`; exclude the namespace of the jobs from it")]
    Field {
        /// The pod.
        pod: String,
        /// The path of the field.
        field: String,
    },
}

/// Booleans that the API server does not store if they are false, because they are false without being said.
const FALSE_UNSAID: [&str; 4] = ["hostNetwork", "hostPID", "hostIPC", "readOnly"];

/// Fields of a pod that change nothing of what it may do, or that the API server, the scheduler and its own admission fill in.
const OF_THE_CLUSTER: [&str; 17] = [
    "activeDeadlineSeconds",
    "affinity",
    "hostname",
    "imagePullSecrets",
    "nodeName",
    "nodeSelector",
    "overhead",
    "preemptionPolicy",
    "priority",
    "priorityClassName",
    "readinessGates",
    "schedulerName",
    "schedulingGates",
    "serviceAccount",
    "serviceAccountName",
    "tolerations",
    "topologySpreadConstraints",
];

/// Fields of a container that change nothing of what it may do, or whose numbers the cluster writes in another way.
const OF_A_CONTAINER: [&str; 2] = ["resources", "imagePullPolicy"];

/// Compares the pod that the API server created with the one that it was given.
///
/// # Errors
/// The first difference that changes what the pod may do: a container or a volume more before anything else.
pub fn verify(intended: &Pod, created: &Pod) -> Result<(), Tampered> {
    let pod = || intended.metadata.name.clone().unwrap_or_default();
    let (default, none) = (PodSpec::default(), PodSpec::default());
    let (intended_spec, spec) = (intended.spec.as_ref().unwrap_or(&default), created.spec.as_ref().unwrap_or(&none));
    let names = |spec: &PodSpec| -> Vec<String> { containers(spec).map(|container| container.name.clone()).collect() };
    if let Some(container) = added(&names(intended_spec), &names(spec)) {
        return Err(Tampered::Container { pod: pod(), container });
    }
    if let Some(added) = spec.ephemeral_containers.iter().flatten().next() {
        return Err(Tampered::Container { pod: pod(), container: added.name.clone() });
    }
    let volumes =
        |spec: &PodSpec| -> Vec<String> { spec.volumes.iter().flatten().map(|volume| volume.name.clone()).collect() };
    if let Some(volume) = added(&volumes(intended_spec), &volumes(spec)) {
        return Err(Tampered::Volume { pod: pod(), volume });
    }
    let changed = |field| Tampered::Field { pod: pod(), field };
    let (expected, found) = (fields(intended_spec), fields(spec));
    for name in expected.keys().chain(found.keys()) {
        if !OF_THE_CLUSTER.contains(&name.as_str()) && expected.get(name) != found.get(name) {
            // A container says more exactly what.
            let within = ["containers", "initContainers"].contains(&name.as_str());
            let field = within.then(|| changed_in(name, intended_spec, spec)).flatten();
            return Err(changed(field.unwrap_or_else(|| format!("spec.{name}"))));
        }
    }
    // A label could open a network policy.
    let (labels, kept) = (intended.metadata.labels.clone(), created.metadata.labels.clone());
    if labels.unwrap_or_default() != kept.unwrap_or_default() {
        return Err(changed("metadata.labels".to_owned()));
    }
    Ok(())
}

fn containers(spec: &PodSpec) -> impl Iterator<Item = &Container> {
    spec.init_containers.iter().flatten().chain(&spec.containers)
}

fn added(expected: &[String], found: &[String]) -> Option<String> {
    let mut left: BTreeMap<&String, usize> = BTreeMap::new();
    expected.iter().for_each(|name| *left.entry(name).or_default() += 1);
    let is_more = |name: &&String| match left.get_mut(*name) {
        Some(count) if *count > 0 => {
            *count -= 1;
            false
        }
        _ => true,
    };
    found.iter().find(is_more).cloned()
}

fn changed_in(kind: &str, intended: &PodSpec, created: &PodSpec) -> Option<String> {
    let pairs = containers(intended).zip(containers(created));
    for (expected, found) in pairs {
        let (expected_fields, found_fields) = (fields(expected), fields(found));
        for name in expected_fields.keys().chain(found_fields.keys()) {
            if expected_fields.get(name) != found_fields.get(name) {
                return Some(format!("spec.{kind}[{}].{name}", expected.name));
            }
        }
    }
    None
}

/// The fields that are said, in one way of saying them.
fn fields(value: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(value).map(plain) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

fn plain(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let is_container = fields.contains_key("image");
            let keep = |(name, value): &(String, Value)| {
                let unsaid = value == &Value::Bool(false) && FALSE_UNSAID.contains(&name.as_str());
                let empty = value.is_null()
                    || value.as_array().is_some_and(Vec::is_empty)
                    || (value.as_object().is_some_and(Map::is_empty) && name != "emptyDir");
                // The API server writes quantities in a form of its own.
                let number = name == "sizeLimit" || (is_container && OF_A_CONTAINER.contains(&name.as_str()));
                !unsaid && !empty && !number
            };
            Value::Object(fields.into_iter().map(|(name, value)| (name, plain(value))).filter(keep).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(plain).collect()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::testing;
    use k8s_openapi::api::core::v1::{EnvVar, EphemeralContainer, Toleration, Volume};

    /// As an API server without webhooks returns it.
    fn stored(pod: &Pod) -> Pod {
        let mut created = pod.clone();
        created.metadata.uid = Some("1".to_owned());
        created.metadata.resource_version = Some("5".to_owned());
        let spec = created.spec.as_mut().expect("a spec");
        (spec.host_network, spec.host_pid, spec.host_ipc) = (None, None, None);
        spec.service_account_name = Some("default".to_owned());
        spec.service_account = Some("default".to_owned());
        spec.scheduler_name = Some("default-scheduler".to_owned());
        spec.priority = Some(0);
        spec.preemption_policy = Some("PreemptLowerPriority".to_owned());
        spec.tolerations.get_or_insert_default().push(Toleration::default());
        for container in spec.containers.iter_mut().chain(spec.init_containers.iter_mut().flatten()) {
            for mount in container.volume_mounts.iter_mut().flatten() {
                mount.read_only = mount.read_only.filter(|read_only| *read_only);
            }
            container.env = Some(Vec::new());
        }
        created
    }

    fn pods() -> [Pod; 3] {
        let settings = testing::settings();
        [testing::configuration(&settings), testing::algorithm(&settings), testing::publishing(&settings)]
    }

    #[test]
    fn what_the_api_server_fills_in_is_no_difference() {
        for pod in pods() {
            assert_eq!(verify(&pod, &pod), Ok(()));
            assert_eq!(verify(&pod, &stored(&pod)), Ok(()));
        }
    }

    #[test]
    fn an_injected_container_is_named() {
        type Inject = fn(&mut PodSpec);
        let injected = || Container { name: "istio-proxy".to_owned(), ..Container::default() };
        let ways: [Inject; 3] = [
            |spec| spec.containers.push(Container { name: "istio-proxy".to_owned(), ..Container::default() }),
            |spec| {
                let container = Container { name: "istio-proxy".to_owned(), ..Container::default() };
                spec.init_containers.get_or_insert_default().insert(0, container);
            },
            |spec| {
                let container = EphemeralContainer { name: "istio-proxy".to_owned(), ..EphemeralContainer::default() };
                spec.ephemeral_containers = Some(vec![container]);
            },
        ];
        for pod in pods() {
            for inject in ways {
                let mut created = stored(&pod);
                inject(created.spec.as_mut().expect("a spec"));
                let found = verify(&pod, &created).expect_err("injected");
                assert!(matches!(&found, Tampered::Container { container, .. } if container == "istio-proxy"));
                assert!(found.to_string().contains("istio-proxy"));
            }
            // A second one of a known name.
            let mut created = stored(&pod);
            let spec = created.spec.as_mut().expect("a spec");
            spec.containers.push(Container { name: spec.containers[0].name.clone(), ..injected() });
            assert!(matches!(verify(&pod, &created), Err(Tampered::Container { .. })));
        }
    }

    #[test]
    fn a_changed_right_is_named() {
        type Change = fn(&mut PodSpec);
        let changes: [(&str, Change); 13] = [
            ("spec.automountServiceAccountToken", |spec| spec.automount_service_account_token = Some(true)),
            ("spec.automountServiceAccountToken", |spec| spec.automount_service_account_token = None),
            ("spec.hostNetwork", |spec| spec.host_network = Some(true)),
            ("spec.hostUsers", |spec| spec.host_users = None),
            ("spec.dnsPolicy", |spec| spec.dns_policy = Some("Default".to_owned())),
            ("spec.hostAliases", |spec| {
                spec.host_aliases = Some(vec![k8s_openapi::api::core::v1::HostAlias::default()]);
            }),
            ("spec.runtimeClassName", |spec| spec.runtime_class_name = Some("slow".to_owned())),
            ("spec.restartPolicy", |spec| spec.restart_policy = Some("Always".to_owned())),
            ("spec.securityContext", |spec| {
                spec.security_context.as_mut().expect("one").run_as_non_root = Some(false);
            }),
            ("spec.containers[sandbox].env", |spec| {
                spec.containers[0].env = Some(vec![EnvVar { name: "X".to_owned(), ..EnvVar::default() }]);
            }),
            ("spec.containers[sandbox].image", |spec| spec.containers[0].image = Some("other".to_owned())),
            ("spec.containers[sandbox].securityContext", |spec| {
                spec.containers[0].security_context.as_mut().expect("one").read_only_root_filesystem = None;
            }),
            ("spec.containers[sandbox].volumeMounts", |spec| {
                spec.containers[0].volume_mounts.as_mut().expect("mounts")[0].read_only = None;
            }),
        ];
        let pod = testing::algorithm(&testing::settings());
        for (field, change) in changes {
            let mut created = stored(&pod);
            change(created.spec.as_mut().expect("a spec"));
            let expected = Tampered::Field { pod: pod.metadata.name.clone().expect("a name"), field: field.to_owned() };
            assert_eq!(verify(&pod, &created), Err(expected));
        }
        let mut created = stored(&pod);
        created
            .spec
            .as_mut()
            .expect("a spec")
            .volumes
            .as_mut()
            .expect("volumes")
            .push(Volume { name: "token".to_owned(), ..Volume::default() });
        assert!(matches!(verify(&pod, &created), Err(Tampered::Volume { volume, .. }) if volume == "token"));
        let mut created = stored(&pod);
        created.metadata.labels.get_or_insert_default().insert("net".to_owned(), "open".to_owned());
        assert!(matches!(verify(&pod, &created), Err(Tampered::Field { field, .. }) if field == "metadata.labels"));
    }
}
