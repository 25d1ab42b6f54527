//! `POST /compute`: a workflow becomes a job.

use super::{
    access::{Origin, Voucher, vouch},
    error::OperatorError,
    jobs,
    parameters::Parameters,
    status::StatusBody,
};
use crate::state::AppState;
use axum::{Json, extract::State, response::Response};
use cloister_model::{Account, DenialRule, Workflow, WorkflowOrigin, WorkflowSource};
use cloister_service::{
    Agreement, AlgorithmRef, DatasetRef, Identity, RawSource, Submission, SubmitError, WantedLimits,
};
use serde_json::{Value, json};

/// What Ocean requires, in the order in which it asks.
const REQUIRED: [&str; 6] = ["workflow", "agreementId", "owner", "providerSignature", "environment", "nonce"];

/// What a request asks for.
struct Wanted {
    workflow: Value,
    agreement: Agreement,
    owner: Account,
    environment: String,
}

/// Starts a job. Only registered datasets can be computed on, and only with their own files, whatever URLs the workflow has.
#[utoipa::path(post, path = "/api/v1/operator/compute", tag = "operation",
    request_body(content = StartBody, content_type = "application/json"),
    responses((status = 200, body = Vec<StatusBody>), (status = 400), (status = 401)))]
pub(super) async fn start(
    State(state): State<AppState>,
    origin: Origin,
    parameters: Parameters,
) -> Result<Response, OperatorError> {
    parameters.require(&REQUIRED, "POST:/compute")?;
    let workflow = parameters.document("workflow");
    if [Value::Null, json!({}), json!(""), json!([])].contains(workflow) {
        return Err(OperatorError::bad("`workflow` is required in the payload and must include workflow stages"));
    }
    let owner = jobs::owner(&parameters)?.ok_or_else(|| OperatorError::required("owner", "POST:/compute"))?;
    let voucher = vouch(&state, &origin, &parameters, None, "start").await?;
    let answer = async {
        let wanted = Wanted {
            workflow: workflow.clone(),
            agreement: agreement(&parameters, &voucher)?,
            owner,
            environment: parameters.text("environment")?.unwrap_or_default(),
        };
        run(&state, &voucher, wanted).await
    };
    Ok(voucher.answer(answer.await.map(Json)))
}

/// The agreement. Ocean takes null as the text `None`, and its own tests rely on that.
fn agreement(parameters: &Parameters, voucher: &Voucher) -> Result<Agreement, OperatorError> {
    let text = match (parameters.text("agreementId")?, voucher) {
        (Some(agreement), _) => agreement,
        (None, Voucher::NoOne) => "None".to_owned(),
        (None, Voucher::Provider(_)) => return Err(OperatorError::required("agreementId", "POST:/compute")),
    };
    text.parse().map_err(|error| OperatorError::bad(format!("`agreementId`: {error}")))
}

async fn run(state: &AppState, voucher: &Voucher, wanted: Wanted) -> Result<Vec<StatusBody>, OperatorError> {
    let Wanted { mut workflow, agreement, owner, environment } = wanted;
    if *voucher == Voucher::NoOne {
        prefer_published(&mut workflow);
    }
    let workflow = Workflow::from_value(workflow)?;
    let AppState { use_cases, http, .. } = state;
    if !use_cases.environments().await?.iter().any(|known| known.id.as_str() == environment) {
        return Err(OperatorError::bad("Environment invalid or does not exist"));
    }
    let actor = voucher.actor(Some(owner));
    let submitted = use_cases.submit(&actor, &submission(&workflow, environment, agreement)).await;
    http.metrics.decided(&submitted);
    let submitted = submitted.map_err(|error| with_images(error, use_cases.options().images.keys()))?;
    Ok(jobs::shown(use_cases, &actor, &submitted.status).await?.into_iter().collect())
}

/// The refusal; if it is about containers, with the images that run here.
fn with_images<'a>(error: SubmitError, images: impl Iterator<Item = &'a String>) -> OperatorError {
    let container = matches!(&error, SubmitError::Denied { rules, .. }
        if rules.iter().any(|denial| denial.rule == DenialRule::EnvironmentRuntime));
    let mut refusal = OperatorError::from(error);
    if container {
        let images: Vec<&str> = std::iter::once("wasm").chain(images.map(String::as_str)).collect();
        refusal.text.push_str(". Containers run only where the engine is Kubernetes; images that run here: ");
        refusal.text.push_str(&images.join(", "));
    }
    refusal
}

/// Old clients name a published algorithm and send its code as well. The code that was published runs, because the
/// permissions are about that code.
fn prefer_published(workflow: &mut Value) {
    let algorithm = workflow.pointer_mut("/stages/0/algorithm").and_then(Value::as_object_mut);
    if let Some(algorithm) = algorithm
        && algorithm.get("id").and_then(Value::as_str).is_some_and(|id| !id.is_empty())
    {
        algorithm.remove("rawcode");
        algorithm.remove("url");
    }
}

/// The request for a job that a workflow stands for. It leaves out the sources of datasets and what their servers should be
/// told (`url`, `userdata`), because the registry knows their files, and what Ocean overwrites or ignores itself.
fn submission(workflow: &Workflow, environment: String, agreement: Agreement) -> Submission {
    let dataset = |(place, input): (usize, &cloister_model::WorkflowInput)| DatasetRef {
        did: input.did.clone(),
        service: match &input.source {
            Some(WorkflowSource::Remote(remote)) => Some(remote.service_id.clone()),
            Some(WorkflowSource::Urls(_)) | None => None,
        },
        field: format!("stages[0].input[{place}]"),
    };
    let algorithm = workflow.algorithm();
    let raw = |source| AlgorithmRef::Raw { source, container: algorithm.container.clone() };
    Submission {
        datasets: workflow.inputs().iter().enumerate().map(dataset).collect(),
        algorithm: match &algorithm.origin {
            WorkflowOrigin::Published { did, remote } => AlgorithmRef::Published {
                did: did.clone(),
                service: remote.as_ref().map(|remote| remote.service_id.clone()),
            },
            WorkflowOrigin::Rawcode(code) => raw(RawSource::Code(code.clone())),
            WorkflowOrigin::Urls(urls) => raw(RawSource::Urls(urls.clone())),
        },
        // Null is how Provider says that the consumer gave none.
        parameters: algorithm.parameters.clone().filter(|parameters| !parameters.expose().is_null()),
        environment: Some(environment),
        profile: None,
        limits: WantedLimits::default(),
        encrypt_to: None,
        label: None,
        register: None,
        agreement: Some(agreement),
        identity: Identity::Random,
    }
}

/// The body, for the documentation: it is read field by field.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "only describes")]
#[schema(rename_all = "camelCase")]
pub(super) struct StartBody {
    /// Exactly one stage, as Provider 2.1.6 writes it.
    #[schema(value_type = Object)]
    workflow: Value,
    /// Whose order it is: one unfinished job for each.
    agreement_id: String,
    /// The consumer, whom the Provider vouches for.
    owner: String,
    /// Over owner + nonce.
    provider_signature: String,
    /// One of `GET /environments`.
    environment: String,
    /// The Unix time of signing in s, ms, us or ns: each is good for once.
    #[schema(value_type = String)]
    nonce: Value,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workflow(algorithm: Value) -> Value {
        json!({"stages": [{
            "index": 0, "compute": {"Instances": 1}, "output": {"metadataUri": "https://aquarius.example"},
            "input": [
                {"index": 0, "id": "did:op:5b1f", "remote": {"txId": "0x7a11", "serviceId": "svc-1", "userdata": {"year": 2023}}},
                {"index": 1, "id": "did:op:9e02", "url": ["https://elsewhere.example/x"]}
            ],
            "algorithm": algorithm
        }]})
    }

    fn read(algorithm: Value) -> Submission {
        let workflow = Workflow::from_value(workflow(algorithm)).expect("a workflow");
        submission(&workflow, "local".to_owned(), "0x1".parse().expect("an agreement"))
    }

    #[test]
    fn a_workflow_says_what_runs_on_what_and_not_where_data_are() {
        let read = read(
            json!({"id": "did:op:e4d8", "rawcode": "", "remote": {"serviceId": "svc-a"}, "algocustomdata": {"bins": 20}}),
        );
        let datasets: Vec<_> =
            read.datasets.iter().map(|d| (d.did.id(), d.service.as_deref(), d.field.as_str())).collect();
        assert_eq!(datasets, [("5b1f", Some("svc-1"), "stages[0].input[0]"), ("9e02", None, "stages[0].input[1]")]);
        assert!(!format!("{read:?}").contains("elsewhere"));
        assert!(matches!(&read.algorithm, AlgorithmRef::Published { did, service: Some(service) }
            if did.id() == "e4d8" && service == "svc-a"));
        assert_eq!(read.parameters.expect("parameters").expose(), &json!({"bins": 20}));
    }

    #[test]
    fn raw_algorithms_bring_their_container() {
        let container = json!({"image": "python", "tag": "3", "entrypoint": "python3 $ALGO", "checksum": "sha256:1f"});
        let code = read(json!({"id": "", "rawcode": "print(1)", "container": container, "algocustomdata": null}));
        assert!(matches!(&code.algorithm, AlgorithmRef::Raw { source: RawSource::Code(_), container: Some(container) }
            if container.image == "python"));
        assert!(code.parameters.is_none());
        let urls = read(json!({"id": "", "url": "https://x.example/a.py"}));
        assert!(matches!(urls.algorithm, AlgorithmRef::Raw { source: RawSource::Urls(_), container: None }));
    }

    #[test]
    fn a_published_algorithm_runs_as_published() {
        let mut both = workflow(json!({"id": "did:op:e4d8", "rawcode": "evil", "url": "https://evil.example"}));
        assert!(Workflow::from_value(both.clone()).is_err());
        prefer_published(&mut both);
        let both = Workflow::from_value(both).expect("a workflow");
        assert!(matches!(both.algorithm().origin, WorkflowOrigin::Published { .. }));
        for mut untouched in
            [workflow(json!({"id": "", "rawcode": "a"})), json!([]), json!({"stages": []}), Value::Null]
        {
            let before = untouched.clone();
            prefer_published(&mut untouched);
            assert_eq!(untouched, before);
        }
    }
}
