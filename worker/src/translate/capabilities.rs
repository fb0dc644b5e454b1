//! What each family of models can do: the one table that every decision about a model is taken from.
//!
//! In: a model id. Out: its row. Google documents little of this; where nothing is documented, the row says what is
//! safe. The first row whose prefix and word fit wins, so that newer models fall through to the row of their elders.

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
    /// Whether penalties are accepted; most models answer 400 "Penalty is not enabled".
    pub penalties: bool,
    /// Whether `candidateCount` above 1 is accepted.
    pub candidates: bool,
    /// Whether log probabilities are accepted.
    pub logprobs: bool,
    /// Generation 3 and later: calls must carry thought signatures, results may hold pictures, each picture has its own
    /// resolution, and functions can be `VALIDATED`.
    pub modern: bool,
    /// Whether calls have ids; others answer 400 "Unknown name".
    pub call_ids: bool,
    /// Whether a JSON answer can be asked for beside functions.
    pub json_with_tools: bool,
    /// Whether the order of properties has to be told: later models keep the schema's.
    pub property_order: bool,
    /// Whether Gemini's own tools can stand beside functions.
    pub builtins_with_functions: bool,
    /// Whether the last turn may be the model's; it goes on from there.
    pub model_turn_last: bool,
    /// Whether there is a system instruction.
    pub system_instruction: bool,
    /// Whether it makes pictures.
    pub images: bool,
    /// Whether it speaks.
    pub speech: bool,
    /// Whether it answers in JSON on demand.
    pub json: bool,
    /// Whether `maxOutputTokens` may exceed what one call can return.
    pub long_answers: bool,
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
    /// By one of these levels, in ascending order.
    Levels(&'static [Level]),
}

/// A level of thinking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Next to none.
    Minimal,
    /// Little.
    Low,
    /// Some.
    Medium,
    /// Much.
    High,
}

impl Level {
    /// As Gemini writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Minimal => "minimal",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
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

const ALL_LEVELS: Thinking = Thinking::Levels(&[Level::Minimal, Level::Low, Level::Medium, Level::High]);
const NO_MINIMAL: Thinking = Thinking::Levels(&[Level::Low, Level::Medium, Level::High]);
const ENDS_ONLY: Thinking = Thinking::Levels(&[Level::Low, Level::High]);

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
    long_answers: false,
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
const G4: Capabilities = Capabilities { long_answers: true, ..G3_8 };
const SPEECH: Capabilities = Capabilities { speech: true, json: false, ..OLD };
const IMAGE: Capabilities = Capabilities { images: true, json: false, ..OLD };
const IMAGE_3: Capabilities = Capabilities { images: true, json: false, thinking: ENDS_ONLY, ..G3 };

const TABLE: &[Row] = &[
    row("gemini-", "-tts", SPEECH),
    row("gemini-2", "-image", IMAGE),
    row(
        "gemini-3.1-",
        "-image",
        Capabilities { thinking: Thinking::Levels(&[Level::Minimal, Level::High]), ..IMAGE_3 },
    ),
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
    // `gemini-flash-latest` and its kin point to whatever is newest, but are no long-answer models yet.
    row("gemini-", "-latest", G3_8),
    row("gemini-", "", G4),
];

impl Capabilities {
    /// Whether it signs what it says, so that a signature may be sent back to it.
    #[must_use]
    pub fn signs(&self) -> bool {
        self.modern || self.thinking != Thinking::None
    }

    /// The model's row. An unknown name gets one that sends nothing that could be refused.
    #[must_use]
    pub fn of(model: &ModelId) -> Self {
        let id = model.as_str();
        let row = TABLE.iter().find(|row| id.starts_with(row.prefix) && id.contains(row.word));
        row.map_or(OLD, |row| row.capabilities)
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
            ("gemini-5-pro", G4),
            ("gemini-flash-latest", G3_8),
            ("gemini-3-pro-image", IMAGE_3),
            ("tunedModels/gemini-2.0-mine", OLD),
            ("learnlm-9", OLD),
        ] {
            assert_eq!(Capabilities::of(&ModelId::parse(id).unwrap()), expected, "{id}");
        }
        let gemma = Capabilities::of(&ModelId::parse("gemma-3-27b-it").unwrap());
        assert!(!gemma.system_instruction && !gemma.modern);
        let image = Capabilities::of(&ModelId::parse("gemini-3.1-flash-image").unwrap());
        assert_eq!(image.thinking, Thinking::Levels(&[Level::Minimal, Level::High]));
    }
}
