//! The length of the cooldown that an upstream error causes.

use std::time::Duration;

use super::{Cause, DAY, Evidence, Refusal, text};

/// The cooldown for a quota per minute when Gemini names no delay.
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
/// A delay that only the text names counts for no longer than this.
const MAX_COOLDOWN_BY_TEXT: Duration = Duration::from_mins(10);
/// Jitter, so that the keys of a pool do not recover in the same moment, which would be a burst.
const JITTER: Duration = Duration::from_secs(1);
const DAY_JITTER: Duration = Duration::from_mins(1);

/// The length of a cooldown.
pub(super) enum CooldownLength {
    For(Duration),
    UntilNextDay,
}

/// Returns the cooldown of the key or its project for the model, and its maximum jitter.
pub(super) fn cooldown_for(
    cause: Cause,
    evidence: Evidence,
    refusal: &Refusal,
) -> Option<(CooldownLength, Duration)> {
    let told = retry_delay(refusal);
    let hourly = refusal.body.violations.iter().any(|violation| violation.quota_id.contains("PerHour"));
    let usual = if hourly { HOUR } else { MINUTE };
    match cause {
        // Words alone never exclude for long.
        Cause::NoQuota if evidence == Evidence::Text => {
            Some((CooldownLength::For(told.unwrap_or(usual).clamp(usual, MAX_COOLDOWN_BY_TEXT)), JITTER))
        }
        // The day's quota beats the short delay that Gemini sends along with it.
        Cause::DayQuota => Some((CooldownLength::UntilNextDay, DAY_JITTER)),
        Cause::NoQuota => Some((CooldownLength::For(DAY), DAY_JITTER)),
        Cause::NewUsers => Some((CooldownLength::For(DAY / 2), DAY / 2)),
        Cause::RequestQuota | Cause::TokenQuota => Some((CooldownLength::For(told.unwrap_or(usual)), JITTER)),
        Cause::Burst | Cause::SpendWindow => told.map(|told| (CooldownLength::For(told), JITTER)),
        _ => None,
    }
}

/// Returns how long to wait: the longest of what `RetryInfo`, the header and the text say. The text refines a delay that the
/// others give in whole seconds; alone it counts for minutes at most, and only where it is Google's.
pub(super) fn retry_delay(refusal: &Refusal) -> Option<Duration> {
    let firm = refusal.body.retry_delay_ms.map(Duration::from_millis).max(refusal.retry_after);
    let text = refusal.body.retry_text_ms.map(Duration::from_millis);
    match (firm, text) {
        (Some(firm), Some(text)) => Some(text.clamp(firm, firm.saturating_add(Duration::from_secs(1)))),
        (None, Some(text)) if text::is_quota(refusal) => Some(text.min(MAX_COOLDOWN_BY_TEXT)),
        (firm, _) => firm,
    }
}
