//! Which exit code an error has. Apart from the codes themselves, so that the client does not depend on this.

use crate::{
    client::ClientError,
    exit::{Ended, FAULT, USAGE, Usage},
};
use serde_json::{Value, json};

/// The exit code for an error.
pub(crate) fn code_of(error: &anyhow::Error) -> u8 {
    for cause in error.chain() {
        if let Some(Ended { code, .. }) = cause.downcast_ref() {
            return *code;
        }
        if let Some(error) = cause.downcast_ref::<ClientError>() {
            return error.exit_code();
        }
        if cause.is::<Usage>() {
            return USAGE;
        }
        #[cfg(feature = "service")]
        if cause.is::<crate::config::ConfigError>() {
            return USAGE;
        }
    }
    FAULT
}

/// An error for programs, in the one form that every command has: a message, the exit code, and what the service said.
pub(crate) fn error_document(error: &anyhow::Error) -> Value {
    let mut said = json!({"message": format!("{error:#}"), "exitCode": code_of(error)});
    let problem = error.chain().find_map(|cause| match cause.downcast_ref() {
        Some(ClientError::Problem(problem)) => Some(problem),
        _ => None,
    });
    if let Some(problem) = problem {
        said["problem"] = problem.document();
    }
    json!({"error": said})
}

/// Whether the reader of our output closed its end, as `head` does. That is not a failure.
pub(crate) fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        client::Problem,
        exit::{BUSY, CONFLICT, DENIED, FAILED, NOT_FOUND},
    };
    use anyhow::Context as _;

    #[test]
    fn codes_follow_the_kind_of_error() {
        let problem = |status| anyhow::Error::from(ClientError::Problem(Box::new(Problem::new(status, "t"))));
        for (status, code) in [
            (400, USAGE),
            (401, DENIED),
            (403, DENIED),
            (404, NOT_FOUND),
            (409, CONFLICT),
            (412, CONFLICT),
            (413, USAGE),
            (422, USAGE),
            (429, BUSY),
            (500, FAULT),
            (503, BUSY),
        ] {
            assert_eq!(code_of(&problem(status)), code, "{status}");
        }
        assert_eq!(code_of(&Usage::error("x").context("while reading")), USAGE);
        assert_eq!(code_of(&Ended::error(FAILED, "x")), FAILED);
        assert_eq!(code_of(&anyhow::anyhow!("anything")), FAULT);
        let error = Err::<(), _>(ClientError::NoKey).context("first");
        assert_eq!(code_of(&error.expect_err("an error")), DENIED);
    }

    #[test]
    fn an_error_for_programs_has_the_refusal_of_the_service() {
        let body =
            br#"{"title": "Denied\u001b[31m", "detail": "no", "rules": [{"rule": "runtime", "text": "not here"}]}"#;
        let problem = ClientError::Problem(Box::new(Problem::read(403, body)));
        let document = error_document(&anyhow::Error::from(problem).context("asking"));
        assert_eq!((&document["error"]["exitCode"], &document["error"]["problem"]["status"]), (&json!(3), &json!(403)));
        assert!(document["error"]["message"].as_str().is_some_and(|text| text.starts_with("asking: ")), "{document}");
        assert_eq!(document["error"]["problem"]["rules"][0]["rule"], "runtime", "{document}");
        assert!(!document.to_string().contains('\u{1b}'), "{document}");
        assert_eq!(error_document(&Usage::error("x")), json!({"error": {"message": "x", "exitCode": 2}}));
    }

    #[test]
    fn a_closed_pipe_is_not_a_failure() {
        let closed = std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        assert!(is_closed_pipe(&anyhow::Error::from(closed).context("printing")));
        assert!(!is_closed_pipe(&anyhow::anyhow!("anything")));
    }
}
