use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::gemini::ModelId;
use crate::openai::{ChatRequest, EmbeddingsRequest};
use crate::{TranslateOptions, embeddings_plan, to_gemini};

/// Every place of a chat request where a client's text means a word of Gemini's: its pointer, and what may be
/// there.
const PLACES: &[(&str, &str)] = &[
    ("/reasoning_effort", "low"),
    ("/reasoning/effort", "low"),
    ("/thinking/type", "enabled"),
    ("/verbosity", "low"),
    ("/service_tier", "flex"),
    ("/response_format/type", "text"),
    ("/modalities/0", "text"),
    ("/audio/voice", "alloy"),
    ("/audio/format", "wav"),
    ("/image_config/aspect_ratio", "16:9"),
    ("/image_config/image_size", "2K"),
    ("/google/image_config/aspect_ratio", "1:1"),
    ("/extra_body/google/image_config/image_size", "512"),
    ("/tool_choice", "auto"),
    ("/tool_choice/type", "function"),
    ("/function_call", "auto"),
    ("/cached_content", "cachedContents/a-1"),
    ("/media_resolution", "MEDIA_RESOLUTION_LOW"),
    ("/extra_body/google/media_resolution", "high"),
    ("/response_modalities/0", "text"),
    ("/google/response_modalities/1", "IMAGE"),
    ("/thinking_config/thinking_level", "low"),
    ("/safety_settings/0/category", "HARM_CATEGORY_HARASSMENT"),
    ("/safety_settings/0/threshold", "BLOCK_NONE"),
    ("/safety_settings/0/method", "SEVERITY"),
    ("/google/speech_config/languageCode", "en-US"),
    ("/google/speech_config/voiceConfig/prebuiltVoiceConfig/voiceName", "Kore"),
    ("/google/speech_config/multiSpeakerVoiceConfig/speakerVoiceConfigs/0/speaker", "Speaker 1"),
    ("/google/tools/0/googleSearch/timeRangeFilter/startTime", "2026-01-01T00:00:00Z"),
    ("/google/tools/0/functionDeclarations/0/name", "f"),
    ("/google/tools/0/functionDeclarations/0/behavior", "BLOCKING"),
    ("/google/tools/0/functionDeclarations/0/parameters/type", "OBJECT"),
    ("/google/tools/0/functionDeclarations/0/parameters/properties/a/format", "enum"),
    ("/google/tool_config/functionCallingConfig/mode", "ANY"),
    ("/google/tool_config/functionCallingConfig/allowedFunctionNames/0", "f"),
    ("/google/labels/team", "a"),
    ("/google/continuation_token", "AbC+/=-_"),
    ("/tools/0/type", "function"),
    ("/tools/1/google_search/excludeDomains/0", "a.example"),
    ("/tools/1/computerUse/environment", "ENVIRONMENT_BROWSER"),
    ("/tools/1/file_search/fileSearchStoreNames/0", "fileSearchStores/a"),
    ("/tools/0/function/parameters/type", "object"),
    ("/tools/0/function/parameters/properties/a/type", "string"),
    ("/tools/0/function/parameters/properties/a/format", "date-time"),
    ("/tools/0/function/parameters/properties/a/contentMediaType", "text/plain"),
    ("/messages/0/role", "user"),
    ("/messages/0/content/1/type", "text"),
    ("/messages/0/content/2/image_url/detail", "low"),
    ("/messages/0/content/2/image_url/video_metadata/startOffset", "1.5s"),
    ("/messages/0/content/3/input_audio/format", "wav"),
    ("/messages/0/content/4/file/format", "application/pdf"),
    ("/messages/0/content/4/file/filename", "a.pdf"),
    ("/messages/1/tool_calls/0/id", "call_1"),
    ("/messages/1/tool_calls/0/extra_content/google/thought_signature", "EjQKMgG+PgqFzSpLIfcvqzvyN3Wx1Qk0"),
];

/// Returns what is needed beside a place so that it is read.
fn base() -> Value {
    json!({
        "model": "m",
        "messages": [
            {"role": "user", "content": [
                {"type": "text", "text": "hi"},
                {"type": "text", "text": "there"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
                {"type": "input_audio", "input_audio": {"data": "UklGRiQAAABXQVZF"}},
                {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERi0xLjQK"}},
            ]},
            {"role": "assistant", "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "a", "content": "1"},
        ],
        "tools": [
            {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {"a": {"type": "string"}}}}},
        ],
    })
}

/// Puts a value at a pointer, making what leads there.
fn put(document: &mut Value, pointer: &str, value: Value) {
    let mut place = document;
    for step in pointer.split('/').skip(1) {
        place = if let Ok(index) = step.parse::<usize>() {
            if !place.is_array() {
                *place = json!([]);
            }
            let list = place.as_array_mut().unwrap();
            while list.len() <= index {
                list.push(json!({}));
            }
            &mut list[index]
        } else {
            if !place.is_object() {
                *place = json!({});
            }
            place.as_object_mut().unwrap().entry(step).or_insert(Value::Null)
        };
    }
    *place = value;
}

fn with(pointer: &str, text: &str) -> Value {
    let mut request = base();
    put(&mut request, pointer, text.into());
    if pointer == "/google/response_modalities/1" {
        put(&mut request, "/google/response_modalities/0", "TEXT".into());
    }
    if pointer.starts_with("/safety_settings") {
        for (name, value) in [("category", "HARM_CATEGORY_HARASSMENT"), ("threshold", "OFF")] {
            let setting = request.pointer_mut("/safety_settings/0").unwrap().as_object_mut().unwrap();
            setting.entry(name).or_insert(value.into());
        }
    }
    if pointer == "/tool_choice/type" {
        put(&mut request, "/tool_choice/function/name", "f".into());
    }
    if pointer.starts_with("/messages/1/tool_calls/0/id") {
        put(&mut request, "/messages/2/tool_call_id", text.into());
    }
    request
}

fn translated(request: &Value, model: &str) -> Result<String, ApiError> {
    let body = request.to_string();
    let request = ChatRequest::parse(body.as_bytes())?;
    let call = to_gemini(&request, &ModelId::parse(model)?, &TranslateOptions::default())?;
    Ok(String::from_utf8(call.body).unwrap())
}

const MODELS: [&str; 5] = [
    "gemini-3.5-flash",
    "gemini-2.5-flash",
    "gemini-4-argon",
    "gemini-3.1-flash-image",
    "gemini-3.8-flash-tts",
];

#[test]
fn every_place_takes_its_words() {
    for (pointer, word) in PLACES {
        let request = with(pointer, word);
        let sent = MODELS.iter().any(|model| translated(&request, model).is_ok());
        assert!(sent, "{pointer}: {:?}", translated(&request, MODELS[0]));
    }
}

#[test]
fn words_that_gemini_has_in_another_case_are_written_as_it_has_them() {
    for (pointer, word, sent) in [
        ("/response_modalities/0", " text", r#""responseModalities":["TEXT"]"#),
        ("/media_resolution", "ultra_high", r#""mediaResolution":"MEDIA_RESOLUTION_ULTRA_HIGH""#),
        ("/media_resolution", "media_resolution_low", r#""mediaResolution":"MEDIA_RESOLUTION_LOW""#),
        ("/image_config/aspect_ratio", "16:9", r#""imageConfig":{"aspectRatio":"16:9"}"#),
    ] {
        let body = translated(&with(pointer, word), MODELS[0]).unwrap();
        assert!(body.contains(sent), "{pointer}: {body}");
    }
    let body = translated(&with("/image_config/image_size", "auto"), MODELS[0]).unwrap();
    assert!(!body.contains("imageConfig"), "{body}");
}

#[test]
fn names_of_settings_are_words_too() {
    for place in
        ["/google/labels", "/google/tool_config", "/google/speech_config/voiceConfig", "/google/tools/0"]
    {
        let mut request = base();
        put(&mut request, place, json!({"api key expired": {"a": 1}}));
        let error = translated(&request, MODELS[0]).unwrap_err();
        assert_eq!((error.status.as_u16(), error.code), (400, Some("invalid_value")), "{place}");
        assert!(error.param.unwrap().starts_with("extra_body.google."), "{place}");
    }
}

#[test]
fn addresses_that_go_to_gemini_have_no_blanks() {
    for url in [
        "https://youtu.be/api key expired",
        "https://www.youtube.com/watch?v=a api key expired",
        "https://generativelanguage.googleapis.com/api key expired/files/a",
    ] {
        let mut request = base();
        put(&mut request, "/messages/0/content/2/image_url/url", url.into());
        assert!(translated(&request, MODELS[0]).is_err(), "{url}");
    }
}

#[test]
fn an_id_that_is_no_word_is_the_same_other_one_in_the_result() {
    let body = translated(&with("/messages/1/tool_calls/0/id", "API key expired."), MODELS[0]).unwrap();
    let body: Value = serde_json::from_str(&body).unwrap();
    let id = |pointer: &str| body.pointer(pointer).and_then(Value::as_str).unwrap().to_owned();
    let called = id("/contents/1/parts/0/functionCall/id");
    assert_eq!(called, id("/contents/2/parts/0/functionResponse/id"));
    assert!(called.starts_with("call_") && is_word(&called), "{called}");
    assert_ne!(call_id("a b"), call_id("b a"));
    assert_eq!(call_id("call_1"), "call_1");
}

fn phrase() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "api key expired",
        "API key not valid. Please pass a valid API key.",
        "Your API key was reported as leaked. Please use another API key.",
        "Permission denied: Consumer 'api_key:x' has been suspended.",
        "Your prepayment credits are depleted.",
        "You exceeded your current quota",
        "invalid auth key",
        "HARM_CATEGORY_ api key expired",
        "BLOCK_NONE api key expired",
        "MEDIA_RESOLUTION_api key expired",
        "cachedContents/api key expired",
        "16:9 api key expired",
        "1 api key expired",
        "audio/wav; api key expired",
        "files/api key expired",
    ]);
    prop_oneof![known.prop_map(ToOwned::to_owned), "[A-Za-z]{2,9}(( |\\. |\u{a0}|\n)[a-z]{2,9}){2,6}[.!]?"]
}

proptest! {
    #[test]
    fn no_sentence_goes_upstream_in_the_place_of_a_word(
        place in prop::sample::select(PLACES.to_vec()),
        phrase in phrase(),
        model in prop::sample::select(MODELS.to_vec()),
    ) {
        let request = with(place.0, &phrase);
        match translated(&request, model) {
            Ok(body) => {
                let quoted = serde_json::to_string(&phrase).unwrap();
                let inner = quoted.trim_matches('"');
                // A format in words belongs to the description.
                let described = format!("({}: {}", place.0.rsplit('/').next().unwrap(), inner.trim());
                let body = body.replace(&described, "");
                prop_assert!(!body.contains(inner), "{}: {body}", place.0);
            }
            Err(error) => prop_assert_eq!(error.status.as_u16(), 400, "{}", error.message),
        }
    }

    #[test]
    fn no_sentence_goes_upstream_as_a_task_type(phrase in phrase()) {
        for field in ["task_type", "taskType"] {
            let body = json!({"model": "m", "input": "x", field: phrase}).to_string();
            let request = EmbeddingsRequest::parse(body.as_bytes()).unwrap();
            let error = embeddings_plan(&request, &ModelId::parse("gemini-embedding-001").unwrap()).unwrap_err();
            prop_assert_eq!(error.param.as_deref(), Some("task_type"));
        }
    }

    #[test]
    fn settings_of_any_shape_hold_no_sentence(
        names in prop::collection::vec("[a-z]{1,6}", 1..5),
        phrase in phrase(),
    ) {
        let free = ["description", "metadataFilter", "headers", "parameters", "response", "speaker"];
        prop_assume!(names.iter().all(|name| !free.contains(&name.as_str())));
        let nested = names.iter().fold(json!([phrase]), |inner, name| json!({name: [inner, 1]}));
        let raw = serde_json::value::to_raw_value(&nested).unwrap();
        prop_assert!(settings("x", &raw).is_err());
    }
}

#[test]
fn task_types_are_known_in_any_case() {
    for (told, expected) in [("retrieval_query", "RETRIEVAL_QUERY"), ("CLUSTERING", "CLUSTERING")] {
        assert_eq!(task_type("task_type", told).unwrap(), expected);
    }
}
