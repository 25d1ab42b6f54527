//! The rights of the three pods, field by field; and the whole objects, as they are sent.

use super::{PodSettings, PodStep, testing::*, volume};
use crate::resources::MANAGED_BY;
use cloister_model::{Check, CommandLine, FilterOrder, Limits, OutputContract, ReleaseRules, Sha256, StandardInput};
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, Volume, VolumeMount};
use serde_json::{Value, json};
use std::{collections::BTreeSet, fs, path::PathBuf};

fn pods(settings: &PodSettings) -> [(PodStep, Pod); 6] {
    [
        (PodStep::Configuration, configuration(settings)),
        (PodStep::Algorithm, algorithm(settings)),
        (PodStep::Publishing, publishing(settings)),
        (PodStep::Publishing, keep(settings)),
        (PodStep::Algorithm, container(settings)),
        (PodStep::Algorithm, script(settings)),
    ]
}

fn spec(pod: &Pod) -> &PodSpec {
    pod.spec.as_ref().expect("a spec")
}

fn containers(pod: &Pod) -> impl Iterator<Item = &Container> {
    let spec = spec(pod);
    spec.init_containers.iter().flatten().chain(&spec.containers)
}

fn mounts(container: &Container) -> &[VolumeMount] {
    container.volume_mounts.as_deref().unwrap_or_default()
}

/// The folders of the job's volume that a container sees, and whether it may write them.
fn folders(container: &Container) -> Vec<(&str, bool)> {
    let of_job = mounts(container).iter().filter(|mount| mount.name == "job");
    of_job.map(|mount| (mount.sub_path.as_deref().expect("a folder"), mount.read_only == Some(false))).collect()
}

#[test]
fn the_objects_are_those_of_the_golden_files() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden");
    let settings = settings();
    let mut objects: Vec<(String, Value)> =
        pods(&settings)[..3].iter().map(|(step, pod)| (step.as_str().to_owned(), json!(pod))).collect();
    objects.push(("keep".to_owned(), json!(keep(&settings))));
    objects.push(("container".to_owned(), json!(container(&settings))));
    objects.push(("script".to_owned(), json!(script(&settings))));
    objects.push(("volume".to_owned(), json!(volume::build(&settings, &owner()))));
    for (name, object) in objects {
        let file = folder.join(format!("{name}.yaml"));
        let text = serde_saphyr::to_string(&object).expect("YAML");
        if std::env::var_os("CLOISTERDEV_BLESS").is_some() {
            fs::write(&file, &text).expect("written");
        }
        let golden = fs::read_to_string(&file).unwrap_or_default();
        assert_eq!(text, golden, "{name}: if the change is meant, bless it: CLOISTERDEV_BLESS=1");
    }
}

/// Pod Security Standard `restricted`, and what it does not ask for.
#[test]
fn every_container_has_the_least_rights() {
    for settings in [settings(), bare_settings()] {
        for (step, pod) in pods(&settings) {
            let spec = spec(&pod);
            assert_eq!(spec.automount_service_account_token, Some(false), "{step:?}");
            assert_eq!(spec.enable_service_links, Some(false), "{step:?}");
            assert_eq!(spec.restart_policy.as_deref(), Some("Never"), "{step:?}");
            for shared in [spec.host_network, spec.host_pid, spec.host_ipc, spec.share_process_namespace] {
                assert_eq!(shared, Some(false), "{step:?}");
            }
            assert_eq!(spec.host_users, settings.user_namespaces.then_some(false), "{step:?}");
            assert!(spec.active_deadline_seconds.is_some_and(|seconds| seconds > 0), "{step:?}");
            let context = spec.security_context.as_ref().expect("a security context");
            assert_eq!(context.run_as_non_root, Some(true), "{step:?}");
            assert_eq!([context.run_as_user, context.run_as_group, context.fs_group], [Some(65532); 3], "{step:?}");
            let seccomp = context.seccomp_profile.as_ref().expect("a profile");
            assert_eq!(seccomp.type_, "RuntimeDefault", "{step:?}");
            for container in containers(&pod) {
                let context = container.security_context.as_ref().expect("a security context");
                assert_eq!(context.allow_privilege_escalation, Some(false), "{step:?}");
                assert_eq!(context.privileged, Some(false), "{step:?}");
                assert_eq!(context.read_only_root_filesystem, Some(true), "{step:?}");
                let capabilities = context.capabilities.as_ref().expect("capabilities");
                assert_eq!(capabilities.drop.as_deref(), Some(["ALL".to_owned()].as_slice()), "{step:?}");
                assert!(capabilities.add.is_none(), "{step:?}");
                assert!(container.ports.is_none() && container.env_from.is_none() && container.env.is_none());
                let program = match (step, container.name.as_str()) {
                    (PodStep::Algorithm, "begin") => "/entry",
                    (PodStep::Algorithm, "algorithm") => "/cloister/entry",
                    (PodStep::Algorithm, _) => "/sandbox",
                    _ => "/cloister",
                };
                assert_eq!(container.command.as_deref(), Some([program.to_owned()].as_slice()), "{step:?}");
                assert!(container.lifecycle.is_none());
                assert_eq!(container.termination_message_policy.as_deref(), Some("File"), "{step:?}");
                let resources = container.resources.as_ref().expect("resources");
                let limits = resources.limits.as_ref().expect("limits");
                assert!(limits.contains_key("memory") && limits.contains_key("ephemeral-storage"), "{step:?}");
            }
        }
    }
}

#[test]
fn each_step_sees_the_folders_that_it_needs() {
    let settings = settings();
    let configuration = configuration(&settings);
    let expected = [("in", true), ("checks", true), ("control", true), ("ready", true)];
    assert_eq!(folders(&spec(&configuration).containers[0]), expected);
    let algorithm = algorithm(&settings);
    let expected = [("in", false), ("ready", false), ("out", true), ("run", true), ("claim", true)];
    assert_eq!(folders(&spec(&algorithm).containers[0]), expected);
    let publishing = publishing(&settings);
    for container in containers(&publishing) {
        assert_eq!(folders(container), [("out", false), ("run", false)], "{}", container.name);
    }
    assert_eq!(folders(&spec(&keep(&settings)).containers[0]), [("run", false)], "it sees no outputs");
    for (_, pod) in pods(&settings) {
        for mount in containers(&pod).flat_map(mounts) {
            assert!(mount.mount_propagation.is_none() && mount.sub_path_expr.is_none());
            let whole = mount.name == "job" && mount.sub_path.is_none();
            assert!(!whole, "no step sees the whole volume");
            let read_only = mount.read_only == Some(true) && mount.name == "job";
            assert_eq!(mount.recursive_read_only.is_some(), read_only, "{mount:?}");
        }
    }
}

/// The claim that is the result store holds the results of all jobs.
#[test]
fn configuration_sees_the_result_store_only_if_its_order_needs_it_and_never_writes_it() {
    let claims = |pod: &Pod| -> Vec<(String, Option<bool>)> {
        let claims = spec(pod).volumes.iter().flatten().filter(|volume| volume.name != "job");
        let claims = claims.filter_map(|volume| volume.persistent_volume_claim.as_ref());
        claims.map(|claim| (claim.claim_name.clone(), claim.read_only)).collect()
    };
    let pod = configuration(&settings());
    assert_eq!(claims(&pod), []);
    assert!(mounts(&spec(&pod).containers[0]).iter().all(|mount| mount.mount_path != "/results"));

    let with_store = configuration_with_store(&settings());
    assert_eq!(claims(&with_store), [("results".to_owned(), Some(true))]);
    let container = &spec(&with_store).containers[0];
    let of_store: Vec<&VolumeMount> = mounts(container).iter().filter(|mount| mount.name == "results").collect();
    assert_eq!(of_store.len(), 1);
    assert_eq!((of_store[0].mount_path.as_str(), of_store[0].read_only), ("/results", Some(true)));
    assert_eq!(of_store[0].recursive_read_only.as_deref(), Some("IfPossible"));
    // Nothing else is different, and the credentials of publishing stay where they are.
    assert_eq!(secrets(&with_store, container), secrets(&pod, &spec(&pod).containers[0]));
    let mut same = with_store.clone();
    let spec_of = same.spec.as_mut().expect("a spec");
    spec_of.volumes.as_mut().expect("volumes").retain(|volume| volume.name != "results");
    spec_of.containers[0].volume_mounts.as_mut().expect("mounts").retain(|mount| mount.name != "results");
    assert_eq!(same, pod);

    // A store that is elsewhere is reached over the network: nothing is mounted.
    assert_eq!(configuration_with_store(&bare_settings()), configuration(&bare_settings()));
}

/// Programs that must agree come by a folder that no other pod's container sees, and get the memory of a run.
#[test]
fn the_container_that_checks_has_what_its_programs_need() {
    let settings = settings();
    let check = Check { name: "check".to_owned(), sha256: Sha256::from_bytes([5; 32]) };
    let pod = publishing_with(&settings, ReleaseRules { checks: vec![check], ..ReleaseRules::default() });
    let [filter, publish] = containers(&pod).collect::<Vec<_>>()[..] else { panic!("two containers") };
    assert_eq!(folders(filter), [("out", false), ("run", false), ("checks", false)]);
    assert_eq!(folders(publish), [("out", false), ("run", false)]);
    let programs = |container: &Container| container.args.iter().flatten().any(|argument| argument == "/job/checks");
    let at_configuration = configuration(&settings);
    assert!(programs(filter) && !programs(publish) && programs(&spec(&at_configuration).containers[0]));
    let limits = filter.resources.as_ref().and_then(|resources| resources.limits.as_ref()).expect("limits");
    let expected = super::algorithm::memory_limit(&Limits::default()).max(settings.publishing.memory_bytes);
    assert_eq!(limits["memory"].0, expected.to_string());
    let more = OutputContract::default().max_bytes;
    assert_eq!(limits["ephemeral-storage"].0, (settings.publishing.disk_bytes + more).to_string());
}

/// Names of the secrets that a container can read.
fn secrets<'a>(pod: &'a Pod, container: &'a Container) -> BTreeSet<&'a str> {
    let mounted: BTreeSet<&str> = mounts(container).iter().map(|mount| mount.name.as_str()).collect();
    let volumes = spec(pod).volumes.iter().flatten().filter(|volume| mounted.contains(volume.name.as_str()));
    volumes.flat_map(secrets_of).collect()
}

fn secrets_of(volume: &Volume) -> Vec<&str> {
    let plain = volume.secret.iter().filter_map(|secret| secret.secret_name.as_deref());
    let projected = volume.projected.iter().flat_map(|projected| projected.sources.iter().flatten());
    let projected = projected.map(|source| {
        assert!(source.service_account_token.is_none(), "no step has an API token");
        source.secret.as_ref().expect("a secret and nothing else").name.as_str()
    });
    plain.chain(projected).collect()
}

#[test]
fn each_step_reads_its_own_secrets() {
    let settings = settings();
    let order = [format!("{JOB}-p0"), format!("{JOB}-p1")];
    let pod = configuration(&settings);
    let found = secrets(&pod, &spec(&pod).containers[0]);
    assert_eq!(found, BTreeSet::from([order[0].as_str(), order[1].as_str(), "sources"]));
    let pod = algorithm(&settings);
    assert_eq!(secrets(&pod, &spec(&pod).containers[0]), BTreeSet::new());
    let pod = publishing(&settings);
    let found: Vec<(&str, BTreeSet<&str>)> =
        containers(&pod).map(|container| (container.name.as_str(), secrets(&pod, container))).collect();
    // What reads strangers' outputs has no credentials.
    assert_eq!(found, [("filter", BTreeSet::new()), ("publish", BTreeSet::from(["results"]))]);
    let pod = keep(&settings);
    assert_eq!(secrets(&pod, &spec(&pod).containers[0]), BTreeSet::from(["results"]));
}

#[test]
fn the_algorithm_has_nothing_but_its_volume() {
    let pod = algorithm(&settings());
    let spec = spec(&pod);
    let kinds: Vec<(&str, bool)> = spec
        .volumes
        .iter()
        .flatten()
        .map(|volume| (volume.name.as_str(), volume.empty_dir.is_some() || volume.persistent_volume_claim.is_some()))
        .collect();
    assert_eq!(kinds, [("scratch", true), ("job", true)]);
    assert_eq!((spec.containers.len(), spec.init_containers.is_none()), (1, true));
    assert_eq!(spec.dns_policy.as_deref(), Some("None"));
    let servers = spec.dns_config.as_ref().and_then(|config| config.nameservers.clone());
    assert_eq!(servers, Some(vec!["127.0.0.1".to_owned()]));
    assert_eq!(spec.containers[0].image, Some(settings().sandbox_image));
    let arguments = spec.containers[0].args.clone().expect("arguments");
    for needed in ["--require-isolation", "--quiet", "--claim", "--termination-message"] {
        assert!(arguments.iter().any(|argument| argument == needed), "{needed}");
    }
}

/// The pod of a script is that of a program in every right. Its image holds the interpreter, which no pod compiles.
#[test]
fn a_script_runs_in_the_image_of_its_interpreter_and_in_nothing_else() {
    let settings = settings();
    let (program, script) = (algorithm(&settings), script(&settings));
    let interpreter = settings.interpreters.values().next().expect("an interpreter");
    assert_eq!(spec(&script).containers[0].image.as_ref(), Some(&interpreter.image));
    let arguments = spec(&script).containers[0].args.clone().expect("arguments");
    let of = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name).expect("the option");
        arguments[at + 1].clone()
    };
    assert_eq!(of("--runtime-bundle"), "/interpreter");
    assert_eq!(of("--trust-artifact"), format!("sha256:{}", interpreter.bundle));
    let without = |pod: &Pod| {
        let mut pod = pod.clone();
        for container in pod.spec.iter_mut().flat_map(|spec| spec.containers.iter_mut()) {
            (container.image, container.args, container.resources) = (None, None, None);
        }
        for volume in pod.spec.iter_mut().flat_map(|spec| spec.volumes.iter_mut().flatten()) {
            if let Some(folder) = &mut volume.empty_dir {
                folder.size_limit = None;
            }
        }
        pod.spec.get_or_insert_default().active_deadline_seconds = None;
        pod
    };
    assert_eq!(without(&program), without(&script));
    // A kubelet puts variables in the place of `$(NAME)` in arguments, so that every `$` is doubled.
    let mut reading = run();
    let arguments = vec!["--rate=${rate}".to_owned(), "$$HOME".to_owned()];
    for (stdin, expected) in [
        (StandardInput::File("/data/inputs/${d}".to_owned()), vec!["--stdin-data", "/data/inputs/$${d}"]),
        (StandardInput::Text("-$$(A) ${d}\n".to_owned()), vec!["--stdin-text=-$$$$(A) $${d}\n"]),
    ] {
        reading.command_line = CommandLine { arguments: arguments.clone(), stdin: Some(stdin) };
        let pod = super::algorithm::build(&settings, &owner(), 0, &reading);
        let given = self::spec(&pod).containers[0].args.clone().expect("arguments");
        let at = given.iter().position(|argument| argument == "--fill-arguments").expect("the option");
        let end = [expected, vec!["--", "--rate=$${rate}", "$$$$HOME"]].concat();
        assert_eq!(given[at + 1..], end);
    }
    // What an environment no longer has, no pod is made of.
    let mut job = cloister_testkit::job(1, cloister_testkit::now());
    job.algorithm.interpreter = Some("python".parse().expect("a name"));
    let found = super::algorithm::Run::of(&job, &settings).expect("it is offered");
    assert_eq!(found.interpreter.as_ref(), Some(interpreter));
    assert_eq!(super::algorithm::Run::of(&job, &bare_settings()), None);
}

/// What a publisher demands of outputs is demanded as it was written: a kubelet puts variables in the place of `$(NAME)`.
#[test]
fn a_kubelet_changes_nothing_of_an_order() {
    let name = "$(KUBERNETES_SERVICE_HOST) $$ $";
    let check = Check { name: name.to_owned(), sha256: Sha256::of(b"a check") };
    let pod = publishing_with(&settings(), ReleaseRules { checks: vec![check], ..ReleaseRules::default() });
    let given = containers(&pod).next().and_then(|filter| filter.args.clone()).expect("arguments");
    let at = given.iter().position(|argument| argument == "--order").expect("the option");
    let order = &given[at + 1];
    assert!(order.contains("KUBERNETES") && !order.replace("$$", "").contains('$'), "{order}");
    let order: FilterOrder = serde_json::from_str(&order.replace("$$", "$")).expect("an order");
    assert_eq!(order.release.checks[0].name, name);
}

/// A stranger's image: it sees the inputs, read-only, and nothing that decides about it.
#[test]
fn an_algorithm_that_is_a_container_has_nothing_but_its_data() {
    let (settings, run) = (settings(), container_run());
    let pod = container(&settings);
    let spec = spec(&pod);
    let [begin, algorithm] = containers(&pod).collect::<Vec<_>>()[..] else { panic!("two containers") };
    assert_eq!((spec.containers.len(), spec.runtime_class_name.as_deref()), (1, Some("apart")));
    assert_eq!(algorithm.image, Some(run.image.to_string()));
    assert_eq!(begin.image, Some(settings.sandbox_image.clone()));
    // What takes the claim sees nothing of the job; what runs never sees the claim.
    assert_eq!(folders(begin), [("claim", true)]);
    let data = [("in/inputs", false), ("in/ddos", false), ("in/transformations", false), ("out", true), ("run", true)];
    assert_eq!(folders(algorithm), data);
    let writable = |container: &Container, name: &str| {
        mounts(container).iter().any(|mount| mount.name == name && mount.read_only != Some(true))
    };
    assert!(writable(begin, "program") && !writable(algorithm, "program"), "it cannot replace its process 1");
    for volume in spec.volumes.iter().flatten() {
        let own = volume.empty_dir.as_ref().map(|empty| empty.size_limit.is_some());
        assert!(own == Some(true) || volume.name == "job", "{volume:?}");
    }
    assert_eq!(secrets(&pod, algorithm), BTreeSet::new());
    assert_eq!(spec.dns_policy.as_deref(), Some("None"));
    assert_eq!((algorithm.working_dir.as_ref(), algorithm.env.as_ref()), (None, None));
    let limits = algorithm.resources.as_ref().and_then(|resources| resources.limits.as_ref()).expect("limits");
    assert_eq!(limits["memory"].0, super::container::memory_bytes(&run.limits).to_string());
    assert!(limits.contains_key("cpu"), "it may have any number of threads");
    // A kubelet would put its variables in the place of `$(NAME)`.
    let hostile = super::container::Run { entrypoint: "sh -c 'echo $(NAME) $$'".to_owned(), ..run };
    let pod = super::container::build(&settings, &owner(), 1, &hostile);
    let arguments = pod.spec.expect("a spec").containers[0].args.clone().expect("arguments");
    assert_eq!(arguments[..3], ["run", "--entrypoint", "sh -c 'echo $$(NAME) $$$$'"]);
}

/// What a canary finds holds for algorithms only if it is what they are, but for its program and what it needs.
#[test]
fn a_canary_is_an_algorithm_with_another_program() {
    for settings in [settings(), bare_settings()] {
        let (claim, first) = canary(&settings, &[]);
        assert_eq!(first.spec.as_ref().and_then(|spec| spec.affinity.as_ref()), None);
        let (_, canary) = canary(&settings, &["a", "b"]);
        let mut other = container(&settings);
        let labels = canary.metadata.labels.clone().expect("labels");
        assert_eq!((labels[super::STEP].as_str(), labels.contains_key(super::JOB)), ("algorithm", false));
        assert_eq!(canary.metadata.name.as_deref(), Some("canary-local"));
        assert_eq!(claim.metadata.name.as_deref(), Some("canary-local"));
        let (mut spec_of, of_job) = (canary.spec.expect("a spec"), other.spec.as_mut().expect("a spec"));
        assert_eq!(spec_of.containers[0].image, Some(settings.sandbox_image.clone()));
        // What is different on purpose: it prefers a node that none has been to.
        let affinity = serde_json::to_value(spec_of.affinity.take()).expect("JSON");
        let fields = &affinity["nodeAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"][0]["preference"];
        let others = |node: &str| json!({"key": "metadata.name", "operator": "NotIn", "values": [node]});
        assert_eq!(fields["matchFields"], json!([others("a"), others("b")]));
        assert_eq!(affinity.pointer("/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution"), None);
        spec_of.active_deadline_seconds = of_job.active_deadline_seconds;
        spec_of.containers[0].image.clone_from(&of_job.containers[0].image);
        spec_of.containers[0].args.clone_from(&of_job.containers[0].args);
        spec_of.containers[0].resources.clone_from(&of_job.containers[0].resources);
        // The SELinux level is that of a job which it is not.
        let (own, others) = (spec_of.security_context.as_mut(), of_job.security_context.as_ref());
        if let (Some(own), Some(others)) = (own, others) {
            own.se_linux_options.clone_from(&others.se_linux_options);
        }
        let claims = |spec: &mut PodSpec| {
            for volume in spec.volumes.iter_mut().flatten() {
                volume.persistent_volume_claim = volume.persistent_volume_claim.take().map(|_| Default::default());
            }
        };
        claims(&mut spec_of);
        claims(of_job);
        assert_eq!(&spec_of, of_job);
        let (volume, spec_of_claim) = (volume::build(&settings, &owner()), claim.spec);
        assert_eq!(spec_of_claim, volume.spec);
    }
}

/// Claims with datasets: those of the publishers of a job's datasets, read-only, where the inputs are laid out and where the
/// algorithm runs.
#[test]
fn claims_with_datasets_are_mounted_read_only_and_only_those_of_their_publisher() {
    let root = |account: &str, path: &str, claim: &str, sub_path: Option<&str>| super::Root {
        account: account.parse().expect("an account"),
        path: path.to_owned(),
        claim: claim.to_owned(),
        sub_path: sub_path.map(str::to_owned),
    };
    let given = vec![
        root("alice", "/srv/alice", "datasets", Some("alice")),
        root("alice", "/srv/images", "images", None),
        root("bob", "/srv/bob", "datasets", Some("bob")),
    ];
    let settings = PodSettings { roots: given, ..settings() };
    let mut job = cloister_testkit::job(1, cloister_model::Timestamp::from_unix_ms(5));
    assert!(super::roots::of_job(&settings, &job).is_empty());
    job.record.datasets = ["one", "two"].map(|did| cloister_testkit::recorded_dataset(did, "alice", false)).to_vec();
    job.record.datasets.push(cloister_testkit::recorded_dataset("three", "carol", false));
    let roots = super::roots::of_job(&settings, &job);
    let named: Vec<_> = roots.iter().map(|of| (of.did.id(), of.root.path.as_str())).collect();
    let both = |did| [(did, "/srv/alice"), (did, "/srv/images")];
    assert_eq!(named, [both("one"), both("two")].concat());

    for (pod, of_container) in with_roots(&settings, &roots).iter().zip(["configure", "sandbox"]) {
        let spec = spec(pod);
        let claims: Vec<_> = spec.volumes.iter().flatten().filter(|volume| volume.name.starts_with("root-")).collect();
        let expected = [("datasets", Some(true)), ("images", Some(true))];
        let found = claims.iter().filter_map(|volume| volume.persistent_volume_claim.as_ref());
        let found: Vec<_> = found.map(|claim| (claim.claim_name.as_str(), claim.read_only)).collect();
        assert_eq!(found, expected);
        let container = &spec.containers[0];
        assert_eq!(container.name, of_container);
        let mounts = container.volume_mounts.iter().flatten().filter(|mount| mount.name.starts_with("root-"));
        let mounts: Vec<_> = mounts
            .map(|mount| {
                assert_eq!(mount.recursive_read_only.as_deref(), Some("IfPossible"));
                (mount.mount_path.as_str(), mount.sub_path.as_deref(), mount.read_only)
            })
            .collect();
        assert_eq!(mounts, [("/roots/0", Some("alice"), Some(true)), ("/roots/1", None, Some(true))]);
        let arguments = container.args.clone().unwrap_or_default();
        let mounted = arguments.iter().position(|argument| argument == "--mounted").expect("an option");
        assert_eq!(arguments[mounted + 1], "/job/in/mounted.json");
    }
    let arguments = spec(&with_roots(&settings, &roots)[0]).containers[0].args.clone().unwrap_or_default();
    let at = arguments.iter().position(|argument| argument == "--root").expect("an option");
    assert_eq!(arguments[at + 1..at + 3], ["one=/srv/alice", "/roots/0"]);
    // What publishes outputs sees none of them, and neither does a job without such datasets.
    for pod in [publishing(&settings), algorithm(&settings), configuration(&settings)] {
        assert!(!spec(&pod).volumes.iter().flatten().any(|volume| volume.name.starts_with("root-")));
    }
}

#[test]
fn a_run_reserves_its_memory_and_a_compiler_may_exceed_it_for_a_moment() {
    let quantity = |limits: cloister_model::Limits| {
        (super::algorithm::memory_request(&limits), super::algorithm::memory_limit(&limits))
    };
    let limits = cloister_model::Limits::default();
    assert_eq!(quantity(limits.clone()), ((1024 + 256) << 20, (4096 + 256) << 20));
    assert_eq!(quantity(cloister_model::Limits { memory_bytes: 8 << 30, ..limits.clone() }), (8448 << 20, 8448 << 20));
    assert_eq!(quantity(cloister_model::Limits { memory_bytes: u64::MAX, ..limits }), (u64::MAX, u64::MAX));
}

#[test]
fn configuration_asks_for_the_memory_that_the_algorithm_needs() {
    let pod = configuration(&settings());
    let requests = spec(&pod).containers[0].resources.as_ref().and_then(|found| found.requests.clone());
    let memory = requests.expect("requests")["memory"].0.clone();
    assert_eq!(memory, super::algorithm::memory_request(&run().limits).to_string());
}

/// Pods that share a volume must agree on their SELinux level, and no other job has it.
#[test]
fn the_three_pods_have_one_selinux_level() {
    let level = |pod: &Pod| {
        let context = spec(pod).security_context.as_ref().and_then(|context| context.se_linux_options.clone());
        context.and_then(|options| options.level)
    };
    let levels: BTreeSet<_> = pods(&settings()).iter().map(|(_, pod)| level(pod)).collect();
    assert_eq!(levels, BTreeSet::from([Some("s0:c528,c775".to_owned())]));
    assert!(pods(&bare_settings()).iter().all(|(_, pod)| level(pod).is_none()));
}

#[test]
fn every_object_belongs_to_its_job() {
    let claim = volume::build(&settings(), &owner()).metadata;
    for metadata in pods(&settings()).into_iter().map(|(_, pod)| pod.metadata).chain([claim]) {
        let owners = metadata.owner_references.expect("an owner");
        assert_eq!(owners.len(), 1);
        assert_eq!((owners[0].name.clone(), owners[0].uid.clone()), (JOB.to_string(), owner().uid));
        assert_eq!((owners[0].controller, owners[0].block_owner_deletion), (Some(true), Some(false)));
        let labels = metadata.labels.expect("labels");
        assert_eq!(labels[super::JOB], JOB.to_string());
        assert_eq!(labels[MANAGED_BY.0], MANAGED_BY.1);
        assert!(metadata.finalizers.is_none(), "nothing of a job can hold up the deletion of its namespace");
    }
    for (step, pod) in pods(&settings()) {
        assert_eq!(pod.metadata.name, Some(step.pod_name(JOB)));
        assert_eq!(pod.metadata.labels.expect("labels")[super::STEP], step.as_str());
    }
}
