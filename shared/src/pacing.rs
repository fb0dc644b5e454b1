//! Paced output: how a pool lets streamed text appear evenly instead of in the bursts that Gemini sends.

use serde::{Deserialize, Serialize};

use crate::bounds;

/// How streamed text is paced. A field left out has the default named with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Pacing {
    /// How large a piece is: `batches` unless told otherwise.
    pub by: PacingUnit,
    /// The shortest pause after a piece, in milliseconds: 2 unless told otherwise.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = bounds::PACING_DELAY_MS)))]
    pub min_delay_ms: u16,
    /// The longest one: 20 unless told otherwise, 200 at most. It counts where it is below the shortest one.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = bounds::PACING_DELAY_MS)))]
    pub max_delay_ms: u16,
}

/// How large the pieces are, while there is time: the more text waits, the larger they become.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum PacingUnit {
    /// A few characters.
    #[default]
    Batches,
    /// One character as its reader sees it.
    Characters,
}

impl Default for Pacing {
    fn default() -> Self {
        Self { by: PacingUnit::default(), min_delay_ms: 2, max_delay_ms: 20 }
    }
}

impl Pacing {
    /// Returns `true` if both pauses are possible.
    #[must_use]
    pub fn is_possible(self) -> bool {
        [self.min_delay_ms, self.max_delay_ms]
            .iter()
            .all(|delay| (1..=bounds::PACING_DELAY_MS).contains(delay))
    }
}
