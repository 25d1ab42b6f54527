//! The command line as typed, and the way from there to each command.

use crate::{
    asset, audit,
    client::{Client, Connection, ConnectionArguments},
    demo, environment,
    exit::{EXIT_CODES, code_of, is_closed_pipe},
    job, key,
    output::{Format, Table, note, print_document, print_line},
    serve, step,
};
use anyhow::Context as _;
use clap::{CommandFactory as _, Parser, Subcommand};
use std::{io::Write as _, path::PathBuf, process::ExitCode};

/// Send the algorithm to the data; let out only what was agreed.
///
/// `cloister serve` is the service; the other commands speak to one.
#[derive(Debug, Parser)]
#[command(name = "cloister", version, after_help = EXIT_CODES)]
struct Arguments {
    #[command(flatten)]
    connection: ConnectionArguments,
    /// How answers are printed
    #[arg(short, long, global = true, value_enum, value_name = "FORMAT", default_value_t, help_heading = "Output")]
    output: Format,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(Box<serve::Serve>),
    /// Publish what is described in files: datasets and algorithms
    Apply(asset::Apply),
    /// Datasets: publish, list, change who may compute on them
    #[command(subcommand, visible_alias = "datasets")]
    Dataset(asset::DatasetCommand),
    /// Algorithms: publish, list
    #[command(subcommand, visible_alias = "algorithms")]
    Algorithm(asset::AlgorithmCommand),
    /// Jobs: submit, follow, fetch results
    #[command(subcommand, visible_alias = "jobs")]
    Job(job::JobCommand),
    /// API keys: create, list, revoke
    #[command(subcommand, visible_alias = "keys")]
    Key(key::KeyCommand),
    /// Where jobs run
    #[command(subcommand, visible_alias = "environments")]
    Environment(environment::EnvironmentCommand),
    /// The record of what was decided, released and read
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Who the service takes you for
    Whoami,
    Demo(demo::Demo),
    // For engines: people have no use for it, and help that lists it would say otherwise.
    #[command(subcommand, hide = true)]
    Step(step::StepCommand),
    /// Print the description of the HTTP interface (OpenAPI) and end
    Openapi,
    /// Print a completion script for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

/// What every command that speaks to a service has.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) connection: ConnectionArguments,
    pub(crate) format: Format,
}

impl Context {
    /// The folder of the service on this machine.
    pub(crate) fn home(&self) -> PathBuf {
        self.connection.home(|name| std::env::var(name).ok())
    }

    /// A client of the service.
    pub(crate) fn client(&self) -> anyhow::Result<Client> {
        Ok(Connection::resolve(&self.connection, |name| std::env::var(name).ok())?.open()?)
    }
}

/// Reads the command line, does what it says, and answers with the exit code.
pub(crate) fn main() -> ExitCode {
    let Arguments { connection, output, command } = Arguments::parse();
    let context = Context { connection, format: output };
    match run(command, &context) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // Strangers' texts in errors are escaped where they come in.
            let text = format!("{error:#}");
            if !text.is_empty() {
                note(&format!("cloister: {text}"));
            }
            ExitCode::from(code_of(&error))
        }
    }
}

fn run(command: Command, context: &Context) -> anyhow::Result<()> {
    match command {
        Command::Serve(command) => command.execute(context),
        Command::Demo(command) => command.execute(),
        Command::Step(command) => command.execute(context),
        Command::Openapi => openapi(),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "cloister", &mut script);
            Ok(std::io::stdout().lock().write_all(&script)?)
        }
        Command::Apply(command) => client_runtime(command.execute(context)),
        Command::Dataset(command) => client_runtime(command.execute(context)),
        Command::Algorithm(command) => client_runtime(command.execute(context)),
        Command::Job(command) => client_runtime(command.execute(context)),
        Command::Key(command) => client_runtime(command.execute(context)),
        Command::Environment(command) => client_runtime(command.execute(context)),
        Command::Audit(command) => client_runtime(command.execute(context)),
        Command::Whoami => client_runtime(whoami(context)),
    }
}

fn client_runtime(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting")?;
    let outcome = runtime.block_on(work);
    // What still reads a terminal must not keep the program.
    runtime.shutdown_background();
    outcome
}

async fn whoami(context: &Context) -> anyhow::Result<()> {
    let answer = context.client()?.get(&["v1", "whoami"], &[]).await?;
    if context.format != Format::Table {
        return Ok(print_document(context.format, &answer)?);
    }
    let text = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
    let mut table = Table::new(["ACCOUNT", "ROLE", "VIA"]);
    table.row([text("account"), text("role"), text("via")]);
    Ok(table.print("")?)
}

fn openapi() -> anyhow::Result<()> {
    Ok(print_line(&serve::openapi()?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_command_explains_itself() {
        fn check(command: &clap::Command, path: &str) {
            for inner in command.get_subcommands() {
                let path = format!("{path} {}", inner.get_name());
                assert!(inner.get_about().is_some() || inner.get_name() == "help", "{path}");
                check(inner, &path);
            }
        }
        check(&Arguments::command(), "cloister");
    }
}
