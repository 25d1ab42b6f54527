//! The conformance suite over the API server, with two replicas: every case that needs no run. The outputs of jobs are the
//! local engine's here, because no case that is listed observes them.
//!
//! Not listed, because jobs would have to be carried through: deadlines, outputs, receipts, recovery, review, and the cases
//! of other modules whose jobs end.

use crate::cluster::{Room, options};
use cloister_engine_tests::{Conditions, Fixture, FixtureFuture, Trial, cases};
use cloister_k8s_engine::{
    ClusterStore,
    resources::{Environment, EnvironmentLimits, EnvironmentSpec},
};
use cloister_local_engine::{EnvironmentOptions, LocalEngine, Options};
use cloister_model::{
    Account, ApiKey, Asset, AssetKind, AssetList, AssetQuery, AuditEvent, AuditLog, AuditRecord, Backend, ByteRange,
    Claim, Claims, Did, EngineError, EngineFuture, EnvironmentStatus, Explanation, Inspection, Inspections, JobCard,
    JobId, JobQuery, JobSpec, JobStatus, Jobs, KeyId, Keyring, LogPart, LogScope, Outputs, Registry, Report,
    ResultFile, ResultSet, ReviewVerdict, Seen, Sha256, Sources, StoreFuture, StoredReceipt, Timestamp, Unavailability,
    Upload, Uploads,
};
use cloister_sources::SourcePolicy;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use std::{sync::Arc, time::Duration};
use tempfile::TempDir;

const MIB: u64 = 1024 * 1024;

/// The cluster, and the local engine for what no case observes.
#[derive(Debug)]
struct Replica {
    cluster: ClusterStore,
    rest: Arc<LocalEngine>,
}

macro_rules! passes_on {
    ($to:ident: $($port:ident { $(fn $name:ident($($argument:ident: $kind:ty),*) -> $answer:ty;)* })*) => {
        $(impl $port for Replica {
            $(fn $name(&self, $($argument: $kind),*) -> $answer { self.$to.$name($($argument),*) })*
        })*
    };
}

passes_on! { cluster:
    Jobs {
        fn environments() -> EngineFuture<'_, Vec<EnvironmentStatus>>;
        fn submit(job: JobSpec, claims: Vec<Claim>, record: AuditEvent) -> EngineFuture<'_, JobStatus>;
        fn status(job: JobId) -> EngineFuture<'_, JobStatus>;
        fn wait(job: JobId, seen: Seen) -> EngineFuture<'_, JobStatus>;
        fn explain(job: JobId) -> EngineFuture<'_, Explanation>;
        fn card(job: JobId) -> EngineFuture<'_, JobCard>;
        fn list(query: JobQuery) -> EngineFuture<'_, Vec<JobStatus>>;
        fn stop(job: JobId, record: AuditEvent) -> EngineFuture<'_, JobStatus>;
        fn remove(job: JobId, record: AuditEvent) -> EngineFuture<'_, ()>;
        fn review(job: JobId, verdict: ReviewVerdict, record: AuditEvent) -> EngineFuture<'_, JobStatus>;
        fn release_log(job: JobId, bytes: u64, record: AuditEvent) -> EngineFuture<'_, JobStatus>;
    }
    Registry {
        fn put_asset(asset: Asset, record: AuditEvent) -> StoreFuture<'_, ()>;
        fn asset(did: Did) -> StoreFuture<'_, Option<Asset>>;
        fn asset_named(owner: Account, kind: AssetKind, name: String) -> StoreFuture<'_, Option<Asset>>;
        fn assets(query: AssetQuery) -> StoreFuture<'_, AssetList>;
    }
    Keyring {
        fn put_key(key: ApiKey, record: AuditEvent) -> StoreFuture<'_, ()>;
        fn key(id: KeyId) -> StoreFuture<'_, Option<ApiKey>>;
        fn keys(account: Option<Account>) -> StoreFuture<'_, Vec<ApiKey>>;
        fn revoke_key(id: KeyId, at: Timestamp, record: AuditEvent) -> StoreFuture<'_, ApiKey>;
    }
    Claims {
        fn claim(claim: Claim) -> StoreFuture<'_, bool>;
    }
    AuditLog {
        fn record(events: Vec<AuditEvent>) -> StoreFuture<'_, ()>;
        fn records(after: u64, at_most: u32) -> StoreFuture<'_, Vec<AuditRecord>>;
    }
    Uploads {
        fn begin_upload() -> StoreFuture<'_, u64>;
        fn append_upload(upload: u64, bytes: Vec<u8>) -> StoreFuture<'_, ()>;
        fn finish_upload(upload: u64, owner: Account, at: Timestamp) -> StoreFuture<'_, Upload>;
        fn drop_upload(upload: u64) -> StoreFuture<'_, ()>;
        fn upload(sha256: Sha256, owner: Account) -> StoreFuture<'_, Option<Upload>>;
    }
    Inspections {
        fn inspect(account: Account, sources: Sources, patience: Duration) -> StoreFuture<'_, Inspection>;
        fn read_inspected(sha256: Sha256, range: ByteRange) -> StoreFuture<'_, Vec<u8>>;
    }
}

passes_on! { rest:
    Outputs {
        fn log(job: JobId, scope: LogScope, range: ByteRange) -> EngineFuture<'_, LogPart>;
        fn report(job: JobId) -> EngineFuture<'_, Option<Report>>;
        fn results(job: JobId, set: ResultSet) -> EngineFuture<'_, Vec<ResultFile>>;
        fn read_result(job: JobId, set: ResultSet, index: u32, range: ByteRange) -> EngineFuture<'_, Vec<u8>>;
        fn receipt(job: JobId) -> EngineFuture<'_, Option<StoredReceipt>>;
    }
}

impl Backend for Replica {
    fn ready(&self) -> EngineFuture<'_, ()> {
        let answer = match self.cluster.problem() {
            None => Ok(()),
            Some(problem) => Err(EngineError::unavailable(Unavailability::Cluster, problem)),
        };
        Box::pin(std::future::ready(answer))
    }
}

/// One installation with two replicas.
struct Installation {
    room: Room,
    folder: TempDir,
    rest: Option<Arc<LocalEngine>>,
    other: Option<Arc<dyn Backend>>,
    /// Replicas that were opened.
    opened: u32,
}

impl Installation {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self { room: Room::open().await, folder, rest: None, other: None, opened: 0 }
    }

    async fn rest(&mut self) -> Arc<LocalEngine> {
        if let Some(rest) = &self.rest {
            return Arc::clone(rest);
        }
        let options = Options {
            home: self.folder.path().join("home"),
            sandbox: cloister_testkit::program("sandbox").unwrap_or_else(|missing| panic!("{missing}")),
            sandbox_home: None,
            environment: EnvironmentOptions {
                id: "local".parse().expect("a name"),
                description: String::new(),
                max_jobs: 0,
                cpus: 1,
                memory_bytes: 1024 * MIB,
                job_memory_bytes: 512 * MIB,
                max_queued: 1,
                max_queued_per_account: 1,
                reserved_jobs: 0,
                min_free_bytes: 0,
                max_wall_ms: 1000,
            },
            sources: SourcePolicy::default(),
            cache_bytes: MIB,
            results: None,
            upload_bytes_per_account: 16 * MIB,
        };
        let rest = LocalEngine::open(options).await.expect("a local engine");
        self.rest = Some(Arc::clone(&rest));
        rest
    }

    /// A new replica, which finds nothing of an earlier one but what all of them share.
    async fn replica(&mut self, upload_bytes_per_account: u64) -> Arc<dyn Backend> {
        let rest = self.rest().await;
        self.opened += 1;
        let options = options(self.folder.path(), &format!("replica-{}", self.opened), upload_bytes_per_account);
        let cluster = ClusterStore::open(self.room.cluster.clone(), options).await;
        let cluster = cluster.unwrap_or_else(|error| panic!("{error}"));
        Arc::new(Replica { cluster, rest })
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
