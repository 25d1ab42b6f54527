//! What every command that speaks to a service is given.

use crate::{
    client::{Client, Connection, ConnectionArguments},
    output::Format,
};
#[cfg(feature = "service")]
use std::path::PathBuf;

/// How to reach the service, and how to print its answers.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) connection: ConnectionArguments,
    pub(crate) format: Format,
}

impl Context {
    /// The folder of the service on this machine.
    #[cfg(feature = "service")]
    pub(crate) fn home(&self) -> PathBuf {
        self.connection.home(|name| std::env::var(name).ok())
    }

    /// A client of the service.
    ///
    /// # Errors
    /// If the address, the key or the certificates cannot be used.
    pub(crate) fn client(&self) -> anyhow::Result<Client> {
        Ok(Client::new(Connection::resolve(&self.connection, |name| std::env::var(name).ok())?)?)
    }
}
