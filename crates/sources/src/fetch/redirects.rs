//! Where a redirect leads, and what may go there with the request. Pure.

use super::Failure;
use cloister_model::{HttpMethod, HttpSource};
use reqwest::{
    Method, StatusCode,
    header::{HeaderMap, HeaderName, HeaderValue, LOCATION},
};
use url::Url;

/// What is asked, and what of it may be told to another server.
#[derive(Clone)]
pub(crate) struct Ask {
    pub(crate) method: Method,
    pub(crate) url: Url,
    /// The source's own headers: for its own origin only.
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<String>,
}

impl Ask {
    /// The request that a source asks for.
    pub(crate) fn of(source: &HttpSource) -> Result<Self, Failure> {
        let HttpSource { url, method, headers: fields } = source;
        let unusable = |_: Box<dyn std::error::Error>| Failure::Source("its headers cannot be sent".to_owned());
        let mut headers = HeaderMap::new();
        for (name, value) in fields.iter() {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| unusable(error.into()))?;
            let mut value = HeaderValue::from_str(value.expose()).map_err(|error| unusable(error.into()))?;
            value.set_sensitive(true);
            headers.append(name, value);
        }
        let (method, body) = match method {
            HttpMethod::Get => (Method::GET, None),
            HttpMethod::Post(body) => (Method::POST, body.as_ref().map(|body| body.expose().clone())),
        };
        Ok(Self { method, url: url.url().clone(), headers, body })
    }
}

/// What to ask next; none if the answer is not a redirect.
pub(crate) fn follow(ask: &Ask, status: StatusCode, location: Option<&HeaderValue>) -> Result<Option<Ask>, Failure> {
    if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let broken = |why: &str| Failure::Source(format!("it redirects {why}"));
    let location = location.ok_or_else(|| broken("to nowhere"))?;
    let location = location.to_str().map_err(|_| broken("to something that is not a URL"))?;
    let mut url = ask.url.join(location).map_err(|_| broken("to something that is not a URL"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(Failure::Refused("it redirects to something other than http or https".to_owned()));
    }
    if ask.url.scheme() == "https" && url.scheme() == "http" {
        return Err(Failure::Refused(
            "it redirects from https to http, where the network can change the file".to_owned(),
        ));
    }
    url.set_fragment(None);
    let same_origin = url.origin() == ask.url.origin();
    let becomes_get = ask.method == Method::POST && matches!(status.as_u16(), 301..=303);
    if ask.method == Method::POST && !becomes_get && !same_origin {
        return Err(Failure::Refused("it redirects a POST to another server, which must not see its body".to_owned()));
    }
    if !same_origin {
        // A server may name another one, but not choose the credentials that it gets.
        let cleared = url.set_username("").and_then(|()| url.set_password(None));
        cleared.map_err(|()| broken("to something that is not a URL"))?;
    }
    Ok(Some(Ask {
        method: if becomes_get { Method::GET } else { ask.method.clone() },
        headers: if same_origin { ask.headers.clone() } else { HeaderMap::new() },
        body: if becomes_get { None } else { ask.body.clone() },
        url,
    }))
}

/// The header that says where.
pub(crate) fn location(headers: &HeaderMap) -> Option<&HeaderValue> {
    headers.get(LOCATION)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(method: Method, url: &str) -> Ask {
        let headers = [(reqwest::header::AUTHORIZATION, HeaderValue::from_static("SECRET"))].into_iter().collect();
        Ask { method, url: url.parse().expect("a URL"), headers, body: Some("SECRET".to_owned()) }
    }

    fn next(ask: &Ask, status: u16, to: &'static str) -> Result<Option<Ask>, Failure> {
        follow(ask, StatusCode::from_u16(status).expect("a status"), Some(&HeaderValue::from_static(to)))
    }

    #[test]
    fn secrets_stay_at_their_origin() {
        let asked = ask(Method::GET, "https://user:SECRET@a.example/x?SECRET");
        let same = next(&asked, 302, "/y").expect("a redirect").expect("a redirect");
        assert_eq!((same.url.as_str(), same.headers.len()), ("https://user:SECRET@a.example/y", 1));
        for other in ["https://b.example/", "https://a.example:444/", "//user:pw@b.example/"] {
            let other = next(&asked, 307, other).expect("a redirect").expect("a redirect");
            assert!(other.headers.is_empty() && !other.url.as_str().contains('@'), "{}", other.url);
        }
    }

    #[test]
    fn bodies_stay_at_their_origin() {
        let asked = ask(Method::POST, "https://a.example/");
        let got = next(&asked, 303, "https://b.example/").expect("a redirect").expect("a redirect");
        assert_eq!((got.method, got.body), (Method::GET, None));
        assert!(matches!(next(&asked, 307, "https://b.example/"), Err(Failure::Refused(_))));
        let same = next(&asked, 308, "/b").expect("a redirect").expect("a redirect");
        assert_eq!((same.method, same.body.is_some()), (Method::POST, true));
    }

    #[test]
    fn other_schemes_and_nonsense_are_not_followed() {
        let asked = ask(Method::GET, "https://a.example/");
        for to in ["file:///etc/passwd", "ftp://b.example/", "data:,x", "javascript:1", "http://a.example/"] {
            assert!(matches!(next(&asked, 301, to), Err(Failure::Refused(_))), "{to}");
        }
        assert!(matches!(follow(&asked, StatusCode::FOUND, None), Err(Failure::Source(_))));
        assert!(matches!(next(&asked, 200, "/"), Ok(None)) && matches!(next(&asked, 304, "/"), Ok(None)));
    }
}
