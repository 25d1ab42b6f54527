//! The conformance suite over the API server, with two replicas: every case that needs no run.
//!
//! Not listed, because jobs would have to be carried through: deadlines, outputs, receipts, recovery, review, and the cases
//! of other modules whose jobs end.

use crate::cluster::{Room, options};
use cloister_engine_tests::{Conditions, Fixture, FixtureFuture, Trial, cases};
use cloister_k8s_engine::{
    ClusterStore,
    resources::{Environment, EnvironmentLimits, EnvironmentSpec},
};
use cloister_model::Backend;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use std::sync::Arc;
use tempfile::TempDir;

const MIB: u64 = 1024 * 1024;

/// One installation with two replicas.
struct Installation {
    room: Room,
    folder: TempDir,
    other: Option<Arc<dyn Backend>>,
    /// Replicas that were opened.
    opened: u32,
}

impl Installation {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self { room: Room::open().await, folder, other: None, opened: 0 }
    }

    async fn replica(&mut self, upload_bytes_per_account: u64) -> Arc<dyn Backend> {
        self.opened += 1;
        let options = options(self.folder.path(), &format!("replica-{}", self.opened), upload_bytes_per_account);
        let store = ClusterStore::open(self.room.cluster.clone(), options).await;
        Arc::new(store.unwrap_or_else(|error| panic!("{error}")))
    }

    /// Writes the environment as the operator does.
    async fn set_up(&self, conditions: Conditions) {
        let Conditions { max_jobs, max_queued, max_queued_per_account, upload_bytes_per_account: _ } = conditions;
        let spec = EnvironmentSpec {
            description: "conformance".to_owned(),
            limits: EnvironmentLimits {
                jobs: max_jobs,
                queued: max_queued,
                queued_per_account: Some(max_queued_per_account),
                cpus: 4,
                memory_bytes: 1024 * MIB,
                job_memory_bytes: 512 * MIB,
                wall_ms: 600_000,
            },
            runtimes: Default::default(),
            steps: Default::default(),
            node_selector: Default::default(),
            tolerations: Vec::new(),
            storage: Default::default(),
            roots: Vec::new(),
            interpreters: Vec::new(),
            images: Vec::new(),
        };
        let environment = Environment::new("conformance", spec);
        let api: Api<Environment> = Api::namespaced(self.room.client(), &self.room.cluster.namespaces().jobs);
        let apply = PatchParams::apply("cloister-tests").force();
        api.patch("conformance", &apply, &Patch::Apply(&environment)).await.expect("an environment");
    }
}

impl Fixture for Installation {
    fn open(&mut self, conditions: Conditions) -> FixtureFuture<'_, Arc<dyn Backend>> {
        Box::pin(async move {
            self.set_up(conditions).await;
            let upload_bytes = conditions.upload_bytes_per_account;
            self.other = Some(self.replica(upload_bytes).await);
            self.replica(upload_bytes).await
        })
    }

    fn environment(&self) -> String {
        "conformance".to_owned()
    }

    fn replica(&self) -> Option<Arc<dyn Backend>> {
        self.other.clone()
    }
}

macro_rules! cases {
    ($($module:ident { $($case:ident)* })*) => {
        $(mod $module {
            $(#[tokio::test(flavor = "multi_thread")]
            #[ignore = "needs an API server: make test-k8s"]
            async fn $case() {
                super::cases::$module::$case(&mut super::Trial::start(super::Installation::new().await).await).await;
            })*
        })*
    };
}

cases! {
    audit {
        records_are_a_chain_across_restarts
        an_event_is_kept_letter_for_letter
        records_are_read_page_after_page
        many_writers_make_one_chain
    }
    claims {
        a_nonce_counts_once
        of_many_claims_at_once_one_is_granted
        a_claim_lasts_as_long_as_it_says
        a_claim_keeps_jobs_out
        a_job_keeps_its_claims_from_others
    }
    environments {
        an_open_engine_is_ready
    }
    inspections {
        files_are_described_in_their_order
        a_source_that_cannot_be_read_is_a_failure
        an_inspection_goes_on_when_it_is_asked_for_again
        a_file_that_was_not_inspected_is_missing
    }
    keyring {
        a_key_is_made_once
        a_key_is_revoked_once
        a_key_that_is_not_there_cannot_be_revoked
        the_newest_key_is_listed_first
    }
    listing {
        the_newest_job_comes_first
        pages_give_every_job_once
        all_labels_of_a_query_must_be_there
        no_more_jobs_are_listed_than_were_asked_for
    }
    registry {
        an_asset_is_read_as_it_was_stored
        revisions_follow_each_other
        of_many_changes_at_once_one_counts
        a_name_is_unique_for_owner_and_kind
        a_withdrawn_asset_stays_readable
        lists_are_sorted_by_did
        the_name_of_an_asset_cannot_be_claimed
    }
    removal {
        a_job_that_was_never_submitted_is_not_there
    }
    stopping {
        a_job_that_is_not_there_cannot_be_stopped
    }
    submission {
        a_job_is_stored_with_its_record_and_its_card
        an_identical_job_again_changes_nothing
        a_different_job_of_the_same_id_is_refused
        a_full_queue_takes_no_more_jobs_and_no_claims
        an_account_has_so_many_waiting_jobs_and_no_more
        a_job_whose_claim_is_taken_leaves_nothing
        of_many_jobs_with_one_claim_one_is_taken_in
    }
    uploads {
        an_upload_is_its_parts_in_their_order
        the_same_file_again_changes_nothing
        an_empty_file_is_a_file
        an_upload_that_is_over_is_missing
        an_account_has_so_many_bytes
        an_upload_is_known_to_every_process
        many_uploads_at_once_stay_within_the_limit
    }
}
