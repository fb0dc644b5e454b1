//! Repairs of the thinking configuration.
//!
//! A rejected form is replaced by the next valid one: the nearest other level, a budget, or none. Gemini
//! writes its field names in several ways (`thinking level`, `thinking_level`, `thinkingLevel`).

use super::{Repair, Repairs};
use crate::request::capabilities::{Level, Levels, Thinking};

/// What an unknown model with budgets takes.
const ANY_BUDGET: Thinking = Thinking::Budget { min: 128, max: 24_576, off: true };
/// What the messages say of something that a model does not take.
const REFUSALS: [&str; 13] = [
    "not supported",
    "not a supported",
    "not a valid",
    "not valid",
    "unknown",
    "unsupported",
    "not support",
    "not enabled",
    "only enabled",
    "not available",
    "not allowed",
    "invalid",
    "cannot find field",
];

/// What begins a list of what is accepted instead of what was rejected.
const ADVICE: [&str; 12] = [
    "supported value",
    "supported level",
    "supported thinking level",
    "supports",
    "valid value",
    "valid level",
    "allowed",
    "available",
    "one of",
    "must be",
    "please",
    "instead",
];

/// Returns what may help against a message, in lower case, about thinking: the first step that changes the request.
pub(super) fn repairs(message: &str, tried: Repairs) -> Vec<Repair> {
    let text = message.replace('_', " ");
    if !REFUSALS.iter().any(|refusal| text.contains(refusal)) {
        return Vec::new();
    }
    let around = |names: [&str; 2]| {
        let found = names.iter().filter_map(|name| Some((text.find(name)?, name.len())));
        found.min().and_then(|(at, length)| Some((at, text.get(..at)?, text.get(at + length..)?)))
    };
    let level = around(["thinking level", "thinkinglevel"]);
    let budget = around(["thinking budget", "thinkingbudget"]);
    match (level, budget) {
        // What is named second is advice.
        (Some((at, before, after)), other) if other.is_none_or(|(budget, ..)| at < budget) => {
            without_level(before, after, tried)
        }
        (_, Some((_, _, after))) => vec![without_budget(after, tried)],
        _ if text.contains("only works in thinking mode") && !tried.contains(Repair::ThinkingStaysOn) => {
            vec![Repair::ThinkingStaysOn]
        }
        _ => {
            let about_all = [
                "thinking is ",
                "thinking mode is ",
                "support thinking",
                "thinking config",
                "thinkingconfig",
            ];
            let unsaid = about_all.iter().any(|sign| text.contains(sign));
            unsaid.then_some(Repair::ThinkingUnsaid).into_iter().collect()
        }
    }
}

/// Returns the levels that a text names.
fn levels_in(text: &str) -> impl Iterator<Item = Level> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric());
    words.filter_map(|word| Level::ALL.into_iter().find(|level| level.as_str() == word))
}

/// Returns the forms that may follow a rejected level, given what the message says before and after that word: it names the level,
/// or those that the model takes, or none.
fn without_level(before: &str, after: &str, tried: Repairs) -> Vec<Repair> {
    let advice = ADVICE.iter().filter_map(|sign| after.find(sign)).min().unwrap_or(after.len());
    let (said, advised) = after.split_at(advice);
    if let Some(level) = levels_in(said).next().or_else(|| levels_in(before).last()) {
        return vec![without(level, tried)];
    }
    let taken: Vec<Level> = levels_in(advised).collect();
    let refused = Level::ALL.into_iter().rev().filter(|level| !taken.is_empty() && !taken.contains(level));
    refused.map(refusal_of).filter(|repair| !tried.contains(*repair)).chain([by_budget(tried)]).collect()
}

const fn refusal_of(level: Level) -> Repair {
    match level {
        Level::Minimal => Repair::NoMinimalThinking,
        Level::Low => Repair::NoLowThinking,
        Level::Medium => Repair::NoMediumThinking,
        Level::High => Repair::NoHighThinking,
        Level::XHigh => Repair::NoXHighThinking,
    }
}

fn without(level: Level, tried: Repairs) -> Repair {
    let repair = refusal_of(level);
    if tried.contains(repair) { by_budget(tried) } else { repair }
}

fn by_budget(tried: Repairs) -> Repair {
    if tried.contains(Repair::ThinkingByBudget) { Repair::ThinkingUnsaid } else { Repair::ThinkingByBudget }
}

/// Returns the form that follows a rejected budget, given what the message says after that word.
fn without_budget(rest: &str, tried: Repairs) -> Repair {
    let mut words =
        rest.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let first = words.find(|word| *word != "to" && *word != "of");
    if first == Some("0") && !tried.contains(Repair::ThinkingStaysOn) {
        return Repair::ThinkingStaysOn;
    }
    let out_of_range = first.is_some_and(|word| word.bytes().all(|byte| byte.is_ascii_digit()));
    if out_of_range || tried.contains(Repair::ThinkingByBudget) {
        Repair::ThinkingUnsaid
    } else {
        Repair::ThinkingByLevel
    }
}

/// Returns how thinking is steered, given what was rejected.
pub(super) fn corrected(thinking: Thinking, repairs: Repairs) -> Thinking {
    if thinking == Thinking::None || repairs.contains(Repair::ThinkingUnsaid) {
        return Thinking::None;
    }
    let by_level = match thinking {
        Thinking::Levels(levels) => Some(levels).filter(|_| !repairs.contains(Repair::ThinkingByBudget)),
        _ => Some(Levels::COMMON).filter(|_| repairs.contains(Repair::ThinkingByLevel)),
    };
    if let Some(levels) = by_level {
        let refused = Level::ALL.into_iter().filter(|level| repairs.contains(refusal_of(*level)));
        let levels = refused.fold(levels, Levels::without);
        if !levels.is_empty() {
            return Thinking::Levels(levels);
        }
    }
    let budget = if let Thinking::Budget { .. } = thinking { thinking } else { ANY_BUDGET };
    match budget {
        Thinking::Budget { min, max, off: _ } if repairs.contains(Repair::ThinkingStaysOn) => {
            Thinking::Budget { min: min.max(128), max, off: false }
        }
        budget => budget,
    }
}
