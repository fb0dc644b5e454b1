//! Strict reader of Gemini's requests, for tests and fuzzing: an unknown member or a misplaced turn
//! panics.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a claim that does not hold ends in a panic"
)]
#![allow(
    dead_code,
    clippy::struct_field_names,
    reason = "the members are Gemini's, and most need only be there with the right type"
)]

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::request::capabilities::Capabilities;

/// Any JSON, unread: what the client wrote goes through as it is.
type Raw = Box<RawValue>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Request {
    contents: Vec<Content>,
    system_instruction: Option<System>,
    tools: Option<Vec<Raw>>,
    tool_config: Option<Raw>,
    safety_settings: Option<Raw>,
    generation_config: Option<Config>,
    cached_content: Option<String>,
    service_tier: Option<String>,
    store: Option<bool>,
    labels: Option<Raw>,
    continuation_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct System {
    parts: Vec<Part>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    role: Role,
    parts: Vec<Part>,
}

#[derive(Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Role {
    User,
    Model,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Part {
    text: Option<String>,
    inline_data: Option<Blob>,
    file_data: Option<File>,
    function_call: Option<Call>,
    function_response: Option<Response>,
    thought_signature: Option<String>,
    media_resolution: Option<Raw>,
    video_metadata: Option<Raw>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Blob {
    mime_type: String,
    data: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct File {
    mime_type: Option<String>,
    file_uri: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Call {
    id: Option<String>,
    name: String,
    args: Raw,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Response {
    id: Option<String>,
    name: String,
    response: Raw,
    parts: Option<Vec<Raw>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Config {
    temperature: Option<f64>,
    top_p: Option<f64>,
    top_k: Option<i32>,
    candidate_count: Option<i32>,
    max_output_tokens: Option<i32>,
    stop_sequences: Option<Vec<String>>,
    presence_penalty: Option<f64>,
    frequency_penalty: Option<f64>,
    seed: Option<i32>,
    response_logprobs: Option<bool>,
    logprobs: Option<i32>,
    response_mime_type: Option<String>,
    response_json_schema: Option<Raw>,
    response_schema: Option<Raw>,
    response_modalities: Option<Vec<String>>,
    speech_config: Option<Raw>,
    media_resolution: Option<String>,
    thinking_config: Option<Thinking>,
    image_config: Option<Image>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Thinking {
    thinking_budget: Option<i32>,
    thinking_level: Option<String>,
    include_thoughts: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Image {
    aspect_ratio: Option<String>,
    image_size: Option<String>,
}

/// Panics unless Gemini would take the body, given what the model can do.
pub(crate) fn assert_accepted(body: &[u8], capabilities: &Capabilities) {
    let sent = std::str::from_utf8(body).unwrap();
    let request: Request = serde_json::from_str(sent).unwrap_or_else(|error| panic!("{error}: {sent}"));
    assert!(!request.contents.is_empty(), "{sent}");
    let system = request.system_instruction.iter().map(|system| &system.parts);
    for parts in request.contents.iter().map(|content| &content.parts).chain(system) {
        assert!(!parts.is_empty(), "{sent}");
        for part in parts {
            check_part(part, sent);
        }
    }
    check_turns(&request.contents, capabilities, sent);
    if let Some(config) = request.generation_config {
        let twice = config.response_schema.is_some() && config.response_json_schema.is_some();
        assert!(!twice, "two schemas: {sent}");
        let thinking = config.thinking_config;
        let twice = thinking.is_some_and(|t| t.thinking_budget.is_some() && t.thinking_level.is_some());
        assert!(!twice, "a budget and a level: {sent}");
    }
}

fn check_part(part: &Part, sent: &str) {
    let kinds = [
        part.text.is_some(),
        part.inline_data.is_some(),
        part.file_data.is_some(),
        part.function_call.is_some(),
        part.function_response.is_some(),
    ];
    assert_eq!(kinds.into_iter().filter(|kind| *kind).count(), 1, "{sent}");
    let objects = [
        part.function_call.as_ref().map(|call| &call.args),
        part.function_response.as_ref().map(|result| &result.response),
    ];
    for object in objects.into_iter().flatten() {
        assert!(object.get().starts_with('{'), "no object: {sent}");
    }
}

/// Gemini's rules about calls and their results.
fn check_turns(contents: &[Content], capabilities: &Capabilities, sent: &str) {
    let mut expected: Vec<&Call> = Vec::new();
    for (index, content) in contents.iter().enumerate() {
        let calls: Vec<&Call> = content.parts.iter().filter_map(|part| part.function_call.as_ref()).collect();
        let results: Vec<&Response> =
            content.parts.iter().filter_map(|part| part.function_response.as_ref()).collect();
        assert_eq!(results.len(), expected.len(), "{sent}");
        for (call, result) in expected.iter().zip(&results) {
            assert!(call.name == result.name && call.id == result.id, "{sent}");
        }
        if !results.is_empty() {
            let apart = content.role == Role::User && content.parts.iter().all(|part| part.text.is_none());
            assert!(apart, "{sent}");
        }
        if !calls.is_empty() {
            assert!(content.role == Role::Model && index > 0, "{sent}");
            let first = content.parts.iter().find(|part| part.function_call.is_some());
            let signed = first.is_some_and(|part| part.thought_signature.is_some());
            assert!(signed || !capabilities.modern, "{sent}");
        }
        assert!(capabilities.call_ids || calls.iter().all(|call| call.id.is_none()), "{sent}");
        expected = calls;
    }
    assert!(expected.is_empty(), "calls without results: {sent}");
    let user_last = contents.last().is_some_and(|last| last.role == Role::User);
    assert!(capabilities.model_turn_last || user_last, "{sent}");
}
