use super::{
    ConfigError, EngineKind, Layers, LogFormat, LogLevel, MetricsFor,
    shape::Shape,
    unit::{Size, Span},
};
use serde_json::{Map, Value};
use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};

/// A setting.
#[derive(Debug)]
pub(crate) struct Setting {
    /// Its name in the file: sections and name, separated by dots.
    pub(crate) key: &'static str,
    /// Its default, as an environment variable would contain it. Empty: none.
    pub(crate) default: &'static str,
    /// The expected value, for messages.
    pub(crate) expected: &'static str,
    /// What it does.
    pub(crate) doc: &'static str,
    /// Whether its value is secret and never shown.
    pub(crate) is_secret: bool,
}

/// Defines the table of settings and the type that holds their values, from one list.
macro_rules! settings {
    ($($key:literal $field:ident: $type:ty = $default:literal, $secret:literal, $doc:literal;)*) => {
        /// The values of all settings.
        #[derive(Debug)]
        pub(crate) struct Settings {
            $(#[doc = $doc] pub(crate) $field: $type,)*
        }

        /// Every setting.
        pub(crate) const TABLE: &[Setting] = &[$(Setting {
            key: $key,
            default: $default,
            expected: <$type as Shape>::EXPECTED,
            doc: $doc,
            is_secret: $secret,
        },)*];

        impl Settings {
            /// Reads all settings, and checks that they fit together.
            ///
            /// # Errors
            /// The first invalid value.
            pub(crate) fn resolve(layers: &Layers) -> Result<Self, ConfigError> {
                let mut table = TABLE.iter();
                // The table has one entry for each field, in the same order.
                let mut next = || table.next().expect("the table and the fields come from one list");
                let settings = Self { $($field: layers.read(next())?,)* };
                settings.check()?;
                Ok(settings)
            }

            /// Every value as the file would contain it, in the order of the table.
            pub(super) fn shown(&self) -> Vec<String> {
                vec![$(self.$field.show(),)*]
            }
        }
    };
}

/// Where a service listens if nothing else is set.
pub(crate) const DEFAULT_LISTEN: &str = "127.0.0.1:8090";

settings! {
    "home" home: PathBuf = "cloister-data", false, "The folder that holds everything: state, cache, results, the operator's key.";
    "listen" listen: SocketAddr = "127.0.0.1:8090", false, "Address and port that the service listens on. Port 0: any free port.";
    "insecure_http" insecure_http: bool = "false", false, "Listen on addresses of other machines without TLS. Keys and data then cross the network unencrypted.";
    "sandbox" sandbox: Option<PathBuf> = "", false, "The sandbox program. Empty: the one beside this program, else the first on PATH.";
    "sandbox_home" sandbox_home: Option<PathBuf> = "", false, "Where the sandbox program keeps compiled programs and runtimes. Empty: below `home`.";
    "tls.certificate" tls_certificate: Option<PathBuf> = "", false, "PEM file with the certificate chain. With `tls.key`: serve HTTPS.";
    "tls.key" tls_key: Option<PathBuf> = "", false, "PEM file with the private key.";
    "http.max_upload" http_max_upload: Size = "1GiB", false, "Maximum size of one uploaded file.";
    "http.max_connections" http_max_connections: u32 = "1024", false, "Maximum number of simultaneous connections.";
    "http.address_connections" http_address_connections: u32 = "256", false, "Maximum number of simultaneous connections of one network address. Not applied with `http.behind_proxy`.";
    "http.account_per_second" http_account_per_second: u32 = "50", false, "Average number of requests per second for one account.";
    "http.account_burst" http_account_burst: u32 = "200", false, "Number of requests that one account may send in a burst.";
    "http.address_per_second" http_address_per_second: u32 = "100", false, "Average number of requests per second for one network address.";
    "http.address_burst" http_address_burst: u32 = "400", false, "Number of requests that one network address may send in a burst.";
    "http.header_timeout" http_header_timeout: Span = "30s", false, "How long a client may take to send the headers of a request.";
    "http.request_timeout" http_request_timeout: Span = "1m", false, "How long a request may take, unless it streams.";
    "http.behind_proxy" http_behind_proxy: bool = "false", false, "Trust the last entry of X-Forwarded-For. Only if every request comes through a proxy.";
    "http.cors_origins" http_cors_origins: Vec<String> = "", false, "Web origins whose pages may call the service (CORS).";
    "http.metrics" http_metrics: MetricsFor = "operators", false, "Who may read /metrics: `operators` with their keys, `everyone` without credentials, or `no-one`. `true` and `false` are read as `operators` and `no-one`.";
    "auth.oidc" auth_oidc: Vec<Map<String, Value>> = "", false, "OpenID Connect issuers: a list of tables with `issuer`, `audience` and the fields that each needs. `networks` and `ca` are for an issuer on a private network or with a private certificate authority.";
    "auth.nonce_window" auth_nonce_window: Span = "5m", false, "How old a signed request may be.";
    "auth.ethereum_role" auth_ethereum_role: Option<String> = "", false, "Role of every Ethereum account that signs a request: `consumer`, `author` or `publisher`. Empty: such signatures are refused.";
    "auth.ethereum_roles" auth_ethereum_roles: BTreeMap<String, String> = "", false, "Roles of individual Ethereum accounts, by address.";
    "auth.key_lifetime" auth_key_lifetime: Span = "90d", false, "The longest that an API key lasts. It never lasts longer than the key or token that makes it.";
    "auth.ethereum_key_lifetime" auth_ethereum_key_lifetime: Span = "7d", false, "The longest that an API key lasts that is made with an Ethereum signature.";
    "auth.public_url" auth_public_url: Option<String> = "", false, "The address that clients use for the service. If set, requests signed with an Ethereum account must be signed for it.";
    "operator.providers" operator_providers: Vec<String> = "", false, "Accounts of the Ocean Providers that may use Ocean's operator API. Empty: none.";
    "operator.address" operator_address: Option<String> = "", false, "The account that orders must name as consumer. Empty: the zero address.";
    "operator.unverified_signatures" operator_unverified_signatures: bool = "false", false, "Accept requests from this machine without a verifiable signature. Their sender can act as any consumer. For migrating old clients.";
    "operator.unverified_signatures_insist" operator_unverified_insist: bool = "false", false, "Accept such requests from other machines as well. Never where untrusted clients can reach the service.";
    "operator.unverified_admins" operator_unverified_admins: Vec<String> = "", true, "Values of the header `Admin` that are accepted while `operator.unverified_signatures` is on.";
    "engine.kind" engine_kind: EngineKind = "local", false, "Where jobs run: `local`, on this machine, or `k8s`, on the Kubernetes cluster of `k8s.*`, where `cloister engine` runs them.";
    "engine.environment" engine_environment: String = "local", false, "The name of the environment, as jobs give it.";
    "engine.description" engine_description: String = "Jobs on this machine", false, "What consumers read about the environment.";
    "engine.max_jobs" engine_max_jobs: Option<u64> = "", false, "Maximum number of jobs in progress, including fetching and publishing. Empty: two per processor.";
    "engine.cpus" engine_cpus: Option<u32> = "", false, "Processors for all jobs. Empty: all of this machine.";
    "engine.memory" engine_memory: Option<Size> = "", false, "Memory for all jobs. Empty: three quarters of this machine's memory.";
    "engine.job_memory" engine_job_memory: Option<Size> = "", false, "Maximum memory of one job. Empty: half of the memory for all jobs.";
    "engine.max_queued" engine_max_queued: u64 = "1000", false, "Maximum number of queued jobs.";
    "engine.account_queued" engine_account_queued: u64 = "200", false, "Maximum number of queued jobs of one account.";
    "engine.reserved_jobs" engine_reserved_jobs: u64 = "1", false, "Jobs beyond `engine.max_jobs` and `engine.cpus` for accounts that have no job in progress.";
    "engine.min_free" engine_min_free: Size = "256MiB", false, "No job starts while the disk of `home` has less free space. The queue waits.";
    "engine.max_wall" engine_max_wall: Span = "1h", false, "Maximum running time of one algorithm.";
    "times.queue" times_queue: Span = "1d", false, "How long a job may wait in the queue.";
    "times.total" times_total: Span = "1d", false, "How long a job may take up to its review, or to the storing of its results.";
    "times.review" times_review: Span = "7d", false, "How long outputs may wait for a reviewer.";
    "times.publishing" times_publishing: Span = "1d", false, "How long storing the results of a job may take. The service tries again until then if the result store does not answer or refuses them.";
    "times.keep" times_keep: Span = "30d", false, "How long results, logs and reports are kept.";
    "notify.webhook" notify_webhook: Option<String> = "", false, "The URL that gets a message when outputs wait for a review. The rules of `sources.*` about addresses hold for it. Empty: none.";
    "notify.webhook_secret" notify_webhook_secret: Option<String> = "", true, "The key that signs these messages, at least 16 characters (Standard Webhooks, HMAC-SHA256).";
    "notify.command" notify_command: Option<PathBuf> = "", false, "A program that is started when outputs wait for a review, with the message on its standard input. Empty: none.";
    "sources.local_roots" sources_local_roots: BTreeMap<String, String> = "", false, "Folders on this machine whose files an account may publish: account = folders, separated by `:`. `*` stands for every account. Empty: none.";
    "sources.allow_networks" sources_allow_networks: Vec<ipnet::IpNet> = "", false, "Private networks that sources may be in, such as `10.1.0.0/16`. Empty: none.";
    "sources.servers" sources_servers: Vec<Map<String, Value>> = "", false, "Servers of sources with rules of their own: a list of tables with `host` (a name, or `*.` and a name), `networks` that this name alone may be in, and `ca`, a PEM file with the certificate authorities of this server.";
    "sources.ipfs_gateway" sources_ipfs_gateway: Option<String> = "", false, "The IPFS gateway that files are fetched through.";
    "sources.ipfs_node" sources_ipfs_node: Option<String> = "", false, "The API of an IPFS node that files are fetched from.";
    "sources.max_file" sources_max_file: Option<Size> = "", false, "Maximum size of one input file. Empty: 10GiB.";
    "sources.max_job" sources_max_job: Option<Size> = "", false, "Maximum size of all input files of a job. Empty: 50GiB.";
    "sources.deadline" sources_deadline: Option<Span> = "", false, "How long fetching one file may take. Empty: 1h.";
    "sources.attempts" sources_attempts: Option<u32> = "", false, "How often fetching from a source is attempted. Empty: 5.";
    "cache.bytes" cache_bytes: Size = "10GiB", false, "Maximum size of the cache of input files.";
    "results.url" results_url: Option<String> = "", false, "Where results are kept: file:///folder or s3://bucket/prefix. Empty: below `home`.";
    "results.options" results_options: BTreeMap<String, String> = "", true, "Options of the result store, including its credentials.";
    "results.per_account" results_per_account: Size = "50GiB", false, "Maximum size of all results of one account that are kept. An account at this limit cannot submit jobs.";
    "uploads.per_account" uploads_per_account: Size = "2GiB", false, "Maximum size of all uploads of one account.";
    "uploads.per_stranger" uploads_per_stranger: Size = "16MiB", false, "Maximum size of all uploads of an Ethereum account that neither `auth.ethereum_roles` nor `uploads.accounts` names.";
    "uploads.strangers" uploads_strangers: Size = "1GiB", false, "Maximum size of all uploads of those Ethereum accounts together; a small file counts as 4 KiB.";
    "uploads.accounts" uploads_accounts: BTreeMap<String, String> = "", false, "Maximum size of all uploads of single accounts: account = size.";
    "uploads.keep" uploads_keep: Span = "30d", false, "How long an upload is kept after it was last sent, unless a published asset or an unfinished job of its owner names it.";
    "assets.per_account" assets_per_account: u64 = "1000", false, "Maximum number of datasets and algorithms of one account, withdrawn ones included.";
    "audit.keep" audit_keep: Span = "90d", false, "How long a record stays in the audit log at least. `cloister audit archive` takes out older ones.";
    "images" images: BTreeMap<String, String> = "python=python,python-plain=python-plain,node=javascript", false, "Which installed interpreter runs the scripts of which container image.";
    "k8s.system_namespace" k8s_system_namespace: String = "cloister-system", false, "The namespace of the programs: keys, audit log, claims.";
    "k8s.jobs_namespace" k8s_jobs_namespace: String = "cloister-jobs", false, "The namespace of jobs and environments.";
    "k8s.assets_namespace" k8s_assets_namespace: String = "cloister-assets", false, "The namespace of the assets that are published over HTTP.";
    "k8s.kubeconfig" k8s_kubeconfig: Option<PathBuf> = "", false, "How to reach the API server. Empty: KUBECONFIG, else the service account of the pod.";
    "k8s.secrets" k8s_secrets: Option<PathBuf> = "", false, "Folder with the secrets that all replicas of the service share, as `cloister secrets` makes them. Empty: `secrets` below `home`.";
    "k8s.cloister_image" k8s_cloister_image: Option<String> = "", false, "The image with the cloister program for the steps around a run, pinned by its digest.";
    "k8s.sandbox_image" k8s_sandbox_image: Option<String> = "", false, "The image with the sandbox program, pinned by its digest.";
    "k8s.unpinned_images" k8s_unpinned_images: bool = "false", false, "Accept images that are not pinned by a digest. Anyone who can move the tag then chooses what runs the jobs. For tests.";
    "k8s.results_secret" k8s_results_secret: String = "results", false, "The Secret in the namespace of jobs whose key `cloister.toml` says where results are stored (`results.url`, `results.options`).";
    "k8s.results_claim" k8s_results_claim: Option<String> = "", false, "The PersistentVolumeClaim in the namespace of jobs that is the result store, mounted at /results. Empty: the store is elsewhere.";
    "k8s.sources_secret" k8s_sources_secret: Option<String> = "", false, "The Secret in the namespace of jobs whose key `cloister.toml` says where files may come from (`sources.*`). Empty: the defaults.";
    "k8s.priority_class" k8s_priority_class: Option<String> = "", false, "The priority class of the pods of jobs. Empty: the cluster's default.";
    "k8s.user_namespaces" k8s_user_namespaces: bool = "true", false, "Run each pod of a job in a user namespace of its own. Nodes and volumes must support it.";
    "k8s.selinux_levels" k8s_selinux_levels: bool = "false", false, "Give the pods of each job an SELinux level that no other job has.";
    "k8s.strict_groups" k8s_strict_groups: bool = "true", false, "Do not give the pods of jobs the groups that an image names.";
    "k8s.listen" k8s_listen: SocketAddr = "0.0.0.0:8091", false, "Address and port of `cloister engine` for /livez, /readyz and /metrics, which need no key.";
    "k8s.lease" k8s_lease: bool = "true", false, "Let one of several controllers (`cloister engine`) work while the others stand by. Without it, all of them work: jobs run as well, and the API server has more to do.";
    "k8s.archive_after" k8s_archive_after: Span = "1d", false, "How long after its end a job is moved from the API server to the store of results. The service answers as before; kubectl does not show the job.";
    "k8s.archive_beyond" k8s_archive_beyond: u64 = "1000", false, "Maximum number of ended jobs in the API server. If there are more, the oldest are moved.";
    "log.format" log_format: LogFormat = "auto", false, "Format of log lines. `auto`: text on a terminal, JSON elsewhere.";
    "log.level" log_level: LogLevel = "info", false, "Lowest level of log lines that are written.";
    "log.otlp_endpoint" log_otlp_endpoint: Option<String> = "", false, "The collector that receives traces of requests by OTLP over HTTP, such as http://collector:4318. Empty: none.";
    "log.otlp_headers" log_otlp_headers: BTreeMap<String, String> = "", true, "Headers for the collector, including its credentials.";
}

/// Whether a setting of this name exists.
pub(super) fn is_setting(key: &str) -> bool {
    TABLE.iter().any(|setting| setting.key == key)
}

impl Settings {
    /// The folders of `sources.local_roots`, by account.
    pub(crate) fn local_roots(&self) -> BTreeMap<String, Vec<PathBuf>> {
        let folders = |text: &String| text.split(':').map(PathBuf::from).collect();
        self.sources_local_roots.iter().map(|(account, text)| (account.clone(), folders(text))).collect()
    }

    /// Checks what no single value shows.
    fn check(&self) -> Result<(), ConfigError> {
        let wrong = |text: &str| Err(ConfigError::Contradiction(text.to_owned()));
        if self.tls_certificate.is_some() != self.tls_key.is_some() {
            return wrong("set both `tls.certificate` and `tls.key`, or neither");
        }
        if !self.listen.ip().is_loopback() && self.tls_certificate.is_none() && !self.insecure_http {
            return wrong(
                "`listen` is not a loopback address and there is no TLS; set `tls.certificate` and `tls.key`, put a proxy \
                 with TLS in front of a loopback address, or use `--insecure-http` on a trusted network",
            );
        }
        if self.operator_unverified_insist && !self.operator_unverified_signatures {
            return wrong(
                "`operator.unverified_signatures_insist` needs `operator.unverified_signatures`, which is off",
            );
        }
        if self.notify_webhook.is_some() && self.notify_webhook_secret.as_ref().is_none_or(|secret| secret.len() < 16) {
            return wrong("`notify.webhook` needs `notify.webhook_secret` with at least 16 characters");
        }
        if self.notify_webhook.is_none() && self.notify_webhook_secret.is_some() {
            return wrong("`notify.webhook_secret` needs `notify.webhook`, which is empty");
        }
        if self.sources_ipfs_gateway.is_some() && self.sources_ipfs_node.is_some() {
            return wrong("set `sources.ipfs_gateway` or `sources.ipfs_node`, not both");
        }
        if self.results_url.is_none() && !self.results_options.is_empty() {
            return wrong("`results.options` needs `results.url`, which is empty");
        }
        if self.log_otlp_endpoint.is_none() && !self.log_otlp_headers.is_empty() {
            return wrong("`log.otlp_headers` needs `log.otlp_endpoint`, which is empty");
        }
        for (key, name) in [
            ("k8s.system_namespace", &self.k8s_system_namespace),
            ("k8s.jobs_namespace", &self.k8s_jobs_namespace),
            ("k8s.assets_namespace", &self.k8s_assets_namespace),
        ] {
            if !is_label(name) {
                return wrong(&format!(
                    "`{key}` is not the name of a namespace; write 1 to 63 lower-case letters, digits or `-`"
                ));
            }
        }
        let namespaces = [&self.k8s_system_namespace, &self.k8s_jobs_namespace, &self.k8s_assets_namespace];
        if (0..3).any(|one| namespaces[one] == namespaces[(one + 1) % 3]) {
            return wrong(
                "two of `k8s.system_namespace`, `k8s.jobs_namespace` and `k8s.assets_namespace` are one; rights are given by \
                 namespace, so name three",
            );
        }
        if self.local_roots().values().flatten().any(|root| !root.is_absolute()) {
            return wrong("a folder of `sources.local_roots` is relative; begin it with `/`");
        }
        Ok(())
    }
}

/// Whether this can name a namespace.
fn is_label(name: &str) -> bool {
    let middle = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&name.len()) && name.bytes().all(middle) && !name.starts_with('-') && !name.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(pairs: &[&str]) -> Result<Settings, ConfigError> {
        let mut layers = Layers::default();
        for pair in pairs {
            layers.set(pair).expect("a known setting");
        }
        Settings::resolve(&layers)
    }

    #[test]
    fn defaults_are_valid() {
        let settings = with(&[]).expect("settings");
        assert!(settings.listen.ip().is_loopback() && !settings.insecure_http);
        assert_eq!(settings.listen.to_string(), DEFAULT_LISTEN);
        assert!(settings.operator_providers.is_empty() && settings.sources_local_roots.is_empty());
        assert_eq!(settings.shown().len(), TABLE.len());
    }

    #[test]
    fn shown_settings_can_be_read_again() {
        let (settings, mut layers) = (with(&[]).expect("settings"), Layers::default());
        let file: String =
            TABLE.iter().zip(settings.shown()).map(|(setting, value)| format!("{} = {value}\n", setting.key)).collect();
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("c.toml"), file).expect("written");
        layers.file(&folder.path().join("c.toml")).expect("a configuration");
        assert_eq!(Settings::resolve(&layers).expect("settings").shown(), settings.shown());
    }

    #[test]
    fn other_machines_are_not_served_without_tls() {
        assert!(matches!(with(&["listen=0.0.0.0:80"]), Err(ConfigError::Contradiction(_))));
        assert!(matches!(with(&["listen=[::]:80"]), Err(ConfigError::Contradiction(_))));
        with(&["listen=0.0.0.0:80", "insecure_http=true"]).expect("insisted");
        with(&["listen=0.0.0.0:80", "tls.certificate=a", "tls.key=b"]).expect("with TLS");
    }

    #[test]
    fn contradictions_are_refused() {
        for pairs in [
            &["tls.key=a"][..],
            &["operator.unverified_signatures_insist=true"],
            &["sources.ipfs_gateway=https://a", "sources.ipfs_node=http://b"],
            &["results.options=a=b"],
            &["log.otlp_headers=a=b"],
            &["sources.local_roots=alice=srv"],
            &["k8s.jobs_namespace=cloister-system"],
            &["k8s.jobs_namespace=My_Jobs"],
            &["k8s.assets_namespace="],
        ] {
            assert!(matches!(with(pairs), Err(ConfigError::Contradiction(_))), "{pairs:?}");
        }
    }
}
