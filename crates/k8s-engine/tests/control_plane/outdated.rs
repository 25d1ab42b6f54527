//! Definitions in the cluster that are older than the program.

use crate::cluster::Room;
use cloister_k8s_engine::{check_definitions, resources::definitions};

/// With no more rights than any account has. The API server's own description is compared, which says more than the definitions do.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn a_program_under_older_definitions_names_the_field_and_the_command() {
    let room = Room::open().await;
    let cluster = crate::rights::cluster_as(&room, "default").await;
    let mut ours = definitions();
    assert_eq!(check_definitions(&cluster, &ours).await, Ok(()));
    // As if this program were one version further.
    let job = ours.iter_mut().find(|definition| definition.spec.names.kind == "ComputeJob").expect("ComputeJob");
    let schema = job.spec.versions[0].schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut());
    let status = schema.and_then(|schema| schema.properties.as_mut()?.get_mut("status")).expect("a status");
    let known = status.properties.as_ref().and_then(|known| known.get("phase")).expect("a phase").clone();
    status.properties.get_or_insert_default().insert("later".to_owned(), known);
    let outdated = check_definitions(&cluster, &ours).await.expect_err("it is older");
    assert_eq!((outdated.kind.as_str(), outdated.field.as_str()), ("ComputeJob", "status.later"));
    assert!(outdated.to_string().contains("kubectl apply --server-side -f deploy/crds"), "{outdated}");
}
