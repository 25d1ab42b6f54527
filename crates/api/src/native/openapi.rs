mod answers;

use super::routes;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::{
    OpenApi as _, ToSchema,
    openapi::{
        OpenApi,
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
    /// The rules that refused a job.
    #[serde(skip_serializing_if = "Option::is_none")]
    rules: Option<Vec<super::views::RuleView>>,
    /// The limit that you have reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    quota: Option<UsedQuota>,
}

/// A limit that you have reached.
#[derive(Serialize, ToSchema)]
struct UsedQuota {
    /// `upload-bytes`, `stranger-upload-bytes`, `uploads`, `assets` or `result-bytes`. There may be more in a later version.
    name: String,
    /// How much you may have.
    limit: u64,
    /// How much you have.
    used: u64,
}

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Cloister",
        description = "Send the algorithm to the data; let out only what was agreed.\n\nMissing and hidden \
            resources both return 404.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    components(schemas(Problem, UsedQuota, super::views::RuleView)),
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

/// The description of the native API (OpenAPI 3.1) of a service that clients reach at this address. `/` is where the description
/// itself was read.
#[must_use]
pub fn openapi(server: &str) -> Value {
    let (_, mut openapi) = OpenApiRouter::with_openapi(Frame::openapi())
        .merge(routes::authenticated())
        .merge(routes::open())
        .merge(routes::metrics())
        .split_for_parts();
    secure(&mut openapi);
    // As JSON from here on: the types know no references to headers.
    let mut document = serde_json::to_value(openapi).expect("the description has no values that JSON lacks");
    document["servers"] = json!([{"url": server, "description": "The service"}]);
    refer(&mut document);
    answers::complete(&mut document);
    document
}

/// Lets lists refer to what they hold: the derived description of a generic list repeats it.
fn refer(document: &mut Value) {
    let schemas = document["components"]["schemas"].clone();
    let lists = document["components"]["schemas"].as_object_mut().into_iter().flatten();
    for items in lists.filter_map(|(_, list)| list.pointer_mut("/properties/items/items")) {
        let known = schemas.as_object().into_iter().flatten().find(|(_, schema)| *schema == items);
        if let Some((name, _)) = known {
            *items = json!({"$ref": format!("#/components/schemas/{name}")});
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_says_what_can_go_wrong() {
        let openapi = openapi("/");
        assert_eq!(openapi["openapi"], "3.1.0");
        let paths = openapi["paths"].as_object().expect("paths");
        assert!(paths.len() >= 28, "{}", paths.len());
        for (path, item) in paths {
            for (method, operation) in item.as_object().expect("methods") {
                let responses = &operation["responses"];
                for (status, response) in responses.as_object().expect("responses") {
                    let response = match response["$ref"].as_str() {
                        Some(reference) => openapi.pointer(&reference[1..]).expect("a response"),
                        None => response,
                    };
                    let at = format!("{method} {path} {status}");
                    let problem = response["content"]["application/problem+json"]["schema"]["$ref"].is_string();
                    assert_eq!(problem, status.as_str() >= "400", "{at}");
                    let waits = matches!(status.as_str(), "429" | "503");
                    assert_eq!(response["headers"]["Retry-After"].is_object(), waits, "{at}");
                    assert!(response["headers"]["RateLimit"].is_object(), "{at}");
                }
                assert!(responses["500"].is_object() && responses["429"].is_object(), "{method} {path}");
                let open = operation["security"].is_array();
                assert_eq!(responses["401"].is_object(), !open, "{method} {path}");
                assert!(operation["summary"].is_string(), "{method} {path}");
                // A verb and what it is done to; not by accident the name of a function of ours.
                let name = operation["operationId"].as_str().unwrap_or_default();
                assert!(name.contains('_') || name == "whoami", "{method} {path}: give `{name}` an `operation_id`");
                let good = responses.as_object().expect("responses").keys().any(|status| status.starts_with('2'));
                assert!(good, "{method} {path}");
            }
        }
    }

    #[test]
    fn bytes_are_binary_and_streams_are_text() {
        let document = openapi("/");
        let mut seen = 0;
        for operation in answers::operations(&document) {
            let responses = operation["responses"].as_object().into_iter().flatten().map(|(_, response)| response);
            for content in responses.chain([&operation["requestBody"]]).map(|body| &body["content"]) {
                for (media_type, content) in content.as_object().into_iter().flatten() {
                    let schema = &content["schema"];
                    match media_type.as_str() {
                        "application/octet-stream" => {
                            assert_eq!(schema, &json!({"type": "string", "format": "binary"}));
                        }
                        text if text.starts_with("text/") => assert_eq!(schema, &json!({"type": "string"})),
                        _ => continue,
                    }
                    seen += 1;
                }
            }
        }
        assert!(seen > 12, "{seen}");
    }

    #[test]
    fn lists_refer_to_their_items() {
        let document = openapi("/");
        let schemas = document["components"]["schemas"].as_object().expect("schemas");
        let lists = schemas.iter().filter(|(name, _)| name.starts_with("Page_") || name.starts_with("List_"));
        for (name, list) in lists {
            let item = name.split_once('_').expect("two parts").1;
            let items = &list["properties"]["items"]["items"];
            assert_eq!(items, &json!({"$ref": format!("#/components/schemas/{item}")}), "{name}");
            assert!(schemas.contains_key(item), "{name}");
        }
    }

    #[test]
    fn the_server_is_where_clients_reach_it() {
        let known = openapi("https://cloister.example.org");
        assert_eq!(known["servers"][0]["url"], "https://cloister.example.org");
    }

    #[test]
    fn phases_are_those_of_the_model() {
        let openapi = openapi("/");
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
        let openapi = openapi("/");
        check(&openapi, &openapi);
    }
}
