//! The command line as typed, and which command it starts.

#[cfg(feature = "service")]
use crate::service_commands::{MachineCommand, ServiceCommand};
use crate::{
    asset, audit,
    client::{ConnectionArguments, Whoami, read},
    context::Context,
    contexts, environment, examples,
    exit::{EXIT_CODES, USAGE},
    failure::{code_of, error_document, is_closed_pipe},
    job, key, login,
    output::{Format, Table, complain, print_document, refuse, speak},
    upload,
};
use anyhow::Context as _;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use std::{io::Write as _, path::PathBuf, process::ExitCode, sync::LazyLock};

/// The version, and the commit if the build was told of it: `make build` does so. Without a build script, so that a commit
/// compiles nothing again but this program.
static VERSION: LazyLock<String> = LazyLock::new(|| match COMMIT {
    "" => env!("CARGO_PKG_VERSION").to_owned(),
    commit => format!("{} ({commit})", env!("CARGO_PKG_VERSION")),
});

/// The commit that the program was built from; empty: unknown.
pub(crate) const COMMIT: &str = match option_env!("CLOISTERDEV_COMMIT") {
    Some(commit) => commit,
    None => "",
};

/// Send the algorithm to the data; let out only what was agreed.
///
#[cfg_attr(
    feature = "service",
    doc = "`cloister serve` runs the service. The other commands are clients of a service."
)]
#[cfg_attr(not(feature = "service"), doc = "A client of services elsewhere: `cloister login` first.")]
#[derive(Debug, Parser)]
#[command(name = "cloister", version = VERSION.as_str(), after_long_help = EXIT_CODES)]
struct Arguments {
    #[command(flatten)]
    connection: ConnectionArguments,
    /// How to print answers
    #[arg(short, long, global = true, value_enum, value_name = "FORMAT", default_value_t, help_heading = "Output")]
    output: Format,
    /// Print nothing but answers and errors: no notes, no progress
    #[arg(short, long, global = true, help_heading = "Output", hide_short_help = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Print each request with its status, its duration and its id, as the service's log has it
    #[arg(short, long, global = true, help_heading = "Output", hide_short_help = true)]
    verbose: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[cfg(feature = "service")]
    #[command(flatten)]
    Service(ServiceCommand),
    /// Publish the datasets and algorithms that files describe
    Apply(asset::Apply),
    /// Datasets: publish, list, change who may compute on them
    #[command(subcommand, visible_alias = "datasets")]
    Dataset(asset::DatasetCommand),
    /// Algorithms: start, publish, list
    #[command(subcommand, visible_alias = "algorithms")]
    Algorithm(asset::AlgorithmCommand),
    Run(Box<job::Run>),
    /// Jobs: submit, follow, download results
    #[command(subcommand, visible_alias = "jobs")]
    Job(job::JobCommand),
    /// Uploads: list, delete. They are sent with the jobs and assets that need them
    #[command(subcommand, visible_alias = "uploads")]
    Upload(upload::UploadCommand),
    /// API keys: create, list, revoke
    #[command(subcommand, visible_alias = "keys")]
    Key(key::KeyCommand),
    /// Environments: where jobs run
    #[command(subcommand, visible_alias = "environments")]
    Environment(environment::EnvironmentCommand),
    /// The audit log: what was decided, released and downloaded
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Show your account and role
    Whoami,
    Login(login::Login),
    /// Choose between the services that you have logged in to
    #[command(subcommand, visible_alias = "contexts")]
    Context(contexts::ContextCommand),
    #[cfg(feature = "service")]
    #[command(flatten)]
    Machine(MachineCommand),
    /// Print a completion script for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    // For packages.
    /// Write the manual pages of all commands into a folder
    #[command(hide = true)]
    Man {
        /// The folder, which must exist
        #[arg(long, value_name = "DIR")]
        into: PathBuf,
    },
}

/// Runs the command that was typed. Returns the exit code of the program.
pub(crate) fn main() -> ExitCode {
    let matches = match command_line().try_get_matches() {
        Ok(matches) => matches,
        Err(error) if error.use_stderr() => {
            refuse(&error.render().ansi().to_string());
            return ExitCode::from(USAGE);
        }
        // The help, or the version.
        Err(error) => error.exit(),
    };
    let Arguments { connection, output, quiet, verbose, command } =
        Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    speak(quiet, verbose);
    let context = Context { connection, format: output };
    match run(command, &context) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // Texts of the service and of guests were escaped when they were read.
            let text = format!("{error:#}");
            if !text.is_empty() {
                complain(context.format, &text, &error_document(&error));
            }
            ExitCode::from(code_of(&error))
        }
    }
}

/// The command line, with examples.
pub(crate) fn command_line() -> clap::Command {
    examples::add(Arguments::command())
}

fn run(command: Command, context: &Context) -> anyhow::Result<()> {
    match command {
        #[cfg(feature = "service")]
        Command::Service(command) => command.execute(context),
        #[cfg(feature = "service")]
        Command::Machine(command) => command.execute(context),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut command_line(), "cloister", &mut script);
            Ok(std::io::stdout().lock().write_all(&script)?)
        }
        Command::Man { into } => {
            clap_mangen::generate_to(command_line(), &into).with_context(|| format!("`{}`", into.display()))
        }
        Command::Apply(command) => client_runtime(command.execute(context)),
        Command::Dataset(command) => client_runtime(command.execute(context)),
        Command::Algorithm(command) => client_runtime(command.execute(context)),
        Command::Run(command) => client_runtime(command.execute(context)),
        Command::Job(command) => client_runtime(command.execute(context)),
        Command::Upload(command) => client_runtime(command.execute(context)),
        Command::Key(command) => client_runtime(command.execute(context)),
        Command::Environment(command) => client_runtime(command.execute(context)),
        Command::Audit(command) => client_runtime(command.execute(context)),
        Command::Login(command) => client_runtime(command.execute(context)),
        Command::Context(command) => command.execute(context),
        Command::Whoami => client_runtime(whoami(context)),
    }
}

fn client_runtime(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting")?;
    let outcome = runtime.block_on(work);
    // A thread that still reads from the terminal must not keep the program alive.
    runtime.shutdown_background();
    outcome
}

async fn whoami(context: &Context) -> anyhow::Result<()> {
    let answer = context.client()?.get(&["v1", "whoami"], &[]).await?;
    if context.format != Format::Table {
        return Ok(print_document(context.format, &answer)?);
    }
    let Whoami { account, role, via } = read(&answer)?;
    let mut table = Table::new(["ACCOUNT", "ROLE", "VIA"]);
    table.row([account, role, via]);
    Ok(table.print("")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    /// In short and in long, with usage, examples and exit codes.
    #[test]
    fn the_help_of_every_command_fits_into_80_columns() {
        fn check(command: &mut clap::Command, path: &str) {
            for help in [command.render_help(), command.render_long_help()] {
                for line in help.to_string().lines() {
                    let is_one_word = !line.trim().contains(' ');
                    assert!(line.chars().count() <= 80 || is_one_word, "{path}: {line}");
                }
            }
            // Hidden ones are for programs.
            for inner in command.get_subcommands_mut().filter(|inner| !inner.is_hide_set()) {
                let path = format!("{path} {}", inner.get_name());
                check(inner, &path);
            }
        }
        let mut command = command_line().term_width(80);
        command.build();
        check(&mut command, "cloister");
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
