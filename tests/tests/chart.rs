//! The chart of `deploy/helm/cloister`, without a cluster: what it makes of which values, and that the manifests for kustomize are
//! made from it. `tests/tests/k8s/deployed.rs` installs it.

#![expect(clippy::panic, reason = "a helper of tests fails them by panicking")]

use cloister_tests::{
    chart::{folder, identity, render, run},
    root,
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, fs, process::Command};

/// Values that every installation must give.
const PINNED: [&str; 2] = [
    "--set=images.cloister.digest=sha256:0000000000000000000000000000000000000000000000000000000000000000",
    "--set=images.sandbox.digest=sha256:0000000000000000000000000000000000000000000000000000000000000000",
];

/// Those of the base: short names, which `images` of a kustomization replaces.
const BASE: [&str; 2] = ["--set=images.cloister.repository=cloister", "--set=images.sandbox.repository=sandbox"];

type Objects = BTreeMap<String, Value>;

fn objects(text: &str) -> Objects {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).expect("YAML");
    let mut all = Objects::new();
    for object in documents.into_iter().filter(|document| !document.is_null()) {
        let name = identity(&object);
        assert!(all.insert(name.clone(), object).is_none(), "two of {name}");
    }
    all
}

fn rendered(values: &[&str]) -> Objects {
    objects(&render(&[&PINNED, values].concat()).unwrap_or_else(|error| panic!("{values:?}: {error}")))
}

#[track_caller]
fn one<'a>(objects: &'a Objects, name: &str) -> &'a Value {
    objects.get(name).unwrap_or_else(|| panic!("no {name} among {:?}", objects.keys()))
}

#[test]
fn the_linter_of_helm_has_no_objection() {
    let chart = folder().display().to_string();
    let output = run(&[&["lint", "--strict", &chart], PINNED.as_slice()].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// The pod of `helm test`: no more rights than a stranger who has the operator's key.
#[test]
fn the_test_of_an_installation_has_no_token_and_reaches_the_service_alone() {
    let chart = folder().display().to_string();
    let output = run(&[
        &[
            "template",
            "cloister",
            &chart,
            "--namespace=x",
            "--kube-version=1.35.0",
            "--show-only=templates/tests/job.yaml",
        ],
        PINNED.as_slice(),
    ]
    .concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let all = objects(&String::from_utf8(output.stdout).expect("text"));
    let pod = &one(&all, "Pod x cloister-test")["spec"];
    assert_eq!(
        (&pod["automountServiceAccountToken"], &pod["securityContext"]["runAsNonRoot"]),
        (&json!(false), &json!(true))
    );
    for (kind, first) in [("initContainers", "dataset"), ("containers", "run")] {
        let container = &pod[kind][0];
        assert_eq!(container["args"][0], first);
        assert_eq!(container["securityContext"]["capabilities"]["drop"], json!(["ALL"]));
        assert_eq!(container["env"][1]["valueFrom"]["secretKeyRef"]["key"], "operator.key");
    }
    let egress = one(&all, "NetworkPolicy x cloister-test")["spec"]["egress"].as_array().expect("rules");
    let ports: Vec<_> =
        egress.iter().flat_map(|rule| rule["ports"].as_array().expect("ports")).map(|port| &port["port"]).collect();
    assert_eq!(ports, [&json!(53), &json!(53), &json!(8090)]);
}

/// The part of a rendering that comes from one template, without what Helm says of where it comes from.
fn from_template(text: &str, template: &str) -> String {
    let source = format!("# Source: cloister/templates/{template}");
    let documents = text.split("\n---\n").filter_map(|document| {
        let (first, rest) = document.trim_start_matches("---\n").split_once('\n')?;
        (first == source && rest.lines().any(|line| line.starts_with("kind:"))).then(|| rest.trim())
    });
    documents.collect::<Vec<_>>().join("\n---\n")
}

#[test]
fn the_base_for_kustomize_is_what_the_chart_makes() {
    const HEADER: &str = "# Generated from deploy/helm/cloister. Change the chart, then run:\n\
                          # CLOISTERDEV_BLESS=1 cargo test --release --workspace --test chart\n";
    let text = render(&[PINNED, BASE].concat()).expect("a rendering");
    let base = root().join("deploy/kubernetes/base");
    let mut written = String::new();
    let names =
        ["accounts", "admission", "api-rights", "api", "engine-rights", "engine", "namespaces", "network", "settings"];
    for name in names {
        let file = format!("{name}.yaml");
        let content = format!("{HEADER}{}\n", from_template(&text, &file));
        let path = base.join(&file);
        if std::env::var_os("CLOISTERDEV_BLESS").is_some_and(|value| value == "1") {
            fs::write(&path, &content).expect("written");
        }
        let committed = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == content,
            "deploy/kubernetes/base/{file} is not what the chart makes; if the change is meant, run CLOISTERDEV_BLESS=1 cargo \
             test --release --workspace --test chart"
        );
        written.push_str("---\n");
        written.push_str(&content);
    }
    // With the definitions and the policies of jobs, which are linked, that is all of it: no template is forgotten.
    let mut all = objects(&text);
    all.retain(|name, _| {
        !name.starts_with("CustomResourceDefinition ") && !name.starts_with("NetworkPolicy cloister-jobs ")
    });
    assert_eq!(all, objects(&written));
}

#[test]
fn definitions_and_policies_are_those_that_others_apply() {
    let objects = rendered(&[]);
    let mut definitions = 0;
    for entry in fs::read_dir(root().join("deploy/crds")).expect("definitions") {
        let text = fs::read_to_string(entry.expect("an entry").path()).expect("a definition");
        let mut expected: Value = serde_saphyr::from_str(&text).expect("YAML");
        expected["metadata"]["annotations"]["helm.sh/resource-policy"] = json!("keep");
        assert_eq!(one(&objects, &identity(&expected)), &expected);
        definitions += 1;
    }
    let text = fs::read_to_string(root().join("deploy/network/policies.yaml")).expect("policies");
    let policies: Vec<Value> = serde_saphyr::from_multiple(&text).expect("YAML");
    for mut expected in policies.clone() {
        expected["metadata"]["namespace"] = json!("cloister-jobs");
        // A job that runs while somebody uninstalls stays behind its walls.
        expected["metadata"]["annotations"] = json!({"helm.sh/resource-policy": "keep"});
        assert_eq!(one(&objects, &identity(&expected)), &expected);
    }
    let count = |prefix: &str| objects.keys().filter(|name| name.starts_with(prefix)).count();
    assert_eq!(count("CustomResourceDefinition "), definitions);
    assert_eq!(count("NetworkPolicy cloister-jobs "), policies.len());
}

/// Uninstalling takes no job and no asset with it.
#[test]
fn what_holds_data_is_kept() {
    let objects = rendered(&["--set=results.claim=results"]);
    let kept = |object: &Value| object["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep";
    for (name, object) in &objects {
        let holds = ["Namespace ", "CustomResourceDefinition ", "NetworkPolicy cloister-jobs "];
        let holds = holds.iter().any(|kind| name.starts_with(kind));
        assert_eq!(kept(object), holds, "{name}");
        assert!(!name.contains("PersistentVolumeClaim"), "{name}");
    }
    let none = rendered(&["--set=definitions.install=false,namespaces.create=false"]);
    assert!(none.keys().all(|name| !name.starts_with("Namespace ") && !name.starts_with("CustomResourceDefinition ")));
}

#[test]
fn images_are_named_by_digest() {
    let failed = |values: &[&str], what: &str| {
        let error = render(values).expect_err(what);
        assert!(error.contains(what), "{values:?}: {error}");
    };
    failed(&[], "images.cloister.digest is empty");
    failed(&PINNED[..1], "images.sandbox.digest is empty");
    failed(&["--set=images.cloister.tag=test,images.sandbox.tag=test"], "images.cloister.digest is empty");
    failed(&["--set=images.unpinned=true"], "images.cloister.digest is empty");
    failed(&["--set=images.cloister.digest=sha256:0"], "digest");
    let text = render(&["--set=images.unpinned=true,images.cloister.tag=a,images.sandbox.tag=b"]).expect("for tests");
    assert!(text.contains("registry.example.org/cloister:a") && text.contains("registry.example.org/sandbox:b"));
    assert!(text.contains("CLOISTER_K8S_UNPINNED_IMAGES"));
}

/// Every object of the schema that has named values has no others.
fn closed(schema: &Value, at: &str) {
    if let Some(properties) = schema["properties"].as_object() {
        if schema["type"] == "object" {
            assert_eq!(schema["additionalProperties"], false, "{at} takes any value");
        }
        for (name, inner) in properties {
            closed(inner, &format!("{at}.{name}"));
        }
    }
}

/// The names of a tree of values, down to where the schema names no more.
fn names(values: &Value, schema: &Value, at: &str, found: &mut Vec<String>) {
    let Some(properties) = schema["properties"].as_object() else { return found.push(at.to_owned()) };
    let values = values.as_object().unwrap_or_else(|| panic!("{at} is no object"));
    for name in properties.keys().filter(|name| *name != "global") {
        let inner = values.get(name).unwrap_or_else(|| panic!("values.yaml does not show {at}.{name}"));
        names(inner, &properties[name], &format!("{at}.{name}"), found);
    }
}

#[test]
fn values_that_are_misspelt_are_refused() {
    let read = |name: &str| fs::read_to_string(folder().join(name)).expect(name);
    let schema: Value = serde_json::from_str(&read("values.schema.json")).expect("JSON");
    closed(&schema, "");
    let values: Value = serde_saphyr::from_str(&read("values.yaml")).expect("YAML");
    let mut all = Vec::new();
    names(&values, &schema, "", &mut all);
    assert!(all.len() > 50, "{all:?}");
    for wrong in [
        "image.cloister.digest=a",
        "images.cloister.digset=a",
        "api.replica=3",
        "jobs.userNamespace=false",
        "jobs.userNamespaces=perhaps",
        "engine.resources.limit.memory=1Gi",
        "network.publishing=[]",
        "namespaces.jobs=My_Jobs",
        "results.url=s3://bucket",
        "ingress.enabled=true",
        "monitoring.interval=30",
        "api.replicas=-1",
    ] {
        let set = format!("--set={wrong}");
        let error = render(&[&PINNED[..], &[&set]].concat()).expect_err(wrong);
        assert!(error.contains("schema"), "{wrong}: {error}");
    }
}

#[test]
fn each_value_does_what_it_says() {
    let program = |objects: &Objects, name: &str| one(objects, &format!("Deployment cloister-system {name}")).clone();
    let plain = rendered(&[]);
    for absent in ["Ingress", "ServiceMonitor", "Secret", "Service cloister-system cloister-engine"] {
        assert!(plain.keys().all(|name| !name.starts_with(absent)), "{absent}");
    }
    let api = program(&plain, "cloister-api");
    let reference = "/spec/template/spec/containers/0/envFrom/0/secretRef";
    assert_eq!(api.pointer(reference), Some(&json!({"name": "cloister-results"})));

    let claim = rendered(&["--set=results.claim=folder,results.jobsSecret=store"]);
    let secret = one(&claim, "Secret cloister-jobs store");
    assert_eq!(secret["stringData"]["cloister.toml"], "[results]\nurl = \"file:///results\"\n");
    let api = program(&claim, "cloister-api").to_string();
    assert!(api.contains(r#""claimName":"folder""#) && api.contains(r#""mountPath":"/results""#), "{api}");
    assert!(!api.contains("envFrom"), "{api}");
    let engine = program(&claim, "cloister-engine").to_string();
    for (name, value) in [("RESULTS_SECRET", "store"), ("RESULTS_CLAIM", "folder"), ("SOURCES_SECRET", "store")] {
        assert!(engine.contains(&format!(r#"{{"name":"CLOISTER_K8S_{name}","value":"{value}"}}"#)), "{name}: {engine}");
    }

    let single = rendered(&["--set=api.replicas=1,engine.replicas=1"]);
    assert!(single.keys().all(|name| !name.starts_with("PodDisruptionBudget")), "nodes could not be drained");
    assert_eq!(plain.keys().filter(|name| name.starts_with("PodDisruptionBudget")).count(), 2);

    let placed = rendered(&[
        "--set=images.pullSecrets={registry}",
        "--set=engine.nodeSelector.pool=system",
        "--set=engine.priorityClass=high",
        "--set=engine.tolerations[0].key=system,engine.tolerations[0].operator=Exists",
        "--set=engine.podAnnotations.note=here",
        "--set-json=engine.affinity={\"nodeAffinity\":{}}",
    ]);
    let template = program(&placed, "cloister-engine")["spec"]["template"].clone();
    assert_eq!(template["metadata"]["annotations"], json!({"note": "here"}));
    assert_eq!(template["spec"]["nodeSelector"], json!({"pool": "system"}));
    assert_eq!(template["spec"]["priorityClassName"], "high");
    assert_eq!(template["spec"]["tolerations"], json!([{"key": "system", "operator": "Exists"}]));
    assert_eq!(template["spec"]["affinity"], json!({"nodeAffinity": {}}));
    assert_eq!(template["spec"]["imagePullSecrets"], json!([{"name": "registry"}]));

    let outside = rendered(&[
        "--set=ingress.enabled=true,ingress.host=c.example.org,ingress.tlsSecret=tls,ingress.className=public",
        "--set=monitoring.enabled=true,monitoring.keySecret=prometheus,monitoring.labels.release=prometheus",
        "--set-json=network.store=[{\"to\":[{\"ipBlock\":{\"cidr\":\"192.0.2.7/32\"}}]}]",
        "--set-json=network.sources=[{\"to\":[{\"ipBlock\":{\"cidr\":\"10.1.0.0/16\"}}]}]",
    ]);
    let ingress = one(&outside, "Ingress cloister-system cloister");
    assert_eq!(ingress["spec"]["tls"], json!([{"hosts": ["c.example.org"], "secretName": "tls"}]));
    for name in ["cloister-api", "cloister-engine"] {
        // What is watched is a Service that exists, under a port that it has.
        let monitor = one(&outside, &format!("ServiceMonitor cloister-system {name}"));
        let wanted = monitor["spec"]["selector"]["matchLabels"].as_object().expect("labels");
        let service = outside.iter().find(|(key, object)| {
            let labels = &object["metadata"]["labels"];
            key.starts_with("Service ") && wanted.iter().all(|(label, value)| labels[label] == *value)
        });
        let (_, service) = service.unwrap_or_else(|| panic!("{name} watches nothing"));
        let ports = service["spec"]["ports"].as_array().expect("ports");
        assert!(ports.iter().any(|port| port["name"] == monitor["spec"]["endpoints"][0]["port"]), "{name}");
    }
    for (name, step) in [("store", "publishing"), ("sources", "configuration")] {
        let policy = one(&outside, &format!("NetworkPolicy cloister-jobs {name}"));
        assert_eq!(policy["spec"]["podSelector"]["matchLabels"]["cloister.dev/step"], step);
        assert_eq!(policy["spec"]["policyTypes"], json!(["Egress"]));
    }
}

/// A lease is there for those that stand by.
#[test]
fn a_controller_that_is_alone_renews_no_lease() {
    for (replicas, expected) in [(1, Some("false")), (2, None)] {
        let objects = rendered(&[&format!("--set=engine.replicas={replicas}")]);
        let controller = one(&objects, "Deployment cloister-system cloister-engine");
        let variables = controller["spec"]["template"]["spec"]["containers"][0]["env"].as_array().expect("variables");
        let lease = variables.iter().find(|variable| variable["name"] == "CLOISTER_K8S_LEASE");
        assert_eq!(lease.and_then(|lease| lease["value"].as_str()), expected, "{replicas}");
    }
}

/// Names of namespaces reach rights, policies and settings alike.
#[test]
fn other_namespaces_are_used_everywhere() {
    let chart = folder().display().to_string();
    let set = "--set=namespaces.jobs=work,namespaces.assets=things";
    let output =
        run(&[&["template", "c", &chart, "--namespace=programs", "--kube-version=1.35.0", set], PINNED.as_slice()]
            .concat());
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(text.contains("system:serviceaccount:programs:cloister-engine"), "{text}");
    assert!(text.contains(r#"k8s.jobs_namespace = "work""#) && text.contains(r#"k8s.assets_namespace = "things""#));
    // The definitions speak of names in examples.
    let own = text.split("\n---\n").filter(|document| !document.contains("kind: CustomResourceDefinition"));
    for document in own {
        for fixed in ["cloister-system", "cloister-jobs", "cloister-assets"] {
            assert!(!document.contains(fixed), "{document}");
        }
    }
}

/// The settings and variables that the chart gives the programs are ones that they know, with those values.
#[test]
fn the_programs_understand_their_settings() {
    let objects = rendered(&[
        "--set=results.claim=results,jobs.priorityClass=low",
        "--set-string=settings=k8s.lease = false\n[http]\nmetrics = \"no-one\"\n",
    ]);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("cloister.toml");
    let settings =
        one(&objects, "ConfigMap cloister-system cloister")["data"]["cloister.toml"].as_str().expect("settings");
    fs::write(&file, settings).expect("written");
    for (name, verb) in [("cloister-api", "serve"), ("cloister-engine", "engine")] {
        let deployment = one(&objects, &format!("Deployment cloister-system {name}"));
        assert!(
            deployment["spec"]["template"]["metadata"]["annotations"]["cloister.dev/settings"].is_string(),
            "{name}"
        );
        let container = &deployment["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(container["args"][0], verb);
        let mut command = Command::new(cloister_testkit::program("cloister").expect("the program"));
        command.env_clear().args([verb, "--print-config", "--config"]).arg(&file);
        for variable in container["env"].as_array().expect("variables") {
            command.env(variable["name"].as_str().expect("a name"), variable["value"].as_str().expect("a value"));
        }
        let output = command.output().expect("it starts");
        let shown = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let line =
            |key: &str| shown.lines().find(|line| line.contains(key)).unwrap_or_else(|| panic!("{key} in {shown}"));
        assert!(line("lease").contains("false"), "{shown}");
        assert!(line("metrics").contains("no-one"), "{shown}");
        assert!(line("jobs_namespace").contains("cloister-jobs"), "{shown}");
        if verb == "engine" {
            assert!(line("priority_class").contains("low") && line("results_claim").contains("results"), "{shown}");
        }
    }
}

/// What Helm prints after an installation names objects that the chart made.
#[test]
fn the_notes_name_what_is_there() {
    let chart = folder().display().to_string();
    for claim in ["", "results"] {
        let values = format!("--set=results.claim={claim}");
        let arguments = ["install", "cloister", &chart, "--dry-run=client", "--namespace=cloister-system", &values];
        let output = run(&[&arguments, PINNED.as_slice()].concat());
        let text = String::from_utf8(output.stdout).expect("text");
        let (_, notes) = text.split_once("\nNOTES:\n").unwrap_or_else(|| panic!("no notes: {text}"));
        let objects = rendered(&[&values]);
        let commands: Vec<&str> =
            notes.lines().filter_map(|line| line.strip_prefix("    kubectl --namespace ")).collect();
        assert!(commands.len() > 3, "{notes}");
        for command in commands {
            let (namespace, command) = command.split_once(' ').expect("a command");
            for (kind, name) in command.split(' ').filter_map(|word| word.split_once('/')) {
                let kind = format!("{}{}", kind[..1].to_uppercase(), &kind[1..]);
                one(&objects, &format!("{kind} {namespace} {name}"));
            }
        }
        assert_eq!(notes.contains("secret results"), claim.is_empty(), "{notes}");
    }
}
