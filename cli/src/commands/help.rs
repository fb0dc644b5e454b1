//! `poolctl help`: a command's page, or one of the topics that belong to no command.

use std::fmt::Write as _;

use crate::{
    ctx::nearest,
    env,
    error::{CliError, Exit, Outcome},
    output::Output,
};

const TOPICS: [&str; 4] = ["environment", "exit-codes", "formats", "selection"];

const FORMATS: &str = "\
Results go to standard output, everything else to standard error. -o, or POOLCTL_OUTPUT, says how
results are written:

  table  for people: what matters; in a pipe one whole line a row, exact times, no colour
  wide   the same with every column
  json   the admin API's JSON; fields may be added but are never removed
  jsonl  one compact document a line: a list's elements, or the whole
  yaml   the JSON document as YAML
  csv    the table with every column and a header, RFC 4180
  name   names or ids alone, one a line, for other commands

With json and jsonl errors are one object on standard error, and standard output stays empty:
  {\"error\":{\"code\":...,\"message\":...,\"hint\":...,\"status\":...,\"request_id\":...}}";

const SELECTION: &str = "\
Commands that change keys take the pool and then either ids or a filter, never both:

  poolctl key disable prod key-00c0ffee00c0ffee key-0badcafe0badcafe
  poolctl key list prod -o name --state invalid | poolctl key remove prod - --yes
  poolctl key disable prod --tag team-b
  poolctl key weight prod --to 5 --search paid --state healthy
  poolctl key enable prod --all

  --state    how Gemini sees the key now; can be repeated
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
  environment  variables, and where settings come from
  exit-codes   what a script can rely on
  formats      what -o writes
  selection    which keys a command touches

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
    let error = CliError::usage(format!("there is no command and no topic '{}'", words.join(" ")));
    let topics = TOPICS.into_iter().filter(|_| words.len() == 1);
    match nearest(word, names.iter().map(String::as_str).chain(topics)) {
        Some(name) => error.hint(format!("did you mean {name}?")),
        None => error.hint("poolctl help lists commands and topics"),
    }
}

fn environment() -> String {
    let mut text = "Settings come from a flag, else the environment, else the profile, else the default;\n\
        poolctl config shows which it was. An empty variable counts as not set.\n\n"
        .to_owned();
    for (name, meaning) in env::KNOWN {
        let _ = writeln!(text, "  {name:<20} {meaning}");
    }
    text += "\nHTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY name the proxy to the service (http, https, socks5).\n\
        A service on this machine is never called through one.\n";
    text
}

fn exit_codes() -> String {
    let mut text = "Scripts can rely on these; a number never changes its meaning.\n\n".to_owned();
    for (exit, meaning) in Exit::MEANINGS {
        let _ = writeln!(text, "  {:>3}  {meaning}", exit as u8);
    }
    text
}
