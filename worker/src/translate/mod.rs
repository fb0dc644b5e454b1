//! The translation between the OpenAI and the Gemini API.
//!
//! In: a parsed request, an upstream body or any piece of an upstream stream. Out: bytes for the other side, and what
//! was counted on the way. Pure functions: no clock, no randomness (a seed is handed in), no I/O, no platform. What
//! must never happen here: a panic, work that grows faster than the input, a semantic promise broken in silence.

mod answer;
mod arguments;
mod calls;
mod capabilities;
mod embeddings;
mod fence;
mod finish;
mod formats;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod grounding;
mod ids;
mod logprobs;
mod media;
mod messages;
mod mime;
mod models;
mod names;
mod pacing;
mod parameters;
mod piece;
#[cfg(test)]
mod properties;
mod repair;
mod request;
mod results;
mod schema;
mod signatures;
mod speech;
mod sse;
mod stream;
#[cfg(any(test, fuzzing))]
mod strict;
mod suffix;
#[cfg(test)]
mod switches;
mod thinking;
mod tools;
mod usage;
mod words;
mod write;

pub use answer::{
    AnswerError, ChatAnswer, Outcome, SoftFailure, chat_response, chat_responses, resumed_response,
};
pub use capabilities::{CallLimit, Capabilities, Level, Levels, Thinking};
pub use embeddings::{EmbeddingsPlan, embeddings_plan};
pub use ids::{AnswerModel, Envelope};
pub use media::{FetchedMedia, MediaSource, RemoteMedia, invalid_url, remote_media};
pub use models::{model_get, models_list};
pub use pacing::{PacedPiece, Pacer};
pub use repair::{Repair, Repairs};
pub use request::{GeminiCall, ResponseContext, TranslateOptions, resumed_body, to_gemini};
pub use signatures::{CallSignature, SignatureCache};
pub use stream::{ChatStream, StreamEnd, StreamFault};
pub use suffix::ModelSuffix;
pub use usage::{Kinds, Usage};
