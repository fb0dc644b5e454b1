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
mod chat;
mod embeddings;
mod error;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
pub mod gemini;
pub mod json;
mod models;
pub mod openai;
#[cfg(test)]
mod properties;
mod request;

pub use answer::{
    AnswerError, AnswerModel, Envelope, Kinds, Outcome, SoftFailure, StreamEnd, StreamFault, Usage,
};
pub use chat::{
    ChatAnswer, ChatStream, PacedPiece, Pacer, chat_response, chat_responses, remote_media, resumed_response,
    to_gemini,
};
pub use embeddings::{EmbeddingsPlan, embeddings_plan};
pub use error::ApiError;
pub use models::{model_get, models_list};
pub use request::{
    CallLimit, CallSignature, Capabilities, FetchedMedia, GeminiCall, Level, Levels, MediaSource,
    ModelSuffix, RemoteMedia, Repair, Repairs, ResponseContext, SignatureCache, Thinking, TranslateOptions,
    invalid_url, resumed_body,
};
