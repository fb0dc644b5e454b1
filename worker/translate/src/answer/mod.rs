//! Gemini's responses, read once into pieces that no client protocol knows of: text, thoughts, calls,
//! images, audio, sources, token counts and the reason of the end.

pub(crate) mod code_fence;
pub(crate) mod finish;
pub(crate) mod grounding;
pub(crate) mod ids;
pub(crate) mod logprobs;
pub(crate) mod piece;
pub(crate) mod speech;
pub(crate) mod sse;
pub(crate) mod usage;

pub use ids::{AnswerModel, Envelope};
pub use usage::{Kinds, Usage};
