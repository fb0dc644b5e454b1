//! The result of a key check, which the commands and the dashboard show.

use std::collections::BTreeMap;

use pool_shared::{CheckedKey, KeyCheckReport, KeyId, KeyVerdict};
use serde::Serialize;

use crate::error::Outcome;

/// What became of all checks.
#[derive(Serialize)]
pub struct Checked {
    /// How many keys got each verdict.
    pub verdicts: BTreeMap<KeyVerdict, u64>,
    /// Key by key.
    pub keys: Vec<CheckedKey>,
    /// Ids that the pool does not have.
    pub missing: Vec<KeyId>,
}

impl From<KeyCheckReport> for Checked {
    fn from(report: KeyCheckReport) -> Self {
        let mut verdicts = BTreeMap::new();
        for key in &report.results {
            *verdicts.entry(key.verdict).or_default() += 1;
        }
        Self { verdicts, keys: report.results, missing: report.missing }
    }
}

impl Checked {
    /// Keys that are no good, or of which nothing could be learnt, are what somebody has to look at.
    pub fn outcome(&self) -> Outcome {
        let fine = self.keys.iter().all(|key| matches!(key.verdict, KeyVerdict::Valid | KeyVerdict::Limited));
        if fine && self.missing.is_empty() { Outcome::Done } else { Outcome::Partial }
    }
}

/// `12 valid, 1 limited`
pub fn summary(verdicts: &BTreeMap<KeyVerdict, u64>) -> String {
    verdicts
        .iter()
        .map(|(verdict, count)| format!("{count} {}", verdict_name(*verdict)))
        .collect::<Vec<_>>()
        .join(", ")
}

/// The verdict's name on the wire.
pub fn verdict_name(verdict: KeyVerdict) -> &'static str {
    match verdict {
        KeyVerdict::Valid => "valid",
        KeyVerdict::Limited => "limited",
        KeyVerdict::Invalid => "invalid",
        KeyVerdict::Suspended => "suspended",
        KeyVerdict::Blocked => "blocked",
        KeyVerdict::Billing => "billing",
        KeyVerdict::Leaked => "leaked",
        KeyVerdict::Error => "error",
        KeyVerdict::Unreachable => "unreachable",
        KeyVerdict::Malformed => "malformed",
        KeyVerdict::Unknown => "unknown",
    }
}
