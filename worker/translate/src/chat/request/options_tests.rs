//! Tests of every translation setting of a pool, in all positions.

use pool_shared::{TranslationSettings, TranslationUpdate};
use serde_json::{Value, json};

use crate::error::ApiError;
use crate::gemini::ModelId;
use crate::openai::ChatRequest;
use crate::{
    AnswerModel, ChatStream, Envelope, GeminiCall, StreamEnd, TranslateOptions, chat_response, to_gemini,
};

const MODEL: &str = "gemini-3.8-flash";

fn call(extra: &Value, settings: &Value) -> Result<GeminiCall, ApiError> {
    let update: TranslationUpdate = serde_json::from_value(settings.clone()).unwrap();
    let settings: TranslationSettings = update.into_settings();
    let mut body = json!({"model": MODEL, "messages": [{"role": "user", "content": "x"}]});
    body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    let body = body.to_string();
    let options = TranslateOptions { settings: Some(&settings), ..TranslateOptions::default() };
    to_gemini(&ChatRequest::parse(body.as_bytes())?, &ModelId::parse(MODEL)?, &options)
}

fn sent(extra: &Value, settings: &Value) -> Value {
    serde_json::from_slice(&call(extra, settings).unwrap().body).unwrap()
}

fn envelope() -> Envelope {
    Envelope { seed: 1, created_s: 0, model: AnswerModel::Requested(MODEL.to_owned()) }
}

#[test]
fn the_pool_s_safety_settings_apply_unless_the_request_has_its_own() {
    let off = json!([{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}]);
    let own = json!([{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}]);
    let pool = json!({"safety_settings": off});
    assert_eq!(sent(&json!({}), &json!({})).get("safetySettings"), None);
    assert_eq!(sent(&json!({}), &pool)["safetySettings"], off);
    let request = json!({"extra_body": {"google": {"safety_settings": own}}});
    assert_eq!(sent(&request, &pool)["safetySettings"], own);
}

#[test]
fn a_parameter_without_effect_is_ignored_or_rejected() {
    let strict = json!({"strict_params": true});
    for (request, name) in [
        (json!({"logit_bias": {"1": 5}}), Some("logit_bias")),
        (json!({"frequency_penalty": 1.5}), Some("frequency_penalty")),
        (json!({"of_tomorrow": 1}), Some("of_tomorrow")),
        (json!({"of tomorrow": 1}), None),
    ] {
        assert_eq!(call(&request, &json!({})).unwrap().ignored_params.first().map(String::as_str), name);
        let error = call(&request, &strict).unwrap_err();
        assert_eq!((error.param.as_deref(), error.code), (name, Some("unsupported_parameter")), "{request}");
    }
    for harmless in [json!({"frequency_penalty": 0, "n": 1}), json!({"user": "me", "store": true})] {
        assert!(call(&harmless, &strict).is_ok(), "{harmless}");
    }
}

#[test]
fn a_history_with_holes_is_mended_or_refused() {
    let strict = json!({"strict_history": true});
    let asked = json!({"role": "user", "content": "x"});
    let called = json!({"role": "assistant", "tool_calls": [
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}},
        {"id": "b", "type": "function", "function": {"name": "f", "arguments": "{}"}},
    ]});
    let answered = |id: &str| json!({"role": "tool", "tool_call_id": id, "content": "1"});
    let history = |messages: &[&Value]| json!({"messages": messages});
    let (a, b, c) = (answered("a"), answered("b"), answered("c"));
    for (messages, place, sign) in [
        (vec![&asked, &called, &a], "messages.[1].role", "messages: b"),
        (vec![&asked, &called, &a, &asked, &b], "messages.[1].role", "messages: b"),
        (vec![&asked, &called], "messages.[1].role", "messages: a, b"),
        (vec![&asked, &called, &a, &b, &c], "messages.[4].role", "must be a response"),
        (vec![&asked, &a], "messages.[1].role", "must be a response"),
    ] {
        let request = history(&messages);
        assert!(call(&request, &json!({})).is_ok(), "{request}");
        let error = call(&request, &strict).unwrap_err();
        assert_eq!((error.param.as_deref(), error.code), (Some(place), None), "{request}");
        assert!(error.message.contains(sign), "{}", error.message);
    }
    assert!(call(&history(&[&asked, &called, &b, &a, &asked]), &strict).is_ok());
}

#[test]
fn a_late_system_message_stays_or_goes_to_the_front() {
    let request = json!({"messages": [
        {"role": "system", "content": "one"},
        {"role": "user", "content": "x"},
        {"role": "developer", "content": "two"},
    ]});
    let inline = sent(&request, &json!({}));
    assert_eq!(inline["systemInstruction"]["parts"], json!([{"text": "one"}]));
    assert_eq!(inline["contents"][0]["parts"], json!([{"text": "x"}, {"text": "two"}]));
    let hoisted = sent(&request, &json!({"system_messages": "hoist"}));
    assert_eq!(hoisted["systemInstruction"]["parts"], json!([{"text": "one"}, {"text": "two"}]));
    assert_eq!(hoisted["contents"][0]["parts"], json!([{"text": "x"}]));
}

#[test]
fn a_user_s_name_is_left_out_or_said() {
    let image = json!([{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]);
    let request = json!({"messages": [
        {"role": "user", "name": "Ann", "content": "hi"},
        {"role": "assistant", "name": "bot", "content": "yes"},
        {"role": "user", "name": "Bob", "content": image},
    ]});
    assert_eq!(sent(&request, &json!({}))["contents"][0]["parts"], json!([{"text": "hi"}]));
    let named = sent(&request, &json!({"prefix_names": true}));
    assert_eq!(named["contents"][0]["parts"], json!([{"text": "Ann: hi"}]));
    assert_eq!(named["contents"][1]["parts"], json!([{"text": "yes"}]));
    assert_eq!(named["contents"][2]["parts"][0], json!({"text": "Bob: "}));
}

#[test]
fn a_picture_is_a_field_or_a_part_of_the_text() {
    let signature = "c2lnbmF0dXJlIG9mIGEgcGljdHVyZQ==";
    let answer = json!({"candidates": [{"content": {"parts": [
        {"text": "Here: "},
        {"inlineData": {"mimeType": "image/png", "data": "AAAA"}, "thoughtSignature": signature},
    ]}, "finishReason": "STOP"}]});
    let message = |settings: &Value| -> Value {
        let call = call(&json!({}), settings).unwrap();
        let answer = chat_response(answer.to_string().as_bytes(), &call.context, &envelope()).unwrap();
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        body["choices"][0]["message"].clone()
    };
    let native = message(&json!({}));
    assert_eq!((&native["content"], native["images"].as_array().unwrap().len()), (&json!("Here: "), 1));
    let markdown = json!({"image_output": "markdown"});
    let shown = message(&markdown);
    assert_eq!(shown["content"], "Here: ![image](data:image/png;base64,AAAA)");
    assert_eq!(shown.get("images"), None);
    // On the way back it is an image again, with its signature.
    let request = json!({"messages": [{"role": "user", "content": "draw"}, shown]});
    let back = sent(&request, &markdown);
    let parts = back["contents"][1]["parts"].as_array().unwrap();
    assert_eq!(parts[1]["inlineData"], json!({"mimeType": "image/png", "data": "AAAA"}));
    assert_eq!(parts[1]["thoughtSignature"], signature);
}

#[test]
fn a_blocked_prompt_is_told_apart_from_a_blocked_answer() {
    let call = call(&json!({"stream": true}), &json!({})).unwrap();
    let prompt = json!({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}).to_string();
    let answer = json!({"candidates": [{"finishReason": "SAFETY"}]}).to_string();
    for (body, expected) in [(prompt, Some("Prompt blocked by Gemini: PROHIBITED_CONTENT")), (answer, None)] {
        let whole = chat_response(body.as_bytes(), &call.context, &envelope()).unwrap();
        assert_eq!(whole.prompt_block.as_deref(), expected);
        let mut stream = ChatStream::new(call.context.clone(), envelope());
        let mut out = Vec::new();
        stream.push(format!("data: {body}\n\n").as_bytes(), &mut out).unwrap();
        assert_eq!((stream.prompt_block(), stream.delivered()), (expected, false));
        assert!(matches!(stream.finish(&mut out), StreamEnd::Complete(_)));
    }
}

#[test]
fn thoughts_are_shown_as_the_request_or_else_the_pool_says() {
    let none = json!({});
    let effort = json!({"reasoning_effort": "low"});
    let no_effort = json!({"reasoning_effort": "none"});
    let hidden = json!({"reasoning": {"effort": "low", "exclude": true}});
    let shown = json!({"reasoning_effort": "low", "extra_body": {"google": {"thinking_config": {"include_thoughts": true}}}});
    for (request, auto, show, hide) in [
        (&none, None, Some(true), None),
        (&effort, Some(true), Some(true), Some(false)),
        (&no_effort, Some(false), Some(false), Some(false)),
        (&hidden, Some(false), Some(false), Some(false)),
        (&shown, Some(true), Some(true), Some(true)),
    ] {
        for (wish, expected) in [("auto", auto), ("show", show), ("hide", hide)] {
            let sent = sent(request, &json!({"thoughts": wish}));
            let config = &sent["generationConfig"]["thinkingConfig"];
            assert_eq!(config["includeThoughts"].as_bool(), expected, "{wish}: {request}");
        }
    }
}

#[test]
fn a_signature_travels_in_the_id_and_back_out_of_it() {
    let signature = "c2lnbmF0dXJlIG9mIGEgY2FsbA==";
    let answer = json!({"candidates": [{"content": {"parts": [
        {"functionCall": {"id": "a", "name": "f", "args": {}}, "thoughtSignature": signature},
    ]}, "finishReason": "STOP"}]});
    for (settings, id) in
        [(json!({}), "a".to_owned()), (json!({"signature_in_id": true}), format!("a__thought__{signature}"))]
    {
        let call = call(&json!({}), &settings).unwrap();
        let answer = chat_response(answer.to_string().as_bytes(), &call.context, &envelope()).unwrap();
        assert_eq!(answer.signatures[0].call_id, "a");
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        let shown = &body["choices"][0]["message"]["tool_calls"][0];
        assert_eq!(shown["id"], id);
        // A client that keeps nothing but what OpenAI knows.
        let kept = json!({"id": id, "type": "function", "function": shown["function"]});
        let request = json!({"messages": [
            {"role": "user", "content": "x"},
            {"role": "assistant", "tool_calls": [kept]},
            {"role": "tool", "tool_call_id": id, "content": "1"},
        ]});
        let back = sent(&request, &settings);
        let expected = if id == "a" { "skip_thought_signature_validator" } else { signature };
        assert_eq!(back["contents"][1]["parts"][0]["thoughtSignature"], expected);
        assert_eq!(back["contents"][2]["parts"][0]["functionResponse"]["id"], "a");
    }
}

#[test]
fn a_function_of_a_certain_name_may_stand_for_geminis_own_tool() {
    let function = |name: &str, parameters: Value| json!({"tools": [{"type": "function", "function": {"name": name, "parameters": parameters}}]});
    let named = json!({"builtin_names": true});
    let nothing = json!({"type": "object", "properties": {}});
    let something = json!({"type": "object", "properties": {"query": {"type": "string"}}});
    for name in ["googleSearch", "codeExecution", "urlContext"] {
        let request = function(name, nothing.clone());
        assert_eq!(sent(&request, &named)["tools"], json!([{name: {}}]));
        assert_eq!(sent(&request, &json!({}))["tools"][0]["functionDeclarations"][0]["name"], name);
        let own = function(name, something.clone());
        assert_eq!(sent(&own, &named)["tools"][0]["functionDeclarations"][0]["name"], name);
    }
    assert!(sent(&function("search", nothing), &named)["tools"][0].get("functionDeclarations").is_some());
}

#[test]
fn verbosity_is_ignored_or_becomes_an_instruction() {
    let hinted = json!({"verbosity_hint": true});
    for (verbosity, words) in [
        ("low", json!("Keep the answer short.")),
        ("high", json!("Answer in detail.")),
        ("medium", json!(null)),
    ] {
        let request = json!({"verbosity": verbosity});
        let ignored = call(&request, &json!({})).unwrap().ignored_params;
        assert_eq!(ignored.is_empty(), words.is_null(), "{verbosity}");
        assert!(call(&request, &hinted).unwrap().ignored_params.is_empty());
        assert_eq!(sent(&request, &hinted)["systemInstruction"]["parts"][0]["text"], words);
    }
}

#[test]
fn geminis_ratings_are_kept_back_or_told() {
    let ratings = json!([{"category": "HARM_CATEGORY_HARASSMENT", "probability": "LOW"}]);
    let answer = json!({"candidates": [{
        "content": {"parts": [{"text": "x"}]}, "finishReason": "STOP", "safetyRatings": ratings, "avgLogprobs": -0.25,
    }]});
    let extra = |settings: &Value| -> Value {
        let call = call(&json!({}), settings).unwrap();
        let answer = chat_response(answer.to_string().as_bytes(), &call.context, &envelope()).unwrap();
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        body["choices"][0]["message"]["extra_content"].clone()
    };
    assert_eq!(extra(&json!({})), json!(null));
    let told = extra(&json!({"native_details": true}));
    assert_eq!(told, json!({"google": {"safety_ratings": ratings, "avg_logprobs": -0.25}}));
}
