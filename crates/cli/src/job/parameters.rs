//! With which parameters the algorithm of a job runs, for its owner and its reviewers.

use crate::client::{Client, ClientError, JobParameters, read};
use cloister_model::escape;
use serde_json::Value;

/// Characters of a parameter on a line. `-o json` has all of it.
const MOST_SHOWN: usize = 500;

/// Lines of parameters of one job.
const MOST_LINES: usize = 50;

/// The parameters of a job as the service answers with them; none if they are not for the caller.
pub(super) async fn fetch(client: &Client, job: &str) -> Result<Option<Value>, ClientError> {
    match client.get(&["v1", "jobs", job, "parameters"], &[]).await {
        Ok(parameters) => Ok(Some(parameters)),
        Err(ClientError::Problem(problem)) if problem.status == 404 => Ok(None),
        Err(error) => Err(error),
    }
}

/// The same, read.
pub(super) async fn fetch_read(client: &Client, job: &str) -> Result<Option<JobParameters>, ClientError> {
    fetch(client, job).await?.as_ref().map(read).transpose()
}

impl JobParameters {
    /// A line for each parameter, and one for all arguments.
    pub(super) fn lines(&self) -> Vec<String> {
        let shown = self.values.iter().take(MOST_LINES);
        let mut lines: Vec<String> = shown.map(|(name, value)| bounded(&one(name, value))).collect();
        if let Some(more) = self.values.len().checked_sub(MOST_LINES).filter(|more| *more > 0) {
            lines.push(format!("and {more} more: `-o json` prints all"));
        }
        if !self.arguments.is_empty() {
            lines.push(bounded(&format!("-- {}", self.arguments.join(" "))));
        }
        lines.extend(self.stdin.as_deref().map(bounded));
        lines
    }

    /// All of them on one line, which the caller has to bound and to escape.
    pub(super) fn line(&self) -> String {
        let values = self.values.iter().map(|(name, value)| one(name, value));
        let arguments = (!self.arguments.is_empty()).then(|| format!("-- {}", self.arguments.join(" ")));
        values.chain(arguments).chain(self.stdin.clone()).collect::<Vec<_>>().join(" ")
    }
}

/// A parameter as `--param` takes it.
fn one(name: &str, value: &Value) -> String {
    match value {
        // What would be read as another type is quoted.
        Value::String(text) if serde_json::from_str::<Value>(text).is_err() => format!("{name}={text}"),
        other => format!("{name}={other}"),
    }
}

fn bounded(text: &str) -> String {
    escape(text.as_bytes(), MOST_SHOWN).to_string()
}

/// A document with the parameters in it, if there are any.
pub(super) fn beside(mut answer: Value, parameters: Option<Value>) -> Value {
    if let (Value::Object(fields), Some(parameters)) = (&mut answer, parameters) {
        fields.entry("parameters").or_insert(parameters);
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Map, json};

    #[test]
    fn parameters_are_shown_as_they_are_given_bounded_and_escaped() {
        let Value::Object(values) =
            json!({"by": "town", "n": 10, "text": "10", "x": "\u{1b}[2J", "long": "y".repeat(9000)})
        else {
            unreachable!("an object")
        };
        let arguments = ["--mode", "fast\n"].map(str::to_owned).to_vec();
        let parameters = JobParameters { values, arguments, stdin: Some("<<< a\nb".to_owned()) };
        let lines = parameters.lines();
        for line in ["by=town", "n=10", "text=\"10\"", "x=\\u{1b}[2J", "-- --mode fast\\n", "<<< a\\nb"] {
            assert!(lines.iter().any(|found| found == line), "{line}: {lines:?}");
        }
        assert!(lines.iter().all(|line| line.chars().count() <= MOST_SHOWN + 1), "{lines:?}");
        let values: Map<_, _> = (0..70).map(|n| (format!("p{n}"), json!(n))).collect();
        let many = JobParameters { values, arguments: Vec::new(), stdin: None };
        assert_eq!(many.lines().len(), MOST_LINES + 1);
        assert!(many.line().contains("p69=69"));
    }
}
