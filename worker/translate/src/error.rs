//! The error of a client's request, in no protocol's form.
//!
//! [`crate::openai::error_body`] and [`crate::gemini::error_document`] write it as their protocols do.
//! The message reaches the client, so it must hold no upstream URL and no secret.

use http::StatusCode;

use crate::json::JsonError;
use crate::json::bounds::{JSON_DEPTH, MAX_ELEMENTS, MAX_MEMBERS};

/// Why a request failed. The kinds and codes are those of the OpenAI API; other protocols map them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// The HTTP status, where one can still be sent.
    pub status: StatusCode,
    /// For people.
    pub message: String,
    /// `error.type`: the family of the error.
    pub kind: &'static str,
    /// The request field at fault, as a path (`messages[0].role`).
    pub param: Option<String>,
    /// `error.code`: what programs look at.
    pub code: Option<&'static str>,
    /// For `retry-after` and `retry-after-ms`.
    pub retry_after_ms: Option<u64>,
    /// For `x-should-retry`, which overrides what OpenAI's SDKs would do for the status.
    pub should_retry: Option<bool>,
    /// Why it went wrong, for the operator's log only: it may name the service's insides.
    pub cause: Option<Box<str>>,
}

const INVALID_REQUEST: &str = "invalid_request_error";

impl ApiError {
    /// Returns an error of any kind, without a field.
    #[must_use]
    pub fn new(
        status: StatusCode,
        kind: &'static str,
        code: Option<&'static str>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            status,
            message: message.into(),
            kind,
            param: None,
            code,
            retry_after_ms: None,
            should_retry: None,
            cause: None,
        }
    }

    /// Returns the same, with a cause that is told to the log and not to the client.
    #[must_use]
    pub fn because(self, cause: impl std::fmt::Display) -> Self {
        Self { cause: Some(cause.to_string().into()), ..self }
    }

    /// 400 about one field (or about none in particular).
    #[must_use]
    pub fn invalid(param: Option<&str>, code: &'static str, message: impl Into<String>) -> Self {
        let param = param.map(ToOwned::to_owned);
        Self { param, ..Self::new(StatusCode::BAD_REQUEST, INVALID_REQUEST, Some(code), message) }
    }

    /// 400: the body is no JSON.
    #[must_use]
    pub fn invalid_json() -> Self {
        let message = "We could not parse the JSON body of your request. (HINT: This likely means you aren't using \
                       your HTTP library correctly. The OpenAI API expects a JSON payload, but what was sent was not \
                       valid JSON.)";
        Self::new(StatusCode::BAD_REQUEST, INVALID_REQUEST, None, message)
    }

    /// 400: a field that must be there is not.
    #[must_use]
    pub fn missing(param: &str) -> Self {
        Self::invalid(
            Some(param),
            "missing_required_parameter",
            format!("Missing required parameter: '{param}'."),
        )
    }

    /// 400: the field's value is none of the allowed ones.
    #[must_use]
    pub fn invalid_value(param: &str, message: impl Into<String>) -> Self {
        Self::invalid(Some(param), "invalid_value", message)
    }

    /// 400: the model cannot do what this value of the field asks for.
    #[must_use]
    pub fn unsupported_value(param: &str, message: impl Into<String>) -> Self {
        Self::invalid(Some(param), "unsupported_value", message)
    }

    /// 400: the model does not know this field.
    #[must_use]
    pub fn unsupported_parameter(param: &str, message: impl Into<String>) -> Self {
        Self::invalid(Some(param), "unsupported_parameter", message)
    }

    /// 400: the prompt itself is rejected.
    #[must_use]
    pub fn content_policy(message: impl Into<String>) -> Self {
        Self::invalid(None, "content_policy_violation", message)
    }

    /// 401: no client key, or one that opens nothing.
    #[must_use]
    pub fn unauthorized() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            INVALID_REQUEST,
            Some("invalid_api_key"),
            "Incorrect API key provided. Use the client key of your pool (sk-pool-...).",
        )
    }

    /// 404: no such model, or not in this pool.
    #[must_use]
    pub fn model_not_found(model: &str) -> Self {
        let shown: String = model.chars().take(128).collect();
        let error = Self::new(
            StatusCode::NOT_FOUND,
            INVALID_REQUEST,
            Some("model_not_found"),
            format!("The model '{shown}' does not exist or you do not have access to it."),
        );
        Self { param: Some("model".to_owned()), ..error }
    }

    /// 404: no such route.
    #[must_use]
    pub fn not_found(method: &str, path: &str) -> Self {
        let shown: String = path.chars().take(200).collect();
        Self::new(
            StatusCode::NOT_FOUND,
            INVALID_REQUEST,
            Some("unknown_url"),
            format!("Unknown request URL: {method} {shown}. Please check the URL for typos."),
        )
    }

    /// 404: a route of an API that is not offered.
    #[must_use]
    pub fn api_not_offered(api: &str) -> Self {
        let message = format!(
            "{api} is not offered here. What is offered: OpenAI's chat completions (POST /v1/chat/completions), embeddings \
             (POST /v1/embeddings) and models (GET /v1/models); in pools with pass-through also Gemini's own API under \
             /v1beta and Google's OpenAI endpoint under /v1beta/openai."
        );
        Self::new(StatusCode::NOT_FOUND, INVALID_REQUEST, Some("api_not_offered"), message)
    }

    /// 405: the route exists, but not for this method.
    #[must_use]
    pub fn method_not_allowed(method: &str, path: &str) -> Self {
        let shown: String = path.chars().take(200).collect();
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            INVALID_REQUEST,
            Some("method_not_supported"),
            format!("Not allowed to {method} on {shown}."),
        )
    }

    /// 413: the body is longer than the service takes.
    #[must_use]
    pub fn body_too_large(limit: usize) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            INVALID_REQUEST,
            Some("request_too_large"),
            format!("The request body is larger than {limit} bytes."),
        )
    }

    /// Returns a 5xx: nothing that the client did.
    #[must_use]
    pub fn server(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self::new(status, "server_error", Some(code), message)
    }

    /// 502, or an event: the upstream stream was cut.
    #[must_use]
    pub fn truncated() -> Self {
        let message = "The upstream stream ended before the model finished.";
        Self::server(StatusCode::BAD_GATEWAY, "upstream_stream_truncated", message)
    }

    /// 503, or an event: the service stops before the response is there, or whole.
    #[must_use]
    pub fn shutting_down() -> Self {
        let message = "The service is shutting down: the response ends here. Please try again.";
        let error = Self::server(StatusCode::SERVICE_UNAVAILABLE, "shutting_down", message);
        Self { retry_after_ms: Some(1_000), ..error }
    }
}

impl From<JsonError> for ApiError {
    fn from(error: JsonError) -> Self {
        let (path, code, message) = match error {
            JsonError::NotJson => return Self::invalid_json(),
            JsonError::Missing(path) => return Self::missing(&path),
            JsonError::TooDeep => {
                let message = format!("The JSON body is nested more than {JSON_DEPTH} levels deep.");
                (None, "json_too_deep", message)
            }
            JsonError::TooManyValues => {
                let message = format!(
                    "The request is too large: it has more than {MAX_ELEMENTS} parts, tools, properties and other list \
                     elements together, or more than {MAX_MEMBERS} members."
                );
                (None, "request_too_large", message)
            }
            JsonError::WrongType { path, expected, found } => {
                let shown = path.as_deref().unwrap_or("body");
                let message =
                    format!("Invalid type for '{shown}': expected {expected}, but got {found} instead.");
                (path, "invalid_type", message)
            }
            JsonError::WrongValue { path } => {
                let message = format!("Invalid value for '{}'.", path.as_deref().unwrap_or("body"));
                (path, "invalid_type", message)
            }
        };
        Self::invalid(path.as_deref(), code, message)
    }
}
