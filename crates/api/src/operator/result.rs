//! `GET /getResult`: one result of a job, by its place.

use super::{
    access::{Origin, vouch},
    error::OperatorError,
    jobs,
    parameters::Parameters,
};
use crate::{download::Download, state::AppState};
use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, header},
    response::Response,
};
use cloister_model::{Account, JobId, escape};
use cloister_service::{Actor, JobError};

/// Gives one result: all of it, or a part (`Range`), with its size and a tag.
#[utoipa::path(get, path = "/api/v1/operator/getResult", tag = "operation",
    params(("owner" = String, Query), ("jobId" = String, Query), ("index" = u32, Query, description = "Place in `results`"),
        ("providerSignature" = String, Query, description = "Over owner + jobId + nonce"), ("nonce" = String, Query)),
    responses((status = 200, content_type = "application/octet-stream"), (status = 206), (status = 400), (status = 401),
        (status = 404)))]
pub(super) async fn get(
    State(state): State<AppState>,
    origin: Origin,
    request: Request,
) -> Result<Response, OperatorError> {
    let (method, headers) = (request.method().clone(), request.headers().clone());
    let parameters = <Parameters as axum::extract::FromRequest<()>>::from_request(request, &()).await?;
    parameters.require(&["owner", "providerSignature", "nonce", "index", "jobId"], "GET:/getResult")?;
    let owner = jobs::owner(&parameters)?.ok_or_else(|| OperatorError::required("owner", "GET:/getResult"))?;
    let job = parameters.text("jobId")?.unwrap_or_default();
    let index = parameters.text("index")?.unwrap_or_default();
    let voucher = vouch(&state, &origin, &parameters, Some(&job), "getResult").await?;
    let actor = voucher.actor(Some(owner.clone()));
    Ok(voucher.answer(send(&state, &actor, (&owner, &job, &index), (&method, &headers)).await))
}

/// One result of a job of this owner and this Provider. Ocean has one text for everything that is wrong with the job, so the
/// answer does not tell which.
async fn send(
    state: &AppState,
    actor: &Actor,
    (owner, job, index): (&Account, &str, &str),
    (method, headers): (&Method, &HeaderMap),
) -> Result<Response, OperatorError> {
    let mismatch = || OperatorError::missing(format!("Owner {owner} mismatch for job {}", escape(job.as_bytes(), 64)));
    let missing = |error| match error {
        JobError::NotFound => mismatch(),
        error => error.into(),
    };
    let id: JobId = job.parse().map_err(|_| mismatch())?;
    let status = state.use_cases.job_status(actor, id).await.map_err(missing)?;
    let index = place(index)?;
    let none = || OperatorError::missing(format!("No such index {index} in this compute job"));
    if let Some((log, bytes)) = state.use_cases.log_as_result(actor, &status).await.map_err(missing)? {
        if index != 0 {
            return Err(none());
        }
        let log = Download::of_log(log, bytes).named(jobs::LOG_NAME);
        let mut response = log.answer(&state.http.metrics, method, headers).await?;
        as_ocean_names_it(response.headers_mut());
        return Ok(response);
    }
    let results = state.use_cases.released_files(actor, &status).await.map_err(missing)?;
    if results.is_empty() {
        return Err(mismatch());
    }
    let place = u32::try_from(index).map_err(|_| none())?;
    let file = state.use_cases.result_file(actor, id, place).await.map_err(|error| match error {
        JobError::NotFound => none(),
        error => error.into(),
    })?;
    let mut response = Download::of_file(file).answer(&state.http.metrics, method, headers).await?;
    as_ocean_names_it(response.headers_mut());
    Ok(response)
}

/// The place in the list of results, with Ocean's texts for what cannot be one.
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
