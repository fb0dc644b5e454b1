//! Wire types of the Gemini API (`generativelanguage.googleapis.com/v1beta`).
//!
//! Values borrow from the document that they were read from. Unknown members and values never fail.

mod embeddings;
mod envelope;
mod error;
mod model_id;
mod models;
mod redact;
mod request;
mod response;

pub use embeddings::{
    BatchEmbedRequest, BatchEmbedResponse, EmbedContent, EmbedRequest, EmbedText, EmbedUsage, Vector,
};
pub use envelope::error_document;
pub use error::{ErrorBody, ErrorReason, Violation};
pub use model_id::{Method, ModelId};
pub use models::{Model, ModelPage};
pub use redact::{begins_like_secret, redact_keys};
pub use request::{
    Base64, Blob, CallingConfig, CallingMode, Content, FileData, FunctionCall, FunctionDeclaration,
    FunctionResponse, FunctionResponsePart, GenerateRequest, GenerationConfig, ImageConfig, MediaResolution,
    Part, PartData, PrebuiltVoice, RequestSettings, Role, SpeechConfig, SystemInstruction, ThinkingConfig,
    Tool, ToolConfig, VoiceConfig,
};
pub use response::{
    AnswerPart, AnsweredBlob, AnsweredCall, AnsweredContent, AnsweredFile, Candidate, GenerateResponse,
    ModalityCount, PromptFeedback, UsageMetadata,
};
