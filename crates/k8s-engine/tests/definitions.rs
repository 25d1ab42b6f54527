//! The definitions that are committed are those of the types.

use cloister_k8s_engine::resources::definitions;
use std::{collections::BTreeSet, fs};

const HEADER: &str = "# Generated from crates/k8s-engine/src/resources. Change the types, then run:\n\
                      # CLOISTERDEV_BLESS=1 cargo test --release --workspace --test definitions\n";

#[test]
fn the_committed_definitions_are_those_of_the_types() {
    let folder = cloister_testkit::root().join("deploy/crds");
    let bless = std::env::var_os("CLOISTERDEV_BLESS").is_some_and(|value| value == "1");
    if bless {
        fs::create_dir_all(&folder).expect("a folder");
    }
    let mut expected = BTreeSet::new();
    for definition in definitions() {
        let name = format!("{}.yaml", definition.metadata.name.as_deref().expect("a name"));
        let text = format!("{HEADER}{}", serde_saphyr::to_string(&definition).expect("YAML"));
        let path = folder.join(&name);
        if bless {
            fs::write(&path, &text).expect("written");
        }
        let committed = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == text,
            "deploy/crds/{name} is not what the types say; if the change is meant, run CLOISTERDEV_BLESS=1 cargo test \
             --release --workspace --test definitions"
        );
        expected.insert(name);
    }
    let found: BTreeSet<String> = fs::read_dir(&folder)
        .expect("the folder")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    assert_eq!(found, expected, "files of kinds that there are not");
}
