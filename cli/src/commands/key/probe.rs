//! Trying keys before they are imported.
//!
//! In: the entries of a key file. Out: those that are to be imported, and what Gemini said of the
//! others. Never: a limited key left out, or one of which nothing is known.

use std::collections::BTreeMap;

use pool_shared::{KeyCheck, KeyFile, KeyVerdict, PoolId};
use serde::Serialize;

use super::{
    check::{Checked, name},
    report::LineReport,
};
use crate::{
    client::Client,
    ctx::Ctx,
    error::{CliError, Code},
};

/// What the checks said.
#[derive(Debug, Default, Serialize)]
pub struct Probed {
    /// How many keys got each verdict.
    pub verdicts: BTreeMap<KeyVerdict, u64>,
    /// Keys that are left out.
    pub refused: Vec<Refused>,
}

/// A key that Gemini refuses.
#[derive(Debug, Serialize)]
pub struct Refused {
    /// The line of the file.
    pub line: u64,
    /// First and last four characters.
    pub masked: String,
    /// What is wrong.
    pub verdict: KeyVerdict,
    /// In Gemini's words, without secrets.
    pub message: String,
}

/// Whether a key with this verdict is imported.
fn keeps(verdict: KeyVerdict) -> bool {
    matches!(
        verdict,
        KeyVerdict::Valid
            | KeyVerdict::Limited
            | KeyVerdict::Error
            | KeyVerdict::Unreachable
            | KeyVerdict::Unknown
    )
}

/// Tries every key of the file and takes those out of it that Gemini refuses.
pub async fn probe(
    ctx: &mut Ctx,
    client: &Client,
    pool: &PoolId,
    file: &mut KeyFile,
    lines: &mut LineReport,
) -> Result<Probed, CliError> {
    let progress = ctx.out.progress("checking", file.entries.len() as u64);
    let checks = file.entries.chunks(KeyCheck::MAX_KEYS).map(|entries| KeyCheck {
        ids: Vec::new(),
        keys: entries.iter().map(|entry| entry.key.clone()).collect(),
    });
    let (report, ended) = client.check(pool, checks.collect(), &progress).await;
    drop(progress);
    ended.map_err(|error| {
        let (done, all) = (report.results.len(), file.entries.len());
        error
            .cause(format!("{done} of {all} keys were checked, none was imported"))
            .hint("run the same command again, or leave out --check")
    })?;
    if report.results.len() != file.entries.len() {
        // Whose verdict is whose could not be told any more.
        return Err(CliError::new(Code::UnexpectedAnswer, "the service did not answer for each key")
            .hint("leave out --check, or check the service's version: poolctl doctor"));
    }
    let checked = Checked::from(report);
    let mut probed = Probed { verdicts: checked.verdicts, refused: Vec::new() };
    // They come in the order of the candidates.
    let mut results = checked.keys.into_iter();
    file.entries.retain(|entry| {
        let Some(result) = results.next() else { return true };
        let line = entry.line.unwrap_or_default();
        lines.checked(line, name(result.verdict), &result.message);
        if !keeps(result.verdict) {
            let (masked, message) = (result.masked, result.message);
            probed.refused.push(Refused { line, masked, verdict: result.verdict, message });
        }
        keeps(result.verdict)
    });
    Ok(probed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limited_key_and_one_that_could_not_be_tried_are_kept() {
        let kept = [
            KeyVerdict::Valid,
            KeyVerdict::Limited,
            KeyVerdict::Error,
            KeyVerdict::Unreachable,
            KeyVerdict::Unknown,
        ];
        assert!(kept.into_iter().all(keeps));
        let refused = [
            KeyVerdict::Invalid,
            KeyVerdict::Suspended,
            KeyVerdict::Blocked,
            KeyVerdict::Billing,
            KeyVerdict::Leaked,
            KeyVerdict::Malformed,
        ];
        assert!(!refused.into_iter().any(keeps));
    }
}
