//! The commands that only a program with the service has. They are two lists, because the help has the commands of clients between them.

use crate::{backup, context::Context, demo, engine, output::print_line, runtime, serve, step};
use clap::Subcommand;

/// To run a service, and to keep what it holds.
#[derive(Debug, Subcommand)]
pub(crate) enum ServiceCommand {
    Serve(Box<serve::Serve>),
    Engine(Box<engine::Engine>),
    Secrets(serve::MakeSecrets),
    Backup(backup::Backup),
    Restore(backup::Restore),
}

/// What else works on the machine of a service.
#[derive(Debug, Subcommand)]
pub(crate) enum MachineCommand {
    /// Interpreters of the service on this machine, for algorithms written as scripts: install, list, remove
    #[command(subcommand, visible_alias = "runtimes")]
    Runtime(runtime::RuntimeCommand),
    Demo(demo::Demo),
    // For engines: people have no use for it, so the help does not list it.
    #[command(subcommand, hide = true)]
    Step(Box<step::StepCommand>),
    /// Print the OpenAPI description of the HTTP interface
    Openapi,
}

impl ServiceCommand {
    pub(crate) fn execute(self, context: &Context) -> anyhow::Result<()> {
        match self {
            Self::Serve(command) => command.execute(context),
            Self::Engine(command) => command.execute(context),
            Self::Secrets(command) => command.execute(),
            Self::Backup(command) => command.execute(context),
            Self::Restore(command) => command.execute(context),
        }
    }
}

impl MachineCommand {
    pub(crate) fn execute(self, context: &Context) -> anyhow::Result<()> {
        match self {
            Self::Runtime(command) => command.execute(context),
            Self::Demo(command) => command.execute(),
            Self::Step(command) => command.execute(context),
            Self::Openapi => Ok(print_line(&serve::openapi()?)?),
        }
    }
}
