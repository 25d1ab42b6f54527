use cloister_model::{EngineError, StoreError, Unavailability, escape};
use kube::api::{DeleteParams, Preconditions};
use std::{future::Future, time::Duration};

/// The longest that one request may take.
const LONGEST: Duration = Duration::from_secs(10);

/// How often a request is made before the API server counts as unreachable.
const ATTEMPTS: u32 = 3;

/// The pause before the second attempt; it doubles. Longer if the API server asks for it, up to [`LONGEST_PAUSE`].
const PAUSE: Duration = Duration::from_millis(100);

/// The longest pause that is kept.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Characters of the API server's words in a message.
const MOST_WORDS: usize = 500;

/// Why a request was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CallError {
    /// There is no such object.
    #[error("there is no such object")]
    Missing,
    /// It changed since it was read.
    #[error("it was changed meanwhile")]
    Conflict,
    /// An object of that name exists. After a request that was made again, it may be our own.
    #[error("it exists already")]
    Exists,
    /// The API server does not do it, however often it is asked: a right, a rule or a definition is missing.
    #[error(
        "the API server refuses to {what}: {words}; see to the rights of this service account and to the definitions (kubectl apply -f deploy/crds)"
    )]
    Refused {
        /// What was asked for.
        what: &'static str,
        /// Its words, safe to show.
        words: String,
    },
    /// It does not answer, or says that it cannot at present.
    #[error("the API server does not {what}: {words}")]
    Unreachable {
        /// What was asked for.
        what: &'static str,
        /// What went wrong, safe to show.
        words: String,
    },
}

impl From<CallError> for EngineError {
    fn from(error: CallError) -> Self {
        Self::unavailable(Unavailability::Cluster, error.to_string())
    }
}

impl From<CallError> for StoreError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Missing => Self::Missing,
            CallError::Conflict | CallError::Exists => Self::Conflict,
            error @ (CallError::Refused { .. } | CallError::Unreachable { .. }) => Self::Unavailable(error.to_string()),
        }
    }
}

/// Makes a request, up to three times while the API server does not answer. `what` completes "the API server does not".
///
/// A request that was made again may have been done the first time: a create then answers [`CallError::Exists`], and a
/// change with a resource version [`CallError::Conflict`]. The caller reads the object and compares.
pub(crate) async fn call<T, F>(what: &'static str, mut request: impl FnMut() -> F) -> Result<T, CallError>
where
    F: Future<Output = kube::Result<T>>,
{
    let mut pause = PAUSE;
    for attempt in 1.. {
        let (error, wanted) = match tokio::time::timeout(LONGEST, request()).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => read(what, &error),
            Err(_) => {
                let words = format!("no answer within {} s", LONGEST.as_secs());
                (CallError::Unreachable { what, words }, None)
            }
        };
        if attempt == ATTEMPTS || !matches!(error, CallError::Unreachable { .. }) {
            return Err(error);
        }
        tokio::time::sleep(wanted.map_or(pause, |wanted: Duration| wanted.clamp(pause, LONGEST_PAUSE))).await;
        pause *= 2;
    }
    Err(CallError::Unreachable { what, words: "it was not asked".to_owned() })
}

/// Makes a request once.
pub(crate) async fn call_once<T>(
    what: &'static str,
    request: impl Future<Output = kube::Result<T>>,
) -> Result<T, CallError> {
    match tokio::time::timeout(LONGEST, request).await {
        Ok(answer) => answer.map_err(|error| read(what, &error).0),
        Err(_) => {
            let words = format!("no answer within {} s", LONGEST.as_secs());
            Err(CallError::Unreachable { what, words })
        }
    }
}

/// Deletes exactly the object of this `uid`, and no later one of its name.
pub(crate) fn exactly(uid: Option<String>) -> DeleteParams {
    DeleteParams { preconditions: Some(Preconditions { uid, resource_version: None }), ..DeleteParams::default() }
}

/// What an error means, and how long the API server asks to wait.
fn read(what: &'static str, error: &kube::Error) -> (CallError, Option<Duration>) {
    let safe = |words: &str| escape(words.as_bytes(), MOST_WORDS).to_string();
    let kube::Error::Api(status) = error else {
        return (CallError::Unreachable { what, words: safe(&error.to_string()) }, None);
    };
    let error = match (status.code, status.reason.as_str()) {
        (404, _) => CallError::Missing,
        (409, "AlreadyExists") => CallError::Exists,
        (409, _) => CallError::Conflict,
        (429 | 500.., _) => CallError::Unreachable { what, words: safe(&status.message) },
        _ => CallError::Refused { what, words: safe(&status.message) },
    };
    let wanted = status.details.as_ref().map(|details| details.retry_after_seconds).filter(|seconds| *seconds > 0);
    (error, wanted.map(|seconds| Duration::from_secs(u64::from(seconds))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::Status;
    use std::sync::atomic::{AtomicU32, Ordering};

    fn failure(code: u16, reason: &str) -> kube::Error {
        kube::Error::Api(Status::failure("the \u{1b}[31mwords", reason).with_code(code).boxed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_cannot_at_present_is_asked_three_times() {
        for (code, reason, expected) in [
            (404, "NotFound", 1),
            (409, "AlreadyExists", 1),
            (409, "Conflict", 1),
            (403, "Forbidden", 1),
            (422, "Invalid", 1),
            (429, "TooManyRequests", 3),
            (500, "InternalError", 3),
            (504, "Timeout", 3),
        ] {
            let asked = AtomicU32::new(0);
            let answer: Result<(), _> = call("answer", || {
                asked.fetch_add(1, Ordering::Relaxed);
                std::future::ready(Err(failure(code, reason)))
            })
            .await;
            assert!(answer.is_err());
            assert_eq!(asked.into_inner(), expected, "{code}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_says_nothing_is_given_up() {
        let answer: Result<(), _> = call("answer", std::future::pending).await;
        assert!(matches!(answer, Err(CallError::Unreachable { .. })), "{answer:?}");
    }

    #[test]
    fn its_words_are_safe_to_show() {
        let (error, _) = read("create the job", &failure(403, "Forbidden"));
        assert!(!error.to_string().contains('\u{1b}'), "{error}");
        assert!(error.to_string().contains("create the job"), "{error}");
    }
}
