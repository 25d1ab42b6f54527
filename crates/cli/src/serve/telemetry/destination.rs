use crate::{config::Settings, exit::Usage};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

/// Where traces go, and what is said there beside them.
#[derive(Debug)]
pub(super) struct Destination {
    /// The collector's address for traces.
    pub(super) url: Url,
    /// Headers of every request. They are marked as sensitive: no debugging output shows them.
    pub(super) headers: HeaderMap,
}

impl Destination {
    /// Reads the settings; nothing, if there is no collector.
    pub(super) fn read(settings: &Settings) -> anyhow::Result<Option<Self>> {
        let Some(endpoint) = &settings.log_otlp_endpoint else { return Ok(None) };
        let url = traces_url(endpoint).map_err(|problem| {
            Usage::error(format!("`log.otlp_endpoint` {problem}; write http://collector:4318 or https://..."))
        })?;
        let headers = settings.log_otlp_headers.iter().map(|(name, value)| {
            let read = name.parse::<HeaderName>().ok().zip(HeaderValue::from_str(value).ok());
            let (name, mut value) = read.ok_or_else(|| {
                Usage::error("`log.otlp_headers` has one that is no header; write NAME=VALUE in plain ASCII".to_owned())
            })?;
            value.set_sensitive(true);
            anyhow::Ok((name, value))
        });
        Ok(Some(Self { url, headers: headers.collect::<Result<_, _>>()? }))
    }
}

/// The address for traces of a collector, which has others for metrics and logs.
fn traces_url(endpoint: &str) -> Result<Url, &'static str> {
    let mut url = Url::parse(endpoint).map_err(|_| "is no address")?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err("is no address of HTTP");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("has a name or a password in it, which belong into `log.otlp_headers`");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("has more than a host and a path");
    }
    if url.path().trim_end_matches('/').ends_with("/v1/traces") {
        return Err("ends with /v1/traces, which is added anyway");
    }
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(["v1", "traces"]);
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Layers;

    fn read(pairs: &[&str]) -> anyhow::Result<Option<Destination>> {
        let mut layers = Layers::default();
        for pair in pairs {
            layers.set(pair).expect("a known setting");
        }
        Destination::read(&Settings::resolve(&layers).expect("settings"))
    }

    #[test]
    fn nothing_is_sent_unless_a_collector_is_named() {
        assert!(read(&[]).expect("settings").is_none());
    }

    #[test]
    fn a_collector_is_named_by_its_base() {
        for (endpoint, url) in [
            ("http://collector:4318", "http://collector:4318/v1/traces"),
            ("http://[::1]:4318/", "http://[::1]:4318/v1/traces"),
            ("https://traces.example/otlp", "https://traces.example/otlp/v1/traces"),
            ("https://traces.example/otlp/", "https://traces.example/otlp/v1/traces"),
        ] {
            assert_eq!(traces_url(endpoint).map(String::from), Ok(url.to_owned()), "{endpoint}");
        }
        for endpoint in [
            "collector:4318",
            "collector",
            "grpc://collector:4317",
            "http://",
            "http://me:SECRET@collector:4318",
            "http://SECRET@collector:4318",
            "http://collector:4318?key=SECRET",
            "http://collector:4318#SECRET",
            "http://collector:4318/v1/traces",
            "http://collector:4318/v1/traces/",
        ] {
            let refused = read(&[&format!("log.otlp_endpoint={endpoint}")]).expect_err(endpoint);
            assert!(!format!("{refused:#}").contains("SECRET"), "{refused:#}");
        }
    }

    #[test]
    fn headers_are_read_whole_and_never_shown() {
        let endpoint = "log.otlp_endpoint=http://collector:4318";
        let read = |headers: &str| read(&[endpoint, &format!("log.otlp_headers={headers}")]);
        let destination = read("authorization=Bearer SECRET,x-scope=a").expect("settings").expect("a collector");
        assert_eq!(destination.headers["authorization"], "Bearer SECRET");
        assert!(!format!("{destination:?}").contains("SECRET"));
        for headers in [r#"{"a b":"SECRET"}"#, r#"{"a":"SECRET\r\nb: c"}"#, "=SECRET"] {
            let refused = read(headers).expect_err(headers);
            assert!(!format!("{refused:#}").contains("SECRET"), "{refused:#}");
        }
    }
}
