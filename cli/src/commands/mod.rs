//! The commands, one file a noun or a verb: a clap struct and a `run`.
//!
//! In: a [`Ctx`] and the parsed arguments. Out: a result through `ctx.out`, and an [`Outcome`] or
//! an error from which the exit code follows.

pub mod api;
pub mod audit;
pub mod backup;
pub mod client_key;
pub mod completions;
pub mod config;
pub mod doctor;
pub mod events;
mod flags;
pub mod health;
pub mod help;
pub mod key;
pub mod limits;
pub mod login;
pub mod logout;
pub mod man;
pub mod manifest;
pub mod master;
pub mod migrate;
pub mod pool;
mod pool_ref;
pub mod profile;
pub mod stats;
mod times;
pub mod token;
pub mod top;
pub mod try_pool;
pub mod version;
pub mod whoami;

use std::ffi::OsString;

use clap::{Parser, error::ErrorKind};

pub use self::{
    flags::{Confirm, DryRun},
    pool_ref::PoolRef,
};
use crate::{
    args::{Cli, Command, format_of},
    ctx::Ctx,
    env::Env,
    error::{CliError, Code, Exit, Outcome},
    output::{ColorChoice, Output},
};

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
    // A keyring or a terminal that is still being waited for must not hold up the end.
    runtime.shutdown_background();
    exit
}

async fn run(cli: Cli, mut out: Output, env: &Env, command_line: Vec<OsString>) -> Exit {
    let local = match &cli.command {
        Command::Version(args) => Some(version::run(&mut out, args)),
        Command::Completions(args) => Some(completions::run(&mut out, args)),
        Command::Man(args) => Some(man::run(&mut out, args)),
        Command::Help(args) => Some(help::run(&mut out, args)),
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
        Command::Try(args) => try_pool::run(ctx, args).await,
        Command::Token(command) => token::run(ctx, command).await,
        Command::Audit(args) => audit::run(ctx, args).await,
        Command::Doctor(args) => doctor::run(ctx, args).await,
        Command::Backup(args) => backup::backup(ctx, args).await,
        Command::Restore(args) => backup::restore(ctx, args).await,
        Command::Limits(args) => limits::run(ctx, args).await,
        Command::Events(args) => events::run(ctx, args).await,
        Command::Top(args) => top::run(ctx, args).await,
        Command::Health(args) => health::run(ctx, args).await,
        Command::Master(command) => master::run(ctx, command).await,
        Command::Migrate(args) => migrate::run(ctx, args).await,
        Command::Apply(args) => manifest::apply(ctx, args).await,
        Command::Diff(args) => manifest::diff(ctx, args).await,
        Command::Export(args) => manifest::export(ctx, args).await,
        Command::Api(args) => api::run(ctx, args).await,
        Command::Version(args) => version::run(&mut ctx.out, &args),
        Command::Completions(args) => completions::run(&mut ctx.out, &args),
        Command::Man(args) => man::run(&mut ctx.out, &args),
        Command::Help(args) => help::run(&mut ctx.out, &args),
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

/// Help and version are results; anything else that clap reports is a wrong command line.
fn usage(error: &clap::Error, command_line: &[OsString], env: &Env) -> Exit {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        // A reader that went away is no error.
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
    let message = lines.next().unwrap_or("wrong command line").trim_start_matches("error: ");
    let more = lines.take_while(|line| !line.starts_with("Usage:")).collect::<Vec<_>>().join(" ");
    let mut wrong = CliError::usage(message).hint("poolctl --help");
    if !more.is_empty() {
        wrong = wrong.cause(more);
    }
    fail(Output::from_process(format, ColorChoice::Never, false, env), &wrong)
}
