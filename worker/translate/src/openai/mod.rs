//! Wire types of the OpenAI API: chat completions, embeddings, models and errors.
//!
//! Requests borrow from the body. Nothing here knows Gemini.

mod answer;
mod chat;
mod embeddings;
mod error;
mod lenient;
mod message;
mod models;
mod tools;

pub use answer::{
    Annotation, AudioAnswer, ChatCompletion, Choice, CompletionDetails, CustomCallAnswer, Delta, Embedding,
    EmbeddingList, EmbeddingRow, EmbeddingUsage, ExtraContent, FunctionCallAnswer, GoogleExtra, ImageAnswer,
    ImageUrlAnswer, LogProb, LogProbs, MessageAnswer, PromptDetails, ToolCallAnswer, TopLogProb, UrlCitation,
    UsageBody,
};
pub use chat::{
    AudioOptions, ChatRequest, ExtraBody, Google, ImageConfig, Reasoning, ResponseFormat, SchemaFormat,
    StreamOptions, Thinking, ThinkingConfig,
};
pub use embeddings::{EmbeddingInput, EmbeddingsRequest, RawElement, token_arrays_unsupported};
pub use error::{error_body, error_event};
pub(crate) use lenient::said;
pub use message::{ContentPart, FileContent, ImageUrl, InputAudio, Message, MessageContent, MessageImage};
pub use models::{Model, ModelList};
pub use tools::{
    AllowedTools, CalledCustom, CalledFunction, CustomDefinition, FunctionDefinition, NamedTool, Tool,
    ToolCall, ToolChoice,
};
