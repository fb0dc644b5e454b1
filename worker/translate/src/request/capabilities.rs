//! Capabilities of each model family: the one table behind every decision about a model.
//!
//! Google documents little of this; an undocumented capability has its safe value. The first row whose
//! prefix and word match applies, so newer models fall through to the row of their predecessors.

use jiff::Timestamp;

use crate::gemini::ModelId;

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
// Each is a column of the table, and no two of them depend on each other.
#[allow(clippy::struct_excessive_bools)]
pub struct Capabilities {
    /// Whether and how its thinking is steered.
    pub thinking: Thinking,
    /// Whether `temperature`, `topP` and `topK` do anything.
    pub sampling: bool,
    /// Whether penalties are accepted; most models return 400 "Penalty is not enabled".
    pub penalties: bool,
    /// Whether `candidateCount` above 1 is accepted.
    pub candidates: bool,
    /// Whether log probabilities are accepted.
    pub logprobs: bool,
    /// Generation 3 and later: calls must carry thought signatures, results may hold images, each image has its own
    /// resolution, and functions can be `VALIDATED`.
    pub modern: bool,
    /// Whether calls have ids; others return 400 "Unknown name".
    pub call_ids: bool,
    /// Whether a JSON response can be asked for beside functions.
    pub json_with_tools: bool,
    /// Whether the order of properties has to be told: later models keep the schema's.
    pub property_order: bool,
    /// Whether Gemini's own tools can be beside functions.
    pub builtins_with_functions: bool,
    /// Whether the last turn may be the model's; it continues from there.
    pub model_turn_last: bool,
    /// Whether there is a system instruction.
    pub system_instruction: bool,
    /// Whether it makes images.
    pub images: bool,
    /// Whether it speaks.
    pub speech: bool,
    /// Whether it answers in JSON on demand.
    pub json: bool,
    /// What one call returns at most, where `maxOutputTokens` may exceed it; otherwise that is the model's own limit.
    pub call_limit: Option<CallLimit>,
    /// Whether content can be cached explicitly (`cachedContent`).
    pub explicit_cache: bool,
}

/// The output tokens that one call returns at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallLimit {
    /// As a whole.
    pub whole: u64,
    /// As a stream.
    pub streamed: u64,
}

/// How thinking is steered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thinking {
    /// It does not think, or cannot be told how much.
    None,
    /// By a number of tokens.
    Budget {
        /// The least, other than 0.
        min: i32,
        /// The most.
        max: i32,
        /// Whether 0, no thinking, is accepted.
        off: bool,
    },
    /// By one of these levels.
    Levels(Levels),
}

/// A level of thinking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// Next to none.
    Minimal,
    /// Little.
    Low,
    /// Some.
    Medium,
    /// Much.
    High,
    /// More than that.
    XHigh,
}

impl Level {
    /// In ascending order.
    pub const ALL: [Self; 5] = [Self::Minimal, Self::Low, Self::Medium, Self::High, Self::XHigh];

    /// As Gemini writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Minimal => "minimal",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::XHigh => "xhigh",
        }
    }
}

/// A set of levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Levels(u8);

impl Levels {
    /// `low`, `medium` and `high`: what every model with levels takes.
    pub const COMMON: Self = Self::of(&[Level::Low, Level::Medium, Level::High]);

    /// Returns the set of these levels.
    #[must_use]
    pub const fn of(mut levels: &[Level]) -> Self {
        let mut set = 0;
        while let [level, rest @ ..] = levels {
            set |= 1 << *level as u8;
            levels = rest;
        }
        Self(set)
    }

    /// Returns the set without one level.
    #[must_use]
    pub const fn without(self, level: Level) -> Self {
        Self(self.0 & !(1 << level as u8))
    }

    /// Returns `true` if the level is in the set.
    #[must_use]
    pub const fn contains(self, level: Level) -> bool {
        self.0 & 1 << level as u8 != 0
    }

    /// Returns `true` if there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns the lowest level.
    #[must_use]
    pub fn lowest(self) -> Option<Level> {
        Level::ALL.into_iter().find(|level| self.contains(*level))
    }

    /// Returns the highest level.
    #[must_use]
    pub fn highest(self) -> Option<Level> {
        Level::ALL.into_iter().rev().find(|level| self.contains(*level))
    }

    /// Returns the level nearest to `wanted`; of two, the higher one.
    #[must_use]
    pub fn nearest(self, wanted: Level) -> Option<Level> {
        let distance = |level: &Level| ((*level as u8).abs_diff(wanted as u8), *level < wanted);
        Level::ALL.into_iter().filter(|level| self.contains(*level)).min_by_key(distance)
    }
}

struct Row {
    prefix: &'static str,
    /// What the id must hold besides.
    word: &'static str,
    capabilities: Capabilities,
}

const fn row(prefix: &'static str, word: &'static str, capabilities: Capabilities) -> Row {
    Row { prefix, word, capabilities }
}

const ALL_LEVELS: Thinking =
    Thinking::Levels(Levels::of(&[Level::Minimal, Level::Low, Level::Medium, Level::High]));
const NO_MINIMAL: Thinking = Thinking::Levels(Levels::COMMON);
const UP_TO_XHIGH: Thinking =
    Thinking::Levels(Levels::of(&[Level::Low, Level::Medium, Level::High, Level::XHigh]));
const ENDS_ONLY: Thinking = Thinking::Levels(Levels::of(&[Level::Low, Level::High]));
const OUTERMOST: Thinking = Thinking::Levels(Levels::of(&[Level::Minimal, Level::High]));

const G2_0: Capabilities = Capabilities {
    thinking: Thinking::None,
    sampling: true,
    penalties: true,
    candidates: true,
    logprobs: true,
    modern: false,
    call_ids: false,
    json_with_tools: false,
    property_order: true,
    builtins_with_functions: false,
    model_turn_last: true,
    system_instruction: true,
    images: false,
    speech: false,
    json: true,
    call_limit: None,
    explicit_cache: true,
};
const OLD: Capabilities =
    Capabilities { penalties: false, candidates: false, logprobs: false, property_order: false, ..G2_0 };
const G2_5_FLASH: Capabilities =
    Capabilities { thinking: Thinking::Budget { min: 1, max: 24_576, off: true }, logprobs: true, ..OLD };
const G2_5_LITE: Capabilities =
    Capabilities { thinking: Thinking::Budget { min: 512, max: 24_576, off: true }, ..OLD };
const G2_5_PRO: Capabilities =
    Capabilities { thinking: Thinking::Budget { min: 128, max: 32_768, off: false }, ..OLD };
const G3: Capabilities = Capabilities {
    thinking: ALL_LEVELS,
    modern: true,
    call_ids: true,
    json_with_tools: true,
    builtins_with_functions: true,
    ..OLD
};
const G3_6: Capabilities = Capabilities { sampling: false, model_turn_last: false, ..G3 };
const G3_8: Capabilities = Capabilities { thinking: NO_MINIMAL, ..G3_6 };
/// What follows the known generations: nothing is known of it but what its elders can do.
const NEWER: Capabilities =
    Capabilities { call_limit: Some(CallLimit { whole: 32_768, streamed: 65_536 }), ..G3_8 };
/// Argon, Carbon, and what of this generation is unknown.
const G4: Capabilities = Capabilities { explicit_cache: false, ..NEWER };
/// Hydrogen and Neon.
const G4_XHIGH: Capabilities = Capabilities {
    thinking: UP_TO_XHIGH,
    call_limit: Some(CallLimit { whole: 65_536, streamed: 65_536 }),
    ..G4
};
const SPEECH: Capabilities = Capabilities { speech: true, json: false, ..OLD };
const IMAGE: Capabilities = Capabilities { images: true, json: false, ..OLD };
const IMAGE_3: Capabilities = Capabilities { images: true, json: false, thinking: ENDS_ONLY, ..G3 };

const TABLE: &[Row] = &[
    row("gemini-4", "-tts", Capabilities { explicit_cache: false, ..SPEECH }),
    row("gemini-4", "-image", Capabilities { explicit_cache: false, ..IMAGE_3 }),
    row("gemini-", "-tts", SPEECH),
    row("gemini-2", "-image", IMAGE),
    row("gemini-3.1-", "-image", Capabilities { thinking: OUTERMOST, ..IMAGE_3 }),
    row("gemini-", "-image", IMAGE_3),
    row("nano-banana", "", IMAGE_3),
    row("gemma-3", "", Capabilities { system_instruction: false, ..OLD }),
    row("gemma-4", "", Capabilities { thinking: NO_MINIMAL, ..OLD }),
    row("gemini-1.", "", G2_0),
    row("gemini-2.0", "", G2_0),
    row("gemini-2.5-pro", "", G2_5_PRO),
    row("gemini-2.5-flash-lite", "", G2_5_LITE),
    row("gemini-2", "", G2_5_FLASH),
    row("gemini-3-pro", "", Capabilities { thinking: ENDS_ONLY, ..G3 }),
    row("gemini-3-", "", G3),
    row("gemini-3.1-pro", "", Capabilities { thinking: NO_MINIMAL, ..G3 }),
    row("gemini-3.1-", "", G3),
    row("gemini-3.5-flash-lite", "", G3_6),
    row("gemini-3.5-", "", G3),
    row("gemini-3.6-", "", G3_6),
    row("gemini-3", "", G3_8),
    row("gemini-4-hydrogen", "", G4_XHIGH),
    row("gemini-4-neon", "", G4_XHIGH),
    row("gemini-4", "", G4),
    // `gemini-flash-latest` and its kin point to whatever is newest, but are no long-answer models yet.
    row("gemini-", "-latest", G3_8),
    row("gemini-", "", NEWER),
];

impl Capabilities {
    /// Returns `true` if it signs what it says, so that a signature may be sent back to it.
    #[must_use]
    pub fn signs(&self) -> bool {
        self.modern || self.thinking != Thinking::None
    }

    /// Returns the row of the model that answers under this name at this time: Google answers some names by other models from a
    /// day on. An unknown name gets a row that sends nothing that could be rejected.
    #[must_use]
    pub fn of(model: &ModelId, now: Timestamp) -> Self {
        Self::of_name(pool_shared::answering_model(model.as_str(), now).unwrap_or(model.as_str()))
    }

    /// Returns the row of the model that the name means, whatever answers under it.
    #[must_use]
    pub fn of_name(model: &str) -> Self {
        let row = TABLE.iter().find(|row| model.starts_with(row.prefix) && model.contains(row.word));
        row.map_or(OLD, |row| row.capabilities)
    }

    /// Returns the row of a model of which only the generation is known: the third or a later one.
    pub(crate) const fn of_newer_generation() -> Self {
        G3_8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_family_finds_its_row() {
        for (id, expected) in [
            ("gemini-2.0-flash", G2_0),
            ("gemini-2.5-pro", G2_5_PRO),
            ("gemini-2.5-flash-lite-preview", G2_5_LITE),
            ("gemini-2.5-flash", G2_5_FLASH),
            ("gemini-2.5-flash-image", IMAGE),
            ("gemini-2.5-flash-preview-tts", SPEECH),
            ("gemini-3-flash-preview", G3),
            ("gemini-3.1-flash-lite", G3),
            ("gemini-3.5-flash", G3),
            ("gemini-3.5-flash-lite", G3_6),
            ("gemini-3.6-flash", G3_6),
            ("gemini-3.8-flash", G3_8),
            ("gemini-3.9-flash", G3_8),
            ("gemini-4-argon", G4),
            ("gemini-4-carbon", G4),
            ("gemini-4-hydrogen", G4_XHIGH),
            ("gemini-4-neon-preview", G4_XHIGH),
            ("gemini-4-xenon", G4),
            ("gemini-5-pro", NEWER),
            ("gemini-flash-latest", G3_8),
            ("gemini-pro-latest", G3_8),
            ("gemini-4-hydrogen-latest", G4_XHIGH),
            ("gemini-4-argon-latest", G4),
            ("gemini-2.5-flash-latest", G2_5_FLASH),
            ("gemini-4-neon-image", Capabilities { explicit_cache: false, ..IMAGE_3 }),
            ("gemini-4-hydrogen-tts", Capabilities { explicit_cache: false, ..SPEECH }),
            ("gemini-3-pro-image", IMAGE_3),
            ("tunedModels/gemini-2.0-mine", OLD),
            ("learnlm-9", OLD),
        ] {
            assert_eq!(Capabilities::of_name(id), expected, "{id}");
            let early = "2026-09-01T00:00:00Z".parse().unwrap();
            assert_eq!(Capabilities::of(&ModelId::parse(id).unwrap(), early), expected, "{id}");
        }
        let gemma = Capabilities::of_name("gemma-3-27b-it");
        assert!(!gemma.system_instruction && !gemma.modern);
        assert_eq!(Capabilities::of_name("gemini-3.1-flash-image").thinking, OUTERMOST);
    }

    #[test]
    fn a_name_gets_the_row_of_what_answers_it_from_the_day_on() {
        for (id, now, expected) in [
            ("gemini-3.5-flash", "2026-10-08T06:59:59Z", G3),
            ("gemini-3.5-flash", "2026-10-08T07:00:00Z", G3_6),
            ("gemini-3.7-flash", "2026-10-08T07:00:00Z", G3_8),
            ("gemini-3.5-flash-lite", "2026-12-31T00:00:00Z", G3_6),
            // What Google has not documented is learnt, not assumed.
            ("gemini-2.5-pro", "2026-12-31T00:00:00Z", G2_5_PRO),
            ("gemini-2.5-flash", "2026-12-31T00:00:00Z", G2_5_FLASH),
        ] {
            let model = ModelId::parse(id).unwrap();
            assert_eq!(Capabilities::of(&model, now.parse().unwrap()), expected, "{id} at {now}");
        }
    }

    #[test]
    fn the_nearest_level_is_taken_and_of_two_the_higher() {
        for (levels, wanted, expected) in [
            (&[Level::Low, Level::High][..], Level::Medium, Some(Level::High)),
            (&[Level::Minimal, Level::High], Level::Low, Some(Level::Minimal)),
            (&[Level::Low, Level::Medium], Level::XHigh, Some(Level::Medium)),
            (&[Level::Medium], Level::Minimal, Some(Level::Medium)),
            (&[], Level::Low, None),
        ] {
            assert_eq!(Levels::of(levels).nearest(wanted), expected, "{levels:?} {wanted:?}");
        }
        assert!(Levels::of(&[Level::Low]).without(Level::Low).is_empty());
    }
}
