//! `cloister dataset report`: what may leave a dataset, who may use it, what ran, and what left, for people who have to answer for
//! the data. From the rules of the dataset, the audit log and the receipts.

mod gather;
mod text;

use super::{
    kind::collection,
    leaving::of_asset,
    name::{Named, find},
    names::Names,
};
use crate::{
    audit::{moment, selected},
    client::{Asset, Client, ClientError, read},
    context::Context,
    output::{Format, print_document, print_line},
};
use cloister_model::AssetKind;
use gather::{Event, History};
use serde::Serialize;
use serde_json::Value;

/// Records of the audit log that are read.
const MOST_RECORDS: usize = 100_000;

/// Jobs whose receipts are read: the newest.
const MOST_RECEIPTS: usize = 500;

/// Report what may leave a dataset of yours, who may use it, what ran, and what left
///
/// The report is text in Markdown, for people who have to answer for the data; `-o json` prints the same for programs. It is made of the
/// rules as they are now, the audit log, and the receipts of jobs. Records that the operator has archived are not in it.
#[derive(Debug, clap::Args)]
pub(crate) struct Report {
    /// Its name, OWNER/NAME, or DID
    dataset: Named,
    /// Only what happened on this day or at this moment, in UTC, and later
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<jiff::Timestamp>,
}

/// What is reported.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Reported {
    dataset: String,
    did: String,
    title: String,
    /// When the report was made.
    made: String,
    since: Option<String>,
    withdrawn: Option<String>,
    /// Sentences.
    may_leave: Vec<String>,
    /// Sentences.
    may_use: Vec<String>,
    #[serde(flatten)]
    history: History,
}

impl Report {
    pub(super) async fn execute(self, context: &Context) -> anyhow::Result<()> {
        let client = context.client()?;
        let did = find(&client, AssetKind::Dataset, &self.dataset).await?;
        let answer = client.get(&["v1", collection(AssetKind::Dataset), &did], &[]).await?;
        let since = self.since.map(|since| format!("{since:.3}"));
        let mut query = vec![("asset", did.clone())];
        query.extend(since.clone().map(|since| ("since", since)));
        let records = selected(&client, &query, 0, MOST_RECORDS).await?;
        let mut history = History::of(records.iter().map(read::<Event>).collect::<Result<_, _>>()?);
        let mut names = Names::new(&client);
        for job in history.jobs.iter_mut().rev().take(MOST_RECEIPTS) {
            if let Some(receipt) = receipt(&client, &job.id).await? {
                job.add_receipt(&receipt);
            }
            if let Some(algorithm) = &job.algorithm {
                job.algorithm = Some(names.of(AssetKind::Algorithm, algorithm).await);
            }
        }
        let Asset { did, name, owner, title, withdrawn, .. } = read(&answer)?;
        let reported = Reported {
            dataset: format!("{owner}/{name}"),
            did,
            title,
            made: format!("{:.0}", jiff::Timestamp::now()),
            since,
            withdrawn,
            may_leave: of_asset(&answer),
            may_use: gather::may_use(&answer["ddo"], &mut names).await,
            history,
        };
        if context.format != Format::Table {
            return Ok(print_document(context.format, &serde_json::to_value(&reported)?)?);
        }
        for line in reported.lines() {
            print_line(&line)?;
        }
        Ok(())
    }
}

/// The receipt of a job; none while it has not ended, and if an earlier version ended it.
async fn receipt(client: &Client, job: &str) -> Result<Option<Value>, ClientError> {
    match client.get(&["v1", "jobs", job, "receipt"], &[]).await {
        Ok(mut receipt) => Ok(Some(receipt["receipt"].take())),
        Err(ClientError::Problem(problem)) if matches!(problem.status, 404 | 409) => Ok(None),
        Err(error) => Err(error),
    }
}
