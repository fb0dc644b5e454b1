//! Short texts for values of the admin API, shared by several commands and the dashboard.

use pool_shared::{EventQuota, Limits, ModelLimits, Quota};

use crate::output::Cell;

/// Returns `10 rpm, 500 rpd`.
pub fn limits_text(limits: &Limits) -> String {
    limits
        .known()
        .map(|(quota, value)| format!("{value} {}", quota.short_name()))
        .collect::<Vec<_>>()
        .join(", ")
}

/// `gemini-3.8-flash: 10 rpm, 250 rpd (projects/123)`
pub fn model_limits_text(entry: &ModelLimits) -> String {
    let of = if entry.project.is_empty() { String::new() } else { format!(" ({})", entry.project) };
    format!("{}: {}{of}", entry.model, limits_text(&entry.limits))
}

/// Returns `250 rpd`; an unknown kind of quota has Gemini's name.
pub fn quota_text(quota: &EventQuota) -> String {
    let EventQuota { metric, limit, value, .. } = quota;
    let known = limit.as_deref().and_then(Quota::from_id).map(Quota::short_name);
    let name = known.or(limit.as_deref()).or(metric.as_deref());
    [value.as_deref(), name].into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// `enabled` or `disabled`.
pub fn state(enabled: bool) -> Cell {
    if enabled { Cell::Good("enabled".into()) } else { Cell::Bad("disabled".into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_without_a_known_name_has_gemini_s() {
        let quota = |limit: Option<&str>, value: Option<&str>| {
            let (limit, value) = (limit.map(str::to_owned), value.map(str::to_owned));
            quota_text(&EventQuota { metric: Some("m".to_owned()), limit, value, ..EventQuota::default() })
        };
        assert_eq!(quota(Some("ConcurrentSessions"), Some("3")), "3 ConcurrentSessions");
        assert_eq!(quota(None, Some("3")), "3 m");
        assert_eq!(quota(Some("InputTokensPerModelPerMinute"), None), "tpm");
    }
}
