use ipnet::IpNet;
use std::{path::PathBuf, time::Duration};
use url::Url;

/// From where files may be fetched, and how much of everything that may take. The operator's word; the default allows
/// public addresses only.
#[derive(Clone, Debug)]
pub struct SourcePolicy {
    /// Folders below which `local` sources may be. None: no local file.
    pub local_roots: Vec<PathBuf>,
    /// Folders that no `local` source may be in, whatever holds them: where a service keeps its keys and everybody's files.
    pub closed: Vec<PathBuf>,
    /// Networks beyond the public ones that sources may be in.
    pub allow_networks: Vec<IpNet>,
    /// Where `ipfs` sources are asked for. None: nowhere.
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
