//! `poolctl completions`.

use clap_complete::Shell;

use crate::{
    error::{CliError, Outcome},
    output::Output,
};

/// Print a completion script for a shell
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  poolctl completions bash > ~/.local/share/bash-completion/completions/poolctl
  poolctl completions zsh > ~/.zfunc/_poolctl
  poolctl completions fish > ~/.config/fish/completions/poolctl.fish")]
pub struct Args {
    /// The shell
    shell: Shell,
}

pub fn run(out: &mut Output, args: &Args, mut cli: clap::Command) -> Result<Outcome, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut cli, "poolctl", &mut script);
    out.raw(String::from_utf8_lossy(&script).trim_end())?;
    Ok(Outcome::Done)
}
