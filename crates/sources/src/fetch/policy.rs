use ipnet::IpNet;
use std::{fmt, path::PathBuf, str::FromStr, time::Duration};
use url::Url;

/// From where files may be fetched, and how much of everything that may take. The operator's word; the default allows
/// public addresses only.
#[derive(Clone, Debug)]
pub struct SourcePolicy {
    /// Folders below which `local` sources may be. None: no local file.
    pub local_roots: Vec<PathBuf>,
    /// Folders that no `local` source may be in, whatever holds them: where a service keeps its keys and the files of all accounts.
    pub closed: Vec<PathBuf>,
    /// Networks beyond the public ones that sources may be in.
    pub allow_networks: Vec<IpNet>,
    /// Servers with rules of their own. The first whose name fits counts.
    pub servers: Vec<KnownServer>,
    /// Where `ipfs` sources are fetched from. None: they are refused.
    pub ipfs: Option<Ipfs>,
    /// Bytes of one file.
    pub max_file_bytes: u64,
    /// Bytes of all files of a job.
    pub max_job_bytes: u64,
    /// Redirects that one request may be sent through.
    pub max_redirects: u32,
    /// Attempts at one file that bring nothing new; an attempt that brought bytes starts the count again.
    pub attempts: u32,
    /// Time to reach a server.
    pub connect_timeout: Duration,
    /// Time without a byte, the wait for an answer included.
    pub idle_timeout: Duration,
    /// Time for one file, all attempts together.
    pub deadline: Duration,
    /// Files fetched at a time for one job.
    pub parallel: usize,
}

/// A server that the operator knows by name: requests to this name, and no others, may go to these networks, and its certificate
/// is compared with these authorities.
#[derive(Clone, PartialEq, Eq)]
pub struct KnownServer {
    /// Its name.
    pub host: HostPattern,
    /// Networks beyond the public ones that it may be in.
    pub networks: Vec<IpNet>,
    /// The certificate authorities that alone may vouch for it (PEM); none: those of this machine.
    pub ca: Option<Vec<u8>>,
}

impl fmt::Debug for KnownServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KnownServer")
            .field("host", &self.host)
            .field("networks", &self.networks)
            .finish_non_exhaustive()
    }
}

/// A host name (`data.example.org`), or all names below one (`*.example.org`). Without letter case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern(String);

/// The text is no host name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a host is a name such as `data.example.org`, `*.example.org` for all names below one, or an address")]
pub struct HostPatternError;

impl FromStr for HostPattern {
    type Err = HostPatternError;

    fn from_str(text: &str) -> Result<Self, HostPatternError> {
        let name = text.strip_prefix("*.").unwrap_or(text);
        // As a URL writes it: names in ASCII, addresses in their shortest form.
        let host = url::Host::parse(name).map_err(|_| HostPatternError)?;
        let wild = name.len() < text.len();
        match host {
            url::Host::Domain(name) if name.contains('*') => Err(HostPatternError),
            url::Host::Domain(name) if wild => Ok(Self(format!("*.{name}"))),
            host if !wild => Ok(Self(host.to_string())),
            _ => Err(HostPatternError),
        }
    }
}

impl HostPattern {
    /// Whether a host, as a URL writes it, is meant.
    #[must_use]
    pub fn fits(&self, host: &str) -> bool {
        match self.0.strip_prefix('*') {
            Some(end) => host.len() > end.len() && host.ends_with(end),
            None => self.0 == host,
        }
    }
}

/// Who is asked for content of IPFS. The operator's own: it need not be at a public address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ipfs {
    /// A gateway: `GET <gateway>/ipfs/<cid>`.
    Gateway(Url),
    /// The API of a node: `POST <node>/api/v0/cat?arg=<cid>`.
    Node(Url),
}

impl Default for SourcePolicy {
    /// Public addresses, no local files, no IPFS; files of 10 GiB, jobs of 50 GiB, an hour per file.
    fn default() -> Self {
        const GIB: u64 = 1 << 30;
        Self {
            local_roots: Vec::new(),
            closed: Vec::new(),
            allow_networks: Vec::new(),
            servers: Vec::new(),
            ipfs: None,
            max_file_bytes: 10 * GIB,
            max_job_bytes: 50 * GIB,
            max_redirects: 5,
            attempts: 5,
            connect_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(30),
            deadline: Duration::from_secs(60 * 60),
            parallel: 4,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_all_names_below_one() {
        let pattern = |text: &str| text.parse::<HostPattern>();
        let fits = |text: &str, host: &str| pattern(text).expect("a host").fits(host);
        assert!(fits("data.example.org", "data.example.org") && fits("DATA.example.org", "data.example.org"));
        assert!(!fits("data.example.org", "x.data.example.org") && !fits("data.example.org", "data.example.org.evil"));
        assert!(fits("*.example.org", "a.example.org") && fits("*.example.org", "a.b.example.org"));
        assert!(!fits("*.example.org", "example.org") && !fits("*.example.org", "evilexample.org"));
        assert!(fits("10.1.2.3", "10.1.2.3") && fits("[::1]", "[::1]"));
        for wrong in ["", "*", "*.", "*.10.0.0.1", "https://a", "a/b", "a b"] {
            assert_eq!(pattern(wrong), Err(HostPatternError), "{wrong}");
        }
    }
}
