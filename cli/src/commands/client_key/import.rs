//! `poolctl client-key import`: imports client keys of another system.

use pool_shared::{ClientKeyImport, ClientKeyImportReport, ImportedClientKey, Secret, TokenKind, bounds};
use serde_json::json;

use crate::{
    ctx::Ctx,
    error::{CliError, Outcome},
    flags::{DryRun, PoolRef},
    input::{self, KeySource},
    output::{Table, counted},
};

/// Maximum number of invalid lines in an error.
const MAX_LISTED: usize = 3;

/// Import client keys of another system, so that its clients can keep them
///
/// The file has one key per line, optionally followed by a comma and a name. Blank lines and lines
/// that start with # are ignored. If a line is invalid, nothing is imported.
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  poolctl client-key import prod --keys old-keys.txt
  poolctl client-key import prod --keys - < old-keys.txt")]
pub struct Args {
    /// The pool's name or id
    pool: PoolRef,
    /// File of client keys, - for standard input
    #[arg(long, value_name = "FILE")]
    keys: KeySource,
    /// Accept weak keys of 8 to 15 characters, which can be guessed
    #[arg(long)]
    weak: bool,
    #[command(flatten)]
    dry: DryRun,
}

pub async fn run(ctx: &mut Ctx, args: Args) -> Result<Outcome, CliError> {
    let text = input::text(&args.keys, input::bytes(ctx, &args.keys).await?)?;
    let shortest = if args.weak { bounds::SHORTEST_WEAK } else { bounds::SHORTEST_IMPORTED };
    let keys = parse(&text, shortest).map_err(|lines| malformed(&args.keys, &lines, shortest))?;
    if keys.is_empty() {
        return Err(CliError::usage(format!("no client keys in {}", args.keys))
            .hint("expected one client key per line; nothing was imported"));
    }
    let client = ctx.client().await?;
    if args.dry.dry_run {
        let what = format!("import {} into pool {}", counted(keys.len(), "client key"), args.pool);
        ctx.out.would(&what, json!({ "keys": keys.len() }))?;
        return Ok(Outcome::Done);
    }
    let mut report = ClientKeyImportReport { added: 0, duplicate: 0 };
    for chunk in keys.chunks(ClientKeyImport::MAX_KEYS) {
        let import = ClientKeyImport { keys: chunk.to_vec() };
        let imported = client.import_client_keys(args.pool.as_str(), &import).await.map_err(|error| {
            match report.added + report.duplicate {
                0 => error,
                sent => {
                    error.hint(format!("{sent} were imported; run the same command again to import the rest"))
                }
            }
        })?;
        report.added += imported.added;
        report.duplicate += imported.duplicate;
    }
    ctx.out.result(&report, |view| {
        Table::pairs([
            ("added", view.count(report.added).into()),
            ("duplicate", view.count(report.duplicate).into()),
        ])
    })?;
    Ok(Outcome::Done)
}

/// Reads the file; an error lists the numbers of the invalid lines.
fn parse(text: &str, shortest: usize) -> Result<Vec<ImportedClientKey>, Vec<usize>> {
    let mut keys = Vec::new();
    let mut malformed = Vec::new();
    for (number, line) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (key, name) = line.split_once([',', '\t']).unwrap_or((line, ""));
        let (key, name) = (key.trim(), name.trim());
        if is_client_key(key, shortest) && name.chars().count() <= bounds::NAME {
            keys.push(ImportedClientKey { key: Secret::new(key), name: name.to_owned() });
        } else {
            malformed.push(number);
        }
    }
    if malformed.is_empty() { Ok(keys) } else { Err(malformed) }
}

/// Returns `true` if the service accepts it as a client key of another system.
fn is_client_key(text: &str, shortest: usize) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
        && (shortest..=bounds::LONGEST_IMPORTED).contains(&text.len())
        && TokenKind::could_be_client_key(text)
}

fn malformed(source: &KeySource, lines: &[usize], shortest: usize) -> CliError {
    let message = format!("{} of {source} invalid", counted(lines.len(), "line"));
    let error = lines
        .iter()
        .take(MAX_LISTED)
        .fold(CliError::usage(message), |error, line| error.cause(format!("line {line}")));
    error.hint(format!(
        "a client key is {shortest} to {} visible ASCII characters (from {} on with --weak), and a name may follow a \
         comma; nothing was imported",
        bounds::LONGEST_IMPORTED,
        bounds::SHORTEST_WEAK
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_a_key_and_perhaps_a_name_per_line() {
        let text = "\u{feff}# old\n\nsk-proj-0123456789abcdef\r\n sk-1234567890abcdefgh , laptop \n";
        let keys = parse(text, bounds::SHORTEST_IMPORTED).unwrap();
        let shown: Vec<_> = keys.iter().map(|key| (key.key.expose(), key.name.as_str())).collect();
        assert_eq!(shown, [("sk-proj-0123456789abcdef", ""), ("sk-1234567890abcdefgh", "laptop")]);
    }

    #[test]
    fn lines_that_cannot_be_keys_are_named_by_number() {
        let text = "sk-proj-0123456789abcdef\nshort\nsk with spaces in it 1234\nsk-pool-nonsense000000000\n";
        assert_eq!(parse(text, bounds::SHORTEST_IMPORTED).unwrap_err(), [2, 3, 4]);
        assert_eq!(parse("eightlet", bounds::SHORTEST_IMPORTED).unwrap_err(), [1]);
        assert_eq!(parse("eightlet", bounds::SHORTEST_WEAK).unwrap().len(), 1);
    }
}
