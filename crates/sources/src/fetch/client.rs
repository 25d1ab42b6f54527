use super::{
    Failure, HostPattern, KnownServer, SourcePolicy,
    addresses::{self, AddressRefused},
};
use bytes::Bytes;
use ipnet::IpNet;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
};
use reqwest::{
    dns::{Addrs, Name, Resolve, Resolving},
    header::{CONTENT_RANGE, HeaderMap},
};
use std::{
    error::Error,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
};
use url::{Host, Url};

/// What makes requests.
#[derive(Clone, Debug)]
pub(crate) struct Clients {
    /// To wherever a source says, if its address may be asked.
    pub(crate) guarded: Guarded,
    /// To what the operator named: anywhere.
    pub(crate) open: reqwest::Client,
}

/// Clients that connect to allowed addresses only: names are resolved once, by them, and connections are made to what was
/// checked. A second look-up could answer otherwise (DNS rebinding), so there is none.
#[derive(Clone, Debug)]
pub(crate) struct Guarded {
    ordinary: AddressedClient,
    /// Those for servers that the operator knows by name.
    known: Arc<[(HostPattern, AddressedClient)]>,
}

/// A client and the networks that it may connect to beyond the public ones.
#[derive(Clone, Debug)]
struct AddressedClient {
    client: reqwest::Client,
    allowed: Arc<[IpNet]>,
}

struct Resolver {
    allowed: Arc<[IpNet]>,
}

impl Clients {
    pub(crate) fn new(policy: &SourcePolicy) -> Result<Self, reqwest::Error> {
        let ordinary = AddressedClient::new(builder(policy), policy.allow_networks.clone())?;
        let known = policy.servers.iter().map(|KnownServer { host, networks, ca }| {
            let builder = match ca {
                Some(pem) => builder(policy).tls_certs_only(reqwest::Certificate::from_pem_bundle(pem)?),
                None => builder(policy),
            };
            let networks = policy.allow_networks.iter().chain(networks).copied().collect();
            Ok((host.clone(), AddressedClient::new(builder, networks)?))
        });
        let known = known.collect::<Result<Vec<_>, reqwest::Error>>()?;
        Ok(Self { guarded: Guarded { ordinary, known: known.into() }, open: builder(policy).build()? })
    }
}

impl AddressedClient {
    fn new(builder: reqwest::ClientBuilder, networks: Vec<IpNet>) -> Result<Self, reqwest::Error> {
        let allowed: Arc<[IpNet]> = networks.into();
        let client = builder.dns_resolver(Resolver { allowed: allowed.clone() }).build()?;
        Ok(Self { client, allowed })
    }
}

/// No proxy of the environment, no redirect, no cookie, no silent repetition, and no connection used twice: what a
/// server sends beyond its answer must not be read as the next answer.
fn builder(policy: &SourcePolicy) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .user_agent(concat!("cloister/", env!("CARGO_PKG_VERSION")))
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .http1_only()
        .pool_max_idle_per_host(0)
        .connect_timeout(policy.connect_timeout)
        .read_timeout(policy.idle_timeout)
}

impl Guarded {
    /// Makes a request, if its address may be asked.
    pub(crate) async fn execute(&self, request: reqwest::Request) -> Result<reqwest::Response, Failure> {
        let AddressedClient { client, allowed } = self.client_for(request.url());
        check_host(request.url(), allowed).map_err(|refused| Failure::Refused(refused.to_string()))?;
        client.execute(request).await.map_err(|error| failure(&error))
    }

    fn client_for(&self, url: &Url) -> &AddressedClient {
        let host = url.host_str().unwrap_or_default();
        self.known.iter().find(|(pattern, _)| pattern.fits(host)).map_or(&self.ordinary, |(_, client)| client)
    }
}

/// What went wrong with a request, without its URL.
pub(crate) fn failure<'a>(error: &'a (dyn Error + 'static)) -> Failure {
    let causes = || std::iter::successors(Some(error), |error: &&'a (dyn Error + 'static)| (*error).source());
    if let Some(refused) = causes().find_map(|error| error.downcast_ref::<AddressRefused>()) {
        return Failure::Refused(refused.to_string());
    }
    if let Some(error) = causes().find_map(|error| error.downcast_ref::<reqwest::Error>()) {
        if let Some(error) = causes().find_map(tls_error) {
            return Failure::passing(format!("the TLS connection failed: {}", tls_cause(error)));
        }
        let cause = if error.is_timeout() && error.is_connect() {
            "the connection timed out"
        } else if error.is_timeout() {
            "it did not answer in time"
        } else if causes().any(|error| error.is::<NotResolved>()) {
            "its name cannot be resolved (DNS)"
        } else if error.is_connect() {
            "it cannot be reached"
        } else if error.is_body() || error.is_decode() || error.is_request() {
            "the connection was cut"
        } else if error.is_builder() {
            return Failure::Source("the request cannot be made".to_owned());
        } else {
            "the request failed"
        };
        // Of the causes, only the kinds that hold no text of the URL or the server.
        let detail = causes().find_map(|error| error.downcast_ref::<std::io::Error>()).map(std::io::Error::kind);
        let detail = detail.filter(|kind| *kind != std::io::ErrorKind::Other && !error.is_timeout());
        return Failure::passing(detail.map_or_else(|| cause.to_owned(), |kind| format!("{cause} ({kind})")));
    }
    Failure::passing("the request failed".to_owned())
}

/// The TLS library's error, if one of an error's causes is one. It stands inside errors of input and output, one in the other,
/// which do not name it as their cause.
fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let mut error = error;
    loop {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        error = error.downcast_ref::<std::io::Error>()?.get_ref()?;
    }
}

/// What is wrong with a TLS connection, in words of ours: the library's hold names of the server.
fn tls_cause(error: &rustls::Error) -> &'static str {
    use rustls::{CertificateError as Certificate, Error};
    match error {
        Error::InvalidCertificate(Certificate::UnknownIssuer) => {
            "no authority that is trusted here vouches for its certificate; the operator can name one (`ca`)"
        }
        Error::InvalidCertificate(Certificate::Expired | Certificate::ExpiredContext { .. }) => {
            "its certificate has expired"
        }
        Error::InvalidCertificate(Certificate::NotValidYet | Certificate::NotValidYetContext { .. }) => {
            "its certificate is not valid yet"
        }
        Error::InvalidCertificate(Certificate::NotValidForName | Certificate::NotValidForNameContext { .. }) => {
            "its certificate is for another name"
        }
        Error::InvalidCertificate(_) | Error::NoCertificatesPresented => "its certificate is not accepted",
        Error::AlertReceived(_) => "it refused the handshake",
        _ => "it does not speak TLS as expected",
    }
}

/// A name that cannot be resolved.
#[derive(Debug, thiserror::Error)]
#[error("the name cannot be resolved")]
struct NotResolved;

/// An answer is said to be a range of bytes whose end is not a number.
#[derive(Debug, thiserror::Error)]
#[error("the range of the answer is none")]
struct CountlessRange;

/// Whether an answer says that its last byte is the last one that can be counted. object_store adds one to that number, and panics.
fn has_countless_range(headers: &HeaderMap) -> bool {
    let range = headers.get(CONTENT_RANGE).and_then(|range| range.to_str().ok());
    range.is_some_and(|range| range.contains(&u64::MAX.to_string()))
}

/// Names are checked when they are resolved; addresses in URLs are never resolved, so they are checked here.
fn check_host(url: &Url, allowed: &[IpNet]) -> Result<(), AddressRefused> {
    match url.host() {
        Some(Host::Ipv4(address)) => addresses::check(IpAddr::V4(address), allowed),
        Some(Host::Ipv6(address)) => addresses::check(IpAddr::V6(address), allowed),
        Some(Host::Domain(_)) => Ok(()),
        None => Err(AddressRefused::NotPublic),
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let allowed = self.allowed.clone();
        Box::pin(async move {
            let mut refused = None;
            let found = tokio::net::lookup_host((name.as_str(), 0)).await.map_err(|_| NotResolved)?;
            let addresses: Vec<SocketAddr> = found
                .filter(|address| match addresses::check(address.ip(), &allowed) {
                    Ok(()) => true,
                    Err(why) => {
                        refused = Some(why);
                        false
                    }
                })
                .collect();
            match refused {
                Some(refused) if addresses.is_empty() => Err(refused.into()),
                _ => Ok(Box::new(addresses.into_iter()) as Addrs),
            }
        })
    }
}

/// The same for object_store, which would make a client of its own.
impl HttpConnector for Guarded {
    fn connect(&self, _: &object_store::ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

impl HttpService for Guarded {
    fn call<'a, 'async_trait>(
        &'a self,
        request: HttpRequest,
    ) -> Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'async_trait>>
    where
        'a: 'async_trait,
        Self: 'async_trait,
    {
        Box::pin(async move {
            let url = Url::parse(&request.uri().to_string())
                .map_err(|error| HttpError::new(HttpErrorKind::Unknown, error))?;
            let AddressedClient { client, allowed } = self.client_for(&url);
            check_host(&url, allowed).map_err(|error| HttpError::new(HttpErrorKind::Unknown, error))?;
            let answer = client.call(request).await?;
            if has_countless_range(answer.headers()) {
                return Err(HttpError::new(HttpErrorKind::Decode, CountlessRange));
            }
            if answer.status().is_success() {
                return Ok(answer);
            }
            // object_store would take all that comes with a failure into memory, and as much at once as the head announces, which
            // can end this program. Only the status is needed.
            Ok(HttpResponse::from_parts(answer.into_parts().0, Bytes::new().into()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_in_any_spelling_are_addresses() {
        for url in [
            "http://127.0.0.1/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://0177.0.0.1/",
            "http://[::1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://127.1/",
            "http://１２７.0.0.1/",
            "http://169.254.169.254/",
        ] {
            assert!(check_host(&Url::parse(url).expect("a URL"), &[]).is_err(), "{url}");
        }
    }

    #[tokio::test]
    async fn names_are_checked_after_resolution() {
        let resolve =
            |allowed: Vec<IpNet>| Resolver { allowed: allowed.into() }.resolve("localhost".parse().expect("a name"));
        let Err(error) = resolve(vec![]).await else { panic!("localhost is not public") };
        assert_eq!(error.downcast_ref(), Some(&AddressRefused::NotPublic));
        assert!(
            resolve(vec!["127.0.0.0/8".parse().expect("a network")])
                .await
                .is_ok_and(|mut found| found.next().is_some())
        );
    }

    /// An operator who lets one server be at a private address does not let publishers reach its neighbours.
    #[tokio::test]
    async fn a_known_server_opens_its_own_name_only() {
        let policy = |host: &str| SourcePolicy {
            servers: vec![KnownServer {
                host: host.parse().expect("a host"),
                networks: vec!["127.0.0.0/8".parse().expect("a network")],
                ca: None,
            }],
            ..SourcePolicy::default()
        };
        let ask = async |policy: SourcePolicy, url: &str| {
            let request = reqwest::Request::new(reqwest::Method::GET, Url::parse(url).expect("a URL"));
            Clients::new(&policy).expect("clients").guarded.execute(request).await.expect_err("no server listens")
        };
        let reached = |failure: &Failure| matches!(failure, Failure::Passing(cause, _) if cause.contains("refused"));
        let found = ask(policy("localhost"), "http://localhost:1/").await;
        assert!(reached(&found), "{found:?}");
        for other in ["http://127.0.0.1:1/", "http://127.0.0.2:1/", "http://[::1]:1/"] {
            let found = ask(policy("localhost"), other).await;
            assert!(matches!(found, Failure::Refused(_)), "{other}: {found:?}");
        }
        let found = ask(policy("127.0.0.1"), "http://127.0.0.1:1/").await;
        assert!(reached(&found), "{found:?}");
    }

    #[tokio::test]
    async fn a_name_that_does_not_exist_is_a_failure_of_dns() {
        let clients = Clients::new(&SourcePolicy::default()).expect("clients");
        let url = Url::parse("http://does-not-exist.invalid/").expect("a URL");
        let request = reqwest::Request::new(reqwest::Method::GET, url);
        let failure = clients.guarded.execute(request).await.expect_err("no such name");
        assert!(format!("{failure:?}").contains("DNS"), "{failure:?}");
    }

    #[tokio::test]
    async fn a_refusal_is_distinguished_from_a_failure() {
        let clients = Clients::new(&SourcePolicy::default()).expect("clients");
        for url in ["http://localhost:1/?SECRET", "http://127.0.0.1:1/?SECRET"] {
            let request = reqwest::Request::new(reqwest::Method::GET, Url::parse(url).expect("a URL"));
            let failure = clients.guarded.execute(request).await.expect_err("not public");
            assert!(matches!(failure, Failure::Refused(_)), "{failure:?}");
        }
        let request =
            reqwest::Request::new(reqwest::Method::GET, Url::parse("http://127.0.0.1:1/?SECRET").expect("a URL"));
        let error = clients.open.execute(request).await.expect_err("no server listens");
        assert!(format!("{:?}", failure(&error)).contains("cannot be reached (connection refused)"));
        assert!(!format!("{:?}", failure(&error)).contains("SECRET"));
    }
}
