//! The command line interface: the tree of commands, and their dispatch.
//!
//! The top layer: parses the command line, creates a [`Ctx`], runs one command of
//! [`commands`](crate::commands) and turns its result into an exit code.

use std::ffi::OsString;

use clap::{CommandFactory, Parser, Subcommand, ValueEnum, error::ErrorKind};

use crate::{
    commands::{
        api, audit, backup, client_key, completions, config, doctor, events, health, help, key, limits,
        login, logout, man, manifest, master_key, migrate, pool, profile, stats, test_pool, token, top,
        version, whoami,
    },
    ctx::Ctx,
    env::{self, Env},
    error::{CliError, Code, Exit, Outcome},
    flags::GlobalArgs,
    output::{ColorChoice, Format, Output},
};

const LONG_ABOUT: &str = "\
Manage pools of Gemini API keys from the terminal or CI.

A pool is a set of Gemini keys behind one OpenAI-compatible endpoint. Clients use one
of the pool's client keys (sk-pool-...). The service distributes their requests across the Gemini
keys and fails over to another key when Gemini returns an error.";

const FIRST_STEPS: &str = "\
First steps:
  poolctl login --url https://pool.example.com     log in with the service's ADMIN_PASSWORD
  poolctl pool create prod --keys keys.txt         create a pool and its client key
  poolctl test prod 'Say hello.'                   send one request through it
  poolctl stats prod                               show statistics by key and model

poolctl COMMAND --help describes a command and shows examples.
poolctl help TOPIC describes a topic: environment, exit-codes, formats, selection.";

/// Manage pools of Gemini API keys.
#[derive(Parser)]
#[command(
    name = "poolctl",
    version,
    long_about = LONG_ABOUT,
    after_help = FIRST_STEPS,
    disable_help_subcommand = true,
    subcommand_required = true,
    arg_required_else_help = true,
    max_term_width = 100
)]
pub struct Cli {
    #[command(flatten)]
    pub global: GlobalArgs,
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Subcommand)]
pub enum Command {
    Login(login::Args),
    Logout(logout::Args),
    Whoami(whoami::Args),
    Config(config::Args),
    #[command(subcommand)]
    Profile(profile::Command),
    #[command(subcommand)]
    Pool(pool::Command),
    #[command(subcommand)]
    Key(key::Command),
    #[command(subcommand)]
    ClientKey(client_key::Command),
    #[command(subcommand)]
    Token(token::Command),
    #[command(name = "test", visible_alias = "try")]
    Test(test_pool::Args),
    Stats(stats::Args),
    Limits(limits::Args),
    Events(events::Args),
    Top(top::Args),
    Audit(audit::Args),
    Health(health::Args),
    Doctor(doctor::Args),
    #[command(subcommand, visible_alias = "master")]
    MasterKey(master_key::Command),
    Migrate(migrate::Args),
    Apply(manifest::ApplyArgs),
    Diff(manifest::DiffArgs),
    Export(manifest::ExportArgs),
    Backup(backup::BackupArgs),
    Restore(backup::RestoreArgs),
    Api(api::Args),
    Completions(completions::Args),
    Man(man::Args),
    Version(version::Args),
    Help(help::Args),
}

/// Parses the command line and runs its command.
pub fn main(command_line: Vec<OsString>, env: &Env) -> Exit {
    let cli = match Cli::try_parse_from(&command_line) {
        Ok(cli) => cli,
        Err(error) => return usage(&error, &command_line, env),
    };
    let format = cli.global.output.unwrap_or_else(|| format_of(&[], env));
    let out = Output::from_process(format, cli.global.color, cli.global.quiet, env);
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            return fail(out, &CliError::new(Code::Local, "cannot start").cause(error.to_string()));
        }
    };
    let exit = runtime.block_on(run(cli, out, env, command_line));
    // A blocked call of the keyring or the terminal must not delay the exit.
    runtime.shutdown_background();
    exit
}

async fn run(cli: Cli, mut out: Output, env: &Env, command_line: Vec<OsString>) -> Exit {
    let local = match &cli.command {
        Command::Version(args) => Some(version::run(&mut out, args)),
        Command::Completions(args) => Some(completions::run(&mut out, args, Cli::command())),
        Command::Man(args) => Some(man::run(&mut out, args, Cli::command())),
        Command::Help(args) => Some(help::run(&mut out, args, Cli::command())),
        _ => None,
    };
    let mut ctx = match local {
        Some(ended) => return end(out, ended),
        None => match Ctx::new(out, &cli.global, env, command_line) {
            Ok(ctx) => ctx,
            Err(failed) => {
                let (out, error) = *failed;
                return fail(out, &error);
            }
        },
    };
    let ended = dispatch(&mut ctx, cli.command).await;
    end(ctx.out, ended)
}

async fn dispatch(ctx: &mut Ctx, command: Command) -> Result<Outcome, CliError> {
    match command {
        Command::Login(args) => login::run(ctx, args).await,
        Command::Logout(args) => logout::run(ctx, args).await,
        Command::Whoami(args) => whoami::run(ctx, args).await,
        Command::Config(args) => config::run(ctx, args),
        Command::Profile(command) => profile::run(ctx, command).await,
        Command::Pool(command) => pool::run(ctx, command).await,
        Command::Key(command) => key::run(ctx, command).await,
        Command::ClientKey(command) => client_key::run(ctx, command).await,
        Command::Stats(args) => stats::run(ctx, args).await,
        Command::Test(args) => test_pool::run(ctx, args).await,
        Command::Token(command) => token::run(ctx, command).await,
        Command::Audit(args) => audit::run(ctx, args).await,
        Command::Doctor(args) => doctor::run(ctx, args).await,
        Command::Backup(args) => backup::backup(ctx, args).await,
        Command::Restore(args) => backup::restore(ctx, args).await,
        Command::Limits(args) => limits::run(ctx, args).await,
        Command::Events(args) => events::run(ctx, args).await,
        Command::Top(args) => top::run(ctx, args).await,
        Command::Health(args) => health::run(ctx, args).await,
        Command::MasterKey(command) => master_key::run(ctx, command).await,
        Command::Migrate(args) => migrate::run(ctx, args).await,
        Command::Apply(args) => manifest::apply(ctx, args).await,
        Command::Diff(args) => manifest::diff(ctx, args).await,
        Command::Export(args) => manifest::export(ctx, args).await,
        Command::Api(args) => api::run(ctx, args).await,
        Command::Version(args) => version::run(&mut ctx.out, &args),
        Command::Completions(args) => completions::run(&mut ctx.out, &args, Cli::command()),
        Command::Man(args) => man::run(&mut ctx.out, &args, Cli::command()),
        Command::Help(args) => help::run(&mut ctx.out, &args, Cli::command()),
    }
}

fn end(out: Output, ended: Result<Outcome, CliError>) -> Exit {
    match ended {
        Ok(outcome) => outcome.into(),
        Err(error) => fail(out, &error),
    }
}

fn fail(mut out: Output, error: &CliError) -> Exit {
    out.error(error);
    error.exit()
}

/// Prints help and version as results; any other report of clap is a usage error.
fn usage(error: &clap::Error, command_line: &[OsString], env: &Env) -> Exit {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        // A closed output is not an error.
        let _ = error.print();
        return Exit::Ok;
    }
    let format = format_of(command_line, env);
    if !format.is_json() {
        let _ = error.print();
        return Exit::Usage;
    }
    let text = error.render().to_string();
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let message = lines.next().unwrap_or("invalid command line");
    let message = message.trim_start_matches("error: ").trim_end_matches(':');
    let more = lines.take_while(|line| !line.starts_with("Usage:")).collect::<Vec<_>>().join(" ");
    let mut wrong = CliError::usage(message).hint("poolctl --help");
    if !more.is_empty() {
        wrong = wrong.cause(more);
    }
    fail(Output::from_process(format, ColorChoice::Never, false, env), &wrong)
}

/// Returns the output format of a command line that cannot be parsed, or of the environment.
pub fn format_of(argv: &[OsString], env: &Env) -> Format {
    let words: Vec<&str> = argv.iter().filter_map(|word| word.to_str()).collect();
    let apart = words.windows(2).find_map(|pair| match pair {
        ["-o" | "--output", format] => Some(*format),
        _ => None,
    });
    let joined = || {
        words.iter().find_map(|word| {
            word.strip_prefix("--output=")
                .or_else(|| word.strip_prefix("-o="))
                .or_else(|| word.strip_prefix("-o"))
        })
    };
    let format = apart.or_else(joined).or_else(|| env.get(env::OUTPUT));
    format.and_then(|name| Format::from_str(name, false).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
