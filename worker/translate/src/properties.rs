//! Property tests over arbitrary requests and responses.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::fuzz::{context, envelope};
use crate::gemini::ModelId;
use crate::openai::ChatRequest;
use crate::request::strict::assert_accepted;

const MODELS: [&str; 7] = [
    "gemma-3-27b-it",
    "gemini-2.0-flash",
    "gemini-2.5-flash",
    "gemini-3.5-flash",
    "gemini-3.8-flash",
    "gemini-4-argon",
    "gemini-4-hydrogen",
];

fn texts() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "",
        " ",
        "\n\u{200b}",
        "hello",
        "é🌍\n\"",
        "{\"a\":1}",
        "[1]",
        "null",
        "{",
        "![x](data:image/png;base64,AAAA)",
    ])
    .prop_map(ToOwned::to_owned)
}

fn ids() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "c", "a__thought__EjQKMgG+PgqFzSpLIfcv", ""])
        .prop_map(ToOwned::to_owned)
}

fn content() -> impl Strategy<Value = Value> {
    let part = prop_oneof![
        texts().prop_map(|text| json!({"type": "text", "text": text})),
        Just(
            json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}})
        ),
        Just(json!({"type": "file", "file": {"file_id": "files/x"}})),
    ];
    prop_oneof![texts().prop_map(Value::from), prop::collection::vec(part, 0..4).prop_map(Value::from)]
}

fn messages() -> impl Strategy<Value = Vec<Value>> {
    let name = || prop::sample::select(vec!["f", "g", "1st", "not declared"]);
    let call = (ids(), name(), texts()).prop_map(|(id, name, arguments)| {
        json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}})
    });
    let message = prop_oneof![
        texts().prop_map(|text| json!({"role": "system", "content": text})),
        content().prop_map(|content| json!({"role": "user", "content": content})),
        content().prop_map(|content| json!({"role": "assistant", "content": content})),
        prop::collection::vec(call, 1..4)
            .prop_map(|calls| json!({"role": "assistant", "content": null, "tool_calls": calls})),
        (name(), texts()).prop_map(|(name, text)| {
            json!({"role": "assistant", "function_call": {"name": name, "arguments": text}})
        }),
        (ids(), content())
            .prop_map(|(id, content)| json!({"role": "tool", "tool_call_id": id, "content": content})),
        (name(), texts()).prop_map(|(name, text)| json!({"role": "function", "name": name, "content": text})),
    ];
    prop::collection::vec(message, 1..12)
}

fn parameters() -> impl Strategy<Value = Map<String, Value>> {
    let members = vec![
        json!({"temperature": 0.5}),
        json!({"top_p": 1, "top_k": 3.0}),
        json!({"seed": u64::MAX}),
        json!({"max_tokens": 1u64 << 40}),
        json!({"stop": ["a", ""]}),
        json!({"presence_penalty": 2, "frequency_penalty": -2}),
        json!({"reasoning_effort": "minimal"}),
        json!({"reasoning_effort": "none"}),
        json!({"thinking_budget": 100_000}),
        json!({"response_format": {"type": "json_object"}}),
        json!({"tools": [{"type": "function", "function": {"name": "f"}}, {"type": "function", "function": {"name": "1st"}}]}),
        json!({"tools": [{"type": "function", "function": {"name": "f", "strict": true}}, {"type": "web_search"}], "tool_choice": "auto"}),
        json!({"service_tier": "flex", "user": "u", "verbosity": "low", "something": {"new": []}}),
        json!({"n": 1, "stream": true, "stream_options": {"include_usage": true}}),
    ];
    prop::sample::subsequence(members, 0..5).prop_map(|chosen| {
        chosen.into_iter().filter_map(|members| members.as_object().cloned()).flatten().collect()
    })
}

fn check(model: &str, body: &[u8]) {
    let model = ModelId::parse(model).unwrap();
    let request = ChatRequest::parse(body).unwrap();
    let call = to_gemini(&request, &model, &TranslateOptions::default()).unwrap();
    assert_accepted(&call.body, &TranslateOptions::default().capabilities(&model));
}

/// Parts of a response.
fn parts() -> impl Strategy<Value = Vec<Value>> {
    let part = prop_oneof![
        texts().prop_map(|text| json!({"text": text})),
        texts().prop_map(|text| json!({"text": text, "thought": true})),
        (prop::sample::select(vec!["f", "g"]), prop::option::of(prop::sample::select(vec!["x", "y"])))
            .prop_map(|(name, id)| json!({"functionCall": {"name": name, "id": id, "args": {"b": 1, "a": "é"}}, "thoughtSignature": "EjQKMgG+PgqFzSpLIfcv"})),
        Just(json!({"inlineData": {"mimeType": "image/png", "data": "AAAA"}})),
        Just(json!({"inlineData": {"mimeType": "image/png", "data": ""}})),
        Just(json!({"executableCode": {"language": "PYTHON", "code": "1\n"}})),
        Just(json!({"text": "", "thoughtSignature": "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo="})),
    ];
    prop::collection::vec(part, 1..8)
}

/// Returns `true` if a client shows anything of a part to its user, or calls a function.
fn is_visible(part: &Value) -> bool {
    let text = |text: &Value| {
        text.as_str().is_some_and(|text| !text.trim_matches(['\n', ' ', '\u{200b}']).is_empty())
    };
    let blob = |blob: &Value| blob["data"] != "";
    part["thought"] != true
        && (text(&part["text"])
            || part.get("functionCall").is_some()
            || part.get("inlineData").is_some_and(blob)
            || part.get("executableCode").is_some())
}

fn streamed(wire: &[u8], cuts: &[prop::sample::Index]) -> Vec<u8> {
    streamed_cut(wire, cuts.iter().map(|cut| cut.index(wire.len() + 1)))
}

fn streamed_cut(wire: &[u8], cuts: impl IntoIterator<Item = usize>) -> Vec<u8> {
    let mut places: Vec<usize> = cuts.into_iter().chain([0, wire.len()]).collect();
    places.sort_unstable();
    let mut stream = ChatStream::new(context(), envelope());
    let mut out = Vec::new();
    for pair in places.windows(2) {
        stream.push(&wire[pair[0]..pair[1]], &mut out).unwrap();
    }
    stream.finish(&mut out);
    out
}

/// Returns the message that a client puts together from a stream: texts are joined, everything else is listed.
fn accumulated(stream: &[u8]) -> Value {
    let mut message = json!({"content": null});
    let text = String::from_utf8(stream.to_vec()).unwrap();
    for data in text.split_terminator("\n\n").filter_map(|event| event.strip_prefix("data: ")) {
        if data == "[DONE]" {
            break;
        }
        let event: Value = serde_json::from_str(data).unwrap();
        let choice = &event["choices"][0];
        for (key, value) in choice["delta"].as_object().unwrap() {
            match (message.get_mut(key), value) {
                (Some(Value::String(known)), Value::String(more)) => known.push_str(more),
                (Some(Value::Array(known)), Value::Array(more)) => known.extend(more.clone()),
                _ => message[key] = value.clone(),
            }
        }
        if choice["finish_reason"].is_string() {
            message["finish_reason"] = choice["finish_reason"].clone();
        }
    }
    for call in message.get_mut("tool_calls").and_then(Value::as_array_mut).into_iter().flatten() {
        call.as_object_mut().unwrap().shift_remove("index");
    }
    message
}

#[test]
fn a_stream_is_the_same_wherever_it_is_cut_in_two_and_byte_by_byte() {
    let parts = [
        json!({"text": "über\n", "thought": true}),
        json!({"text": "日本 \u{1F600} \"quoted\""}),
        json!({"functionCall": {"name": "f", "args": {"b": 1, "a": "é"}}, "thoughtSignature": "EjQKMgG+PgqFzSpLIfcv"}),
        json!({"inlineData": {"mimeType": "image/png", "data": "AAAA"}}),
    ];
    for newline in ["\n", "\r\n", "\r"] {
        let frame = |part| json!({"candidates": [{"content": {"parts": [part]}}], "responseId": "r"});
        let frames = parts.iter().map(|part| format!("data: {}", frame(part)));
        let last =
            "data: {\"candidates\":[{\"finishReason\":\"STOP\"}],\"usageMetadata\":{\"promptTokenCount\":3}}";
        let wire = frames.chain([last.to_owned()]).collect::<Vec<_>>().join(&newline.repeat(2)).into_bytes();
        let whole = streamed_cut(&wire, []);
        assert!(whole.ends_with(b"data: [DONE]\n\n"));
        for cut in 0..=wire.len() {
            assert_eq!(streamed_cut(&wire, [cut]), whole, "cut at {cut}");
        }
        assert_eq!(streamed_cut(&wire, 0..=wire.len()), whole);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn gemini_takes_every_request(
        model in prop::sample::select(MODELS.to_vec()), messages in messages(), parameters in parameters(),
    ) {
        let mut body = json!({"model": model, "messages": messages});
        body.as_object_mut().unwrap().extend(parameters);
        check(model, body.to_string().as_bytes());
    }

    #[test]
    fn a_stream_says_what_the_whole_answer_says(
        parts in parts(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        newline in prop::sample::select(vec!["\n", "\r\n", "\r"]),
    ) {
        let whole = json!({"candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}], "responseId": "r"});
        let frame = |part| json!({"candidates": [{"content": {"parts": [part]}}], "responseId": "r"});
        let frames: Vec<String> = parts.iter().map(|part| format!("data: {}", frame(part))).collect();
        let last = "data: {\"candidates\":[{\"finishReason\":\"STOP\"}]}".to_owned();
        let wire = [frames.as_slice(), &[last]].concat().join(&newline.repeat(2));
        let stream = streamed(wire.as_bytes(), &cuts);
        prop_assert!(stream == streamed(wire.as_bytes(), &[]), "cut at {:?}", cuts);

        let answer = chat_response(whole.to_string().as_bytes(), &context(), &envelope());
        prop_assert_eq!(stream.ends_with(b"data: [DONE]\n\n"), answer.is_ok(), "{:?}", answer);
        prop_assert_eq!(answer.is_ok(), parts.iter().any(is_visible));
        let Ok(answer) = answer else { return Ok(()) };
        let answer: Value = serde_json::from_slice(&answer.body).unwrap();
        let mut expected = answer["choices"][0]["message"].clone();
        expected["finish_reason"] = answer["choices"][0]["finish_reason"].clone();
        expected.as_object_mut().unwrap().shift_remove("refusal");
        let mut actual = accumulated(&stream);
        // A stream begins with an empty content before anyone knows whether there will be any.
        if expected["content"].is_null() && actual["content"] == "" {
            actual["content"] = Value::Null;
        }
        prop_assert_eq!(actual, expected);
    }

    #[test]
    fn no_bytes_break_anything(body in prop::collection::vec(any::<u8>(), 0..200), cuts in any::<prop::sample::Index>()) {
        let _ = ChatRequest::parse(&body);
        let _ = crate::gemini::ErrorBody::parse(&body);
        let _ = chat_response(&body, &context(), &envelope());
        let mut stream = ChatStream::new(context(), envelope());
        let (head, tail) = body.split_at(cuts.index(body.len() + 1));
        let mut out = Vec::new();
        let _ = stream.push(head, &mut out).and_then(|()| stream.push(tail, &mut out));
        stream.finish(&mut out);
    }
}
