//! The command line: global flags and the tree of commands.

use std::{ffi::OsString, time::Duration};

use clap::{Args, Parser, Subcommand};

use crate::{
    commands::{client_key, completions, health, key, login, logout, migrate, pool, stats, version, whoami},
    config::{Overrides, ProfileName, ServiceUrl},
    output::{ColorChoice, Format},
};

const LONG_ABOUT: &str = "\
Runs pools of Gemini API keys from the terminal and from CI.

A pool is a set of Gemini keys behind one OpenAI-compatible endpoint. Callers present one of the
pool's client keys (sk-pool-...); the service spreads their requests over the pool's Gemini keys
and moves on to the next one when Gemini refuses a key.";

const AFTER_HELP: &str = "\
First steps:
  poolctl login --url https://pool.example.com     log in with the service's ADMIN_PASSWORD
  poolctl pool create prod --keys keys.txt         make a pool, get its client key
  poolctl stats prod                               see which key served what

poolctl COMMAND --help explains a command and shows examples.";

const AFTER_LONG_HELP: &str = "\
First steps:
  poolctl login --url https://pool.example.com     log in with the service's ADMIN_PASSWORD
  poolctl pool create prod --keys keys.txt         make a pool, get its client key
  poolctl stats prod                               see which key served what

Settings come from a flag, else the environment, else the profile, else the default;
poolctl whoami shows which it was.
  POOLCTL_URL          address of the service
  POOLCTL_TOKEN        admin token, for CI
  POOLCTL_PROFILE      profile to use
  POOLCTL_CONFIG_DIR   folder of config.toml and credentials.toml
  POOLCTL_CREDENTIALS  where tokens are kept: keyring or file
  NO_COLOR             no colour

Results go to standard output, everything else to standard error.
Exit codes:
  0  done                             5    no such pool, key or client key
  1  failed                           6    clashes with what is there
  2  wrong command line or input      7    service unreachable or too slow
  3  done, except for some items      130  interrupted
  4  not authorised";

/// Run pools of Gemini API keys.
#[derive(Parser)]
#[command(
    name = "poolctl",
    version,
    long_about = LONG_ABOUT,
    after_help = AFTER_HELP,
    after_long_help = AFTER_LONG_HELP,
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
    /// How results are written
    #[arg(short, long, global = true, value_enum, value_name = "FORMAT", default_value_t)]
    pub output: Format,
    /// The profile.
    #[arg(short, long, global = true, value_name = "NAME", help = "Profile to use [env: POOLCTL_PROFILE]")]
    pub profile: Option<ProfileName>,
    /// The service.
    #[arg(long, global = true, value_name = "URL", help = "Address of the service [env: POOLCTL_URL]")]
    pub url: Option<ServiceUrl>,
    /// Wait so long for an answer [default: 30]
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
        }
    }
}

/// The commands.
#[derive(Subcommand)]
pub enum Command {
    Login(login::Args),
    Logout(logout::Args),
    Whoami(whoami::Args),
    #[command(subcommand)]
    Pool(pool::Command),
    #[command(subcommand)]
    Key(key::Command),
    #[command(subcommand)]
    ClientKey(client_key::Command),
    Stats(stats::Args),
    Health(health::Args),
    Migrate(migrate::Args),
    Completions(completions::Args),
    Version(version::Args),
}

fn seconds(text: &str) -> Result<Duration, String> {
    let wrong = || "a number of seconds from 0.1 to 3600 is expected".to_owned();
    let seconds: f64 = text.trim_end_matches('s').parse().map_err(|_| wrong())?;
    if (0.1..=3600.0).contains(&seconds) { Ok(Duration::from_secs_f64(seconds)) } else { Err(wrong()) }
}

/// What holds for an error about the command line itself, before there are parsed arguments.
pub fn format_of(argv: &[OsString]) -> Format {
    let words: Vec<&str> = argv.iter().filter_map(|word| word.to_str()).collect();
    let json = words.windows(2).any(|pair| matches!(pair, ["-o" | "--output", "json"]))
        || words.iter().any(|word| matches!(*word, "-ojson" | "-o=json" | "--output=json"));
    if json { Format::Json } else { Format::Table }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_tree_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_examples() {
        fn check(command: &clap::Command, path: &str) {
            let path = format!("{path} {}", command.get_name());
            if command.has_subcommands() {
                command.get_subcommands().for_each(|sub| check(sub, &path));
            } else {
                let help = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
                assert!(help.contains("Examples:\n  poolctl"), "{path}");
            }
        }
        Cli::command().get_subcommands().for_each(|command| check(command, "poolctl"));
    }

    #[test]
    fn seconds_are_bounded() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        assert_eq!(seconds("30s"), Ok(Duration::from_secs(30)));
        for text in ["0", "-1", "3601", "nan", "x", ""] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_format_is_known_before_the_rest_can_be_read() {
        let format = |line: &str| format_of(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
        for line in
            ["poolctl -o json x", "poolctl x --output json", "poolctl --output=json", "poolctl -ojson"]
        {
            assert_eq!(format(line), Format::Json, "{line}");
        }
        assert_eq!(format("poolctl json -o table"), Format::Table);
    }
}
