use crate::{config::Settings, exit::Usage};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

/// Where traces are sent, and with which headers.
#[derive(Debug)]
pub(super) struct Destination {
    /// The collector's address for traces.
    pub(super) url: Url,
    /// Headers of every request. They are marked as sensitive, so that debugging output does not show them.
    pub(super) headers: HeaderMap,
}

impl Destination {
    /// Reads the settings. None if no collector is configured.
    pub(super) fn read(settings: &Settings) -> anyhow::Result<Option<Self>> {
        let Some(endpoint) = &settings.log_otlp_endpoint else { return Ok(None) };
        let url = traces_url(endpoint).map_err(|problem| {
            Usage::error(format!("`log.otlp_endpoint` {problem}; write http://collector:4318 or https://..."))
        })?;
        let headers = settings.log_otlp_headers.iter().map(|(name, value)| {
            let read = name.parse::<HeaderName>().ok().zip(HeaderValue::from_str(value).ok());
            let (name, mut value) = read.ok_or_else(|| {
                Usage::error("`log.otlp_headers` contains an invalid header; write NAME=VALUE in ASCII".to_owned())
            })?;
            value.set_sensitive(true);
            anyhow::Ok((name, value))
        });
        Ok(Some(Self { url, headers: headers.collect::<Result<_, _>>()? }))
    }
}

/// The collector's address for traces: its base address and `/v1/traces`.
fn traces_url(endpoint: &str) -> Result<Url, &'static str> {
    let mut url = Url::parse(endpoint).map_err(|_| "is not a URL")?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err("is not an HTTP address");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("contains a user or a password; use `log.otlp_headers` instead");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("has a query or a fragment");
    }
    if url.path().trim_end_matches('/').ends_with("/v1/traces") {
        return Err("ends with /v1/traces, which is added automatically");
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
    fn nothing_is_sent_without_a_collector() {
        assert!(read(&[]).expect("settings").is_none());
    }

    #[test]
    fn a_collector_is_named_by_its_base_address() {
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
    fn headers_are_checked_and_never_shown() {
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
