use super::routes;
use serde::Serialize;
use utoipa::{
    OpenApi as _, ToSchema,
    openapi::{
        Content, OpenApi, Ref, RefOr, Response,
        path::{Operation, PathItem},
        schema::Schema,
        security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityRequirement, SecurityScheme},
    },
};
use utoipa_axum::router::OpenApiRouter;

/// Why a request was not done (RFC 9457).
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "type": "https://cloister.dev/problems/not-found", "title": "Not found", "status": 404,
    "detail": "there is nothing here that you may see"
}))]
struct Problem {
    /// The kind of problem.
    #[schema(pattern = "^https://cloister\\.dev/problems/[a-z-]+$")]
    r#type: String,
    /// The kind in a few words.
    title: String,
    /// The HTTP status.
    status: u16,
    /// What happened here, and what to do.
    detail: String,
    /// The field of the request that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    /// The rules that a denied job met.
    #[serde(skip_serializing_if = "Option::is_none")]
    rules: Option<Vec<super::views::RuleView>>,
}

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Cloister",
        description = "Send the algorithm to the data; let out only what was agreed.\n\nWhat you may not see and what \
            is not there are answered alike, with 404.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    components(schemas(Problem, super::views::RuleView)),
    tags(
        (name = "jobs", description = "One run of one algorithm on one or more datasets"),
        (name = "results", description = "What came out"),
        (name = "review", description = "Outputs that wait for a reviewer's decision"),
        (name = "assets", description = "Datasets and algorithms"),
        (name = "permissions", description = "Who may run what"),
        (name = "uploads", description = "Files that you send"),
        (name = "keys", description = "API keys"),
        (name = "audit", description = "What was decided, released and read"),
        (name = "about", description = "This service")
    )
)]
struct Frame;

/// The description of the native API (OpenAPI 3.1).
#[must_use]
pub fn openapi() -> OpenApi {
    let (_, mut openapi) = OpenApiRouter::with_openapi(Frame::openapi())
        .merge(routes::authenticated())
        .merge(routes::open())
        .merge(routes::metrics())
        .split_for_parts();
    secure(&mut openapi);
    for item in openapi.paths.paths.values_mut() {
        for operation in operations(item) {
            name(operation);
            complete(operation);
        }
    }
    openapi
}

fn secure(openapi: &mut OpenApi) {
    let bearer = Http::builder().scheme(HttpAuthScheme::Bearer);
    let bearer = bearer.description(Some("An API key (`clk_...`), or a token of an issuer that the operator trusts"));
    let signed = "`Ethereum address=0x..,nonce=<Unix time in ns>,signature=0x..`: personal_sign over the lines \
        `cloister-request` (and a space and the address of the service, if it is configured with one), method, path with query, nonce, SHA-256 of the body in lower-case hexadecimal";
    let signed = ApiKey::Header(ApiKeyValue::with_description("Authorization", signed));
    let components = openapi.components.get_or_insert_default();
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer.build()));
    components.add_security_scheme("ethereum", SecurityScheme::ApiKey(signed));
    let either = ["bearer", "ethereum"].map(|name| SecurityRequirement::new(name, Vec::<String>::new()));
    openapi.security = Some(either.to_vec());
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.put, &mut item.post, &mut item.delete].into_iter().filter_map(Option::as_mut)
}

/// Gives an operation a unique name: handlers are called `list` in more than one place, and clients are generated from these
/// names.
fn name(operation: &mut Operation) {
    if let (Some(tag), Some(name)) = (operation.tags.as_ref().and_then(|tags| tags.first()), &operation.operation_id) {
        operation.operation_id = Some(format!("{tag}_{name}"));
    }
}

/// Adds the answers that every operation of its kind can give, and the form of problems.
fn complete(operation: &mut Operation) {
    let known = operation.security.is_none();
    let mut statuses = vec![("500", "The service failed"), ("503", "It cannot answer now")];
    if known {
        statuses.extend([
            ("400", "It cannot be read"),
            ("401", "No valid credentials"),
            ("403", "Your role may not, or the rules of an asset do not allow it"),
            ("404", "Nothing there that you may see"),
            ("422", "A field is not valid"),
            ("429", "Too many requests"),
        ]);
    }
    if operation.request_body.is_some() {
        statuses.extend([
            ("409", "It conflicts with the present state"),
            ("413", "Too large"),
            ("415", "The media type is not supported"),
            ("507", "The storage is full"),
        ]);
    }
    if operation.parameters.iter().flatten().any(|parameter| parameter.name == "Range") {
        statuses.push(("416", "The file has no such range"));
    }
    for (status, description) in statuses {
        let response = || RefOr::T(Response::new(description));
        operation.responses.responses.entry(status.to_owned()).or_insert_with(response);
    }
    for (status, response) in &mut operation.responses.responses {
        if let RefOr::T(response) = response
            && status.as_str() >= "400"
            && response.content.is_empty()
        {
            let problem: RefOr<Schema> = RefOr::Ref(Ref::from_schema_name("Problem"));
            response.content.insert("application/problem+json".to_owned(), Content::new(Some(problem)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_says_what_can_go_wrong() {
        let openapi = serde_json::to_value(openapi()).expect("json");
        assert_eq!(openapi["openapi"], "3.1.0");
        let paths = openapi["paths"].as_object().expect("paths");
        assert!(paths.len() >= 28, "{}", paths.len());
        for (path, item) in paths {
            for (method, operation) in item.as_object().expect("methods") {
                let responses = &operation["responses"];
                assert!(responses["500"]["content"]["application/problem+json"].is_object(), "{method} {path}");
                let open = operation["security"].is_array();
                assert_eq!(responses["401"].is_object(), !open, "{method} {path}");
                assert!(operation["operationId"].is_string() && operation["summary"].is_string(), "{method} {path}");
                let good = responses.as_object().expect("responses").keys().any(|status| status.starts_with('2'));
                assert!(good, "{method} {path}");
            }
        }
    }

    #[test]
    fn phases_are_those_of_the_model() {
        let openapi = serde_json::to_value(openapi()).expect("json");
        let parameters = openapi["paths"]["/v1/jobs"]["get"]["parameters"].as_array().expect("parameters");
        let phase = parameters.iter().find(|parameter| parameter["name"] == "phase").expect("the parameter");
        let names: Vec<String> =
            cloister_model::Phase::ALL.into_iter().map(|phase| phase.as_str().to_owned()).collect();
        let found = serde_json::to_string(&phase["schema"]).expect("json");
        assert!(found.contains(&serde_json::to_string(&names).expect("json")), "{found}");
    }

    #[test]
    fn every_reference_leads_somewhere() {
        fn check(value: &serde_json::Value, all: &serde_json::Value) {
            match value {
                serde_json::Value::Object(fields) => {
                    if let Some(reference) = fields.get("$ref").and_then(|reference| reference.as_str()) {
                        let pointer = reference.strip_prefix('#').expect("a reference within");
                        assert!(all.pointer(pointer).is_some(), "{reference}");
                    }
                    fields.values().for_each(|value| check(value, all));
                }
                serde_json::Value::Array(values) => values.iter().for_each(|value| check(value, all)),
                _ => {}
            }
        }
        let openapi = serde_json::to_value(openapi()).expect("json");
        check(&openapi, &openapi);
    }
}
