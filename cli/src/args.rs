//! The command line: global flags and the tree of commands.

use std::{ffi::OsString, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::{
    commands::{
        api, audit, backup, client_key, completions, config, doctor, events, health, help, key, limits,
        login, logout, man, manifest, master, migrate, pool, profile, stats, token, top, try_pool, version,
        whoami,
    },
    config::{Overrides, ProfileName, ServiceUrl, seconds},
    env::{self, Env},
    output::{ColorChoice, Format},
};

const LONG_ABOUT: &str = "\
Runs pools of Gemini API keys from the terminal and from CI.

A pool is a set of Gemini keys behind one OpenAI-compatible endpoint. Callers present one of the
pool's client keys (sk-pool-...); the service spreads their requests over the pool's Gemini keys
and moves on to the next one when Gemini refuses a key.";

const FIRST_STEPS: &str = "\
First steps:
  poolctl login --url https://pool.example.com     log in with the service's ADMIN_PASSWORD
  poolctl pool create prod --keys keys.txt         make a pool, get its client key
  poolctl try prod 'Say hello.'                    send one request through it
  poolctl stats prod                               see which key served what

poolctl COMMAND --help explains a command and shows examples.
poolctl help TOPIC explains more: environment, exit-codes, formats, selection.";

/// Run pools of Gemini API keys.
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

/// Flags that every command takes.
#[derive(Args)]
#[command(next_help_heading = "Global options")]
pub struct GlobalArgs {
    /// How results are written.
    #[arg(
        short,
        long,
        global = true,
        value_enum,
        value_name = "FORMAT",
        help = "How results are written [env: POOLCTL_OUTPUT] [default: table]"
    )]
    pub output: Option<Format>,
    /// The profile.
    #[arg(short, long, global = true, value_name = "NAME", help = "Profile to use [env: POOLCTL_PROFILE]")]
    pub profile: Option<ProfileName>,
    /// The service.
    #[arg(long, global = true, value_name = "URL", help = "Address of the service [env: POOLCTL_URL]")]
    pub url: Option<ServiceUrl>,
    /// Wait so long for a response [default: 30; for try 900, of silence]
    #[arg(long, global = true, value_name = "SECONDS", value_parser = seconds)]
    pub timeout: Option<Duration>,
    /// Allow http:// to another machine, where everybody on the way can read the secrets
    #[arg(long, global = true)]
    pub insecure: bool,
    /// Say nothing but results, warnings and errors
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// When to use colour
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t)]
    pub color: ColorChoice,
}

impl GlobalArgs {
    /// The flags that take part in the settings.
    pub fn overrides(&self) -> Overrides {
        Overrides {
            profile: self.profile.clone(),
            url: self.url.clone(),
            timeout: self.timeout,
            insecure: self.insecure,
            output: self.output,
        }
    }
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
    Try(try_pool::Args),
    Stats(stats::Args),
    Limits(limits::Args),
    Events(events::Args),
    Top(top::Args),
    Audit(audit::Args),
    Health(health::Args),
    Doctor(doctor::Args),
    #[command(subcommand)]
    Master(master::Command),
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

/// The format that the command line or the environment asks for, before there are parsed arguments.
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
