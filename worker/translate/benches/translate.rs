//! How fast the translation is: `cargo bench -p pool-translate --bench translate`.
//!
//! Requests and answers of 4 KB, 100 KB and 1 MB, and a stream of 1,000 events, in bytes a second.

// A benchmark that cannot prepare its input may as well stop.
#![allow(clippy::unwrap_used)]

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use pool_translate::gemini::ModelId;
use pool_translate::openai::ChatRequest;
use pool_translate::{
    AnswerModel, ChatStream, Envelope, GeminiCall, TranslateOptions, chat_response, to_gemini,
};
use serde_json::{Value, json};

const SIZES: [usize; 3] = [4 << 10, 100 << 10, 1 << 20];

fn main() {
    divan::main();
}

/// Text as people and models write it: some of it needs escapes, some is not ASCII.
fn prose(length: usize) -> String {
    "The model said: \"it works\" — naïvely, but\nwith a reason.\t".chars().cycle().take(length).collect()
}

/// A conversation of turns of about a kilobyte.
fn conversation(length: usize) -> Vec<u8> {
    let turn = prose(1000);
    let roles = ["user", "assistant"].into_iter().cycle();
    let messages: Vec<Value> =
        roles.take(length.div_ceil(1024)).map(|role| json!({"role": role, "content": turn})).collect();
    json!({"model": "gemini-3.8-flash", "temperature": 0.5, "messages": messages}).to_string().into_bytes()
}

/// An agent's conversation: twenty functions, and a call with its result in every turn.
fn agent(length: usize) -> Vec<u8> {
    let text = prose(400);
    let parameters = json!({"type": "object", "additionalProperties": false, "required": ["path"], "properties": {
        "path": {"type": "string", "description": text}, "mode": {"enum": ["read", "write"]},
        "range": {"anyOf": [{"type": "array", "items": {"type": "integer"}}, {"type": "null"}]}}});
    let tools: Vec<Value> = (0..20)
        .map(|number| {
            let name = format!("function_{number}");
            json!({"type": "function", "function": {"name": name, "description": text, "parameters": parameters}})
        })
        .collect();
    let mut messages = vec![json!({"role": "user", "content": text})];
    for number in 0..length.div_ceil(1024) {
        let id = format!("call_{number}");
        let arguments = json!({"path": text}).to_string();
        let call =
            json!({"id": id, "type": "function", "function": {"name": "function_1", "arguments": arguments}});
        messages.push(json!({"role": "assistant", "content": null, "tool_calls": [call]}));
        messages
            .push(json!({"role": "tool", "tool_call_id": id, "content": json!({"text": text}).to_string()}));
    }
    json!({"model": "gemini-3.8-flash", "tools": tools, "messages": messages}).to_string().into_bytes()
}

fn translate(body: &[u8]) -> GeminiCall {
    let request = ChatRequest::parse(body).unwrap();
    let model = ModelId::parse(request.model()).unwrap();
    to_gemini(&request, &model, &TranslateOptions::default()).unwrap()
}

fn envelope() -> Envelope {
    Envelope { seed: 1, created_s: 1, model: AnswerModel::Requested("gemini-3.8-flash".to_owned()) }
}

#[divan::bench(args = SIZES)]
fn request_of_text(bencher: Bencher<'_, '_>, length: usize) {
    let body = conversation(length);
    bencher.counter(BytesCount::of_slice(&body)).bench(|| translate(black_box(&body)));
}

#[divan::bench(args = SIZES)]
fn request_of_calls(bencher: Bencher<'_, '_>, length: usize) {
    let body = agent(length);
    bencher.counter(BytesCount::of_slice(&body)).bench(|| translate(black_box(&body)));
}

#[divan::bench(args = SIZES)]
fn request_of_a_picture(bencher: Bencher<'_, '_>, length: usize) {
    let url = format!("data:image/png;base64,{}", "iVBORw0K".repeat(length / 8));
    let content =
        json!([{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": url}}]);
    let body = json!({"model": "gemini-3.8-flash", "messages": [{"role": "user", "content": content}]});
    let body = body.to_string().into_bytes();
    bencher.counter(BytesCount::of_slice(&body)).bench(|| translate(black_box(&body)));
}

#[divan::bench(args = SIZES)]
fn answer(bencher: Bencher<'_, '_>, length: usize) {
    let context = translate(&conversation(1)).context;
    let parts = json!([{"text": prose(length)}]);
    let body =
        json!({"candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}], "responseId": "r"});
    // As Gemini sends it: with indentation.
    let body = serde_json::to_vec_pretty(&body).unwrap();
    let envelope = envelope();
    bencher
        .counter(BytesCount::of_slice(&body))
        .bench(|| chat_response(black_box(&body), &context, &envelope).unwrap());
}

#[divan::bench]
fn stream_of_1000_events(bencher: Bencher<'_, '_>) {
    let context = translate(&conversation(1)).context;
    let text = prose(60);
    let mut wire = Vec::new();
    for number in 0..1000 {
        let finish = (number == 999).then_some("STOP");
        let candidate = json!({"content": {"parts": [{"text": text}], "role": "model"}, "finishReason": finish, "index": 0});
        let usage =
            json!({"promptTokenCount": 10, "candidatesTokenCount": number, "totalTokenCount": 10 + number});
        let frame = json!({"candidates": [candidate], "usageMetadata": usage, "modelVersion": "m", "responseId": "r"});
        wire.extend_from_slice(format!("data: {frame}\r\n\r\n").as_bytes());
    }
    bencher.counter(BytesCount::of_slice(&wire)).bench(|| {
        let mut stream = ChatStream::new(context.clone(), envelope());
        let mut out = Vec::new();
        // As a network delivers it.
        for chunk in black_box(&wire).chunks(1400) {
            out.clear();
            stream.push(chunk, &mut out).unwrap();
        }
        stream.finish(&mut out)
    });
}
