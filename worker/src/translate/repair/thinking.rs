//! The repairs of how thinking is steered.
//!
//! A refused form gives way to the next legal one: the nearest other level, a budget, nothing. Gemini writes the names
//! of its fields in several ways (`thinking level`, `thinking_level`, `thinkingLevel`).

use super::super::capabilities::{Level, Levels, Thinking};
use super::{Repair, Repairs};

/// What an unknown model with budgets takes.
const ANY_BUDGET: Thinking = Thinking::Budget { min: 128, max: 24_576, off: true };
/// What the messages say of something that a model does not take.
const REFUSALS: [&str; 8] = [
    "not supported",
    "unsupported",
    "not support",
    "not enabled",
    "not available",
    "not allowed",
    "invalid",
    "cannot find field",
];

/// What may help against a message, in lower case, about thinking.
pub(super) fn repair(message: &str, tried: Repairs) -> Option<Repair> {
    let text = message.replace('_', " ");
    let refused = REFUSALS.iter().any(|refusal| text.contains(refusal));
    let after = |names: [&str; 2]| names.iter().find_map(|name| Some(text.split_once(name)?.1));
    if let Some(rest) = after(["thinking level", "thinkinglevel"]).filter(|_| refused) {
        return Some(named_level(rest).map_or_else(|| by_budget(tried), |level| without(level, tried)));
    }
    if let Some(rest) = after(["thinking budget", "thinkingbudget"]).filter(|_| refused) {
        return Some(without_budget(rest, tried));
    }
    let about_all =
        ["thinking is ", "thinking mode is ", "support thinking", "thinking config", "thinkingconfig"];
    let unsaid = refused && about_all.iter().any(|sign| text.contains(sign));
    unsaid.then_some(Repair::ThinkingUnsaid)
}

/// The level that a message names first.
fn named_level(text: &str) -> Option<Level> {
    let mut words = text.split(|letter: char| !letter.is_ascii_alphanumeric());
    words.find_map(|word| Level::ALL.into_iter().find(|level| level.as_str() == word))
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

/// The form that follows a refused budget, given what the message says after that word.
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

/// How thinking is steered, given what was refused.
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
