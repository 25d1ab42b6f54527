use super::*;
use crate::{Credentials, CredentialsEntry, ServiceKind, Sha256};
use proptest::{collection::vec, option, prelude::*, sample::select, strategy::ValueTree};

fn did(name: &str) -> Did {
    name.parse().expect("a DID")
}

fn account(name: &str) -> Account {
    name.parse().expect("an account")
}

fn files(byte: u8) -> FilesChecksum {
    FilesChecksum::of(vec![Sha256::from_bytes([byte; 32])]).expect("one file")
}

fn dataset(name: &str, permissions: Permissions) -> RequestedDataset {
    RequestedDataset {
        did: did(name),
        service: "s".to_owned(),
        kind: ServiceKind::Compute(Box::new(permissions)),
        credentials: Credentials::default(),
    }
}

fn algorithm(origin: AlgorithmOrigin) -> RequestedAlgorithm {
    RequestedAlgorithm { origin, runtime: RuntimeKind::Wasm, profile: Profile::Deterministic }
}

fn published() -> PublishedAlgorithm {
    PublishedAlgorithm {
        did: did("algo"),
        service: "a".to_owned(),
        publishers: vec![account("0xowner")],
        private: false,
        held_here: false,
        files_checksum: Some(files(1)),
        container_section_checksum: Sha256::from_bytes([9; 32]),
        credentials: Credentials::default(),
    }
}

fn trusted(name: &str, files_byte: u8, container: u8) -> TrustedAlgorithm {
    TrustedAlgorithm {
        did: Trusted::Only(did(name)),
        files_checksum: Some(Trusted::Only(files(files_byte))),
        container_section_checksum: Some(Trusted::Only(Sha256::from_bytes([container; 32]))),
        service_id: None,
    }
}

fn with_rules(rules: Vec<TrustedAlgorithm>) -> Permissions {
    Permissions { publisher_trusted_algorithms: rules, ..Permissions::default() }
}

fn decided(datasets: &[RequestedDataset], algorithm: &RequestedAlgorithm) -> Decision {
    decide(datasets, algorithm, &account("consumer"), &Environment::default())
}

fn denied(decision: Decision) -> Vec<DenialRule> {
    match decision {
        Decision::Denied(denials) => denials.into_iter().map(|denial| denial.rule).collect(),
        Decision::Allowed(terms) => panic!("allowed: {terms:?}"),
    }
}

fn allowed(decision: Decision) -> Terms {
    match decision {
        Decision::Allowed(terms) => *terms,
        Decision::Denied(denials) => panic!("denied: {denials:?}"),
    }
}

fn candidate(change: impl FnOnce(&mut PublishedAlgorithm)) -> RequestedAlgorithm {
    let mut published = published();
    change(&mut published);
    algorithm(AlgorithmOrigin::Published(Box::new(published)))
}

#[test]
fn default_permissions_admit_nothing() {
    let datasets = [dataset("d", Permissions::default())];
    assert_eq!(denied(decided(&datasets, &algorithm(AlgorithmOrigin::Raw))), [DenialRule::RawAlgorithm]);
    assert_eq!(denied(decided(&datasets, &candidate(|_| ()))), [DenialRule::AlgorithmNotTrusted]);
    assert_eq!(denied(decided(&[], &candidate(|_| ()))), [DenialRule::NoDataset]);
}

#[test]
fn an_algorithm_is_trusted_with_its_checksums() {
    let rules = |rules| [dataset("d", with_rules(rules))];
    let terms = allowed(decided(&rules(vec![trusted("algo", 1, 9)]), &candidate(|_| ())));
    assert_eq!(terms.admitted[0].by, AdmittedBy::TrustedAlgorithm);
    for (rule, expected) in [
        (trusted("other", 1, 9), DenialRule::AlgorithmNotTrusted),
        (trusted("algo", 2, 9), DenialRule::FilesChecksum),
        (trusted("algo", 1, 8), DenialRule::ContainerSectionChecksum),
        (TrustedAlgorithm { files_checksum: None, ..trusted("algo", 1, 9) }, DenialRule::FilesChecksum),
        (
            TrustedAlgorithm { container_section_checksum: None, ..trusted("algo", 1, 9) },
            DenialRule::ContainerSectionChecksum,
        ),
        (
            TrustedAlgorithm { service_id: Some(Trusted::Only("b".to_owned())), ..trusted("algo", 1, 9) },
            DenialRule::AlgorithmNotTrusted,
        ),
    ] {
        assert_eq!(denied(decided(&rules(vec![rule]), &candidate(|_| ()))), [expected]);
    }
}

#[test]
fn files_that_were_not_read_yet_are_checked_when_they_are() {
    let datasets =
        [dataset("d", with_rules(vec![trusted("algo", 1, 9), trusted("algo", 2, 9), trusted("algo", 3, 8)]))];
    let terms = allowed(decided(&datasets, &candidate(|algorithm| algorithm.files_checksum = None)));
    assert_eq!((terms.check_files(&files(1)), terms.check_files(&files(2))), (Ok(()), Ok(())));
    let denials = terms.check_files(&files(3)).expect_err("another container's files");
    assert_eq!(denials, [Denial { rule: DenialRule::FilesChecksum, subject: Some(did("d")) }]);
}

#[test]
fn a_publisher_is_trusted_with_everything() {
    let permissions = Permissions {
        publisher_trusted_algorithm_publishers: vec![Trusted::Only(account("0xowner"))],
        ..with_rules(vec![trusted("algo", 2, 2)])
    };
    let datasets = [dataset("d", permissions)];
    assert_eq!(allowed(decided(&datasets, &candidate(|_| ()))).admitted[0].by, AdmittedBy::TrustedPublisher);
    let unknown = candidate(|algorithm| algorithm.publishers.clear());
    assert_eq!(denied(decided(&datasets, &unknown)), [DenialRule::ContainerSectionChecksum]);
}

#[test]
fn a_private_algorithm_runs_where_its_publisher_holds_it() {
    let datasets = [dataset("d", with_rules(vec![trusted("algo", 1, 9)]))];
    let private = |held_here| {
        candidate(move |algorithm| {
            algorithm.private = true;
            algorithm.held_here = held_here;
        })
    };
    assert_eq!(denied(decided(&datasets, &private(false))), [DenialRule::PrivateAlgorithm]);
    allowed(decided(&datasets, &private(true)));
}

#[test]
fn credentials_hold_for_datasets_and_algorithms() {
    let entry = |name: &str| CredentialsEntry::Address { values: vec![account(name)], everybody: false };
    for (allow, deny, expected) in [
        (vec![], vec![], vec![]),
        (vec![entry("consumer")], vec![], vec![]),
        (vec![entry("other")], vec![], vec![DenialRule::CredentialsAllow]),
        (vec![CredentialsEntry::Unknown], vec![], vec![DenialRule::CredentialsAllow]),
        (vec![CredentialsEntry::Unknown, entry("consumer")], vec![], vec![]),
        (vec![entry("consumer")], vec![entry("consumer")], vec![DenialRule::CredentialsDeny]),
        (vec![], vec![CredentialsEntry::Unknown], vec![DenialRule::CredentialsUnknown]),
    ] {
        let credentials = Credentials { allow, deny };
        let mut restricted = dataset("d", with_rules(vec![trusted("algo", 1, 9)]));
        let open = restricted.clone();
        restricted.credentials = credentials.clone();
        for decision in [
            decided(&[restricted], &candidate(|_| ())),
            decided(&[open], &candidate(|algorithm| algorithm.credentials = credentials)),
        ] {
            match expected.is_empty() {
                true => drop(allowed(decision)),
                false => assert_eq!(denied(decision), expected),
            }
        }
    }
}

#[test]
fn the_strictest_of_several_datasets_holds() {
    let rules = vec![trusted("algo", 1, 9)];
    let contract = |max_bytes, name: &str| OutputContract {
        max_bytes,
        names: vec![name.parse().expect("a pattern")],
        ..OutputContract::default()
    };
    let permissions = |max_bytes, name| Permissions {
        output_contract: OutputPolicy { budgets: contract(max_bytes, name), ..OutputPolicy::default() },
        ..with_rules(rules.clone())
    };
    let (a, b, c) = (permissions(10, "**"), permissions(20, "*.csv"), permissions(30, "*.json"));
    let terms = allowed(decided(&[dataset("a", a), dataset("b", b.clone())], &candidate(|_| ())));
    assert_eq!(terms.output_contract, contract(10, "*.csv"));
    let apart = [dataset("b", b), dataset("c", c)];
    assert_eq!(denied(decided(&apart, &candidate(|_| ()))), [DenialRule::OutputContract]);
}

#[test]
fn every_algorithm_published_here_is_a_rule_and_not_the_default() {
    let here = Permissions { allow_algorithms_published_here: true, ..Permissions::default() };
    let held = candidate(|algorithm| algorithm.held_here = true);
    let terms = allowed(decided(&[dataset("d", here.clone())], &held));
    assert_eq!(terms.admitted[0].by, AdmittedBy::PublishedHere);
    assert_eq!(denied(decided(&[dataset("d", here)], &candidate(|_| ()))), [DenialRule::AlgorithmNotTrusted]);
    assert_eq!(denied(decided(&[dataset("d", Permissions::default())], &held)), [DenialRule::AlgorithmNotTrusted]);
}

#[test]
fn manner_and_environment_are_asked() {
    let datasets = [dataset("d", with_rules(vec![trusted("algo", 1, 9)]))];
    let container =
        RequestedAlgorithm { runtime: RuntimeKind::Container, profile: Profile::Standard, ..candidate(|_| ()) };
    let expected =
        [DenialRule::Runtime, DenialRule::Profile, DenialRule::EnvironmentRuntime, DenialRule::EnvironmentProfile];
    assert_eq!(denied(decided(&datasets, &container)), expected);
}

#[test]
fn a_container_needs_an_image_of_a_known_registry_a_digest_and_a_command() {
    let pinned = Container {
        image: "registry.example/team/python".to_owned(),
        tag: None,
        entrypoint: "python3 $ALGO".to_owned(),
        checksum: Some(format!("sha256:{}", "a".repeat(64))),
    };
    let offers = |registries: &[&str]| Environment {
        runtimes: [RuntimeKind::Wasm, RuntimeKind::Container].into(),
        registries: registries.iter().map(|prefix| (*prefix).to_owned()).collect(),
        ..Environment::default()
    };
    let rules = |container: &Container, environment: &Environment| -> Vec<DenialRule> {
        container_denials(container, environment).into_iter().map(|denial| denial.rule).collect()
    };
    let team = offers(&["registry.example/team"]);
    assert_eq!(rules(&pinned, &team), []);
    assert_eq!(rules(&pinned, &offers(&[])), [DenialRule::EnvironmentRegistry]);
    assert_eq!(rules(&pinned, &offers(&["registry.example/tea"])), [DenialRule::EnvironmentRegistry]);
    assert_eq!(rules(&Container { checksum: None, ..pinned.clone() }, &team), [DenialRule::ContainerImage]);
    let tag = Container { checksum: Some("latest".to_owned()), entrypoint: "a '".to_owned(), ..pinned.clone() };
    assert_eq!(rules(&tag, &team), [DenialRule::ContainerImage, DenialRule::ContainerCommand]);
    // Where no container runs, nothing about this one matters; where a wall is missing, the rest is said at once.
    assert_eq!(rules(&tag, &Environment::default()), []);
    let withheld = Environment { withholds_containers: true, ..Environment::default() };
    assert_eq!(rules(&pinned, &withheld), [DenialRule::EnvironmentRegistry]);
    let datasets = [dataset(
        "d",
        Permissions { runtimes: [RuntimeKind::Container].into(), ..with_rules(vec![trusted("algo", 1, 9)]) },
    )];
    let container = RequestedAlgorithm { runtime: RuntimeKind::Container, ..candidate(|_| ()) };
    let decided = |environment: &Environment| denied(decide(&datasets, &container, &account("consumer"), environment));
    assert_eq!(decided(&withheld), [DenialRule::EnvironmentIsolation]);
    assert_eq!(decided(&Environment::default()), [DenialRule::EnvironmentRuntime]);
}

#[test]
fn a_dataset_for_download_needs_one_to_compute_on() {
    let access = RequestedDataset { kind: ServiceKind::Access, ..dataset("x", Permissions::default()) };
    let compute = dataset("d", with_rules(vec![trusted("algo", 1, 9)]));
    assert_eq!(denied(decided(std::slice::from_ref(&access), &candidate(|_| ()))), [DenialRule::NoComputeService]);
    let terms = allowed(decided(&[access.clone(), compute], &candidate(|_| ())));
    assert_eq!(terms.admitted[1].by, AdmittedBy::AccessService);
    let twice = denied(decided(&[access.clone(), access], &candidate(|_| ())));
    assert_eq!(twice, [DenialRule::NoComputeService, DenialRule::DatasetTwice]);
}

#[test]
fn a_denial_says_what_to_do() {
    let denial = Denial { rule: DenialRule::RawAlgorithm, subject: Some(did("d")) };
    assert_eq!(
        denial.to_string(),
        "did:op:d: the dataset does not allow raw algorithms; publish the algorithm and ask the dataset's publisher to trust it"
    );
    let terms = allowed(decided(&[dataset("d", with_rules(vec![trusted("algo", 1, 9)]))], &candidate(|_| ())));
    let json = serde_json::to_value(&terms).expect("json");
    assert_eq!(serde_json::from_value::<Terms>(json).expect("terms"), terms);
}

fn any_or<T: std::fmt::Debug + Clone + 'static>(values: Vec<T>) -> impl Strategy<Value = Trusted<T>> {
    prop_oneof![1 => Just(Trusted::Any), 4 => select(values).prop_map(Trusted::Only)]
}

fn any_rule() -> impl Strategy<Value = TrustedAlgorithm> {
    let containers = vec![Sha256::from_bytes([9; 32]), Sha256::from_bytes([8; 32])];
    (
        any_or(vec![did("algo"), did("other")]),
        option::weighted(0.8, any_or(vec![files(1), files(2)])),
        option::weighted(0.8, any_or(containers)),
        option::weighted(0.3, any_or(vec!["a".to_owned(), "b".to_owned()])),
    )
        .prop_map(|(did, files_checksum, container_section_checksum, service_id)| TrustedAlgorithm {
            did,
            files_checksum,
            container_section_checksum,
            service_id,
        })
}

/// Mostly the whole set, so that jobs with several datasets are allowed often enough.
fn mostly_all<T: std::fmt::Debug + Clone + Ord + 'static>(all: Vec<T>) -> impl Strategy<Value = BTreeSet<T>> {
    let some = proptest::collection::btree_set(select(all.clone()), 0..=all.len());
    prop_oneof![6 => Just(all.into_iter().collect()), 1 => some]
}

fn any_dataset() -> impl Strategy<Value = RequestedDataset> {
    let publishers = vec(any_or(vec![account("0xowner"), account("0xother")]), 0..2);
    let names = prop_oneof![3 => Just(vec!["**"]), 1 => vec(select(vec!["**", "*.csv", "r?.csv"]), 1..3)];
    (
        "[a-h]",
        (any::<bool>(), any::<bool>(), prop::bool::weighted(0.1)),
        vec(any_rule(), 0..6),
        publishers,
        names,
        mostly_all(vec![RuntimeKind::Wasm, RuntimeKind::Container]),
        mostly_all(vec![Profile::Deterministic, Profile::Standard]),
        prop::bool::weighted(0.1),
    )
        .prop_map(|(name, (raw, network, here), rules, publishers, names, runtimes, profiles, access)| {
            let names = names.into_iter().map(|name| name.parse().expect("a pattern")).collect();
            let permissions = Permissions {
                allow_raw_algorithm: raw,
                allow_network_access: network,
                publisher_trusted_algorithms: rules,
                publisher_trusted_algorithm_publishers: publishers,
                allow_algorithms_published_here: here,
                output_contract: OutputPolicy {
                    budgets: OutputContract { names, ..OutputContract::default() },
                    ..OutputPolicy::default()
                },
                runtimes,
                profiles,
            };
            let kind = if access { ServiceKind::Access } else { ServiceKind::Compute(Box::new(permissions)) };
            RequestedDataset { kind, ..dataset(&name, Permissions::default()) }
        })
}

fn any_algorithm() -> impl Strategy<Value = RequestedAlgorithm> {
    let read = option::of(select(vec![files(1), files(2)]));
    let origin = prop_oneof![
        1 => Just(AlgorithmOrigin::Raw),
        3 => (read, prop::bool::weighted(0.2), any::<bool>()).prop_map(|(files_checksum, private, held_here)| {
            let algorithm = PublishedAlgorithm { files_checksum, private, held_here, ..published() };
            AlgorithmOrigin::Published(Box::new(algorithm))
        }),
    ];
    let runtime = select(vec![RuntimeKind::Wasm, RuntimeKind::Container]);
    let profile = select(vec![Profile::Deterministic, Profile::Standard]);
    (origin, runtime, profile).prop_map(|(origin, runtime, profile)| RequestedAlgorithm { origin, runtime, profile })
}

fn everything() -> Environment {
    Environment {
        runtimes: [RuntimeKind::Wasm, RuntimeKind::Container].into(),
        profiles: [Profile::Deterministic, Profile::Standard].into(),
        ..Environment::default()
    }
}

/// What the rules say, written a second time and in another way: field by field, only what must be there.
fn some_rule_says_so(dataset: &RequestedDataset, algorithm: &RequestedAlgorithm) -> bool {
    let Some(rules) = dataset.permissions() else { return true };
    let manner = rules.runtimes.contains(&algorithm.runtime) && rules.profiles.contains(&algorithm.profile);
    let AlgorithmOrigin::Published(published) = &algorithm.origin else { return manner && rules.allow_raw_algorithm };
    let by_publisher = rules
        .publisher_trusted_algorithm_publishers
        .iter()
        .any(|publisher| *publisher == Trusted::Any || *publisher == Trusted::Only(account("0xowner")));
    let by_algorithm = rules.publisher_trusted_algorithms.iter().any(|rule| {
        let files_fit = match (&rule.files_checksum, &published.files_checksum) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(trusted), Some(files)) => trusted.admits(files),
        };
        let container = &published.container_section_checksum;
        files_fit
            && rule.did.admits(&published.did)
            && rule.container_section_checksum.as_ref().is_some_and(|trusted| trusted.admits(container))
            && rule.service_id.as_ref().is_none_or(|service| service.admits(&published.service))
    });
    let by_place = rules.allow_algorithms_published_here && published.held_here;
    manner && (by_publisher || by_algorithm || by_place) && (!published.private || published.held_here)
}

fn change(dataset: &RequestedDataset, change: impl FnOnce(&mut Permissions)) -> RequestedDataset {
    let mut dataset = dataset.clone();
    if let ServiceKind::Compute(permissions) = &mut dataset.kind {
        change(permissions);
    }
    dataset
}

fn is_allowed(datasets: &[RequestedDataset], algorithm: &RequestedAlgorithm) -> bool {
    matches!(decide(datasets, algorithm, &account("consumer"), &everything()), Decision::Allowed(_))
}

#[test]
fn random_jobs_are_worth_their_time() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let jobs = (vec(any_dataset(), 2..4), any_algorithm());
    let several = (0..500).filter(|_| {
        let (datasets, algorithm) = jobs.new_tree(&mut runner).expect("a job").current();
        is_allowed(&datasets, &algorithm)
    });
    let allowed = several.count();
    assert!((30..470).contains(&allowed), "{allowed} of 500 jobs with several datasets are allowed");
}

proptest! {
    #[test]
    fn nothing_is_allowed_unless_a_rule_says_so(datasets in vec(any_dataset(), 0..4), algorithm in any_algorithm()) {
        match decide(&datasets, &algorithm, &account("consumer"), &everything()) {
            Decision::Allowed(terms) => {
                prop_assert!(datasets.iter().all(|dataset| some_rule_says_so(dataset, &algorithm)));
                prop_assert_eq!(terms.admitted.len(), datasets.len());
                prop_assert!(terms.runtimes.contains(&algorithm.runtime));
                prop_assert!(terms.profiles.contains(&algorithm.profile));
                prop_assert_eq!(terms.output_contract.check(), Ok(()));
            }
            Decision::Denied(denials) => {
                prop_assert!(!denials.is_empty());
                for denial in denials {
                    prop_assert!(!denial.rule.describe().is_empty() && !denial.rule.advice().is_empty());
                }
            }
        }
    }

    #[test]
    fn one_dataset_is_allowed_exactly_if_its_rules_say_so(dataset in any_dataset(), algorithm in any_algorithm()) {
        let says_so = dataset.permissions().is_some() && some_rule_says_so(&dataset, &algorithm);
        prop_assert_eq!(is_allowed(&[dataset], &algorithm), says_so);
    }

    #[test]
    fn widening_never_denies_and_removing_never_allows(
        dataset in any_dataset(), other in any_dataset(), algorithm in any_algorithm(), more in any_rule(), which in 0..8_u8
    ) {
        let wider = change(&dataset, |rules| match which {
            0 => rules.publisher_trusted_algorithms.push(more),
            1 => rules.publisher_trusted_algorithm_publishers.push(Trusted::Any),
            2 => drop(rules.runtimes.insert(RuntimeKind::Container)),
            3 => drop(rules.profiles.insert(Profile::Standard)),
            4 => rules.output_contract.budgets.names.push("**".parse().expect("a pattern")),
            5 => rules.allow_raw_algorithm = true,
            6 => rules.allow_algorithms_published_here = true,
            _ => rules.allow_network_access = true,
        });
        // The narrower of the two is the wider one with a rule removed.
        let (narrow, wide) = ([dataset, other.clone()], [wider, other]);
        prop_assert!(!is_allowed(&narrow, &algorithm) || is_allowed(&wide, &algorithm));
    }

    #[test]
    fn without_any_rule_nothing_runs(dataset in any_dataset(), algorithm in any_algorithm()) {
        let bare = change(&dataset, |rules| {
            rules.allow_raw_algorithm = false;
            rules.publisher_trusted_algorithms.clear();
            rules.publisher_trusted_algorithm_publishers.clear();
            rules.allow_algorithms_published_here = false;
        });
        prop_assert!(!is_allowed(&[bare], &algorithm));
    }

    #[test]
    fn the_order_of_datasets_does_not_matter(
        (datasets, shuffled) in vec(any_dataset(), 0..4).prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle())),
        algorithm in any_algorithm()
    ) {
        let decide = |datasets: &[RequestedDataset]| decide(datasets, &algorithm, &account("c"), &everything());
        prop_assert_eq!(decide(&datasets), decide(&shuffled));
    }

    #[test]
    fn what_was_admitted_unread_is_admitted_read(dataset in any_dataset(), read in select(vec![files(1), files(2)])) {
        let unread = candidate(|algorithm| algorithm.files_checksum = None);
        let known = candidate(|algorithm| algorithm.files_checksum = Some(read.clone()));
        let datasets = [dataset];
        if let Decision::Allowed(terms) = decide(&datasets, &unread, &account("c"), &everything()) {
            prop_assert_eq!(terms.check_files(&read).is_ok(), is_allowed(&datasets, &known));
        }
    }
}
