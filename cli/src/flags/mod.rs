//! Flags and arguments that several commands share, and their value types.

mod pool_ref;
pub mod times;

use std::time::Duration;

pub use self::pool_ref::PoolRef;
use crate::{
    config::{Overrides, ProfileName, ServiceUrl, seconds},
    error::CliError,
    output::{ColorChoice, Format},
};

/// Global flags.
#[derive(clap::Args)]
#[command(next_help_heading = "Global options")]
pub struct GlobalArgs {
    /// Output format.
    #[arg(
        short,
        long,
        global = true,
        value_enum,
        value_name = "FORMAT",
        help = "Output format [env: POOLCTL_OUTPUT] [default: table]"
    )]
    pub output: Option<Format>,
    /// The profile.
    #[arg(short, long, global = true, value_name = "NAME", help = "Profile to use [env: POOLCTL_PROFILE]")]
    pub profile: Option<ProfileName>,
    /// The service.
    #[arg(long, global = true, value_name = "URL", help = "Address of the service [env: POOLCTL_URL]")]
    pub url: Option<ServiceUrl>,
    /// Seconds to wait for a response [default: 30; for test 900, of silence]
    #[arg(long, global = true, value_name = "SECONDS", value_parser = seconds)]
    pub timeout: Option<Duration>,
    /// Allow unencrypted http:// to a remote host (secrets can be intercepted)
    #[arg(long, global = true)]
    pub insecure: bool,
    /// Print only results, warnings and errors
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// When to use colour
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t)]
    pub color: ColorChoice,
}

impl GlobalArgs {
    /// Returns the flags that override settings.
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

/// The flag of every command that makes changes.
#[derive(clap::Args, Clone, Copy, Debug, Default)]
pub struct DryRun {
    /// Show what would change without changing it
    #[arg(long)]
    pub dry_run: bool,
}

/// The flags of commands that ask for confirmation.
#[derive(clap::Args, Clone, Copy, Debug, Default)]
pub struct Confirm {
    /// Skip the confirmation prompt
    #[arg(short, long)]
    pub yes: bool,
    #[command(flatten)]
    dry: DryRun,
}

impl Confirm {
    /// Returns `true` if a confirmation is required.
    pub fn asks(self) -> bool {
        !self.yes && !self.dry.dry_run
    }

    /// Returns `true` if nothing is changed.
    pub fn dry_run(self) -> bool {
        self.dry.dry_run
    }
}

/// The pool of a command, as an argument or as `--pool`.
#[derive(clap::Args)]
pub struct PoolArg {
    /// The pool's name or id
    #[arg(value_name = "POOL", required_unless_present = "pool")]
    argument: Option<PoolRef>,
    /// Pool name or id, as a flag
    #[arg(long, value_name = "POOL", conflicts_with = "argument")]
    pool: Option<PoolRef>,
}

impl PoolArg {
    /// Returns the pool.
    pub fn get(self) -> Result<PoolRef, CliError> {
        self.argument.or(self.pool).ok_or_else(|| CliError::usage("no pool given"))
    }
}
