//! Bodies of requests and upstream responses.

use bytes::Bytes;
use serde_json::{Value, json};

/// The model of every request.
pub const MODEL: &str = "gemini-3.8-flash";

/// Returns prose; some characters need escapes, some are not ASCII.
#[must_use]
pub fn prose(length: usize) -> String {
    "The model said: \"it works\" — naïvely, but\nwith a reason.\t".chars().cycle().take(length).collect()
}

/// Returns a conversation of about `length` bytes, in turns of half a kilobyte.
#[must_use]
pub fn conversation(length: usize, stream: bool) -> Vec<u8> {
    let turn = prose(480);
    let roles = ["user", "assistant"].into_iter().cycle();
    let messages: Vec<Value> =
        roles.take(length.div_ceil(512) | 1).map(|role| json!({"role": role, "content": turn})).collect();
    json!({"model": MODEL, "temperature": 0.5, "stream": stream, "messages": messages})
        .to_string()
        .into_bytes()
}

/// Returns an agent's request: twenty functions, and calls with their results.
#[must_use]
pub fn agent(turns: usize) -> Vec<u8> {
    let text = prose(200);
    let parameters = json!({"type": "object", "additionalProperties": false, "required": ["path"], "properties": {
        "path": {"type": "string", "description": text}, "mode": {"enum": ["read", "write"]},
        "range": {"anyOf": [{"type": "array", "items": {"type": "integer"}}, {"type": "null"}]}}});
    let function =
        |number| json!({"name": format!("function_{number}"), "description": text, "parameters": parameters});
    let tools: Vec<Value> =
        (0..20).map(|number| json!({"type": "function", "function": function(number)})).collect();
    let mut messages = vec![json!({"role": "user", "content": text})];
    for number in 0..turns {
        let id = format!("call_{number}");
        let function = json!({"name": "function_1", "arguments": json!({"path": text}).to_string()});
        let call = json!({"id": id, "type": "function", "function": function});
        messages.push(json!({"role": "assistant", "content": null, "tool_calls": [call]}));
        messages
            .push(json!({"role": "tool", "tool_call_id": id, "content": json!({"text": text}).to_string()}));
    }
    json!({"model": MODEL, "tools": tools, "messages": messages}).to_string().into_bytes()
}

/// Returns a request with a picture of `length` bytes of base64.
#[must_use]
pub fn picture(length: usize) -> Vec<u8> {
    let url = format!("data:image/png;base64,{}", "iVBORw0K".repeat(length / 8));
    let content =
        json!([{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": url}}]);
    json!({"model": MODEL, "messages": [{"role": "user", "content": content}]}).to_string().into_bytes()
}

/// Returns Gemini's response with `length` characters of text, indented as Gemini sends it.
#[must_use]
pub fn answer(length: usize) -> Vec<u8> {
    let candidate = json!({"content": {"parts": [{"text": prose(length)}], "role": "model"}, "finishReason": "STOP",
        "index": 0});
    let usage = json!({"promptTokenCount": 10, "candidatesTokenCount": 10, "totalTokenCount": 20});
    let body =
        json!({"candidates": [candidate], "usageMetadata": usage, "modelVersion": MODEL, "responseId": "r"});
    serde_json::to_vec_pretty(&body).unwrap()
}

/// Returns Gemini's stream of `events` events, one per chunk of the connection.
#[must_use]
pub fn stream(events: usize) -> Vec<Bytes> {
    let text = prose(30);
    let event = |number| {
        let finish = (number + 1 == events).then_some("STOP");
        let candidate = json!({"content": {"parts": [{"text": text}], "role": "model"}, "finishReason": finish, "index": 0});
        let usage =
            json!({"promptTokenCount": 10, "candidatesTokenCount": number, "totalTokenCount": 10 + number});
        let frame = json!({"candidates": [candidate], "usageMetadata": usage, "modelVersion": MODEL, "responseId": "r"});
        Bytes::from(format!("data: {frame}\r\n\r\n"))
    };
    (0..events).map(event).collect()
}
