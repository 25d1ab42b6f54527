//! From the table of settings to what each part wants to know.

use super::{machine, sandbox};
use crate::{
    arguments::COMMIT,
    config::{ConfigError, Settings, Size},
    exit::Usage,
};
use cloister_api::{
    GetJson, Issuer, IssuerDocument, KeyLifetimes, OperatorSettings, Quotas, RateLimits, Settings as ServiceSettings,
    SignIn,
};
use cloister_local_engine::{EnvironmentOptions, Options};
use cloister_model::{Account, Role, Secret, TimeLimits, escape};
use cloister_results::StoreConfig;
use cloister_sources::{DocumentFetcher, HostPattern, Ipfs, KnownServer, SourcePolicy};
use ipnet::IpNet;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};
use url::Url;

/// The most bytes of a document that an issuer of tokens answers with.
const MOST_ISSUER_BYTES: usize = 1024 * 1024;

/// What the engine wants to know.
pub(super) fn engine(settings: &Settings) -> anyhow::Result<Options> {
    let cpus = settings.engine_cpus.unwrap_or_else(machine::cpus);
    let memory_bytes = settings.engine_memory.map_or_else(machine::memory_bytes, |size| size.0);
    let sources = sources(settings)?;
    let results = settings.results_url.clone();
    Ok(Options {
        home: settings.home.clone(),
        sandbox: sandbox::find(settings.sandbox.as_deref())?,
        sandbox_home: settings.sandbox_home.clone(),
        environment: EnvironmentOptions {
            id: settings
                .engine_environment
                .parse()
                .map_err(|error| Usage::error(format!("`engine.environment`: {error}; choose another name")))?,
            description: settings.engine_description.clone(),
            max_jobs: settings.engine_max_jobs.unwrap_or(2 * u64::from(cpus)),
            cpus,
            memory_bytes,
            job_memory_bytes: settings.engine_job_memory.map_or(memory_bytes / 2, |size| size.0),
            max_queued: settings.engine_max_queued,
            reserved_jobs: settings.engine_reserved_jobs,
            max_queued_per_account: settings.engine_account_queued,
            min_free_bytes: settings.engine_min_free.0,
            max_wall_ms: settings.engine_max_wall.ms(),
        },
        sources,
        cache_bytes: settings.cache_bytes.0,
        results: results.map(|url| StoreConfig { url, options: settings.results_options.clone() }),
    })
}

/// Where results are kept.
pub(crate) fn results(settings: &Settings) -> anyhow::Result<StoreConfig> {
    let url = match &settings.results_url {
        Some(url) => url.clone(),
        None => {
            let folder = std::path::absolute(settings.home.join("results"));
            let url = folder.ok().and_then(|folder| Url::from_file_path(folder).ok());
            url.ok_or_else(|| Usage::error("the folder of results has no absolute path"))?.into()
        }
    };
    Ok(StoreConfig { url, options: settings.results_options.clone() })
}

/// Folders that no source may be in: keys, uploads and results of all accounts, as far as they exist.
pub(crate) fn own_folders(settings: &Settings, results: &StoreConfig) -> anyhow::Result<Vec<PathBuf>> {
    std::fs::create_dir_all(&settings.home)?;
    let results = Url::parse(&results.url).ok().filter(|url| url.scheme() == "file");
    let results = results.and_then(|url| url.to_file_path().ok()).filter(|folder| folder.exists());
    Ok([Some(settings.home.clone()), results].into_iter().flatten().collect())
}

/// Where files may be fetched from.
pub(crate) fn sources(settings: &Settings) -> anyhow::Result<SourcePolicy> {
    let url = |key: &str, text: &str| {
        Url::parse(text)
            .map_err(|error| Usage::error(format!("`{key}` is not a URL ({error}); write http://host:port")))
    };
    let ipfs = match (&settings.sources_ipfs_gateway, &settings.sources_ipfs_node) {
        (Some(gateway), _) => Some(Ipfs::Gateway(url("sources.ipfs_gateway", gateway)?)),
        (None, Some(node)) => Some(Ipfs::Node(url("sources.ipfs_node", node)?)),
        (None, None) => None,
    };
    let built_in = SourcePolicy::default();
    Ok(SourcePolicy {
        local_roots: settings.local_roots().into_values().flatten().collect(),
        allow_networks: settings.sources_allow_networks.clone(),
        servers: servers(settings)?,
        ipfs,
        max_file_bytes: settings.sources_max_file.map_or(built_in.max_file_bytes, |size| size.0),
        max_job_bytes: settings.sources_max_job.map_or(built_in.max_job_bytes, |size| size.0),
        deadline: settings.sources_deadline.map_or(built_in.deadline, |span| span.0),
        attempts: settings.sources_attempts.unwrap_or(built_in.attempts),
        ..built_in
    })
}

/// A server of sources, as it is written in the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenServer {
    host: String,
    #[serde(default)]
    networks: Vec<IpNet>,
    ca: Option<PathBuf>,
}

/// Servers of sources that the operator knows by name.
fn servers(settings: &Settings) -> anyhow::Result<Vec<KnownServer>> {
    let read = |(place, table): (usize, &Map<String, Value>)| {
        let wrong =
            |error: &dyn std::fmt::Display| Usage::error(format!("`sources.servers`, server {}: {error}", place + 1));
        let WrittenServer { host, networks, ca } =
            serde_json::from_value(Value::Object(table.clone())).map_err(|error| wrong(&error))?;
        let ca = ca.as_deref().map(authorities).transpose().map_err(|error| wrong(&error))?;
        Ok(KnownServer { host: host.parse().map_err(|error| wrong(&error))?, networks, ca })
    };
    settings.sources_servers.iter().enumerate().map(read).collect()
}

/// A file of certificate authorities.
fn authorities(path: &Path) -> Result<Vec<u8>, String> {
    let pem = std::fs::read(path).map_err(|error| format!("`{}`: {error}", path.display()))?;
    match reqwest::Certificate::from_pem_bundle(&pem) {
        Ok(certificates) if !certificates.is_empty() => Ok(pem),
        _ => Err(format!("`{}` holds no certificates in PEM form", path.display())),
    }
}

/// What fetches the documents of each issuer: as sources are fetched, and for the hosts that the operator has written down, in
/// the networks and with the authorities of that issuer.
pub(super) fn issuer_documents(settings: &Settings) -> anyhow::Result<GetJson> {
    let policy = sources(settings)?;
    let mut fetchers = BTreeMap::new();
    for written in written_issuers(settings)? {
        let WrittenIssuer { issuer, jwks_url, networks, ca, .. } = written;
        let wrong = |error: &dyn std::fmt::Display| Usage::error(format!("`auth.oidc`, issuer `{issuer}`: {error}"));
        let ca = ca.as_deref().map(authorities).transpose().map_err(|error| wrong(&error))?;
        let hosts = [Some(&issuer), jwks_url.as_ref()].into_iter().flatten();
        let hosts = hosts.filter_map(|url| Url::parse(url).ok()?.host_str()?.parse::<HostPattern>().ok());
        let special = !networks.is_empty() || ca.is_some();
        let own = hosts.map(|host| KnownServer { host, networks: networks.clone(), ca: ca.clone() });
        let own = own.filter(|_| special);
        let servers = own.chain(policy.servers.iter().cloned()).collect();
        let fetcher = DocumentFetcher::new(&SourcePolicy { servers, ..policy.clone() });
        fetchers.insert(issuer.clone(), Arc::new(fetcher.map_err(|error| wrong(&error))?));
    }
    Ok(Arc::new(move |IssuerDocument { issuer, url }| {
        let fetcher = fetchers.get(&issuer).cloned();
        Box::pin(async move {
            let fetcher = fetcher.ok_or_else(|| "the issuer is not configured".to_owned())?;
            fetcher.get_json(&url, MOST_ISSUER_BYTES).await.map_err(|error| error.to_string())
        })
    }))
}

/// The secrets of the service: from its folder, or shared by all replicas.
pub(super) struct ServiceSecrets {
    /// What job names are derived with.
    pub(super) secret: [u8; 32],
    /// The seed of the key that signs receipts.
    pub(super) receipt_key: [u8; 32],
}

/// The settings of the service itself, without its engine.
pub(super) fn service(
    settings: &Settings,
    ServiceSecrets { secret, receipt_key }: ServiceSecrets,
    get_json: GetJson,
) -> Result<ServiceSettings, ConfigError> {
    let ethereum_roles = settings
        .auth_ethereum_roles
        .iter()
        .map(|(address, text)| Ok((address.to_ascii_lowercase(), role("auth.ethereum_roles", text)?)));
    Ok(ServiceSettings {
        public_url: settings.auth_public_url.clone(),
        oidc: issuers(settings)?,
        get_json: Some(get_json),
        ethereum_role: settings
            .auth_ethereum_role
            .as_deref()
            .map(|text| role("auth.ethereum_role", text))
            .transpose()?,
        ethereum_roles: by_account("auth.ethereum_roles", ethereum_roles)?,
        nonce_window: settings.auth_nonce_window.0,
        images: settings.images.clone(),
        cors_origins: settings.http_cors_origins.clone(),
        rates: RateLimits {
            account_per_second: settings.http_account_per_second,
            account_burst: settings.http_account_burst,
            address_per_second: settings.http_address_per_second,
            address_burst: settings.http_address_burst,
        },
        behind_proxy: settings.http_behind_proxy,
        local_roots: roots(settings)?,
        times: TimeLimits {
            queue_ms: settings.times_queue.ms(),
            total_ms: settings.times_total.ms(),
            review_ms: settings.times_review.ms(),
            publishing_ms: settings.times_publishing.ms(),
            keep_ms: settings.times_keep.ms(),
        },
        max_upload_bytes: settings.http_max_upload.0,
        request_timeout: settings.http_request_timeout.0,
        metrics: settings.http_metrics.0,
        operator: operator(settings)?,
        key_lifetimes: KeyLifetimes {
            longest: settings.auth_key_lifetime.0,
            by_signature: settings.auth_ethereum_key_lifetime.0,
        },
        quotas: quotas(settings)?,
        audit_keep: settings.audit_keep.0,
        commit: COMMIT,
        ..ServiceSettings::new(secret, receipt_key)
    })
}

/// How much one account may have.
fn quotas(settings: &Settings) -> Result<Quotas, ConfigError> {
    let accounts = settings.uploads_accounts.iter().map(|(account, size)| {
        let account: Account = account.parse().map_err(|error| {
            ConfigError::Contradiction(format!("`uploads.accounts`: `{}`: {error}", escape(account.as_bytes(), 64)))
        })?;
        let size: Size = size.parse().map_err(|()| {
            let size = escape(size.as_bytes(), 64);
            ConfigError::Contradiction(format!("`uploads.accounts`: `{size}` is not a size; write one such as `4GiB`"))
        })?;
        Ok((account.key().to_owned(), size.0))
    });
    Ok(Quotas {
        upload_bytes: settings.uploads_per_account.0,
        stranger_upload_bytes: settings.uploads_per_stranger.0,
        strangers_upload_bytes: settings.uploads_strangers.0,
        upload_bytes_of: by_account("uploads.accounts", accounts)?,
        upload_keep: settings.uploads_keep.0,
        assets: settings.assets_per_account,
        result_bytes: settings.results_per_account.0,
        ..Quotas::default()
    })
}

/// The folders that accounts may name files in, by the one spelling of each account.
fn roots(settings: &Settings) -> Result<BTreeMap<String, Vec<PathBuf>>, ConfigError> {
    let spelt = |(account, folders): (String, Vec<PathBuf>)| match account.as_str() {
        "*" => Ok((account, folders)),
        name => match name.parse::<Account>() {
            Ok(account) => Ok((account.key().to_owned(), folders)),
            Err(error) => Err(ConfigError::Contradiction(format!("`sources.local_roots`: {error}"))),
        },
    };
    by_account("sources.local_roots", settings.local_roots().into_iter().map(spelt))
}

/// Entries by account. Two spellings of one account are refused, because only one of the two entries could count.
fn by_account<T>(
    key: &str,
    entries: impl Iterator<Item = Result<(String, T), ConfigError>>,
) -> Result<BTreeMap<String, T>, ConfigError> {
    let mut all = BTreeMap::new();
    for entry in entries {
        let (account, value) = entry?;
        if all.contains_key(&account) {
            let account = escape(account.as_bytes(), 64);
            return Err(ConfigError::Contradiction(format!("`{key}`: the account `{account}` stands there twice")));
        }
        all.insert(account, value);
    }
    Ok(all)
}

/// What Ocean's operator API wants to know.
fn operator(settings: &Settings) -> Result<OperatorSettings, ConfigError> {
    let account = |key: &str, text: &str| -> Result<Account, ConfigError> {
        let digits = text.strip_prefix("0x").filter(|digits| digits.len() == 40);
        let is_address = digits.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let account = is_address.then(|| text.parse().ok()).flatten();
        let wrong = || format!("`{key}`: `{}` is not an Ethereum address (0x...)", escape(text.as_bytes(), 64));
        account.ok_or_else(|| ConfigError::Contradiction(wrong()))
    };
    let providers = settings.operator_providers.iter().map(|text| account("operator.providers", text));
    let address = settings.operator_address.as_deref().map(|text| account("operator.address", text));
    Ok(OperatorSettings {
        providers: providers.collect::<Result<_, _>>()?,
        address: address.transpose()?,
        unverified_signatures: settings.operator_unverified_signatures,
        insist: settings.operator_unverified_insist,
        unverified_admins: settings.operator_unverified_admins.iter().cloned().map(Secret::new).collect(),
    })
}

/// An issuer of tokens, as it is written in the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenIssuer {
    issuer: String,
    audience: String,
    jwks_url: Option<String>,
    #[serde(default = "subject")]
    account_claim: String,
    #[serde(default)]
    account_prefix: String,
    role_claim: Option<String>,
    #[serde(default)]
    roles: BTreeMap<String, Role>,
    default_role: Option<Role>,
    /// The public client that command lines sign in as.
    client_id: Option<String>,
    /// The scopes that they ask for.
    #[serde(default)]
    scopes: Vec<String>,
    /// Networks beyond the public ones that its server may be in.
    #[serde(default)]
    networks: Vec<IpNet>,
    /// The certificate authorities of its server.
    ca: Option<PathBuf>,
}

fn subject() -> String {
    "sub".to_owned()
}

fn written_issuers(settings: &Settings) -> Result<Vec<WrittenIssuer>, ConfigError> {
    let read = |(place, table): (usize, &Map<String, Value>)| {
        serde_json::from_value(Value::Object(table.clone()))
            .map_err(|error| ConfigError::Contradiction(format!("`auth.oidc`, issuer {}: {error}", place + 1)))
    };
    settings.auth_oidc.iter().enumerate().map(read).collect()
}

/// The issuers of tokens.
fn issuers(settings: &Settings) -> Result<Vec<Issuer>, ConfigError> {
    let issuer = |written: WrittenIssuer| {
        if written.client_id.is_none() && !written.scopes.is_empty() {
            let issuer = written.issuer;
            let text = format!("`auth.oidc`, issuer `{issuer}`: `scopes` are for signing in, which needs `client_id`");
            return Err(ConfigError::Contradiction(text));
        }
        Ok(Issuer {
            issuer: written.issuer,
            audience: written.audience,
            jwks_url: written.jwks_url,
            account_claim: written.account_claim,
            account_prefix: written.account_prefix,
            role_claim: written.role_claim,
            roles: written.roles,
            default_role: written.default_role,
            sign_in: written.client_id.map(|client_id| SignIn { client_id, scopes: written.scopes }),
        })
    };
    written_issuers(settings)?.into_iter().map(issuer).collect()
}

/// A role in a setting.
fn role(key: &str, text: &str) -> Result<Role, ConfigError> {
    text.parse().map_err(|expected| ConfigError::Contradiction(format!("`{key}`: {expected}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Layers, Span, TABLE};

    fn with(pairs: &[&str]) -> Settings {
        let mut layers = Layers::default();
        for pair in pairs {
            layers.set(pair).expect("a known setting");
        }
        Settings::resolve(&layers).expect("settings")
    }

    #[test]
    fn providers_are_addresses() {
        let good = operator(&with(&["operator.providers=0x1563915e194D8CfBA1943570603F7606A3115508"]));
        assert_eq!(good.expect("settings").providers.len(), 1);
        for wrong in ["nobody", "0x1563915e", "1563915e194D8CfBA1943570603F7606A3115508aa", "*"] {
            assert!(operator(&with(&[&format!("operator.providers={wrong}")])).is_err(), "{wrong}");
            assert!(operator(&with(&[&format!("operator.address={wrong}")])).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_account_has_one_entry_whatever_its_spelling() {
        let address = "0x1563915e194D8CfBA1943570603F7606A3115508";
        let lower = address.to_lowercase();
        let twice = with(&[&format!("sources.local_roots={address}=/a,{lower}=/b")]);
        assert!(roots(&twice).is_err());
        assert_eq!(roots(&with(&[&format!("sources.local_roots={address}=/a")])).expect("roots")[&lower].len(), 1);
        let twice = with(&[&format!("auth.ethereum_roles={address}=consumer,{lower}=publisher")]);
        let secrets = ServiceSecrets { secret: [1; 32], receipt_key: [2; 32] };
        let get_json: GetJson = std::sync::Arc::new(|_| Box::pin(async { Err("no network".to_owned()) }));
        assert!(service(&twice, secrets, get_json).is_err());
    }

    /// Settings without a value say in their description what holds instead.
    #[test]
    fn the_table_names_the_limits_of_sources_that_hold_without_a_setting() {
        let built_in = SourcePolicy::default();
        for (key, value) in [
            ("sources.max_file", Size(built_in.max_file_bytes).to_string()),
            ("sources.max_job", Size(built_in.max_job_bytes).to_string()),
            ("sources.deadline", Span(built_in.deadline).to_string()),
            ("sources.attempts", built_in.attempts.to_string()),
        ] {
            let setting = TABLE.iter().find(|setting| setting.key == key).expect("a setting");
            assert!(setting.doc.ends_with(&format!("Empty: {value}.")), "{key}: {}", setting.doc);
        }
    }

    #[test]
    fn issuers_are_read_whole_or_not_at_all() {
        let settings = with(&[r#"auth.oidc=[{"issuer":"https://i","audience":"a","roles":{"admin":"operator"}}]"#]);
        let issuers = issuers(&settings).expect("issuers");
        assert_eq!((issuers[0].account_claim.as_str(), issuers[0].default_role), ("sub", None));
        assert_eq!(issuers[0].roles["admin"], Role::Operator);
        assert_eq!(issuers[0].sign_in, None);
        let settings = with(&[r#"auth.oidc=[{"issuer":"https://i","audience":"a","client_id":"c","scopes":["s"]}]"#]);
        let found = super::issuers(&settings).expect("issuers").remove(0).sign_in;
        assert_eq!(found, Some(SignIn { client_id: "c".to_owned(), scopes: vec!["s".to_owned()] }));
        for wrong in [
            r#"[{"issuer":"https://i"}]"#,
            r#"[{"issuer":"i","audience":"a","rols":{}}]"#,
            r#"[{"issuer":"https://i","audience":"a","scopes":["s"]}]"#,
        ] {
            let settings = with(&[&format!("auth.oidc={wrong}")]);
            assert!(super::issuers(&settings).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sources_stay_closed_unless_they_are_opened() {
        let policy = sources(&with(&[])).expect("a policy");
        assert!(policy.local_roots.is_empty() && policy.allow_networks.is_empty() && policy.ipfs.is_none());
        let settings = with(&[
            "sources.ipfs_node=http://127.0.0.1:5001",
            "sources.max_file=1KiB",
            "sources.allow_networks=10.0.0.0/8",
        ]);
        let policy = sources(&settings).expect("a policy");
        assert_eq!((policy.max_file_bytes, policy.allow_networks.len()), (1024, 1));
        assert!(matches!(policy.ipfs, Some(Ipfs::Node(_))));
        assert!(sources(&with(&["sources.ipfs_node=nowhere"])).is_err());
    }

    #[test]
    fn a_known_server_is_read_whole_or_not_at_all() {
        let servers = |text: &str| super::servers(&with(&[&format!("sources.servers={text}")]));
        let read = servers(r#"[{"host": "Data.Example.org", "networks": ["10.1.2.3/32"]}]"#).expect("servers");
        assert!(read[0].host.fits("data.example.org") && read[0].networks.len() == 1 && read[0].ca.is_none());
        let folder = tempfile::tempdir().expect("a folder");
        let no_pem = folder.path().join("ca.pem");
        std::fs::write(&no_pem, "nothing").expect("written");
        for wrong in [
            r#"[{"networks": []}]"#.to_owned(),
            r#"[{"host": "a b"}]"#.to_owned(),
            r#"[{"host": "a", "network": []}]"#.to_owned(),
            r#"[{"host": "a", "networks": ["10.1.2.3/99"]}]"#.to_owned(),
            r#"[{"host": "a", "ca": "/nowhere.pem"}]"#.to_owned(),
            format!(r#"[{{"host": "a", "ca": "{}"}}]"#, no_pem.display()),
        ] {
            assert!(servers(&wrong).is_err(), "{wrong}");
        }
    }
}
