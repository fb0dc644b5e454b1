//! Reads a file of Gemini keys from a path or standard input.
//!
//! # Invariants
//!
//! - No message contains the text of a line.

use std::io::{self, IsTerminal};

use pool_shared::{KeyFile, parse_key_file};

use crate::{
    ctx::Ctx,
    error::{CliError, Code},
    input::{KeySource, bytes, text},
    output::counted,
};

/// Reads the keys and prints a summary. A file without a valid key is an error.
pub async fn read(ctx: &mut Ctx, source: &KeySource) -> Result<KeyFile, CliError> {
    if *source == KeySource::Stdin && io::stdin().is_terminal() {
        ctx.out.note("reading keys from the terminal, one per line; press Ctrl-D to end");
    }
    let bytes = bytes(ctx, source).await.map_err(|error| match error.code() {
        Code::Usage => {
            error.hint("use --keys with a file of one Gemini key per line, or - for standard input")
        }
        _ => error,
    })?;
    let file = parse_key_file(&text(source, bytes)?);
    if file.entries.is_empty() {
        return Err(no_keys(source, &file));
    }
    if let Some(note) = file.note {
        ctx.out.note(&format!("{source}: {note}"));
    }
    ctx.out.note(&found(source, &file));
    Ok(file)
}

fn no_keys(source: &KeySource, file: &KeyFile) -> CliError {
    let error = CliError::usage(format!("no keys in {source}"));
    let error = file
        .malformed
        .iter()
        .take(3)
        .fold(error, |error, entry| error.cause(format!("line {}: {}", entry.line, entry.reason)));
    error.hint("expected one Gemini key per line; nothing was changed")
}

fn found(source: &KeySource, file: &KeyFile) -> String {
    let mut text = format!("{source}: {}", counted(file.entries.len(), "key"));
    for (count, what) in [(file.duplicate, "duplicate"), (file.malformed.len() as u64, "invalid")] {
        if count > 0 {
            text = format!("{text}, {count} {what}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_key_says_what_its_lines_are() {
        let file = parse_key_file("# none\nshort\n");
        let error = no_keys(&KeySource::File("keys.txt".into()), &file).to_string();
        assert!(error.contains("no keys in keys.txt") && error.contains("line 2: too short"), "{error}");
        assert!(!error.contains("cause: short"));
    }
}
