//! `poolctl help`: the page of a command, or of a topic.

use std::fmt::Write as _;

use crate::{
    ctx::nearest,
    env,
    error::{CliError, Exit, Outcome},
    output::Output,
};

const TOPICS: [&str; 4] = ["environment", "exit-codes", "formats", "selection"];

const FORMATS: &str = "\
Results go to standard output, everything else to standard error. -o, or POOLCTL_OUTPUT, sets the
output format:

  table  main columns; in a pipe one untruncated line per row, exact times, no colour
  wide   table with all columns
  json   the admin API's JSON; fields may be added but are never removed
  jsonl  one compact document per line: a list's elements, or the whole document
  yaml   the JSON document as YAML
  csv    table with all columns and a header, RFC 4180
  name   only names or ids, one per line, for other commands

With json and jsonl, an error is one object on standard error, and standard output is empty:
  {\"error\":{\"code\":...,\"message\":...,\"hint\":...,\"status\":...,\"request_id\":...}}";

const SELECTION: &str = "\
Commands that change keys take the pool and either ids or a filter, not both:

  poolctl key disable prod key-00c0ffee00c0ffee key-0badcafe0badcafe
  poolctl key list prod -o name --state invalid | poolctl key remove prod - --yes
  poolctl key disable prod --tag team-b
  poolctl key weight prod --to 5 --search paid --state healthy
  poolctl key enable prod --all

  --state    current state of the key; can be repeated
  --tag      keys with exactly this tag
  --search   part of the name, tag, masked form, fingerprint or id
  --enabled, --disabled   enabled or disabled by an admin
  --all      every key of the pool

Filters are combined with AND. The matching keys are listed for confirmation first, and only these
keys are changed, even if the pool changes meanwhile. Without a terminal --yes is required;
--dry-run shows the keys and changes nothing.";

/// Show help for a command or a topic
#[derive(clap::Args)]
#[command(after_long_help = "\
Topics:
  environment  variables, and the order of sources of settings
  exit-codes   exit codes for scripts
  formats      output formats of -o
  selection    how commands select keys

Examples:
  poolctl help pool create
  poolctl help exit-codes")]
pub struct Args {
    /// A command, such as pool create, or a topic
    #[arg(value_name = "COMMAND|TOPIC")]
    words: Vec<String>,
}

pub fn run(out: &mut Output, args: &Args, cli: clap::Command) -> Result<Outcome, CliError> {
    let words: Vec<&str> = args.words.iter().map(String::as_str).collect();
    let text = match words.as_slice() {
        ["environment"] => environment(),
        ["exit-codes"] => exit_codes(),
        ["formats"] => FORMATS.to_owned(),
        ["selection"] => SELECTION.to_owned(),
        words => page(words, cli)?,
    };
    out.raw(text.trim_end())?;
    Ok(Outcome::Done)
}

fn page(words: &[&str], mut command: clap::Command) -> Result<String, CliError> {
    command.build();
    let mut found = &mut command;
    for word in words {
        let names: Vec<String> = found.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
        found = found.find_subcommand_mut(word).ok_or_else(|| unknown(words, word, &names))?;
    }
    Ok(found.render_long_help().to_string())
}

fn unknown(words: &[&str], word: &str, names: &[String]) -> CliError {
    let error = CliError::usage(format!("no command or topic '{}'", words.join(" ")));
    let topics = TOPICS.into_iter().filter(|_| words.len() == 1);
    match nearest(word, names.iter().map(String::as_str).chain(topics)) {
        Some(name) => error.hint(format!("did you mean {name}?")),
        None => error.hint("poolctl help lists commands and topics"),
    }
}

fn environment() -> String {
    let mut text = "Settings are read from flags, then the environment, then the profile, then defaults;\n\
        poolctl config shows the source of each. An empty variable counts as not set.\n\n"
        .to_owned();
    for (name, meaning) in env::KNOWN {
        let _ = writeln!(text, "  {name:<20} {meaning}");
    }
    text += "\nHTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY configure the proxy to the service (http, https, socks5).\n\
        A service on this machine is called directly.\n";
    text
}

fn exit_codes() -> String {
    let mut text = "Exit codes are stable and can be used in scripts.\n\n".to_owned();
    for (exit, meaning) in Exit::MEANINGS {
        let _ = writeln!(text, "  {:>3}  {meaning}", exit as u8);
    }
    text
}
