//! Google's OpenAI-compatible endpoint (<https://ai.google.dev/gemini-api/docs/openai>).
//!
//! Converts OpenAI requests to requests of the native API, and writes responses in OpenAI's
//! format. Supports text, token limits and streaming only.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::catalogue;
use crate::refusal::Refusal;
use crate::request::BatchEmbed;
use crate::{embedding, request};

/// The `created` time of every response.
const CREATED: u64 = 1_790_000_000;

#[derive(Deserialize)]
struct Completion {
    messages: Vec<Message>,
    #[serde(alias = "max_completion_tokens")]
    max_tokens: Option<u64>,
    stream: Option<bool>,
}

#[derive(Deserialize)]
struct Message {
    role: String,
    #[serde(default)]
    content: String,
}

#[derive(Deserialize)]
struct Embeddings {
    input: Input,
    dimensions: Option<u64>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Input {
    One(String),
    Many(Vec<String>),
}

/// Returns the model that a body names; empty if it names none.
pub(crate) fn model_in(body: &[u8]) -> String {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let model = body.get("model").and_then(Value::as_str).unwrap_or_default();
    model.strip_prefix("models/").unwrap_or(model).to_owned()
}

fn parse<'a, T: Deserialize<'a>>(body: &'a str) -> Result<T, Refusal> {
    let refuse = |error: serde_json::Error| {
        Refusal::invalid_argument(&format!("Invalid JSON payload received. {error}"))
    };
    serde_json::from_str(body).map_err(refuse)
}

/// Converts a chat completion request to a `GenerateContentRequest`. Returns also whether it asks
/// for a stream.
pub(crate) fn generate(body: &str) -> Result<(String, bool), Refusal> {
    let request: Completion = parse(body)?;
    let part = |message: &Message| json!([{"text": message.content}]);
    let of_system = |message: &&Message| matches!(message.role.as_str(), "system" | "developer");
    let contents: Vec<Value> = request
        .messages
        .iter()
        .filter(|message| !of_system(message))
        .map(|message| {
            let role = if message.role == "assistant" { "model" } else { "user" };
            json!({"role": role, "parts": part(message)})
        })
        .collect();
    let mut generate =
        json!({"contents": contents, "generationConfig": {"maxOutputTokens": request.max_tokens}});
    if let (Some(system), Some(generate)) =
        (request.messages.iter().find(of_system), generate.as_object_mut())
    {
        generate.insert("systemInstruction".to_owned(), json!({"parts": part(system)}));
    }
    Ok((generate.to_string(), request.stream.unwrap_or(false)))
}

/// Converts an embeddings request to a `BatchEmbedContentsRequest`.
pub(crate) fn batch(body: &str) -> Result<String, Refusal> {
    let request: Embeddings = parse(body)?;
    let inputs = match request.input {
        Input::One(input) => vec![input],
        Input::Many(inputs) => inputs,
    };
    let item = |input: &String| json!({"content": {"parts": [{"text": input}]}, "outputDimensionality": request.dimensions});
    Ok(json!({"requests": inputs.iter().map(item).collect::<Vec<_>>()}).to_string())
}

/// Returns the response to an embeddings request.
pub(crate) fn vectors(model: &str, batch: &BatchEmbed) -> Result<Vec<u8>, Refusal> {
    let whole = embedding::many(model, batch, false)?;
    let whole: Value = request::parse(&String::from_utf8_lossy(&whole))?;
    let vectors = whole.get("embeddings").and_then(Value::as_array).into_iter().flatten().enumerate();
    let item = |(index, vector): (usize, &Value)| json!({"object": "embedding", "index": index, "embedding": vector.get("values")});
    let tokens = embedding::tokens(&batch.requests);
    let answer = json!({"object": "list", "data": vectors.map(item).collect::<Vec<_>>(), "model": model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens}});
    Ok(answer.to_string().into_bytes())
}

/// Content of a completion or chunk.
pub(crate) struct Piece<'a> {
    pub id: &'a str,
    pub model: &'a str,
    pub text: &'a str,
    /// Gemini's finish reason, if there is one.
    pub finish_reason: Option<&'a str>,
    pub prompt_tokens: u64,
    pub completion_tokens: u64,
    pub chunk: bool,
}

/// Returns a completion, or a chunk of a streamed one.
pub(crate) fn completion(piece: &Piece) -> Vec<u8> {
    let reason = piece.finish_reason.map(|reason| if reason == "MAX_TOKENS" { "length" } else { "stop" });
    let (object, member) =
        if piece.chunk { ("chat.completion.chunk", "delta") } else { ("chat.completion", "message") };
    let choice =
        json!({"index": 0, member: {"role": "assistant", "content": piece.text}, "finish_reason": reason});
    let mut answer = json!({"id": piece.id, "object": object, "created": CREATED, "model": piece.model, "choices": [choice]});
    if let (Some(answer), Some(_)) = (answer.as_object_mut(), reason) {
        let (prompt, completion) = (piece.prompt_tokens, piece.completion_tokens);
        let usage = json!({"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion});
        answer.insert("usage".to_owned(), usage);
    }
    answer.to_string().into_bytes()
}

/// Returns one model.
pub(crate) fn model(id: &str) -> Value {
    let display_name = catalogue::describe(id).get("displayName").cloned();
    json!({"id": format!("models/{id}"), "object": "model", "owned_by": "google", "display_name": display_name})
}

/// Returns the list of models.
pub(crate) fn models(ids: &[String]) -> Value {
    json!({"object": "list", "data": ids.iter().map(|id| model(id)).collect::<Vec<_>>()})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_those_of_the_gemini_api() {
        let body = r#"{"model": "models/m", "stream": true, "max_tokens": 7, "messages": [
            {"role": "system", "content": "be kind"}, {"role": "user", "content": "hello there"},
            {"role": "assistant", "content": "yes"}]}"#;
        assert_eq!(model_in(body.as_bytes()), "m");
        let (written, stream) = generate(body).unwrap();
        let request: request::Generate = request::parse(&written).unwrap();
        assert!(stream && request.check().is_ok());
        assert_eq!((request.prompt_tokens(), request.max_output_tokens()), (5, Some(7)));
        assert_eq!(request.last_user_text(), "hello there");
        for input in [r#""x y""#, r#"["x y"]"#] {
            let written = batch(&format!(r#"{{"input": {input}, "dimensions": 2}}"#)).unwrap();
            let batch: BatchEmbed = request::parse(&written).unwrap();
            let answer: Value =
                serde_json::from_slice(&vectors("gemini-embedding-001", &batch).unwrap()).unwrap();
            assert_eq!(answer["data"][0]["embedding"].as_array().unwrap().len(), 2);
            assert_eq!(answer["usage"]["total_tokens"], 2);
        }
        assert_eq!(generate("{").unwrap_err().status, 400);
    }
}
