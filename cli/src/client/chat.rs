//! A chat request through a pool, as a client sends it. It uses a client key; the admin token is
//! never sent to the data plane.

use std::time::{Duration, Instant};

use pool_shared::{ErrorCode, Secret};
use reqwest::{Response, StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Client, ClientError};
use crate::error::{CliError, Code};

/// Limit of a whole response; each silence in it has a shorter timeout.
const TOTAL_TIMEOUT: Duration = Duration::from_hours(24);

/// A chat request.
pub struct Chat {
    /// The model or alias.
    pub model: String,
    /// The user's message.
    pub prompt: String,
    /// Whether to request a stream.
    pub stream: bool,
    /// Idle timeout.
    pub timeout: Duration,
}

/// The response to a chat request, and its metadata.
#[derive(Debug, Default, Serialize)]
pub struct ChatResult {
    /// The model that responded.
    pub model: String,
    /// The id of the key that was used.
    pub key: Option<String>,
    /// Number of attempts.
    pub attempts: Option<u32>,
    /// Ignored parameters.
    pub ignored_params: Option<String>,
    /// Milliseconds from the request to the first byte of the response.
    pub first_byte_ms: u64,
    /// Milliseconds from the request to the end of the response.
    pub total_ms: u64,
    /// The text of the response.
    pub answer: String,
    /// The finish reason.
    pub finish_reason: Option<String>,
    /// The token usage.
    pub usage: Option<Value>,
    /// The request's id in the service's log.
    pub request_id: Option<String>,
}

/// The fields that are used of a chat completion or of a stream event.
#[derive(Deserialize)]
struct Part {
    #[serde(default)]
    choices: Vec<Choice>,
    usage: Option<Value>,
    error: Option<OpenAiError>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(alias = "delta")]
    message: Option<Message>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Message {
    content: Option<String>,
}

#[derive(Deserialize)]
struct OpenAiError {
    message: String,
    code: Option<Value>,
}

impl Client {
    /// Sends one chat request and passes text to `on_text` as it arrives.
    pub async fn chat(
        &self,
        client_key: &Secret,
        chat: &Chat,
        mut on_text: impl FnMut(&str) -> Result<(), CliError>,
    ) -> Result<ChatResult, CliError> {
        let mut body =
            json!({ "model": chat.model, "messages": [{ "role": "user", "content": chat.prompt }] });
        if chat.stream
            && let Some(fields) = body.as_object_mut()
        {
            fields.insert("stream".to_owned(), json!(true));
            fields.insert("stream_options".to_owned(), json!({ "include_usage": true }));
        }
        let mut key = header::HeaderValue::try_from(format!("Bearer {}", client_key.expose()))
            .map_err(|_| CliError::usage("the client key has characters that are not allowed in a header"))?;
        key.set_sensitive(true);
        let url = format!("{}/chat/completions", self.options.url.openai_base());
        // `chat.timeout` limits each silence, not a long response as a whole.
        let request =
            self.http.post(url).header(header::AUTHORIZATION, key).timeout(TOTAL_TIMEOUT).json(&body);
        let began = Instant::now();
        let response = self.with_timeout(chat.timeout, request.send()).await?;
        if response.status() != StatusCode::OK {
            return Err(error_of(response, self, chat.timeout).await);
        }
        let mut result = described(&response);
        result.model.clone_from(&chat.model);
        let model = response.headers().get("x-pool-model").and_then(|value| value.to_str().ok());
        if let Some(model) = model {
            model.clone_into(&mut result.model);
        }
        self.read(response, began, chat, &mut result, &mut on_text).await?;
        result.total_ms = milliseconds(began);
        Ok(result)
    }

    async fn read(
        &self,
        mut response: Response,
        began: Instant,
        chat: &Chat,
        result: &mut ChatResult,
        on_text: &mut impl FnMut(&str) -> Result<(), CliError>,
    ) -> Result<(), CliError> {
        let stream = chat.stream;
        let mut pending = Vec::new();
        let mut ended = !stream;
        while let Some(chunk) = self.with_timeout(chat.timeout, response.chunk()).await? {
            if !stream {
                record_first_byte(result, began);
            }
            pending.extend_from_slice(&chunk);
            while stream && let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = pending.drain(..=end).collect();
                let line = String::from_utf8_lossy(&line);
                // A keep-alive comment is not part of the response.
                if line.starts_with("data:") {
                    record_first_byte(result, began);
                }
                match line.trim().strip_prefix("data:").map(str::trim) {
                    Some("[DONE]") => ended = true,
                    Some(data) => apply_part(data.as_bytes(), result, on_text)?,
                    None => {}
                }
            }
        }
        if !stream {
            apply_part(&pending, result, on_text)?;
        }
        if ended { Ok(()) } else { Err(broken("the stream ended without a [DONE] event")) }
    }

    /// Waits for a response or Ctrl-C, at most `limit`.
    async fn with_timeout<T>(
        &self,
        limit: Duration,
        exchange: impl Future<Output = reqwest::Result<T>>,
    ) -> Result<T, CliError> {
        let answered = self.interrupt.wait(tokio::time::timeout(limit, exchange)).await?;
        match answered {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(self.explain(ClientError::transport(&error, limit))),
            Err(_) => Err(self.explain(ClientError::Timeout(limit))),
        }
    }
}

fn record_first_byte(result: &mut ChatResult, began: Instant) {
    if result.first_byte_ms == 0 {
        result.first_byte_ms = milliseconds(began).max(1);
    }
}

fn milliseconds(since: Instant) -> u64 {
    since.elapsed().as_millis().try_into().unwrap_or(u64::MAX)
}

/// Reads the metadata of the response headers.
fn described(response: &Response) -> ChatResult {
    let text = |name: &str| response.headers().get(name)?.to_str().ok().map(str::to_owned);
    ChatResult {
        key: text("x-pool-key"),
        attempts: text("x-pool-attempts").and_then(|number| number.parse().ok()),
        ignored_params: text("x-pool-ignored-params").or_else(|| text("x-pool-dropped")),
        request_id: text("x-request-id"),
        ..ChatResult::default()
    }
}

fn apply_part(
    data: &[u8],
    result: &mut ChatResult,
    on_text: &mut impl FnMut(&str) -> Result<(), CliError>,
) -> Result<(), CliError> {
    let part: Part =
        serde_json::from_slice(data).map_err(|_| broken("the response is not a chat completion"))?;
    if let Some(error) = part.error {
        return Err(broken(&error.message));
    }
    for choice in part.choices {
        if let Some(text) = choice.message.and_then(|message| message.content) {
            on_text(&text)?;
            result.answer.push_str(&text);
        }
        result.finish_reason = choice.finish_reason.or(result.finish_reason.take());
    }
    result.usage = part.usage.or(result.usage.take());
    Ok(())
}

fn broken(why: &str) -> CliError {
    CliError::new(Code::UnexpectedResponse, "the response was truncated").cause(why.to_owned())
}

/// Converts an OpenAI error response to an error of this program.
async fn error_of(response: Response, client: &Client, timeout: Duration) -> CliError {
    let status = response.status();
    let request_id = described(&response).request_id;
    let body = client.with_timeout(timeout, response.bytes()).await.unwrap_or_default();
    let code = match status {
        StatusCode::UNAUTHORIZED => ErrorCode::Unauthorized,
        StatusCode::FORBIDDEN => ErrorCode::Forbidden,
        StatusCode::NOT_FOUND => ErrorCode::NotFound,
        StatusCode::TOO_MANY_REQUESTS => ErrorCode::RateLimited,
        StatusCode::BAD_REQUEST => ErrorCode::InvalidRequest,
        _ => ErrorCode::Unavailable,
    };
    let error = CliError::new(Code::Service(code), format!("the request failed with status {status}"));
    let said = serde_json::from_slice::<Part>(&body).ok().and_then(|part| part.error);
    let error = match said {
        Some(OpenAiError { message, code: Some(Value::String(code)) }) => {
            error.cause(format!("{code}: {message}"))
        }
        Some(OpenAiError { message, .. }) => error.cause(message),
        None => error,
    };
    error.response(status.as_u16(), request_id)
}
