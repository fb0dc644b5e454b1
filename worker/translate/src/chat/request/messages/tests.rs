use serde_json::{Value, json};

use crate::error::ApiError;
use crate::gemini::ModelId;
use crate::openai::ChatRequest;
use crate::{TranslateOptions, to_gemini};

/// Returns the turns, and what was dropped.
fn translated(messages: &Value) -> Result<(Value, Vec<String>), ApiError> {
    let body = json!({"model": "gemini-3.5-flash", "messages": messages}).to_string();
    let request = ChatRequest::parse(body.as_bytes())?;
    let call = to_gemini(&request, &ModelId::parse("gemini-3.5-flash")?, &TranslateOptions::default())?;
    let body: Value = serde_json::from_slice(&call.body).unwrap();
    Ok((body["contents"].clone(), call.ignored_params))
}

#[test]
fn no_part_of_the_history_ends_a_conversation() {
    for kind in [
        "reasoning",
        "thinking",
        "Thinking",
        "think",
        "redacted_thinking",
        "reasoning_content",
        "reasoning.encrypted",
        "summary_text",
        "server_tool_use",
        "web_search_tool_result",
        "server_tool_call",
        "non_standard",
        "step-start",
        "input_json_delta",
        "citations",
        "unheard-of",
    ] {
        let part = json!({"type": kind, "text": "hm", "name": 5, "input": [], "data": {}});
        let messages = json!([
            {"role": "user", "content": "go"},
            {"role": "assistant", "content": [part, {"type": "text", "text": "ok"}]},
            {"role": "user", "content": "on"},
        ]);
        let (contents, ignored) = translated(&messages).unwrap();
        assert_eq!(contents[1], json!({"role": "model", "parts": [{"text": "ok"}]}), "{kind}");
        assert_eq!(ignored, [format!("messages.content.{kind}")]);
        let user = json!([{"role": "user", "content": [part]}]);
        let error = translated(&user).unwrap_err();
        assert_eq!(error.param.as_deref(), Some("messages[0].content[0].type"), "{kind}");
    }
}
