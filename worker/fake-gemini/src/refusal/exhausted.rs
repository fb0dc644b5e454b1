//! Error 429 of exceeded quotas.

use std::fmt::Write as _;

use serde_json::json;

use super::{Asked, Refusal, SERVICE};
use crate::quota::{QuotaKind, Violation, until_next_minute_ms};
use crate::scenario::{Tier, embeds};

/// Returns 429 for exceeded quotas.
///
/// As with Gemini, the delay in `RetryInfo` is cut to whole seconds and the one in the message is
/// not. Both refer to the minute even when the daily quota is exceeded.
pub(crate) fn quota(asked: Asked, violations: &[Violation]) -> Refusal {
    let wait_ms = until_next_minute_ms(asked.now_ms);
    let mut message = "You exceeded your current quota, please check your plan and billing details. For more \
                       information on this error, head to: https://ai.google.dev/gemini-api/docs/rate-limits. To \
                       monitor your current usage, head to: https://ai.dev/rate-limit. "
        .to_owned();
    let mut listed = Vec::with_capacity(violations.len());
    for violation in violations {
        let (metric, id) = quota_names(violation.kind, asked.tier, embeds(asked.model));
        let metric = format!("{SERVICE}/{metric}");
        let _ = write!(
            message,
            "\n* Quota exceeded for metric: {metric}, limit: {}, model: {}",
            violation.limit, asked.model
        );
        listed.push(json!({
            "quotaMetric": metric,
            "quotaId": id,
            "quotaDimensions": {"location": "global", "model": asked.model},
            "quotaValue": violation.limit.to_string(),
        }));
    }
    let _ = write!(message, "\nPlease retry in {}.{:03}s.", wait_ms / 1000, wait_ms % 1000);
    let details = [
        json!({"@type": "type.googleapis.com/google.rpc.Help", "links": [
            {"description": "Learn more about Gemini API quotas",
             "url": "https://ai.google.dev/gemini-api/docs/rate-limits"}]}),
        json!({"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": listed}),
        json!({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": format!("{}s", wait_ms / 1000)}),
    ];
    Refusal::error(429, "RESOURCE_EXHAUSTED", &message, &details)
}

/// Returns `quotaMetric` (without the service) and `quotaId`.
pub(super) fn quota_names(kind: QuotaKind, tier: Tier, embeds: bool) -> (&'static str, &'static str) {
    use QuotaKind::{InputTokensPerMinute, RequestsPerDay, RequestsPerMinute};
    match (embeds, tier, kind) {
        (false, Tier::Free, RequestsPerMinute) => {
            ("generate_content_free_tier_requests", "GenerateRequestsPerMinutePerProjectPerModel-FreeTier")
        }
        (false, Tier::Free, RequestsPerDay) => {
            ("generate_content_free_tier_requests", "GenerateRequestsPerDayPerProjectPerModel-FreeTier")
        }
        (false, Tier::Free, InputTokensPerMinute) => (
            "generate_content_free_tier_input_token_count",
            "GenerateContentInputTokensPerModelPerMinute-FreeTier",
        ),
        (false, Tier::Paid, RequestsPerMinute) => {
            ("generate_requests_per_model", "GenerateRequestsPerMinutePerProjectPerModel")
        }
        (false, Tier::Paid, RequestsPerDay) => {
            ("generate_requests_per_model_per_day", "GenerateRequestsPerDayPerProjectPerModel")
        }
        (false, Tier::Paid, InputTokensPerMinute) => (
            "generate_content_paid_tier_input_token_count",
            "GenerateContentPaidTierInputTokensPerModelPerMinute",
        ),
        (true, Tier::Free, RequestsPerMinute) => (
            "embed_content_free_tier_requests",
            "EmbedContentRequestsPerMinutePerUserPerProjectPerModel-FreeTier",
        ),
        (true, Tier::Free, RequestsPerDay) => (
            "embed_content_free_tier_requests",
            "EmbedContentRequestsPerDayPerUserPerProjectPerModel-FreeTier",
        ),
        (true, Tier::Free, InputTokensPerMinute) => (
            "embed_content_free_tier_input_token_count",
            "EmbedContentInputTokensPerMinutePerProjectPerModel-FreeTier",
        ),
        (true, Tier::Paid, RequestsPerMinute) => {
            ("embed_content_paid_tier_requests", "EmbedContentRequestsPerMinutePerProjectPerModel")
        }
        (true, Tier::Paid, RequestsPerDay) => {
            ("embed_content_paid_tier_requests", "EmbedContentRequestsPerDayPerProjectPerModel")
        }
        (true, Tier::Paid, InputTokensPerMinute) => (
            "embed_content_paid_tier_input_token_count",
            "EmbedContentInputTokensPerMinutePerProjectPerModel",
        ),
    }
}
