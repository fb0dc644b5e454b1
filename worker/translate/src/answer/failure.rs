//! Responses of status 200 without usable content, and blocked prompts.

use http::StatusCode;

use super::usage::Usage;
use crate::error::ApiError;
use crate::gemini::PromptFeedback;

/// How a delivered response turned out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Outcome {
    /// It has content.
    Delivered,
    /// Gemini's filters blocked all content.
    #[default]
    Blocked,
}

/// A response of status 200 without usable content. Another attempt, with any key, may help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct AnswerError {
    /// What is wrong.
    pub reason: SoftFailure,
    /// Tokens that it took all the same.
    pub usage: Usage,
}

/// What can be wrong with a response of status 200.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SoftFailure {
    /// It is not a Gemini response.
    #[error("The upstream answer could not be read.")]
    Malformed,
    /// It has no content and gives no reason.
    #[error("The upstream answer was empty.")]
    Empty,
    /// It has no content, for this `finishReason`.
    #[error("The model ended without a usable answer: {0}.")]
    Finish(String),
}

impl SoftFailure {
    /// Returns the failure of a response without content and with this `finishReason`.
    pub(crate) fn without_content(native_finish: Option<&str>) -> Self {
        match native_finish {
            None | Some("" | "STOP" | "FINISH_REASON_UNSPECIFIED") => Self::Empty,
            Some(reason) => Self::Finish(reason.to_owned()),
        }
    }
}

impl From<&SoftFailure> for ApiError {
    fn from(failure: &SoftFailure) -> Self {
        let code = match failure {
            SoftFailure::Malformed => "invalid_upstream_response",
            SoftFailure::Empty => "empty_response",
            SoftFailure::Finish(reason) => match reason.as_str() {
                "MALFORMED_FUNCTION_CALL"
                | "UNEXPECTED_TOOL_CALL"
                | "TOO_MANY_TOOL_CALLS"
                | "MALFORMED_RESPONSE" => "malformed_function_call",
                "MISSING_THOUGHT_SIGNATURE" => "missing_thought_signature",
                // An unknown reason says no more than that there is no content.
                _ => "empty_response",
            },
        };
        ApiError::server(StatusCode::BAD_GATEWAY, code, failure.to_string())
    }
}

impl From<AnswerError> for ApiError {
    fn from(error: AnswerError) -> Self {
        Self::from(&error.reason)
    }
}

/// A prompt that Gemini's filters blocked.
#[derive(Debug, Clone)]
pub(crate) struct PromptBlock {
    /// For the client.
    pub(crate) refusal: String,
    /// Gemini's `blockReason`.
    pub(crate) reason: String,
}

impl PromptBlock {
    /// Reads `promptFeedback`.
    pub(crate) fn of(feedback: &PromptFeedback<'_>) -> Option<Self> {
        let reason = feedback.block_reason.as_deref().filter(|reason| !reason.is_empty())?;
        let mut refusal = format!("Prompt blocked by Gemini: {reason}");
        let message = feedback.block_reason_message.as_deref();
        if let Some(message) = message.filter(|message| !message.is_empty()) {
            refusal.push_str(". ");
            refusal.push_str(message);
        }
        Some(Self { refusal, reason: reason.to_owned() })
    }
}
