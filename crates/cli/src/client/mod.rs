//! The HTTP client: where the service is, which key is sent, and how answers are read. Whatever a service sends is
//! untrusted: it is bounded when it is read and escaped when it is shown.

mod answer;
mod connection;
mod credentials;
mod events;
mod problem;
mod request;

pub(crate) use answer::{
    Asset, Environment, Job, JobAlgorithm, JobExplanation, JobParameters, KeptUpload, Key, List, Progress, Reason,
    Record, ResultFile, Step, StoreWait, Upload, WaitingReview, Whoami, WithheldLog, read, read_all,
};
pub(crate) use connection::{
    Connection, ConnectionArguments, checked_key, find_context, is_loopback, parse_url, read_key,
};
#[cfg(feature = "service")]
pub(crate) use connection::{DEFAULT_HOME, KEY_FILE, URL_FILE};
pub(crate) use events::follow_job;
pub(crate) use problem::{ClientError, Problem, show_rules};
pub(crate) use request::Client;
