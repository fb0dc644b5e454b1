//! Display of a key's state: name, remaining time and reason.

use jiff::Timestamp;
use pool_shared::{Key, KeyCondition, KeyState, KeyStats};

use super::{
    format::{coarse, seconds},
    theme::Tone,
};

/// Returns the state of a key: from its counts, which are fetched more often, else from its row.
pub fn state_of(key: &Key, stats: Option<&KeyStats>) -> KeyCondition {
    if !key.enabled {
        return KeyCondition::of(KeyState::Disabled);
    }
    let told = stats.map(|stats| &stats.condition).filter(|told| told.state != KeyState::Unknown);
    // Counts that are older than the last change may still have the state `disabled`.
    told.filter(|told| told.state != KeyState::Disabled).unwrap_or(&key.condition).clone()
}

/// Returns the name and the remaining time: `cooling 42s`, `billing (rechecked 42m)`.
pub fn shown(condition: &KeyCondition, now: Timestamp) -> String {
    let name = condition.state.name();
    if condition.failing.is_some() {
        return format!("{name}, failing");
    }
    let left = condition.until.filter(|until| *until > now);
    match left.map(|until| until.as_second() - now.as_second()) {
        Some(left) if condition.state.is_rechecked() => format!("{name} (rechecked {})", coarse(left)),
        Some(left) => format!("{name} {}", seconds(left)),
        // The recheck is due in the service's next round.
        None if condition.state.is_rechecked() && condition.until.is_some() => format!("{name} (rechecked)"),
        None => name.to_owned(),
    }
}

/// Returns the reason: Gemini's error, else the models in cooldown.
pub fn reason(condition: &KeyCondition) -> String {
    let failing = condition.failing.map(|failing| failing.to_string());
    let mut parts: Vec<&str> = Vec::new();
    parts.extend(failing.as_deref());
    parts.extend(condition.reason.as_deref());
    parts.extend(condition.message.as_deref());
    let models: Vec<_> = condition.models.iter().map(|resting| resting.model.as_str()).collect();
    let models = models.join(" ");
    if !models.is_empty() {
        parts.push(&models);
    }
    parts.join(": ")
}

/// Returns the tone of a state.
pub const fn tone(condition: &KeyCondition) -> Tone {
    match condition.state {
        KeyState::Healthy if condition.failing.is_some() => Tone::Fair,
        KeyState::Healthy => Tone::Good,
        KeyState::Cooling | KeyState::Limited | KeyState::Suspect => Tone::Fair,
        KeyState::Invalid
        | KeyState::Leaked
        | KeyState::Suspended
        | KeyState::Billing
        | KeyState::Blocked => Tone::Bad,
        KeyState::Disabled | KeyState::Removed | KeyState::Unknown => Tone::Muted,
    }
}

/// Returns the severity of a state, for sorting.
pub const fn rank(condition: &KeyCondition) -> u8 {
    match condition.state {
        KeyState::Removed => 0,
        KeyState::Unknown => 1,
        KeyState::Disabled => 2,
        KeyState::Healthy if condition.failing.is_some() => 6,
        KeyState::Healthy => 3,
        KeyState::Cooling => 4,
        KeyState::Limited => 5,
        KeyState::Suspect => 7,
        KeyState::Billing => 8,
        KeyState::Blocked => 9,
        KeyState::Suspended => 10,
        KeyState::Invalid => 11,
        KeyState::Leaked => 12,
    }
}

#[cfg(test)]
mod tests {
    use pool_shared::{AttemptOutcome, Failing};

    use super::*;

    #[test]
    fn a_failing_key_is_told_from_healthy_ones_and_stands_before_them() {
        let failing = Failing { failed: 14, attempts: 14, outcome: AttemptOutcome::Internal };
        let condition = KeyCondition { failing: Some(failing), ..KeyCondition::of(KeyState::Healthy) };
        assert_eq!(shown(&condition, Timestamp::UNIX_EPOCH), "healthy, failing");
        assert_eq!(reason(&condition), "failing (14 of 14: internal)");
        let rank_of = |state| rank(&KeyCondition::of(state));
        assert!(
            rank(&condition) > rank_of(KeyState::Limited) && rank(&condition) < rank_of(KeyState::Suspect)
        );
        assert_eq!((tone(&condition), tone(&KeyCondition::of(KeyState::Healthy))), (Tone::Fair, Tone::Good));
    }

    #[test]
    fn no_state_that_is_rechecked_looks_final() {
        let now: Timestamp = "2026-11-03T12:00:00Z".parse().unwrap();
        let of = |state, seconds: i64| {
            let until = Timestamp::from_second(now.as_second() + seconds).ok();
            shown(&KeyCondition { until, ..KeyCondition::of(state) }, now)
        };
        assert_eq!(of(KeyState::Billing, 42 * 60), "billing (rechecked 42m)");
        assert_eq!(of(KeyState::Billing, -5), "billing (rechecked)");
        assert_eq!(of(KeyState::Cooling, 42), "cooling 42s");
        assert_eq!(of(KeyState::Cooling, -1), "cooling");
        for state in KeyState::ALL.into_iter().filter(|state| state.is_rechecked()) {
            assert!(of(state, 60).contains("(rechecked 1m"), "{}", of(state, 60));
        }
    }
}
