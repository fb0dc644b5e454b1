//! Gemini's responses, read once into pieces that no client protocol knows of: text, thoughts, calls,
//! images, audio, sources, token counts and the reason of the end.

pub(crate) mod buffered;
pub(crate) mod calls;
pub(crate) mod candidate;
pub(crate) mod code_fence;
pub(crate) mod failure;
pub(crate) mod finish;
pub(crate) mod grounding;
pub(crate) mod ids;
pub(crate) mod logprobs;
pub(crate) mod speech;
pub(crate) mod sse;
pub(crate) mod stream;
pub(crate) mod usage;

pub use failure::{AnswerError, Outcome, SoftFailure};
pub use ids::{AnswerModel, Envelope};
pub use stream::{StreamEnd, StreamFault};
pub use usage::{Kinds, Usage};
