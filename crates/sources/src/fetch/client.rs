use super::{
    Failure, SourcePolicy,
    addresses::{self, AddressRefused},
};
use ipnet::IpNet;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
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

/// A client that connects to allowed addresses only: names are resolved once, by it, and connections are made to what
/// was checked. A second look-up could answer otherwise (DNS rebinding), so there is none.
#[derive(Clone, Debug)]
pub(crate) struct Guarded {
    client: reqwest::Client,
    allowed: Arc<[IpNet]>,
}

struct Resolver {
    allowed: Arc<[IpNet]>,
}

impl Clients {
    pub(crate) fn new(policy: &SourcePolicy) -> Result<Self, reqwest::Error> {
        let allowed: Arc<[IpNet]> = policy.allow_networks.clone().into();
        let guarded = builder(policy).dns_resolver(Resolver { allowed: allowed.clone() }).build()?;
        Ok(Self { guarded: Guarded { client: guarded, allowed }, open: builder(policy).build()? })
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
        check_host(request.url(), &self.allowed).map_err(|refused| Failure::Refused(refused.to_string()))?;
        self.client.execute(request).await.map_err(|error| failure(&error))
    }
}

/// What went wrong with a request, without its URL.
pub(crate) fn failure<'a>(error: &'a (dyn Error + 'static)) -> Failure {
    let causes = || std::iter::successors(Some(error), |error: &&'a (dyn Error + 'static)| (*error).source());
    if let Some(refused) = causes().find_map(|error| error.downcast_ref::<AddressRefused>()) {
        return Failure::Refused(refused.to_string());
    }
    if let Some(error) = causes().find_map(|error| error.downcast_ref::<reqwest::Error>()) {
        let cause = if error.is_timeout() {
            "it did not answer in time"
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
        let detail = detail.filter(|kind| *kind != std::io::ErrorKind::Other);
        return Failure::passing(detail.map_or_else(|| cause.to_owned(), |kind| format!("{cause} ({kind})")));
    }
    Failure::passing("the request failed".to_owned())
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
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
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
            check_host(&url, &self.allowed).map_err(|error| HttpError::new(HttpErrorKind::Unknown, error))?;
            self.client.call(request).await
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

    #[tokio::test]
    async fn a_refusal_is_told_from_a_failure() {
        let clients = Clients::new(&SourcePolicy::default()).expect("clients");
        for url in ["http://localhost:1/?SECRET", "http://127.0.0.1:1/?SECRET"] {
            let request = reqwest::Request::new(reqwest::Method::GET, Url::parse(url).expect("a URL"));
            let failure = clients.guarded.execute(request).await.expect_err("not public");
            assert!(matches!(failure, Failure::Refused(_)), "{failure:?}");
        }
        let request =
            reqwest::Request::new(reqwest::Method::GET, Url::parse("http://127.0.0.1:1/?SECRET").expect("a URL"));
        let error = clients.open.execute(request).await.expect_err("no server listens");
        assert!(format!("{:?}", failure(&error)).contains("cannot be reached"));
        assert!(!format!("{:?}", failure(&error)).contains("SECRET"));
    }
}
