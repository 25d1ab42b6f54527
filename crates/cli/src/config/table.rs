use super::{
    ConfigError, Layers, LogFormat, LogLevel,
    shape::{Shape, Size, Span},
};
use serde_json::{Map, Value};
use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};

/// One thing that can be set.
#[derive(Debug)]
pub(crate) struct Setting {
    /// Its name in the file: sections and a name, with dots between.
    pub(crate) key: &'static str,
    /// As one would write it into the environment. Empty: none, or nothing.
    pub(crate) default: &'static str,
    /// What it must be.
    pub(crate) expected: &'static str,
    /// What it does.
    pub(crate) doc: &'static str,
    /// Whether its value must not be shown.
    pub(crate) is_secret: bool,
}

/// Makes the one table of settings, and the type that holds all of them.
macro_rules! settings {
    ($($key:literal $field:ident: $type:ty = $default:literal, $secret:literal, $doc:literal;)*) => {
        /// Every setting, read.
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
            /// The first value that is not what it must be.
            pub(crate) fn resolve(layers: &Layers) -> Result<Self, ConfigError> {
                let mut table = TABLE.iter();
                // One entry of the table for each field, in the same order.
                let mut next = || table.next().expect("the table and the fields come from one list");
                let settings = Self { $($field: layers.read(next())?,)* };
                settings.check()?;
                Ok(settings)
            }

            /// Every value as the file would have it, in the order of the table.
            pub(super) fn shown(&self) -> Vec<String> {
                vec![$(self.$field.show(),)*]
            }
        }
    };
}

settings! {
    "home" home: PathBuf = "cloister-data", false, "The folder that holds everything: state, cache, results, the operator's key.";
    "listen" listen: SocketAddr = "127.0.0.1:8090", false, "Where the service listens. Port 0: any free one.";
    "insecure_http" insecure_http: bool = "false", false, "Listen beyond this machine without TLS: keys and data then cross the network in the clear.";
    "sandbox" sandbox: Option<PathBuf> = "", false, "The sandbox program. Empty: beside this program, else on PATH.";
    "sandbox_home" sandbox_home: Option<PathBuf> = "", false, "Where the sandbox program keeps compiled programs and runtimes. Empty: below `home`.";
    "tls.certificate" tls_certificate: Option<PathBuf> = "", false, "PEM file with the certificate chain. With `tls.key`: serve HTTPS.";
    "tls.key" tls_key: Option<PathBuf> = "", false, "PEM file with the private key.";
    "http.max_upload" http_max_upload: Size = "1GiB", false, "The most bytes of one uploaded file.";
    "http.max_connections" http_max_connections: u32 = "1024", false, "The most connections at once.";
    "http.account_per_second" http_account_per_second: u32 = "50", false, "Requests that one account may make per second, on average.";
    "http.account_burst" http_account_burst: u32 = "200", false, "Requests that one account may make at once.";
    "http.address_per_second" http_address_per_second: u32 = "100", false, "Requests that one network address may make per second, on average.";
    "http.address_burst" http_address_burst: u32 = "400", false, "Requests that one network address may make at once.";
    "http.header_timeout" http_header_timeout: Span = "30s", false, "How long a client may take to send the head of a request.";
    "http.request_timeout" http_request_timeout: Span = "1m", false, "How long a request may take that streams nothing.";
    "http.behind_proxy" http_behind_proxy: bool = "false", false, "Believe the last entry of X-Forwarded-For: a proxy stands in front, and nothing else reaches the service.";
    "http.cors_origins" http_cors_origins: Vec<String> = "", false, "Web origins whose pages may call the service.";
    "http.metrics" http_metrics: bool = "true", false, "Whether /metrics answers.";
    "auth.oidc" auth_oidc: Vec<Map<String, Value>> = "", false, "Issuers of tokens: a list of tables with issuer, audience, and what each needs.";
    "auth.nonce_window" auth_nonce_window: Span = "5m", false, "How old a signed request may be.";
    "auth.ethereum_role" auth_ethereum_role: Option<String> = "", false, "What whoever signs with an Ethereum account may do: `consumer` or `publisher`. Empty: such signatures are not taken.";
    "auth.ethereum_roles" auth_ethereum_roles: BTreeMap<String, String> = "", false, "What single Ethereum accounts may do, by address.";
    "auth.public_url" auth_public_url: Option<String> = "", false, "The address that clients know the service by: requests that are signed with an Ethereum account must then be signed for it.";
    "operator.providers" operator_providers: Vec<String> = "", false, "Accounts of the Ocean Providers that may use Ocean's operator API. Empty: none may.";
    "operator.address" operator_address: Option<String> = "", false, "The account that orders must name as consumer. Empty: the zero address.";
    "operator.unverified_signatures" operator_unverified_signatures: bool = "false", false, "Take requests of this machine whose signature cannot be checked: whoever sends one is any consumer. For moving old clients over.";
    "operator.unverified_signatures_insist" operator_unverified_insist: bool = "false", false, "Take such requests of other machines, too. Never where a stranger can send one.";
    "operator.unverified_admins" operator_unverified_admins: Vec<String> = "", true, "Values of the header `Admin` that are taken while `operator.unverified_signatures` is on.";
    "engine.environment" engine_environment: String = "local", false, "The name of the environment, which jobs give.";
    "engine.description" engine_description: String = "Jobs on this machine", false, "What consumers read about the environment.";
    "engine.max_jobs" engine_max_jobs: Option<u64> = "", false, "The most jobs at once, algorithms and what happens before and after them. Empty: two for each processor.";
    "engine.cpus" engine_cpus: Option<u32> = "", false, "Processors for all jobs. Empty: all of this machine's.";
    "engine.memory" engine_memory: Option<Size> = "", false, "Memory for all jobs. Empty: three quarters of this machine's.";
    "engine.job_memory" engine_job_memory: Option<Size> = "", false, "The most memory for one job. Empty: as much as for all.";
    "engine.max_queued" engine_max_queued: u64 = "1000", false, "The most jobs that may wait.";
    "engine.max_wall" engine_max_wall: Span = "1h", false, "The longest that one algorithm may run.";
    "times.queue" times_queue: Span = "1d", false, "The longest that a job waits for its turn.";
    "times.total" times_total: Span = "1d", false, "The longest that a job takes altogether, a review not counted.";
    "times.review" times_review: Span = "7d", false, "The longest that a job waits for a reviewer.";
    "times.keep" times_keep: Span = "30d", false, "How long results, log and report are kept.";
    "sources.local_roots" sources_local_roots: BTreeMap<String, String> = "", false, "The folders of this machine whose files an account may publish as its own: account = folders, with `:` between; `*`: any account. Empty: none.";
    "sources.allow_networks" sources_allow_networks: Vec<ipnet::IpNet> = "", false, "Private networks that sources may be in, such as `10.1.0.0/16`. Empty: none.";
    "sources.ipfs_gateway" sources_ipfs_gateway: Option<String> = "", false, "The IPFS gateway that files come through.";
    "sources.ipfs_node" sources_ipfs_node: Option<String> = "", false, "The API of an IPFS node that files come from.";
    "sources.max_file" sources_max_file: Option<Size> = "", false, "The most bytes of one file. Empty: the built-in limit.";
    "sources.max_job" sources_max_job: Option<Size> = "", false, "The most bytes of all files of a job. Empty: the built-in limit.";
    "sources.deadline" sources_deadline: Option<Span> = "", false, "The longest that one file may take. Empty: the built-in limit.";
    "sources.attempts" sources_attempts: Option<u32> = "", false, "How often a source is tried. Empty: the built-in number.";
    "cache.bytes" cache_bytes: Size = "10GiB", false, "How large the cache of input files may grow.";
    "results.url" results_url: Option<String> = "", false, "Where results are kept: file:///folder or s3://bucket/prefix. Empty: below `home`.";
    "results.options" results_options: BTreeMap<String, String> = "", true, "What the store of results needs to know, credentials included.";
    "uploads.per_account" uploads_per_account: Size = "2GiB", false, "The most bytes of uploads that one account may keep.";
    "images" images: BTreeMap<String, String> = "python=python", false, "Which container images are run by which installed interpreter.";
    "log.format" log_format: LogFormat = "auto", false, "How log lines are written; auto: text on a terminal, JSON elsewhere.";
    "log.level" log_level: LogLevel = "info", false, "The least important lines that are written.";
    "log.otlp_endpoint" log_otlp_endpoint: Option<String> = "", false, "The collector that traces of requests are sent to, by OTLP over HTTP, such as http://collector:4318. Empty: none.";
    "log.otlp_headers" log_otlp_headers: BTreeMap<String, String> = "", true, "Headers that the collector wants, credentials included.";
}

/// Whether there is such a setting.
pub(super) fn is_setting(key: &str) -> bool {
    TABLE.iter().any(|setting| setting.key == key)
}

impl Settings {
    /// What one value alone cannot say.
    /// `sources.local_roots`, by account.
    pub(crate) fn local_roots(&self) -> BTreeMap<String, Vec<PathBuf>> {
        let folders = |text: &String| text.split(':').map(PathBuf::from).collect();
        self.sources_local_roots.iter().map(|(account, text)| (account.clone(), folders(text))).collect()
    }

    fn check(&self) -> Result<(), ConfigError> {
        let wrong = |text: &str| Err(ConfigError::Contradiction(text.to_owned()));
        if self.tls_certificate.is_some() != self.tls_key.is_some() {
            return wrong("`tls.certificate` and `tls.key` are needed both, or neither");
        }
        if !self.listen.ip().is_loopback() && self.tls_certificate.is_none() && !self.insecure_http {
            return wrong(
                "`listen` is not a loopback address and there is no TLS; set `tls.certificate` and `tls.key`, put a proxy \
                 with TLS in front of a loopback address, or say `--insecure-http`",
            );
        }
        if self.operator_unverified_insist && !self.operator_unverified_signatures {
            return wrong(
                "`operator.unverified_signatures_insist` is for `operator.unverified_signatures`, which is off",
            );
        }
        if self.sources_ipfs_gateway.is_some() && self.sources_ipfs_node.is_some() {
            return wrong("`sources.ipfs_gateway` and `sources.ipfs_node` exclude each other");
        }
        if self.results_url.is_none() && !self.results_options.is_empty() {
            return wrong("`results.options` is for `results.url`, which is empty");
        }
        if self.log_otlp_endpoint.is_none() && !self.log_otlp_headers.is_empty() {
            return wrong("`log.otlp_headers` is for `log.otlp_endpoint`, which is empty");
        }
        if self.local_roots().values().flatten().any(|root| !root.is_absolute()) {
            return wrong("a folder of `sources.local_roots` is not absolute; begin it with `/`");
        }
        Ok(())
    }
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
    fn defaults_are_settings() {
        let settings = with(&[]).expect("settings");
        assert!(settings.listen.ip().is_loopback() && !settings.insecure_http);
        assert!(settings.operator_providers.is_empty() && settings.sources_local_roots.is_empty());
        assert_eq!(settings.shown().len(), TABLE.len());
    }

    #[test]
    fn what_is_shown_can_be_read_again() {
        let (settings, mut layers) = (with(&[]).expect("settings"), Layers::default());
        let file: String =
            TABLE.iter().zip(settings.shown()).map(|(setting, value)| format!("{} = {value}\n", setting.key)).collect();
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("c.toml"), file).expect("written");
        layers.file(&folder.path().join("c.toml")).expect("a configuration");
        assert_eq!(Settings::resolve(&layers).expect("settings").shown(), settings.shown());
    }

    #[test]
    fn nothing_is_served_in_the_clear_beyond_this_machine() {
        assert!(matches!(with(&["listen=0.0.0.0:80"]), Err(ConfigError::Contradiction(_))));
        assert!(matches!(with(&["listen=[::]:80"]), Err(ConfigError::Contradiction(_))));
        with(&["listen=0.0.0.0:80", "insecure_http=true"]).expect("insisted");
        with(&["listen=0.0.0.0:80", "tls.certificate=a", "tls.key=b"]).expect("with TLS");
    }

    #[test]
    fn contradictions_are_said() {
        for pairs in [
            &["tls.key=a"][..],
            &["operator.unverified_signatures_insist=true"],
            &["sources.ipfs_gateway=https://a", "sources.ipfs_node=http://b"],
            &["results.options=a=b"],
            &["log.otlp_headers=a=b"],
            &["sources.local_roots=alice=srv"],
        ] {
            assert!(matches!(with(pairs), Err(ConfigError::Contradiction(_))), "{pairs:?}");
        }
    }
}
