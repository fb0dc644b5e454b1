//! What to do when Gemini refuses a request for a reason that this service can remove.
//!
//! In: the message of Gemini's error. Out: the one change with which the same request may be sent again. What a model cannot do is worth
//! remembering; what is wrong with one request is not.

use super::capabilities::{Capabilities, Level, Thinking};

/// A change to the translation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Repair {
    /// Leave penalties out.
    NoPenalties,
    /// One call for each choice.
    OneCandidate,
    /// Steer thinking by level, not by budget.
    ThinkingByLevel,
    /// Do not turn thinking off.
    ThinkingStaysOn,
    /// Use no level below `low`.
    NoMinimalThinking,
    /// End with a turn of the user.
    UserTurnLast,
    /// Replace all thought signatures by the value that Google accepts instead.
    StandInSignatures,
    /// Ask for JSON in words beside functions.
    JsonInWords,
    /// Leave Gemini's own tools out beside functions.
    NoBuiltins,
    /// Leave ids of calls out.
    NoCallIds,
    /// Tell schemas in the older way.
    LegacySchemas,
    /// Tell the schema of the answer in words.
    SchemaInWords,
    /// Do not force calls, and declare functions without their tightest rules.
    LooseCalling,
    /// Put the system's words into the user's.
    InlineSystem,
    /// Leave resolutions of media out.
    NoMediaResolution,
    /// Tell calls and their results as text.
    CallsAsText,
}

/// Parts of Gemini's messages, in lower case, all of which must occur, and what helps.
const SIGNS: &[(&[&str], Repair)] = &[
    (&["penalty is not enabled"], Repair::NoPenalties),
    (&["multiple candidates is not enabled"], Repair::OneCandidate),
    (&["thinking budget is not supported"], Repair::ThinkingByLevel),
    (&["thinking_budget to 0"], Repair::ThinkingStaysOn),
    (&["thinking budget", "0 is invalid"], Repair::ThinkingStaysOn),
    (&["thinking level", "not supported"], Repair::NoMinimalThinking),
    (&["ending with a model turn"], Repair::UserTurnLast),
    (&["missing a thought_signature"], Repair::StandInSignatures),
    (&["corrupted thought signature"], Repair::StandInSignatures),
    (&["thought signature is not valid"], Repair::StandInSignatures),
    (&["response mime type", "unsupported"], Repair::JsonInWords),
    (&["tool use with function calling is unsupported"], Repair::NoBuiltins),
    (&["unknown name \"id\"", "function"], Repair::NoCallIds),
    (&["too many states"], Repair::LooseCalling),
    (&["developer instruction is not enabled"], Repair::InlineSystem),
    (&["system instruction is not enabled"], Repair::InlineSystem),
    (&["media_resolution"], Repair::NoMediaResolution),
    (&["media resolution"], Repair::NoMediaResolution),
    (&["mediaresolution"], Repair::NoMediaResolution),
    (&["number of function response parts"], Repair::CallsAsText),
    (&["schema"], Repair::LegacySchemas),
    (&["function_declarations", "parameters"], Repair::LegacySchemas),
    (&["functiondeclaration", "parameters"], Repair::LegacySchemas),
];

impl Repair {
    /// What may help against an error of status 400 with this message, given what has been tried already. At most one re-send for each
    /// request should come of it.
    #[must_use]
    pub fn for_message(message: &str, tried: Repairs) -> Option<Self> {
        let message = message.to_ascii_lowercase();
        let fits = |signs: &[&str]| signs.iter().all(|sign| message.contains(sign));
        let repair = SIGNS.iter().find(|(signs, _)| fits(signs)).map(|(_, repair)| *repair)?;
        // Where the older way does not help either, words are left.
        let then = (repair == Self::LegacySchemas).then_some(Self::SchemaInWords);
        [Some(repair), then].into_iter().flatten().find(|step| !tried.contains(*step))
    }

    /// Whether the error told something about the model, and not about this one request: worth remembering for the model
    /// for some hours.
    #[must_use]
    pub fn is_about_model(self) -> bool {
        !matches!(
            self,
            Self::StandInSignatures
                | Self::LegacySchemas
                | Self::SchemaInWords
                | Self::LooseCalling
                | Self::CallsAsText
        )
    }
}

/// A set of repairs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Repairs(u32);

impl Repairs {
    /// The set with one more.
    #[must_use]
    pub fn with(self, repair: Repair) -> Self {
        Self(self.0 | 1 << repair as u8)
    }

    /// Whether it is in the set.
    #[must_use]
    pub fn contains(self, repair: Repair) -> bool {
        self.0 & 1 << repair as u8 != 0
    }

    /// The model's row of the table, corrected by what its errors have told.
    pub(super) fn apply(self, mut capabilities: Capabilities) -> Capabilities {
        const FROM_LOW: &[Level] = &[Level::Low, Level::Medium, Level::High];
        let not = |repair| !self.contains(repair);
        capabilities.penalties &= not(Repair::NoPenalties);
        capabilities.candidates &= not(Repair::OneCandidate);
        capabilities.model_turn_last &= not(Repair::UserTurnLast);
        capabilities.json_with_tools &= not(Repair::JsonInWords);
        capabilities.builtins_with_functions &= not(Repair::NoBuiltins);
        capabilities.call_ids &= not(Repair::NoCallIds);
        capabilities.system_instruction &= not(Repair::InlineSystem);
        if let Thinking::Budget { min, max, .. } = capabilities.thinking {
            if self.contains(Repair::ThinkingStaysOn) {
                capabilities.thinking = Thinking::Budget { min: min.max(128), max, off: false };
            }
            if self.contains(Repair::ThinkingByLevel) {
                capabilities.thinking = Thinking::Levels(FROM_LOW);
            }
        }
        if self.contains(Repair::NoMinimalThinking) && matches!(capabilities.thinking, Thinking::Levels(_)) {
            capabilities.thinking = Thinking::Levels(FROM_LOW);
        }
        capabilities
    }
}

#[cfg(test)]
mod tests;
