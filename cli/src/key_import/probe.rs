//! Key checks before an import: removes the keys that Gemini rejects.
//!
//! # Invariants
//!
//! - A key whose quota is exceeded, or whose check gave no result, is imported.

use pool_shared::{KeyCheck, KeyFile, KeyVerdict, PoolId};

use super::report::{LineReport, Probed, Refused};
use crate::{
    client::Client,
    ctx::Ctx,
    error::{CliError, Code},
    key_check::{Checked, verdict_name},
    output::counted,
};

/// Returns `true` if a key with this verdict is imported.
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

/// Checks every key of the file and removes the rejected ones from it.
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
            .cause(format!("checked {done} of {}; none was imported", counted(all, "key")))
            .hint("run the same command again, or without --check")
    })?;
    if report.results.len() != file.entries.len() {
        // The verdicts cannot be assigned to keys.
        return Err(CliError::new(
            Code::UnexpectedResponse,
            "the service did not return a result for each key",
        )
        .hint("run it without --check, or check the service's version: poolctl doctor"));
    }
    let checked = Checked::from(report);
    let mut probed = Probed { verdicts: checked.verdicts, refused: Vec::new() };
    // The results have the order of the candidates.
    let mut results = checked.keys.into_iter();
    file.entries.retain(|entry| {
        let Some(result) = results.next() else { return true };
        let line = entry.line.unwrap_or_default();
        lines.checked(line, verdict_name(result.verdict), &result.message);
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
