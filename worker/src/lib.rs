//! The pool service: many Gemini API keys behind isolated, OpenAI-compatible pools.

pub mod gemini;
pub mod openai;
pub mod translate;
