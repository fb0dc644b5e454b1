//! Results of key checks, shared by the commands and the dashboard.

use std::collections::BTreeMap;

use pool_shared::{CheckedKey, KeyCheckReport, KeyId, KeyVerdict};
use serde::Serialize;

use crate::error::Outcome;

/// The results of all checks.
#[derive(Serialize)]
pub struct Checked {
    /// Number of keys by verdict.
    pub verdicts: BTreeMap<KeyVerdict, u64>,
    /// Results by key.
    pub keys: Vec<CheckedKey>,
    /// Ids that are not in the pool.
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
    /// Returns [`Outcome::Partial`] if a key is missing, or neither valid nor limited.
    pub fn outcome(&self) -> Outcome {
        let fine = self.keys.iter().all(|key| matches!(key.verdict, KeyVerdict::Valid | KeyVerdict::Limited));
        if fine && self.missing.is_empty() { Outcome::Done } else { Outcome::Partial }
    }
}

/// Returns `12 valid, 1 limited`.
pub fn summary(verdicts: &BTreeMap<KeyVerdict, u64>) -> String {
    verdicts
        .iter()
        .map(|(verdict, count)| format!("{count} {}", verdict_name(*verdict)))
        .collect::<Vec<_>>()
        .join(", ")
}

/// Returns the verdict's name in the admin API.
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
