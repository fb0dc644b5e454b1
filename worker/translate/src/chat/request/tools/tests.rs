use serde_json::{Value, json};

use crate::error::ApiError;
use crate::gemini::ModelId;
use crate::openai::ChatRequest;
use crate::{TranslateOptions, to_gemini};

fn translate(model: &str, extra: &Value) -> Result<(Value, Vec<String>), ApiError> {
    let mut body = json!({"model": model, "messages": [{"role": "user", "content": "x"}]});
    body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    let body = body.to_string();
    let request = ChatRequest::parse(body.as_bytes())?;
    let call = to_gemini(&request, &ModelId::parse(model)?, &TranslateOptions::default())?;
    Ok((serde_json::from_slice(&call.body).unwrap(), call.ignored_params))
}

fn refused(extra: &Value) -> (String, &'static str) {
    let error = translate("gemini-3.8-flash", extra).unwrap_err();
    assert_eq!(error.status, 400);
    (error.param.unwrap_or_default(), error.code.unwrap_or_default())
}

fn function(name: &str) -> Value {
    let parameters = json!({"type": "object", "properties": {"x": {"type": "string"}}});
    json!({"type": "function", "function": {"name": name, "parameters": parameters}})
}

fn config(model: &str, extra: &Value) -> Value {
    translate(model, extra).unwrap().0.get("toolConfig").cloned().unwrap_or_default()
}

#[test]
fn every_choice_on_old_and_new_models() {
    let both = json!([function("f"), function("g")]);
    let only = |mode: &str| json!({"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": [{"type": "function", "function": {"name": "g"}}]}});
    for (choice, new, old) in [
        (json!("auto"), json!(null), json!(null)),
        (json!("none"), json!({"mode": "NONE"}), json!({"mode": "NONE"})),
        (json!("required"), json!({"mode": "ANY"}), json!({"mode": "ANY"})),
        (json!("any"), json!({"mode": "ANY"}), json!({"mode": "ANY"})),
        (
            json!({"type": "function", "function": {"name": "f"}}),
            json!({"mode": "ANY", "allowedFunctionNames": ["f"]}),
            json!({"mode": "ANY", "allowedFunctionNames": ["f"]}),
        ),
        (
            json!({"type": "function", "name": "f"}),
            json!({"mode": "ANY", "allowedFunctionNames": ["f"]}),
            json!({"mode": "ANY", "allowedFunctionNames": ["f"]}),
        ),
        (only("auto"), json!({"mode": "VALIDATED", "allowedFunctionNames": ["g"]}), json!(null)),
        (
            only("required"),
            json!({"mode": "ANY", "allowedFunctionNames": ["g"]}),
            json!({"mode": "ANY", "allowedFunctionNames": ["g"]}),
        ),
    ] {
        let extra = json!({"tools": both, "tool_choice": choice});
        for (model, expected) in [("gemini-3.8-flash", new), ("gemini-2.5-flash", old)] {
            assert_eq!(config(model, &extra)["functionCallingConfig"], expected, "{choice} on {model}");
        }
    }
    // What is not allowed is not declared where a list of names does not work.
    let (body, _) =
        translate("gemini-2.5-flash", &json!({"tools": both, "tool_choice": only("auto")})).unwrap();
    assert_eq!(body["tools"][0]["functionDeclarations"].as_array().unwrap().len(), 1);
    assert_eq!(body["tools"][0]["functionDeclarations"][0]["name"], "g");
}

#[test]
fn strict_functions_are_validated_where_that_exists() {
    let mut strict = function("f");
    strict["function"]["strict"] = json!(true);
    let extra = json!({"tools": [strict]});
    assert_eq!(config("gemini-3.8-flash", &extra)["functionCallingConfig"]["mode"], "VALIDATED");
    assert_eq!(config("gemini-2.5-flash", &extra), json!(null));
}

#[test]
fn forerunners_of_tools() {
    let extra = json!({"functions": [{"name": "f", "description": "d"}], "function_call": {"name": "f"}});
    let (body, _) = translate("gemini-3.8-flash", &extra).unwrap();
    assert_eq!(body["tools"], json!([{"functionDeclarations": [{"name": "f", "description": "d"}]}]));
    assert_eq!(
        body["toolConfig"]["functionCallingConfig"],
        json!({"mode": "ANY", "allowedFunctionNames": ["f"]})
    );
}

#[test]
fn every_form_of_web_search_is_one_search() {
    let search = json!([{"googleSearch": {}}]);
    for extra in [
        json!({"tools": [{"type": "web_search"}]}),
        json!({"tools": [{"type": "web_search_preview"}, {"type": "google_search"}]}),
        json!({"tools": [{"googleSearch": {}}]}),
        json!({"tools": [{"type": "google_search", "google_search": {}}]}),
        json!({"web_search_options": {"search_context_size": "low"}}),
        json!({"tools": [{"type": "web_search"}], "web_search_options": {}}),
    ] {
        assert_eq!(
            translate("gemini-2.5-flash", &extra).unwrap(),
            (translate_with(&search), vec![]),
            "{extra}"
        );
    }
}

fn translate_with(tools: &Value) -> Value {
    json!({"contents": [{"role": "user", "parts": [{"text": "x"}]}], "tools": tools})
}

#[test]
fn old_models_keep_functions_and_lose_searches_with_a_note() {
    let extra = json!({"tools": [function("f"), {"type": "web_search"}, {"codeExecution": {}}]});
    let (body, ignored) = translate("gemini-2.5-flash", &extra).unwrap();
    assert_eq!(body["tools"].as_array().unwrap().len(), 1);
    assert_eq!(ignored, ["web_search", "code_interpreter"]);
    assert!(body.get("toolConfig").is_none());
}

#[test]
fn functions_without_arguments_have_no_parameters() {
    for parameters in [
        json!({}),
        json!({"type": "object"}),
        json!({"type": "object", "properties": {}}),
        json!({"type": "object", "properties": {}, "required": [], "additionalProperties": false, "$schema": "x"}),
        json!(null),
    ] {
        let extra =
            json!({"tools": [{"type": "function", "function": {"name": "f", "parameters": parameters}}]});
        let (body, _) = translate("gemini-3.8-flash", &extra).unwrap();
        assert_eq!(body["tools"][0]["functionDeclarations"], json!([{"name": "f"}]), "{parameters}");
    }
}

#[test]
fn custom_tools_are_functions_of_one_text() {
    let format = json!({"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: x"}});
    let extra = json!({"tools": [{"type": "custom", "custom": {"name": "patch", "description": "d", "format": format}}],
                       "tool_choice": {"type": "custom", "custom": {"name": "patch"}}});
    let (body, _) = translate("gemini-3.8-flash", &extra).unwrap();
    let declared = &body["tools"][0]["functionDeclarations"][0];
    assert_eq!(declared["parametersJsonSchema"]["required"], json!(["input"]));
    let described = &declared["parametersJsonSchema"]["properties"]["input"]["description"];
    assert!(described.as_str().unwrap().contains("start: x"));
}

#[test]
fn what_is_refused() {
    let f = || json!([function("f")]);
    let many: Vec<Value> = (0..513).map(|number| function(&format!("f{number}"))).collect();
    for (extra, expected) in [
        (json!({"tool_choice": "auto"}), ("tool_choice", "invalid_value")),
        (json!({"tools": [], "tool_choice": "required"}), ("tool_choice", "invalid_value")),
        (
            json!({"tools": f(), "tool_choice": {"type": "function", "function": {"name": "g"}}}),
            ("tool_choice", "invalid_value"),
        ),
        (json!({"tools": f(), "tool_choice": "sometimes"}), ("tool_choice", "invalid_value")),
        (json!({"tools": f(), "tool_choice": {"type": "mcp"}}), ("tool_choice.type", "invalid_value")),
        (json!({"tools": [function("f"), function("f")]}), ("tools[1].function.name", "invalid_value")),
        (json!({"tools": [{"type": "telepathy"}]}), ("tools[0].type", "invalid_value")),
        (json!({"tools": [{}]}), ("tools[0].type", "missing_required_parameter")),
        (json!({"tools": [{"type": "function"}]}), ("tools[0].function", "missing_required_parameter")),
        (
            json!({"tools": [{"type": "function", "function": {}}]}),
            ("tools[0].function.name", "missing_required_parameter"),
        ),
        (json!({"tools": many}), ("tools", "array_above_max_length")),
    ] {
        let (param, code) = refused(&extra);
        assert_eq!((param.as_str(), code), expected);
    }
    assert!(translate("gemini-3.8-flash", &json!({"tools": [], "tool_choice": "auto"})).is_ok());
}
