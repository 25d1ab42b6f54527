//! Content of IPFS, from the operator's gateway or node.

use super::{Failure, Ipfs, http::HttpFile, redirects::Ask};
use reqwest::{
    Method,
    header::{HeaderMap, HeaderName},
};
use url::Url;

/// The file of this name (`<cid>` or `<cid>/<path>`, checked when it was read).
pub(crate) fn file(ipfs: Option<&Ipfs>, hash: &str) -> Result<HttpFile, Failure> {
    let Some(ipfs) = ipfs else {
        return Err(Failure::Refused("the operator named no IPFS gateway".to_owned()));
    };
    let (base, method) = match ipfs {
        Ipfs::Gateway(base) => (base, Method::GET),
        Ipfs::Node(base) => (base, Method::POST),
    };
    let url = below(base, ipfs, hash)
        .ok_or_else(|| Failure::System("the address of the IPFS gateway cannot hold a path".to_owned()))?;
    let own = Some(url.origin());
    let ask = Ask { method, url, headers: HeaderMap::new(), body: None };
    let (length_header, offset_parameter) = match ipfs {
        Ipfs::Gateway(_) => (None, None),
        Ipfs::Node(_) => (Some(HeaderName::from_static("x-content-length")), Some("offset")),
    };
    Ok(HttpFile { ask, own, immutable: true, length_header, offset_parameter })
}

fn below(base: &Url, ipfs: &Ipfs, hash: &str) -> Option<Url> {
    let mut url = base.clone();
    url.set_query(None);
    url.set_fragment(None);
    {
        let mut path = url.path_segments_mut().ok()?;
        path.pop_if_empty();
        match ipfs {
            Ipfs::Gateway(_) => path.push("ipfs").extend(hash.split('/')),
            Ipfs::Node(_) => path.extend(["api", "v0", "cat"]),
        };
    }
    if matches!(ipfs, Ipfs::Node(_)) {
        url.query_pairs_mut().append_pair("arg", hash);
    }
    Some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asks_gateway_and_node_in_their_ways() {
        let url = |text: &str| text.parse::<Url>().expect("a URL");
        let asked = |ipfs: Ipfs| file(Some(&ipfs), "Qm1/a.csv").expect("a file").ask;
        let gateway = asked(Ipfs::Gateway(url("http://127.0.0.1:8080/")));
        assert_eq!((gateway.method, gateway.url.as_str()), (Method::GET, "http://127.0.0.1:8080/ipfs/Qm1/a.csv"));
        let node = asked(Ipfs::Node(url("http://127.0.0.1:5001")));
        assert_eq!(
            (node.method, node.url.as_str()),
            (Method::POST, "http://127.0.0.1:5001/api/v0/cat?arg=Qm1%2Fa.csv")
        );
        assert!(matches!(file(None, "Qm1"), Err(Failure::Refused(_))));
    }
}
