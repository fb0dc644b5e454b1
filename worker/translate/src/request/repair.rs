//! Repairs: changes of a request after an error of Gemini that a changed request avoids.
//!
//! A missing capability of a model is worth remembering; a fault of one request is not.

mod thinking;

use crate::request::capabilities::{Capabilities, Thinking};
use crate::request::names::Rule;
use crate::request::schema::Richness;

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
    /// Do not use the level `minimal`.
    NoMinimalThinking,
    /// Do not use the level `low`.
    NoLowThinking,
    /// Do not use the level `medium`.
    NoMediumThinking,
    /// Do not use the level `high`.
    NoHighThinking,
    /// Do not use the level `xhigh`.
    NoXHighThinking,
    /// Steer thinking by budget, not by level.
    ThinkingByBudget,
    /// Do not steer thinking.
    ThinkingUnsaid,
    /// Take the model for one of the third generation or a later one, whatever its name says.
    NewerGeneration,
    /// Take the model for what its name says, whatever is known about what answers under it.
    OwnFamily,
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
    /// Tell all schemas in the older way.
    LegacySchemas,
    /// Tell schemas in the older way that are rich, or all where none is.
    LegacyRichSchemas,
    /// Tell schemas in the older way that hold references, or else as above.
    LegacyReferences,
    /// Tell the schema of the response in words.
    SchemaInWords,
    /// Do not force calls, and declare functions without their tightest rules.
    LooseCalling,
    /// Put the system's words into the user's.
    InlineSystem,
    /// Leave resolutions of media out.
    NoMediaResolution,
    /// Tell calls and their results as text.
    CallsAsText,
    /// Tell sizes in schemas in descriptions only.
    NoBounds,
    /// Shorten the names of functions to 64 letters.
    ShortNames,
}

/// Parts of Gemini's messages, in lower case, all of which must occur, and what helps.
const SIGNS: &[(&[&str], Repair)] = &[
    (&["penalty is not enabled"], Repair::NoPenalties),
    (&["multiple candidates is not enabled"], Repair::OneCandidate),
    (&["ending with a model turn"], Repair::UserTurnLast),
    (&["response mime type", "unsupported"], Repair::JsonInWords),
    (&["tool use with function calling is unsupported"], Repair::NoBuiltins),
    (&["unknown name \"id\"", "function"], Repair::NoCallIds),
    (&["too many states"], Repair::LooseCalling),
    (&["constraint", " too "], Repair::LooseCalling),
    (&["schema", "too complex"], Repair::LooseCalling),
    (&["schema", "too large"], Repair::LooseCalling),
    (&["schema", "too many"], Repair::LooseCalling),
    (&["developer instruction is not enabled"], Repair::InlineSystem),
    (&["system instruction is not enabled"], Repair::InlineSystem),
    (&["media_resolution"], Repair::NoMediaResolution),
    (&["media resolution"], Repair::NoMediaResolution),
    (&["mediaresolution"], Repair::NoMediaResolution),
    (&["number of function response parts"], Repair::CallsAsText),
    (&["maximum length of 64"], Repair::ShortNames),
    // A channel that is not known; of what is known and rejected, the schemas that may be meant.
    (&["unknown name", "jsonschema"], Repair::LegacySchemas),
    (&["unknown name", "json_schema\""], Repair::LegacySchemas),
    (&["reference", "schema"], Repair::LegacyReferences),
    (&["$ref"], Repair::LegacyReferences),
    (&["schema"], Repair::LegacyRichSchemas),
    (&["function_declarations", "parameters"], Repair::LegacyRichSchemas),
    (&["functiondeclaration", "parameters"], Repair::LegacyRichSchemas),
];

/// All that Gemini says about some requests, mostly those with schemas that are too large for it.
const SAYS_NOTHING: &str = "request contains an invalid argument";

/// What Gemini finds wrong with the thought signatures of a history.
#[derive(Clone, Copy, PartialEq, Eq)]
enum SignatureFault {
    /// A call has none.
    Missing,
    /// One was made by another model, key or project, or was changed on its way.
    Wrong,
}

fn signature_fault(message: &str) -> Option<SignatureFault> {
    const WRONG: [&str; 6] =
        ["invalid", "not valid", "corrupt", "decrypt", "mismatch", "could not be verified"];
    let spellings = ["thought signature", "thought_signature", "thoughtsignature"];
    let named = spellings.iter().any(|name| message.contains(name));
    if !named {
        None
    } else if message.contains("missing") {
        Some(SignatureFault::Missing)
    } else {
        WRONG.iter().any(|word| message.contains(word)).then_some(SignatureFault::Wrong)
    }
}

impl Repair {
    /// Returns `true` if an error says that a signature is wrong, and not that one is missing: the key that made it may take it.
    #[must_use]
    pub fn is_about_wrong_signatures(message: &str) -> bool {
        signature_fault(&message.to_ascii_lowercase()) == Some(SignatureFault::Wrong)
    }

    /// Returns what may help against an error of status 400 with this message, given what has been tried already: the first step
    /// that changes the request is to be taken. At most one re-send for each request should come of it, and more where
    /// [`Repair::may_be_followed_by`] says so.
    pub fn for_message(message: &str, tried: Repairs) -> impl Iterator<Item = Self> {
        let message = message.to_ascii_lowercase();
        let fits = |signs: &[&str]| signs.iter().all(|sign| message.contains(sign));
        let by_sign = || SIGNS.iter().find(|(signs, _)| fits(signs)).map(|(_, repair)| *repair);
        let bare = message.trim_matches(|letter: char| !letter.is_alphanumeric());
        let wordless = || (bare == SAYS_NOTHING).then_some(Self::NoBounds);
        let signature = || signature_fault(&message).map(|_| Self::StandInSignatures);
        let thinking = thinking::repairs(&message, tried);
        let otherwise = || wordless().or_else(signature).or_else(by_sign);
        let repair = if thinking.is_empty() { otherwise() } else { None };
        // Where another way to tell a schema does not help either, words are left.
        let then = repair.filter(|repair| repair.is_about_schemas()).map(|_| Self::SchemaInWords);
        thinking.into_iter().chain(repair).chain(then).filter(move |step| !tried.contains(*step))
    }

    /// Returns `true` if it changes how schemas are told.
    const fn is_about_schemas(self) -> bool {
        matches!(
            self,
            Self::LegacySchemas | Self::LegacyRichSchemas | Self::LegacyReferences | Self::LooseCalling
        )
    }

    /// Returns the change that helps at once where the error shows that the model is of another generation than the request
    /// was translated for, as happens when Google answers a name by another model: what is rejected next would be of
    /// the same kind. `row` is what the request was translated for, `own` what the model's name says.
    #[must_use]
    pub fn widened(self, row: &Capabilities, own: &Capabilities) -> Self {
        let has_budget = matches!(row.thinking, Thinking::Budget { .. });
        match self {
            Self::ThinkingByLevel | Self::UserTurnLast | Self::StandInSignatures
                if !row.modern && has_budget && !own.modern =>
            {
                Self::NewerGeneration
            }
            Self::ThinkingByBudget | Self::NoCallIds if row.modern && !own.modern => Self::OwnFamily,
            // What the name says would not have been rejected: another model answered it before, and does so no more.
            repair if own.modern && repair.is_made_in(own) && !repair.is_made_in(row) => Self::OwnFamily,
            repair => repair,
        }
    }

    /// Returns `true` if the change is one of capabilities that these have already.
    fn is_made_in(self, capabilities: &Capabilities) -> bool {
        Repairs::default().with(self).apply(*capabilities) == *capabilities
    }

    /// Returns `true` if another change may follow this one in one request: schemas are rejected in one way after the other, and
    /// thinking form by form.
    #[must_use]
    pub fn may_be_followed_by(self, next: Self) -> bool {
        (self.is_about_schemas() && next == Self::SchemaInWords)
            || (self.is_about_thinking() && next.is_about_thinking())
    }

    const fn is_about_thinking(self) -> bool {
        matches!(
            self,
            Self::ThinkingByLevel
                | Self::ThinkingStaysOn
                | Self::ThinkingByBudget
                | Self::ThinkingUnsaid
                | Self::NoMinimalThinking
                | Self::NoLowThinking
                | Self::NoMediumThinking
                | Self::NoHighThinking
                | Self::NoXHighThinking
        )
    }

    /// Returns the change that this one takes back.
    const fn opposite(self) -> Option<Self> {
        match self {
            Self::ThinkingByLevel => Some(Self::ThinkingByBudget),
            Self::ThinkingByBudget => Some(Self::ThinkingByLevel),
            Self::NewerGeneration => Some(Self::OwnFamily),
            Self::OwnFamily => Some(Self::NewerGeneration),
            _ => None,
        }
    }

    /// Returns `true` if the error told something about the model, and not about this one request: worth remembering for the model
    /// for a day.
    #[must_use]
    pub fn is_about_model(self) -> bool {
        !matches!(
            self,
            Self::StandInSignatures
                | Self::LegacySchemas
                | Self::LegacyRichSchemas
                | Self::LegacyReferences
                | Self::SchemaInWords
                | Self::NoBounds
                | Self::LooseCalling
                | Self::CallsAsText
        )
    }
}

/// A set of repairs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Repairs(u64);

impl Repairs {
    /// Returns the set with one more, and without the one that this takes back.
    #[must_use]
    pub fn with(self, repair: Repair) -> Self {
        let without = repair.opposite().map_or(0, |opposite| 1_u64 << opposite as u8);
        Self(self.0 & !without | 1 << repair as u8)
    }

    /// Returns `true` if it is in the set.
    #[must_use]
    pub fn contains(self, repair: Repair) -> bool {
        self.0 & 1 << repair as u8 != 0
    }

    /// From which richness on schemas are to be told in the older way.
    pub(crate) fn older_channel(self) -> Option<Richness> {
        [
            (Repair::LegacySchemas, Richness::Plain),
            (Repair::LegacyRichSchemas, Richness::Rich),
            (Repair::LegacyReferences, Richness::Referring),
        ]
        .into_iter()
        .find_map(|(repair, from)| self.contains(repair).then_some(from))
    }

    /// Returns what Gemini takes for a name.
    pub(crate) fn name_rule(self) -> Rule {
        if self.contains(Repair::ShortNames) { Rule::Older } else { Rule::Today }
    }

    /// Returns the model's row of the table, corrected by what its errors have told.
    pub(crate) fn apply(self, mut capabilities: Capabilities) -> Capabilities {
        if self.contains(Repair::NewerGeneration) && !capabilities.modern {
            capabilities = Capabilities::of_newer_generation();
        }
        let not = |repair| !self.contains(repair);
        capabilities.penalties &= not(Repair::NoPenalties);
        capabilities.candidates &= not(Repair::OneCandidate);
        capabilities.model_turn_last &= not(Repair::UserTurnLast);
        capabilities.json_with_tools &= not(Repair::JsonInWords);
        capabilities.builtins_with_functions &= not(Repair::NoBuiltins);
        capabilities.call_ids &= not(Repair::NoCallIds);
        capabilities.system_instruction &= not(Repair::InlineSystem);
        capabilities.thinking = thinking::corrected(capabilities.thinking, self);
        capabilities
    }
}

#[cfg(test)]
mod tests;
