//! How much a model is to think: an effort or a budget, mapped to a level or budget that it accepts.

use super::capabilities::{Level, Levels};
use crate::error::ApiError;

/// Reasoning effort.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effort {
    None,
    Minimal,
    Low,
    Medium,
    High,
    XHigh,
    Max,
}

/// Thinking as a client asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ThinkingRequest {
    Effort(Effort),
    /// Tokens; -1 leaves it to the model.
    Budget(i128),
}

impl Effort {
    pub(crate) fn parse(text: &str, param: &str) -> Result<Self, ApiError> {
        Ok(match text.to_ascii_lowercase().as_str() {
            "none" => Self::None,
            "minimal" => Self::Minimal,
            "low" => Self::Low,
            "medium" => Self::Medium,
            "high" => Self::High,
            "xhigh" => Self::XHigh,
            "max" => Self::Max,
            _ => {
                let message = format!(
                    "Invalid value for '{param}'. Supported values are: 'none', 'minimal', 'low', 'medium', 'high', \
                     'xhigh' and 'max'."
                );
                return Err(ApiError::invalid_value(param, message));
            }
        })
    }
}

impl ThinkingRequest {
    /// Reads the end of a model's name: a level, or a budget of tokens.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            return text.parse().ok().map(Self::Budget);
        }
        Effort::parse(text, "model").ok().map(Self::Effort)
    }

    pub(crate) const NOTHING: Self = Self::Effort(Effort::None);

    pub(crate) fn thinks(self) -> bool {
        self != Self::Effort(Effort::None) && self != Self::Budget(0)
    }

    /// Returns the budget in tokens, by the table of Google's OpenAI endpoint
    /// (<https://ai.google.dev/gemini-api/docs/openai#thinking>).
    pub(crate) fn budget(self, min: i32, max: i32, off: bool) -> i32 {
        let least = if off { 0 } else { min };
        match self {
            Self::Effort(Effort::None) | Self::Budget(0) => least,
            Self::Effort(Effort::Minimal | Effort::Low) => 1024,
            Self::Effort(Effort::Medium) => 8192,
            Self::Effort(Effort::High) => 24_576,
            Self::Effort(Effort::XHigh | Effort::Max) => max,
            Self::Budget(budget) if budget < 0 => -1,
            Self::Budget(budget) => i32::try_from(budget).unwrap_or(max).clamp(min, max),
        }
    }

    /// Returns the nearest level of the model, or `None` if the model is to decide.
    pub(crate) fn level(self, levels: Levels) -> Option<Level> {
        let effort = match self {
            Self::Effort(effort) => effort,
            Self::Budget(..0) => return None,
            Self::Budget(0) => Effort::None,
            Self::Budget(..=1024) => Effort::Low,
            Self::Budget(..=8192) => Effort::Medium,
            Self::Budget(_) => Effort::High,
        };
        match effort {
            Effort::None => levels.lowest(),
            Effort::Minimal => levels.nearest(Level::Minimal),
            Effort::Low => levels.nearest(Level::Low),
            Effort::Medium => levels.nearest(Level::Medium),
            Effort::High => levels.nearest(Level::High),
            Effort::XHigh => levels.nearest(Level::XHigh),
            Effort::Max => levels.highest(),
        }
    }
}
