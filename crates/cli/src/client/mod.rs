//! HTTP as a client: where the service is, who we are, and what it answers. Whatever it sends is a stranger's: bounded
//! when it is read, escaped when it is shown.

mod connection;
mod events;
mod problem;
mod request;

pub(crate) use connection::{Connection, ConnectionArguments, DEFAULT_HOME, KEY_FILE, URL_FILE};
pub(crate) use events::follow_job;
pub(crate) use problem::{ClientError, Problem, show_rules};
pub(crate) use request::Client;
