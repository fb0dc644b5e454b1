//! `poolctl man`.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::{
    error::{CliError, Outcome},
    output::{Output, counted},
};

/// Print the manual page, or write one page per command
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  poolctl man | man -l -
  poolctl man --dir ~/.local/share/man/man1")]
pub struct Args {
    /// Write poolctl.1, poolctl-pool-create.1 and so on to this folder
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
}

pub fn run(out: &mut Output, args: &Args, cli: clap::Command) -> Result<Outcome, CliError> {
    let mut command = cli;
    command.build();
    let Some(dir) = &args.dir else {
        out.raw(page(command)?.trim_end())?;
        return Ok(Outcome::Done);
    };
    std::fs::create_dir_all(dir).map_err(|error| CliError::file("create", dir, &error))?;
    let mut written = Vec::new();
    write_all(dir, command, &mut written)?;
    let result = json!({ "folder": dir, "pages": written });
    out.result(&result, |_| format!("{} written to {}", counted(written.len(), "page"), dir.display()))?;
    Ok(Outcome::Done)
}

fn write_all(dir: &Path, command: clap::Command, written: &mut Vec<String>) -> Result<(), CliError> {
    for sub in command.get_subcommands() {
        write_all(dir, sub.clone(), written)?;
    }
    let name = format!("{}.1", command.get_display_name().unwrap_or(command.get_name()));
    let path = dir.join(&name);
    std::fs::write(&path, page(command)?).map_err(|error| CliError::file("write", &path, &error))?;
    written.push(name);
    Ok(())
}

fn page(command: clap::Command) -> Result<String, CliError> {
    let mut page = Vec::new();
    // The page is the same wherever and whenever it is made.
    clap_mangen::Man::new(command).date("").render(&mut page)?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}
