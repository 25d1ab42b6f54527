//! What operations answer beside what they are asked for: problems and headers. Which of them an operation can answer follows
//! from what it takes.

use serde_json::{Map, Value, json};

/// Problems, by their status, with a name for readers.
const PROBLEMS: [(&str, &str, &str); 16] = [
    ("400", "Malformed", "The request cannot be read"),
    ("401", "Unauthenticated", "The request has no valid credentials"),
    ("403", "Forbidden", "Your role does not allow it, or the rules of an asset do not"),
    ("404", "NotFound", "There is nothing here that you may see"),
    ("408", "TooSlow", "The body stopped coming"),
    ("409", "Conflict", "It conflicts with the present state, or you have reached a limit (`quota-exceeded`)"),
    ("412", "Changed", "It was changed meanwhile"),
    ("413", "TooLarge", "The body is too large"),
    ("415", "MediaType", "The body is of another media type"),
    ("416", "Range", "The file has no such range"),
    ("422", "Invalid", "A field cannot be used"),
    ("429", "RateLimited", "Too many requests, or too many things at once"),
    ("500", "Internal", "The service failed"),
    ("502", "Source", "The source of a file cannot be read"),
    ("503", "Unavailable", "The service cannot do it now"),
    ("507", "Full", "There is no more room"),
];

const METHODS: [&str; 4] = ["get", "put", "post", "delete"];

/// Headers of answers. The names are those of the headers.
fn headers() -> [(&'static str, Value, &'static str); 11] {
    let text = || json!({"type": "string"});
    [
        ("Accept-Ranges", text(), "`bytes`: ranges can be requested."),
        ("Content-Disposition", text(), "A name for the file that is safe everywhere."),
        ("Content-Range", text(), "Which part it is, or how long the file is."),
        ("ETag", text(), "Names this state."),
        ("Location", text(), "The path of the new resource."),
        (
            "RateLimit",
            text(),
            "What is left of the limits that the request counted against: `r` requests at once, and more in `t` seconds \
             (draft-ietf-httpapi-ratelimit-headers-10). Absent where the request was not counted.",
        ),
        (
            "RateLimit-Policy",
            text(),
            "Those limits: `q` requests at once, all of which are there again after `w` seconds. `address`: requests of one \
             network address. `account`: requests of one account.",
        ),
        ("Repr-Digest", text(), "`sha-256=:<base64>:` of the whole file (RFC 9530)."),
        ("Retry-After", json!({"type": "integer", "minimum": 0}), "Seconds after which to try again."),
        ("WWW-Authenticate", text(), "The kinds of credentials that are accepted."),
        ("X-Request-Id", text(), "Names the request. It is in the log of the service, too."),
    ]
}

/// Adds what every operation can answer.
pub(super) fn complete(document: &mut Value) {
    for (name, schema, description) in headers() {
        document["components"]["headers"][name] = json!({"description": description, "schema": schema});
    }
    for (status, name, description) in PROBLEMS {
        let mut response = json!({"description": description});
        describe(&mut response, status, false);
        document["components"]["responses"][name] = response;
    }
    let paths = document["paths"].as_object_mut().into_iter().flatten();
    for (path, item) in paths {
        for (method, operation) in item.as_object_mut().into_iter().flatten() {
            if METHODS.contains(&method.as_str()) {
                complete_operation(path, method, operation);
            }
        }
    }
}

/// Every operation.
#[cfg(test)]
pub(super) fn operations(document: &Value) -> impl Iterator<Item = &Value> {
    let items = document["paths"].as_object().into_iter().flatten().map(|(_, item)| item);
    items.flat_map(|item| METHODS.into_iter().filter_map(|method| item.get(method)))
}

fn complete_operation(path: &str, method: &str, operation: &mut Value) {
    let statuses = statuses(path, method, operation);
    // A log has parts, too, but may grow: it has no digest.
    let file = takes(operation, |parameter| parameter["name"] == "If-Range");
    let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
    parameters.into_iter().flatten().for_each(never_null);
    let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) else { return };
    for (status, response) in responses.iter_mut() {
        describe(response, status, file);
    }
    for (status, name, _) in PROBLEMS.into_iter().filter(|(status, ..)| statuses.contains(status)) {
        let reference = || json!({"$ref": format!("#/components/responses/{name}")});
        responses.entry(status).or_insert_with(reference);
    }
}

fn takes(operation: &Value, what: fn(&Value) -> bool) -> bool {
    operation["parameters"].as_array().into_iter().flatten().any(what)
}

/// The problems that an operation can answer, besides those that it names itself.
fn statuses(path: &str, method: &str, operation: &Value) -> Vec<&'static str> {
    let mut statuses = vec!["429", "500", "503"];
    let body = operation.get("requestBody");
    let json = body.is_some_and(|body| body["content"].get("application/json").is_some());
    if operation.get("security").is_none() {
        statuses.extend(["400", "401", "403"]);
    }
    if path.contains('{') || json {
        statuses.push("404");
    }
    if json || takes(operation, |parameter| parameter["in"] == "query" || parameter["name"] == "Idempotency-Key") {
        statuses.push("422");
    }
    if body.is_some() {
        statuses.extend(["413", "415"]);
    }
    if method != "get" {
        statuses.extend(["409", "507"]);
    }
    if takes(operation, |parameter| parameter["name"] == "Range") {
        statuses.push("416");
    }
    statuses
}

/// Adds the headers of an answer, and the form of problems.
fn describe(response: &mut Value, status: &str, file: bool) {
    let mut names = vec!["RateLimit", "RateLimit-Policy", "X-Request-Id"];
    match status {
        "401" => names.push("WWW-Authenticate"),
        "416" => names.push("Content-Range"),
        "429" | "503" => names.push("Retry-After"),
        _ => {}
    }
    if file && status < "400" {
        names.extend(["Accept-Ranges", "Content-Disposition", "ETag", "Repr-Digest"]);
    }
    if status == "206" {
        names.push("Content-Range");
    }
    // Those that an operation names itself and others have, too, have one description.
    let own = response["headers"].as_object().into_iter().flat_map(Map::keys).cloned().collect::<Vec<_>>();
    let own = headers().into_iter().map(|(name, ..)| name).filter(|name| own.iter().any(|own| own == name));
    for name in names.into_iter().chain(own) {
        response["headers"][name] = json!({"$ref": format!("#/components/headers/{name}")});
    }
    if status >= "400" && response["content"].is_null() {
        let problem = json!({"$ref": "#/components/schemas/Problem"});
        response["content"] = json!({"application/problem+json": {"schema": problem}});
    }
}

/// An optional parameter is absent, not null.
fn never_null(parameter: &mut Value) {
    let Some(kind) = parameter.pointer_mut("/schema/type") else { return };
    if let Some([only]) =
        kind.as_array().map(|types| types.iter().filter(|name| *name != "null").collect::<Vec<_>>()).as_deref()
    {
        *kind = (*only).clone();
    }
}
