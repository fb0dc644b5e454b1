//! Conversion of requests and responses between client protocols and the Gemini API.
//!
//! Takes a parsed request, an upstream body or a chunk of an upstream stream, and returns bytes for
//! the other side together with what was counted. Everything here is a pure function: no clock, no
//! randomness (a seed is a parameter), no I/O, no platform.
//!
//! # Invariants
//! - No input panics.
//! - Work grows linearly with the input.
//! - What cannot be converted is an error or a listed ignored parameter, never dropped silently.

#![forbid(unsafe_code)]

mod answer;
mod arguments;
mod calls;
mod capabilities;
mod embeddings;
mod fence;
mod finish;
mod formats;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
pub mod gemini;
mod grounding;
mod ids;
pub mod json;
mod logprobs;
mod media;
mod messages;
mod mime;
mod models;
mod names;
pub mod openai;
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
#[cfg(any(test, feature = "fuzz"))]
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
