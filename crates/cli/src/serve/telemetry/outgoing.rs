//! Which parts of a span leave the service.
//!
//! An allow list: a field that is added to a span is not sent until it is listed here. Accounts are not sent, because the
//! collector often belongs to another party. The log has them, under the same request id.

use opentelemetry::{
    KeyValue, Value,
    trace::{SpanKind, Status},
};
use opentelemetry_sdk::trace::SpanData;

/// The methods that are sent as they are. A client can use any text as a method.
const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

/// The route of requests that match no route.
const NO_ROUTE: &str = "none";

/// A span as it is sent: for a request, with the names of OpenTelemetry's semantic conventions for HTTP spans; for any other
/// span, only its name.
pub(super) fn outgoing(mut span: SpanData) -> SpanData {
    let fields = std::mem::take(&mut span.attributes);
    // Events are log lines, which are not sent. The status is derived from their errors.
    span.events = Default::default();
    span.status = Status::Unset;
    if span.name != "request" {
        return span;
    }
    let field = |name: &str| fields.iter().find(|field| field.key.as_str() == name).map(|field| field.value.as_str());
    let method = field("method").and_then(|sent| METHODS.into_iter().find(|known| *known == sent));
    let route = field("route").filter(|route| *route != NO_ROUTE);
    let status = field("status").and_then(|status| status.parse::<i64>().ok());

    span.name = match (method, &route) {
        (Some(method), Some(route)) => format!("{method} {route}").into(),
        (Some(method), None) => method.into(),
        (None, _) => "HTTP".into(),
    };
    span.span_kind = SpanKind::Server;
    if status.is_some_and(|status| status >= 500) {
        span.status = Status::error("");
    }
    let id = field("id").map(|id| ("cloister.request.id", Value::from(id.into_owned())));
    let method = Some(("http.request.method", Value::from(method.unwrap_or("_OTHER"))));
    let route = route.map(|route| ("http.route", Value::from(route.into_owned())));
    let status = status.map(|status| ("http.response.status_code", Value::from(status)));
    span.attributes =
        [id, method, route, status].into_iter().flatten().map(|(key, value)| KeyValue::new(key, value)).collect();
    span
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::{
        InstrumentationScope,
        trace::{SpanContext, SpanId},
    };
    use std::time::SystemTime;

    fn span(name: &'static str, fields: &[(&'static str, &'static str)]) -> SpanData {
        outgoing(SpanData {
            span_context: SpanContext::empty_context(),
            parent_span_id: SpanId::INVALID,
            parent_span_is_remote: false,
            span_kind: SpanKind::Internal,
            name: name.into(),
            start_time: SystemTime::UNIX_EPOCH,
            end_time: SystemTime::UNIX_EPOCH,
            attributes: fields.iter().map(|(name, value)| KeyValue::new(*name, *value)).collect(),
            dropped_attributes_count: 0,
            events: Default::default(),
            links: Default::default(),
            status: Status::error("SECRET"),
            instrumentation_scope: InstrumentationScope::default(),
        })
    }

    #[test]
    fn a_request_has_the_names_of_the_semantic_conventions() {
        let fields = [("id", "17"), ("method", "GET"), ("route", "/v1/jobs/{id}"), ("status", "503")];
        let span = span("request", &fields);
        assert_eq!((span.name.as_ref(), span.span_kind), ("GET /v1/jobs/{id}", SpanKind::Server));
        assert_eq!(span.status, Status::error(""));
        let expected = [
            KeyValue::new("cloister.request.id", "17"),
            KeyValue::new("http.request.method", "GET"),
            KeyValue::new("http.route", "/v1/jobs/{id}"),
            KeyValue::new("http.response.status_code", 503),
        ];
        assert_eq!(span.attributes, expected);
    }

    #[test]
    fn fields_that_are_not_listed_are_not_sent() {
        let fields = [("method", "SECRET"), ("route", "none"), ("account", "SECRET"), ("key", "SECRET")];
        let request = span("request", &fields);
        assert_eq!((request.name.as_ref(), &request.status), ("HTTP", &Status::Unset));
        let other = span("anything", &fields);
        assert!(!format!("{request:?}{other:?}").contains("SECRET"), "{request:?}{other:?}");
        assert_eq!(span("request", &[("method", "GET"), ("route", "none"), ("status", "404")]).name, "GET");
    }
}
