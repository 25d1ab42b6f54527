//! `GET /getResult`: one result of a job, by its place.

use super::{
    OperatorState,
    access::{Origin, Voucher, vouch},
    error::OperatorError,
    jobs::{self, record},
    parameters::Parameters,
    status::PROVIDER,
};
use crate::{content::Download, problem::Problem, state::Shared, submission::OWNER};
use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, header},
    response::Response,
};
use cloister_model::{Account, AuditAction, EngineError, JobId, JobStatus, Shelf, escape};
use serde_json::json;

/// Gives one result: all of it, or a part (`Range`), with its size and a tag.
#[utoipa::path(get, path = "/api/v1/operator/getResult", tag = "operation",
    params(("owner" = String, Query), ("jobId" = String, Query), ("index" = u32, Query, description = "Place in `results`"),
        ("providerSignature" = String, Query, description = "Over owner + jobId + nonce"), ("nonce" = String, Query)),
    responses((status = 200, content_type = "application/octet-stream"), (status = 206), (status = 400), (status = 401),
        (status = 404)))]
pub(super) async fn get(
    State(OperatorState { shared, .. }): State<OperatorState>,
    origin: Origin,
    request: Request,
) -> Result<Response, OperatorError> {
    let (method, headers) = (request.method().clone(), request.headers().clone());
    let parameters = <Parameters as axum::extract::FromRequest<()>>::from_request(request, &()).await?;
    parameters.require(&["owner", "providerSignature", "nonce", "index", "jobId"], "GET:/getResult")?;
    let owner = jobs::owner(&parameters)?.ok_or_else(|| OperatorError::required("owner", "GET:/getResult"))?;
    let job = parameters.text("jobId")?.unwrap_or_default();
    let index = parameters.text("index")?.unwrap_or_default();
    let voucher = vouch(&shared, &origin, &parameters, Some(&job), "getResult").await?;
    let found = async {
        let status = find(&shared, &voucher, &owner, &job).await?;
        send(&shared, &voucher, &status, &index, (&method, &headers)).await
    };
    Ok(voucher.answer(found.await))
}

/// The job, if it is this owner's and this Provider's. Ocean has one text for all that is wrong here, and so nobody learns
/// which it is.
async fn find(shared: &Shared, voucher: &Voucher, owner: &Account, job: &str) -> Result<JobStatus, OperatorError> {
    let found = match job.parse::<JobId>() {
        Ok(job) => match shared.backend.status(job).await {
            Ok(status) => Some(status),
            Err(EngineError::NoSuchJob(_)) => None,
            Err(error) => return Err(error.into()),
        },
        Err(_) => None,
    };
    let theirs = |status: &JobStatus| {
        status.labels.get(OWNER) == Some(owner.key())
            && voucher.provider().is_none_or(|account| status.labels.get(PROVIDER) == Some(account.key()))
    };
    found.filter(theirs).ok_or_else(|| mismatch(owner, job))
}

fn mismatch(owner: &Account, job: &str) -> OperatorError {
    OperatorError::missing(format!("Owner {owner} mismatch for job {}", escape(job.as_bytes(), 64)))
}

async fn send(
    shared: &Shared,
    voucher: &Voucher,
    job: &JobStatus,
    index: &str,
    (method, headers): (&Method, &HeaderMap),
) -> Result<Response, OperatorError> {
    let index = place(index)?;
    let results = shared.backend.results(job.id, Shelf::Released).await?;
    if results.is_empty() {
        let owner = job.labels.get(OWNER).unwrap_or_default();
        return Err(OperatorError::missing(format!("Owner {owner} mismatch for job {}", job.id)));
    }
    let none = || OperatorError::missing(format!("No such index {index} in this compute job"));
    let place = u32::try_from(index).map_err(|_| none())?;
    let file = usize::try_from(index).ok().and_then(|index| results.get(index)).ok_or_else(none)?;
    let (backend, id) = (shared.backend.clone(), job.id);
    let read = move |range| {
        let backend = backend.clone();
        async move { backend.read_result(id, Shelf::Released, place, range).await.map_err(Problem::from) }
    };
    let what = json!({"index": place, "sha256": file.sha256});
    let before = async {
        let recorded = record(shared, voucher, job, AuditAction::ResultDownloaded, &what).await;
        recorded.map_err(|error| Problem::unavailable(error.text))
    };
    let download = Download::new(&file.name, file.bytes, read).with_digest(file.sha256);
    let mut response = download.answer(shared, method, headers, before).await?;
    as_ocean_names_it(response.headers_mut());
    Ok(response)
}

/// The place that is asked for, with Ocean's texts for what is none.
fn place(index: &str) -> Result<u64, OperatorError> {
    match index.parse::<i128>() {
        Ok(index) if index < 0 => Err(OperatorError::missing(format!("Negative index {index}"))),
        Ok(index) => u64::try_from(index)
            .map_err(|_| OperatorError::missing(format!("No such index {index} in this compute job"))),
        Err(_) => {
            let index = escape(index.as_bytes(), 32);
            Err(OperatorError::bad(format!("Error getResult: invalid literal for int() with base 10: '{index}'")))
        }
    }
}

/// Clients look for exactly `attachment;filename=`, without quotes, and in scripts of web pages.
fn as_ocean_names_it(headers: &mut HeaderMap) {
    let value = headers.get(header::CONTENT_DISPOSITION).and_then(|value| value.to_str().ok());
    let name = value.and_then(|value| value.split('"').nth(1)).map(str::to_owned);
    if let Some(name) = name
        && let Ok(value) = HeaderValue::from_str(&format!("attachment;filename={name}"))
    {
        headers.insert(header::CONTENT_DISPOSITION, value);
        let exposed = HeaderValue::from_static("Content-Disposition");
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_as_ocean_does() {
        assert_eq!(place("3"), Ok(3));
        for (index, status, text) in [
            ("-1", 404, "Negative index -1"),
            ("x\n", 400, r"Error getResult: invalid literal for int() with base 10: 'x\n'"),
            ("", 400, "Error getResult: invalid literal for int() with base 10: ''"),
            ("99999999999999999999", 404, "No such index 99999999999999999999 in this compute job"),
        ] {
            let error = place(index).expect_err(index);
            assert_eq!((error.status.as_u16(), error.text.as_str()), (status, text));
        }
    }

    #[test]
    fn names_are_written_without_quotes() {
        let mut headers = HeaderMap::new();
        as_ocean_names_it(&mut headers);
        assert!(headers.is_empty());
        let value = HeaderValue::from_static("attachment; filename=\"a_b.csv\"; filename*=UTF-8''a%20b.csv");
        headers.insert(header::CONTENT_DISPOSITION, value);
        as_ocean_names_it(&mut headers);
        assert_eq!(headers[header::CONTENT_DISPOSITION], "attachment;filename=a_b.csv");
    }
}
