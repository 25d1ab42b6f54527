use rustls::ServerConfig;
use std::{fmt, sync::Arc, time::Duration};

/// How connections are taken.
#[derive(Clone)]
pub struct ServeOptions {
    /// Encrypts them; none: for a loopback address, or a proxy in front.
    pub tls: Option<Arc<ServerConfig>>,
    /// How long a client may take for a TLS handshake or the head of a request, and say nothing between requests.
    pub header_timeout: Duration,
    /// The most bytes of the head of a request; at least 8192.
    pub max_header_bytes: usize,
    /// The most headers of a request.
    pub max_headers: usize,
    /// How long a client may take nothing of an answer that is sent to it.
    pub stall_timeout: Duration,
    /// The most connections at once. More wait until one ends.
    pub max_connections: usize,
    /// The most connections of one network address (of one /64 network, for IPv6). Those beyond are closed at once. Behind a
    /// proxy, every connection has the proxy's address.
    pub max_connections_per_address: usize,
    /// How long requests may take to end when the service shuts down.
    pub drain: Duration,
}

impl Default for ServeOptions {
    /// Safe ones, without TLS.
    fn default() -> Self {
        Self {
            tls: None,
            header_timeout: Duration::from_secs(30),
            max_header_bytes: 32 * 1024,
            max_headers: 64,
            stall_timeout: Duration::from_secs(60),
            max_connections: 1024,
            max_connections_per_address: 256,
            drain: Duration::from_secs(20),
        }
    }
}

impl fmt::Debug for ServeOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServeOptions")
            .field("tls", &self.tls.is_some())
            .field("max_connections", &self.max_connections)
            .finish_non_exhaustive()
    }
}
