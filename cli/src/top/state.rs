//! How a key stands, for people: a word, for how much longer, and why.

use jiff::Timestamp;
use pool_shared::{Key, KeyCondition, KeyState, KeyStats};

use super::{format::seconds, theme::Tone};

/// How the service says that a key stands: in its counts, which are asked more often, else in its row.
pub fn state_of(key: &Key, stats: Option<&KeyStats>) -> KeyCondition {
    if !key.enabled {
        return KeyCondition::of(KeyState::Disabled);
    }
    let told = stats.map(|stats| &stats.condition).filter(|told| told.state != KeyState::Unknown);
    // Counts that are older than the last change may still call it disabled.
    told.filter(|told| told.state != KeyState::Disabled).unwrap_or(&key.condition).clone()
}

/// `cooling 42s`: the word and how much longer, counted down on the screen.
pub fn shown(condition: &KeyCondition, now: Timestamp) -> String {
    let name = condition.state.name();
    if condition.failing.is_some() {
        return format!("{name}, failing");
    }
    match condition.until {
        Some(until) if until > now => format!("{name} {}", seconds(until.as_second() - now.as_second())),
        _ => name.to_owned(),
    }
}

/// Why: what Gemini said, else the models that it rests for.
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

/// How a state is coloured.
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

/// The more somebody should look at it, the larger.
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
