//! Telling people that outputs wait for their review: a message to a web hook, and a program of the operator's.
//!
//! Each message is sent once, by one replica, in a few attempts. It may be lost if the service ends at that moment: the list of what
//! waits (`cloister job review`) is complete in any case. A web hook that does not answer holds up messages, and nothing else.

use crate::config::Settings;
use anyhow::Context as _;
use aws_lc_rs::hmac;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use cloister_api::{ReviewNotice, Service};
use cloister_sources::{DocumentFetcher, SourcePolicy};
use serde_json::{Value, json};
use std::{path::PathBuf, process::Stdio, time::Duration};
use tokio::io::AsyncWriteExt as _;

/// Between two looks at what waits.
const PAUSE: Duration = Duration::from_secs(5);

/// Between two attempts at one message.
const ATTEMPTS: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(30), Duration::from_secs(120)];

/// How long the operator's program may take.
const COMMAND_TIME: Duration = Duration::from_secs(60);

/// Where messages go.
pub(super) struct Notifier {
    hook: Option<Hook>,
    command: Option<PathBuf>,
}

/// A web hook, and the key that signs messages to it.
struct Hook {
    fetcher: DocumentFetcher,
    url: String,
    key: hmac::Key,
}

impl Notifier {
    /// As the settings say; none: there are no messages. The rules for sources hold for the address of the web hook.
    pub(super) fn new(settings: &Settings, policy: &SourcePolicy) -> anyhow::Result<Option<Self>> {
        let hook = match (&settings.notify_webhook, &settings.notify_webhook_secret) {
            (Some(url), Some(secret)) => {
                let fetcher = DocumentFetcher::new(policy).context("the web hook of `notify.webhook`")?;
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
                Some(Hook { fetcher, url: url.clone(), key })
            }
            _ => None,
        };
        let command = settings.notify_command.clone();
        Ok((hook.is_some() || command.is_some()).then_some(Self { hook, command }))
    }

    /// Tells of everything that waits, until the service ends.
    pub(super) async fn run(self, service: Service) {
        let closing = service.closing();
        let work = async {
            loop {
                self.tell_all(&service).await;
                tokio::time::sleep(PAUSE).await;
            }
        };
        let _: Option<()> = closing.run_until_cancelled(work).await;
    }

    async fn tell_all(&self, service: &Service) {
        let notices = match service.review_notices().await {
            Ok(notices) => notices,
            Err(error) => {
                tracing::warn!(%error, "what waits for a review cannot be read");
                return;
            }
        };
        for notice in notices {
            match service.claim_notice(&notice).await {
                Ok(true) => self.tell(&notice).await,
                Ok(false) => {}
                Err(error) => tracing::warn!(job = %notice.job, %error, "the message to reviewers is sent later"),
            }
        }
    }

    async fn tell(&self, notice: &ReviewNotice) {
        let body = message(notice).to_string();
        let id = format!("{}-{}", notice.job, u8::from(notice.approved_by.is_some()));
        let hook = async {
            if let Some(hook) = &self.hook {
                report(notice, "notify.webhook", hook.send(&id, &body).await);
            }
        };
        let command = async {
            if let Some(command) = &self.command {
                report(notice, "notify.command", run(command, &body).await);
            }
        };
        tokio::join!(hook, command);
    }
}

fn report(notice: &ReviewNotice, setting: &str, sent: Result<(), String>) {
    match sent {
        Ok(()) => tracing::info!(job = %notice.job, setting, "reviewers were told that outputs wait"),
        Err(error) => {
            tracing::warn!(job = %notice.job, setting, error, "reviewers could not be told that outputs wait");
        }
    }
}

/// What is sent: nothing that an algorithm or a consumer has written.
fn message(notice: &ReviewNotice) -> Value {
    let ReviewNotice { job, environment, datasets, publishers, named, approved_by, until } = notice;
    let written = |accounts: &[cloister_model::Account]| accounts.iter().map(ToString::to_string).collect::<Vec<_>>();
    let until = i64::try_from(until.unix_ms()).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    json!({
        "event": "review-waiting",
        "job": job,
        "environment": environment,
        "datasets": datasets,
        "publishers": written(publishers),
        "named": written(named),
        "approvedBy": approved_by.as_ref().map(ToString::to_string),
        "until": until.map(|until| format!("{until:.0}")),
    })
}

impl Hook {
    /// Sends a message, in a few attempts.
    async fn send(&self, id: &str, body: &str) -> Result<(), String> {
        let mut last = self.attempt(id, body).await;
        for pause in ATTEMPTS {
            if last.is_ok() {
                break;
            }
            tokio::time::sleep(pause).await;
            last = self.attempt(id, body).await;
        }
        last
    }

    /// Sends a message in the form of Standard Webhooks: the signature covers its id, the time and the text.
    async fn attempt(&self, id: &str, body: &str) -> Result<(), String> {
        let seconds = jiff::Timestamp::now().as_second();
        let headers = [
            ("webhook-id", id.to_owned()),
            ("webhook-timestamp", seconds.to_string()),
            ("webhook-signature", signature(&self.key, id, seconds, body)),
        ];
        self.fetcher.post_json(&self.url, &headers, body.to_owned()).await.map_err(|error| error.to_string())
    }
}

fn signature(key: &hmac::Key, id: &str, seconds: i64, body: &str) -> String {
    let tag = hmac::sign(key, format!("{id}.{seconds}.{body}").as_bytes());
    format!("v1,{}", BASE64_STANDARD.encode(tag.as_ref()))
}

/// Runs the operator's program with a message on its standard input. What it prints is discarded.
async fn run(program: &std::path::Path, body: &str) -> Result<(), String> {
    let mut command = tokio::process::Command::new(program);
    command.env_clear().stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    command.envs(["PATH", "HOME"].into_iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
    let mut child = command.spawn().map_err(|error| format!("it cannot be started: {error}"))?;
    let stdin = child.stdin.take();
    let done = async {
        if let Some(mut stdin) = stdin {
            // A program that does not read it may end before it is written.
            let _ = stdin.write_all(body.as_bytes()).await;
        }
        child.wait().await
    };
    match tokio::time::timeout(COMMAND_TIME, done).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(format!("it ended with {status}")),
        Ok(Err(error)) => Err(format!("it cannot be waited for: {error}")),
        Err(_) => Err(format!("it did not end within {} s", COMMAND_TIME.as_secs())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::PermissionsExt as _};

    #[test]
    fn messages_are_signed_as_standard_webhooks_are() {
        // printf '%s' 'msg_1.1700000000.{"a":1}' | openssl dgst -sha256 -hmac 'a secret of sixteen' -binary | base64
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"a secret of sixteen");
        assert_eq!(
            signature(&key, "msg_1", 1_700_000_000, r#"{"a":1}"#),
            "v1,loFLCtS9wCtAYHW3Wx+CnOJmeSnppH1oGigjK6EpQik="
        );
    }

    #[test]
    fn a_message_holds_what_the_service_knows_and_nothing_else() {
        let notice = ReviewNotice {
            job: "0".repeat(32).parse().expect("a job"),
            environment: "local".to_owned(),
            datasets: vec!["d".parse().expect("a DID")],
            publishers: vec!["alice".parse().expect("an account")],
            named: Vec::new(),
            approved_by: None,
            until: cloister_model::Timestamp::from_unix_ms(1_700_000_000_000),
        };
        let expected = json!({
            "event": "review-waiting", "job": "0".repeat(32), "environment": "local", "datasets": ["did:op:d"],
            "publishers": ["alice"], "named": [], "approvedBy": null, "until": "2023-11-14T22:13:20Z",
        });
        assert_eq!(message(&notice), expected);
    }

    #[tokio::test]
    async fn the_operators_program_gets_the_message_and_no_environment() {
        let folder = tempfile::tempdir().expect("a folder");
        let (program, got) = (folder.path().join("tell"), folder.path().join("got"));
        let script = format!("#!/bin/sh\ncat >'{0}'\nenv >>'{0}'\n", got.display());
        let draft = folder.path().join("draft");
        fs::write(&draft, script).expect("written");
        fs::set_permissions(&draft, fs::Permissions::from_mode(0o700)).expect("a mode");
        // By another process: a program that this one has written may be open in a child of another test, and is not executed then.
        let copied = tokio::process::Command::new("cp").arg(&draft).arg(&program).status().await;
        assert!(copied.expect("cp starts").success());
        assert_eq!(run(&program, "{\"a\":1}").await, Ok(()));
        let got = fs::read_to_string(got).expect("a file");
        assert!(got.starts_with("{\"a\":1}") && !got.contains("CARGO"), "{got}");
        assert!(run(&folder.path().join("none"), "x").await.is_err_and(|error| error.contains("cannot be started")));
        assert!(run(std::path::Path::new("/bin/false"), "x").await.is_err_and(|error| error.contains("ended with")));
    }
}
