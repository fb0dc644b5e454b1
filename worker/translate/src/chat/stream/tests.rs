use serde_json::{Value, json};

use super::*;
use crate::answer::failure::{Outcome, SoftFailure};
use crate::answer::stream::{MAX_CANDIDATES, StreamEnd, StreamFault};
use crate::gemini::ModelId;
use crate::openai::ChatRequest;
use crate::{AnswerModel, TranslateOptions, to_gemini};

fn context(extra: &str) -> ResponseContext {
    let body =
        format!(r#"{{"model":"m","stream":true,"messages":[{{"role":"user","content":"x"}}]{extra}}}"#);
    let request = ChatRequest::parse(body.as_bytes()).unwrap();
    let model = ModelId::parse("gemini-3.8-flash").unwrap();
    to_gemini(&request, &model, &TranslateOptions::default()).unwrap().context
}

fn stream(extra: &str) -> ChatStream {
    ChatStream::new(
        context(extra),
        Envelope { seed: 1, created_s: 7, model: AnswerModel::Requested("m".into()) },
    )
}

fn frame(value: &Value) -> String {
    format!("data: {value}\r\n\r\n")
}

fn says(text: &str) -> Value {
    json!({"candidates": [{"content": {"parts": [{"text": text}]}}]})
}

fn finished(reason: &str) -> Value {
    json!({"candidates": [{"finishReason": reason}]})
}

/// Returns the `choices[0]` of every event but `[DONE]`, each without what it does not change.
fn events(out: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(out).unwrap();
    let data = text.split_terminator("\n\n").filter_map(|event| event.strip_prefix("data: "));
    data.filter(|data| *data != "[DONE]").map(|data| serde_json::from_str(data).unwrap()).collect()
}

fn deltas(out: &[u8]) -> Vec<Value> {
    events(out).iter().map(|event| event["choices"][0]["delta"].clone()).collect()
}

fn is_done(out: &[u8]) -> bool {
    out.ends_with(b"data: [DONE]\n\n")
}

#[test]
fn a_finish_in_every_frame_finishes_once() {
    let mut stream = stream("");
    let mut out = Vec::new();
    for text in ["a", "b"] {
        let mut frame = says(text);
        frame["candidates"][0]["finishReason"] = json!("STOP");
        stream.push(format!("data: {frame}\n\n").as_bytes(), &mut out).unwrap();
    }
    stream
        .push(b"data: {\"usageMetadata\":{\"promptTokenCount\":1,\"totalTokenCount\":1}}\n\n", &mut out)
        .unwrap();
    assert_eq!(stream.finish(&mut out), StreamEnd::Complete(Outcome::Delivered));
    let reasons: Vec<Value> =
        events(&out).iter().map(|event| event["choices"][0]["finish_reason"].clone()).collect();
    assert_eq!(reasons, [json!(null), json!(null), json!(null), json!("stop")]);
    assert!(is_done(&out));
    assert_eq!((stream.usage().prompt, stream.chunks()), (1, 4));
}

#[test]
fn an_error_before_anything_else_commits_nothing() {
    for error in [
        "data: {\"error\":{\"code\":503,\"message\":\"overloaded\",\"status\":\"UNAVAILABLE\"}}\r\n\r\n",
        "{\n  \"error\": {\n    \"code\": 503,\n    \"message\": \"overloaded\",\n    \"status\": \"UNAVAILABLE\"\n  }\n}\n",
        "[{\"error\":{\"code\":503,\"message\":\"overloaded\",\"status\":\"UNAVAILABLE\"}}\n]\n",
    ] {
        let mut stream = stream("");
        let mut out = Vec::new();
        let Err(StreamFault::Upstream(found)) = stream.push(error.as_bytes(), &mut out) else {
            panic!("no fault: {error}");
        };
        assert_eq!((found.code, found.message.as_str()), (Some(503), "overloaded"));
        assert!(out.is_empty() && !stream.committed());
    }
}

#[test]
fn an_error_tail_without_an_end_is_found_at_the_end() {
    let mut stream = stream("");
    let mut out = Vec::new();
    stream.push(frame(&says("par")).as_bytes(), &mut out).unwrap();
    stream.push(b"{\"error\":{\"code\":500,\"message\":\"boom\"}}", &mut out).unwrap();
    let before = out.len();
    assert!(matches!(stream.finish(&mut out), StreamEnd::Upstream(error) if error.code == Some(500)));
    assert_eq!(out.len(), before);
    stream.fail(&ApiError::truncated(), &mut out);
    stream.fail(&ApiError::truncated(), &mut out);
    assert_eq!(events(&out).iter().filter(|event| event["error"].is_object()).count(), 1);
    assert!(!is_done(&out));
}

#[test]
fn a_cut_stream_is_never_done() {
    let whole = frame(&says("a")) + &frame(&says("b"));
    for cut in 0..=whole.len() {
        let mut stream = stream("");
        let mut out = Vec::new();
        stream.push(&whole.as_bytes()[..cut], &mut out).unwrap();
        let end = stream.finish(&mut out);
        assert!(!is_done(&out), "cut at {cut}");
        let last = events(&out).pop().unwrap_or_default();
        let failed = last["error"]["code"] == "upstream_stream_truncated";
        assert_eq!(failed, stream.committed(), "cut at {cut}: {end:?}");
        assert!(matches!(end, StreamEnd::Truncated | StreamEnd::SoftFailure(_)), "cut at {cut}");
    }
}

#[test]
fn nothing_usable_can_be_tried_again_without_a_second_role() {
    let mut stream = stream("");
    let mut out = Vec::new();
    stream.push(frame(&finished("MALFORMED_FUNCTION_CALL")).as_bytes(), &mut out).unwrap();
    let end = stream.finish(&mut out);
    assert_eq!(end, StreamEnd::SoftFailure(SoftFailure::Finish("MALFORMED_FUNCTION_CALL".into())));
    assert!(stream.committed() && !stream.delivered());
    stream.restart();
    stream.push(frame(&says("now")).as_bytes(), &mut out).unwrap();
    stream.push(frame(&finished("STOP")).as_bytes(), &mut out).unwrap();
    assert_eq!(stream.finish(&mut out), StreamEnd::Complete(Outcome::Delivered));
    let roles = deltas(&out).iter().filter(|delta| delta["role"].is_string()).count();
    assert_eq!((roles, deltas(&out)[1]["content"].as_str()), (1, Some("now")));
}

#[test]
fn a_call_that_broke_after_text_is_a_failure() {
    let mut stream = stream("");
    let mut out = Vec::new();
    stream.push(frame(&says("I will call")).as_bytes(), &mut out).unwrap();
    stream.push(frame(&finished("MALFORMED_FUNCTION_CALL")).as_bytes(), &mut out).unwrap();
    assert!(matches!(stream.finish(&mut out), StreamEnd::SoftFailure(_)));
    assert!(stream.delivered());
}

#[test]
fn safety_in_the_middle_is_an_end() {
    let mut stream = stream(r#","stream_options":{"include_usage":true}"#);
    let mut out = Vec::new();
    stream.push(frame(&says("so")).as_bytes(), &mut out).unwrap();
    let mut last = finished("SAFETY");
    last["usageMetadata"] = json!({"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5});
    stream.push(frame(&last).as_bytes(), &mut out).unwrap();
    assert_eq!(stream.finish(&mut out), StreamEnd::Complete(Outcome::Delivered));
    let events = events(&out);
    let [.., finish, usage] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!(finish["choices"][0]["finish_reason"], "content_filter");
    assert_eq!(finish["choices"][0]["native_finish_reason"], "SAFETY");
    assert_eq!((&usage["choices"], &usage["usage"]["total_tokens"]), (&json!([]), &json!(5)));
    assert!(is_done(&out));
}

#[test]
fn two_choices_have_their_own_roles_and_ends() {
    let mut stream = stream("");
    let mut out = Vec::new();
    for (index, text) in [(1, "b"), (0, "a"), (1, "c")] {
        let mut frame = says(text);
        frame["candidates"][0]["index"] = json!(index);
        stream.push(format!("data: {frame}\r\r").as_bytes(), &mut out).unwrap();
    }
    let both = json!({"candidates": [{"index": 0, "finishReason": "STOP"}, {"index": 1, "finishReason": "MAX_TOKENS"}]});
    stream.push(frame(&both).as_bytes(), &mut out).unwrap();
    assert_eq!(stream.finish(&mut out), StreamEnd::Complete(Outcome::Delivered));
    let of = |index: u64| -> Vec<Value> {
        let choices = events(&out).into_iter().map(|event| event["choices"][0].clone());
        choices.filter(|choice| choice["index"] == index).collect()
    };
    let (first, second) = (of(0), of(1));
    assert_eq!(first.len(), 3);
    assert_eq!(second.len(), 4);
    assert_eq!(first[0]["delta"]["role"], "assistant");
    assert_eq!(second[3]["finish_reason"], "length");
}

#[test]
fn sources_come_once_before_the_end() {
    let mut stream = stream(r#","tools":[{"type":"web_search"}]"#);
    let mut out = Vec::new();
    stream.push(frame(&says("Été 🌍")).as_bytes(), &mut out).unwrap();
    stream.push(frame(&says(" ici")).as_bytes(), &mut out).unwrap();
    let grounding = json!({
        "webSearchQueries": ["q", "q", "r"],
        "groundingChunks": [{"web": {"uri": "u", "title": "t"}}],
        "groundingSupports": [{"segment": {"startIndex": 6, "endIndex": 14}, "groundingChunkIndices": [0]}],
    });
    let last = json!({"candidates": [{"finishReason": "STOP", "groundingMetadata": grounding}]});
    let multi_line = serde_json::to_string_pretty(&last).unwrap().replace('\n', "\ndata: ");
    stream.push(format!("data: {multi_line}\n\n").as_bytes(), &mut out).unwrap();
    stream.finish(&mut out);
    let deltas = deltas(&out);
    assert_eq!(
        deltas[3]["annotations"],
        json!([{"index": 0, "type": "url_citation",
                "url_citation": {"url": "u", "title": "t", "start_index": 4, "end_index": 9}}])
    );
    assert_eq!(deltas[3]["extra_content"]["google"]["web_search_requests"], 2);
    assert_eq!(deltas[3]["extra_content"]["google"]["grounding_metadata"], grounding);
    assert_eq!(deltas[4], json!({}));
}

#[test]
fn nonsense_is_a_fault_and_unknown_parts_are_not() {
    let mut out = Vec::new();
    let mut broken = stream("");
    assert_eq!(broken.push(b"data: {\"candidates\":5}\n\n", &mut out), Err(StreamFault::Malformed));
    assert_eq!(stream("").push(b"data: nope\n\n", &mut out), Err(StreamFault::Malformed));
    assert!(out.is_empty());
    let mut stream = stream("");
    let odd = json!({"candidates": [{"content": {"parts": [{"hologram": {}}, {"text": "x"}], "role": "model"},
                     "finishReason": "STARS_ALIGNED", "novel": 1}], "more": []});
    stream.push(frame(&odd).as_bytes(), &mut out).unwrap();
    assert_eq!(stream.finish(&mut out), StreamEnd::Complete(Outcome::Delivered));
    let last = events(&out).pop().unwrap();
    assert_eq!(last["choices"][0]["finish_reason"], "stop");
    assert_eq!(last["choices"][0]["native_finish_reason"], "STARS_ALIGNED");
}

#[test]
fn text_goes_through_byte_for_byte() {
    let mut stream = stream("");
    let mut out = Vec::new();
    let raw = r#"{"candidates":[{"content":{"parts":[{"text":"\u003cb\u003e \ud83c\udf0d\n"}]}}]}"#;
    stream.push(format!("data: {raw}\n\n").as_bytes(), &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(text.contains(r#""content":"\u003cb\u003e \ud83c\udf0d\n""#), "{text}");
}

#[test]
fn speech_keeps_its_id_and_expires_at_the_end() {
    let body =
        r#"{"model":"m","stream":true,"audio":{"voice":"nova"},"messages":[{"role":"user","content":"x"}]}"#;
    let request = ChatRequest::parse(body.as_bytes()).unwrap();
    let model = ModelId::parse("gemini-2.5-flash-preview-tts").unwrap();
    let call = to_gemini(&request, &model, &TranslateOptions::default()).unwrap();
    let mut stream = ChatStream::new(
        call.context,
        Envelope { seed: 1, created_s: 7, model: AnswerModel::Alias("voice".into()) },
    );
    let mut out = Vec::new();
    for data in ["AAAA", "BBBB"] {
        let part = json!({"inlineData": {"mimeType": "audio/L16;rate=24000", "data": data}});
        stream
            .push(frame(&json!({"candidates": [{"content": {"parts": [part]}}]})).as_bytes(), &mut out)
            .unwrap();
    }
    stream.push(frame(&finished("STOP")).as_bytes(), &mut out).unwrap();
    stream.finish(&mut out);
    let deltas = deltas(&out);
    let id = &deltas[1]["audio"]["id"];
    assert!(id.as_str().unwrap().starts_with("audio_"));
    assert_eq!(deltas[2]["audio"], json!({"id": id, "data": "BBBB"}));
    assert_eq!(deltas[4]["audio"], json!({"id": id, "expires_at": 3607}));
    assert_eq!(events(&out)[0]["model"], "voice");
}

#[test]
fn choices_have_an_end() {
    let mut stream = stream("");
    let mut out = Vec::new();
    let candidates: Vec<Value> =
        (0..100).map(|index| json!({"index": index, "finishReason": "STOP"})).collect();
    stream.push(frame(&json!({"candidates": candidates})).as_bytes(), &mut out).unwrap();
    assert_eq!(deltas(&out).len(), MAX_CANDIDATES);
}

#[test]
fn events_that_say_nothing_are_no_faults() {
    let nothing =
        ["data:\n\n", "data: \r\n\r\n", "data: null\n\n", "data: [DONE] \n\n", "event: ping\ndata:\n\n"];
    for nothing in nothing {
        let mut stream = stream("");
        let mut out = Vec::new();
        let wire = format!("\u{feff}{nothing}{}{nothing}{}", frame(&says("x")), frame(&finished("STOP")));
        stream.push(wire.as_bytes(), &mut out).unwrap();
        assert_eq!(stream.finish(&mut out), StreamEnd::Complete(Outcome::Delivered), "{nothing:?}");
        assert!(is_done(&out) && deltas(&out)[1]["content"] == "x", "{nothing:?}");
    }
}

#[test]
fn null_is_what_is_absent() {
    let call = |args: Value| json!({"functionCall": {"name": null, "id": null, "args": args}, "thought": null, "text": null});
    let frames = [
        json!({"candidates": null, "usageMetadata": null}),
        json!({"candidates": [{"content": {"parts": null, "role": null}, "finishReason": null}]}),
        json!({"candidates": [null, {"content": {"parts": [null, {"functionCall": {"name": "f", "args": null}}]}}]}),
        json!({"candidates": [{"content": {"parts": [call(json!({"a": "x"}))]}}]}),
        json!({"candidates": [{"content": null, "finishReason": "STOP"}],
               "usageMetadata": {"promptTokenCount": "3", "candidatesTokenCount": 2.0, "thoughtsTokenCount": null,
                                 "totalTokenCount": {}, "promptTokensDetails": [{"modality": null, "tokenCount": null}]}}),
    ];
    let mut stream = stream("");
    let mut out = Vec::new();
    for value in &frames[..4] {
        stream.push(frame(value).as_bytes(), &mut out).unwrap();
    }
    let mut last = frames[4].clone();
    last["usageMetadata"]["totalTokenCount"] = json!(5);
    stream.push(frame(&last).as_bytes(), &mut out).unwrap();
    assert_eq!(stream.finish(&mut out), StreamEnd::Complete(Outcome::Delivered));
    let call = deltas(&out)[1]["tool_calls"][0]["function"].clone();
    assert_eq!(call, json!({"name": "f", "arguments": "{\"a\":\"x\"}"}));
    assert_eq!((stream.usage().prompt, stream.usage().completion), (3, 2));
}

#[test]
fn one_wrong_byte_costs_one_character() {
    let mut stream = stream("");
    let mut out = Vec::new();
    stream
        .push(b"data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\xff\xc3b\"}]}}]}\n\n", &mut out)
        .unwrap();
    stream.push(frame(&finished("STOP")).as_bytes(), &mut out).unwrap();
    assert_eq!(stream.finish(&mut out), StreamEnd::Complete(Outcome::Delivered));
    assert_eq!(deltas(&out)[1]["content"], "a\u{fffd}\u{fffd}b");
}
