use serde_json::{Value, json};

use super::*;
use crate::gemini::ModelId;
use crate::openai::ChatRequest;
use crate::{TranslateOptions, to_gemini};

fn body(model: &str, extra: &Value, repairs: &[Repair]) -> Value {
    let mut request = json!({"model": model, "messages": [{"role": "user", "content": "x"}]});
    request.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    let request = request.to_string();
    let repairs = repairs.iter().fold(Repairs::default(), |repairs, repair| repairs.with(*repair));
    let options = TranslateOptions { repairs, several_calls: true, ..TranslateOptions::default() };
    let request = ChatRequest::parse(request.as_bytes()).unwrap();
    let call = to_gemini(&request, &ModelId::parse(model).unwrap(), &options).unwrap();
    serde_json::from_slice(&call.body).unwrap()
}

#[test]
fn every_message_that_can_be_helped() {
    for (message, repair) in [
        ("Penalty is not enabled for models/gemini-2.5-flash", Repair::NoPenalties),
        ("Multiple candidates is not enabled for this model", Repair::OneCandidate),
        ("Requests ending with a model turn are not supported.", Repair::UserTurnLast),
        ("Function call is missing a thought_signature in functionCall parts.", Repair::StandInSignatures),
        ("Corrupted thought signature.", Repair::StandInSignatures),
        ("Thought signature is not valid", Repair::StandInSignatures),
        (
            "Function calling with a response mime type: 'application/json' is unsupported",
            Repair::JsonInWords,
        ),
        ("Tool use with a response mime type: 'application/json' is unsupported", Repair::JsonInWords),
        ("Tool use with function calling is unsupported", Repair::NoBuiltins),
        (
            "Invalid JSON payload received. Unknown name \"id\" at 'contents[1].parts[0].function_call': Cannot find field.",
            Repair::NoCallIds,
        ),
        (
            "Invalid JSON payload received. Unknown name \"parametersJsonSchema\" at 'tools[0].function_declarations[0]': Cannot find field.",
            Repair::LegacySchemas,
        ),
        ("reference to undefined schema at top-level", Repair::LegacyReferences),
        (
            "GenerateContentRequest.tools[0].function_declarations[0].parameters.properties: should be non-empty for OBJECT type",
            Repair::LegacyRichSchemas,
        ),
        (
            "Invalid JSON payload received. Unknown name \"response_json_schema\" at 'generation_config': Cannot find field.",
            Repair::LegacySchemas,
        ),
        ("Request contains an invalid argument.", Repair::NoBounds),
        ("* Request contains an invalid argument", Repair::NoBounds),
        ("The specified schema produces a constraint that is too tall for serving.", Repair::LooseCalling),
        ("Constraint has too much branching for serving.", Repair::LooseCalling),
        ("The schema is too complex.", Repair::LooseCalling),
        ("Budget 0 is invalid. This model only works in thinking mode.", Repair::ThinkingStaysOn),
        (
            "Unable to submit request because Thinking_config.include_thoughts is only enabled when thinking is enabled.",
            Repair::ThinkingUnsaid,
        ),
        (
            "Invalid function name. Must start with a letter or an underscore. Must be alphanumeric (a-z, A-Z, 0-9), underscores (_), dots (.) or dashes (-), with a maximum length of 64.",
            Repair::ShortNames,
        ),
        (
            "The specified schema produces a constraint that has too many states for serving.",
            Repair::LooseCalling,
        ),
        ("Developer instruction is not enabled for models/gemma-3-27b-it", Repair::InlineSystem),
        ("Unknown name \"mediaResolution\" at 'contents[0].parts[0]'", Repair::NoMediaResolution),
        (
            "Please ensure that the number of function response parts is equal to the number of function call parts of the function call turn.",
            Repair::CallsAsText,
        ),
    ] {
        assert_eq!(Repair::for_message(message, Repairs::default()).next(), Some(repair), "{message}");
        let tried = Repairs::default().with(repair);
        let next = repair.is_about_schemas().then_some(Repair::SchemaInWords);
        assert_eq!(Repair::for_message(message, tried).next(), next, "{message}");
    }
    for message in [
        "API key not valid.",
        "Logprobs is not enabled for models/gemini-2.5-pro",
        "Request contains an invalid argument: it is odd.",
        "",
    ] {
        assert_eq!(Repair::for_message(message, Repairs::default()).next(), None, "{message}");
    }
}

#[test]
fn what_is_refused_is_gone_the_second_time() {
    let penalty = json!({"presence_penalty": 1, "n": 2});
    let old = "gemini-2.0-flash";
    assert_eq!(
        body(old, &penalty, &[])["generationConfig"],
        json!({"presencePenalty": 1.0, "candidateCount": 2})
    );
    assert!(
        body(old, &penalty, &[Repair::NoPenalties, Repair::OneCandidate]).get("generationConfig").is_none()
    );

    let none = json!({"reasoning_effort": "none"});
    let config = |model: &str, repairs: &[Repair]| {
        body(model, &none, repairs)["generationConfig"]["thinkingConfig"].clone()
    };
    assert_eq!(config("gemini-2.5-flash", &[Repair::ThinkingStaysOn])["thinkingBudget"], 128);
    assert_eq!(config("gemini-2.5-flash", &[Repair::ThinkingByLevel])["thinkingLevel"], "low");
    assert_eq!(config("gemini-3.5-flash", &[Repair::NoMinimalThinking])["thinkingLevel"], "low");

    let prefill =
        json!({"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "{"}]});
    let turns = |repairs: &[Repair]| {
        body("gemini-3.5-flash", &prefill, repairs)["contents"].as_array().unwrap().len()
    };
    assert_eq!((turns(&[]), turns(&[Repair::UserTurnLast])), (2, 3));

    let system = json!({"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "x"}]});
    let inline = body("gemini-3.8-flash", &system, &[Repair::InlineSystem]);
    assert_eq!(inline, json!({"contents": [{"role": "user", "parts": [{"text": "s\n\nx"}]}]}));

    let url = json!({"url": "data:image/png;base64,AAAA", "detail": "low"});
    let image = json!({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": url}]}]});
    for model in ["gemini-3.8-flash", "gemini-2.5-flash"] {
        assert!(body(model, &image, &[]).to_string().contains("MEDIA_RESOLUTION_LOW"));
        assert!(!body(model, &image, &[Repair::NoMediaResolution]).to_string().contains("ediaResolution"));
    }
}

fn history() -> Value {
    let signed = json!({"google": {"thought_signature": "EjQKMgG+PgqFzSpLIfcvqzvyN3Wx1Qk0"}});
    json!({"messages": [
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": "calling", "extra_content": signed, "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{\"k\":1}"}, "extra_content": signed},
            {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}, "extra_content": signed}]},
        {"role": "tool", "tool_call_id": "a", "content": "one"}]})
}

#[test]
fn histories_that_were_refused() {
    let stood_in = body("gemini-3.8-flash", &history(), &[Repair::StandInSignatures]);
    let parts = &stood_in["contents"][1]["parts"];
    assert!(parts[0].get("thoughtSignature").is_none());
    assert_eq!(parts[1]["thoughtSignature"], "skip_thought_signature_validator");
    assert!(parts[2].get("thoughtSignature").is_none());
    let without_ids = body("gemini-3.8-flash", &history(), &[Repair::NoCallIds]).to_string();
    assert!(!without_ids.contains("\"id\""));
    let as_text = body("gemini-3.8-flash", &history(), &[Repair::CallsAsText]);
    assert_eq!(
        as_text["contents"].as_array().unwrap()[1..],
        [
            json!({"role": "model", "parts": [
                {"text": "calling", "thoughtSignature": "EjQKMgG+PgqFzSpLIfcvqzvyN3Wx1Qk0"},
                {"text": "[tool call f] {\"k\":1}"}, {"text": "[tool call g] {}"}]}),
            json!({"role": "user", "parts": [{"text": "[tool result f] one"}]}),
        ]
    );
}

#[test]
fn schemas_that_were_refused() {
    let schema = json!({"type": "object", "properties": {"k": {"type": ["string", "null"], "enum": ["a"]}}, "additionalProperties": false});
    let tool = json!({"type": "function", "function": {"name": "f", "strict": true, "parameters": schema}});
    let format = json!({"type": "json_schema", "json_schema": {"name": "n", "schema": schema}});
    let extra = json!({"tools": [tool], "response_format": format});
    let legacy = body("gemini-3.8-flash", &extra, &[Repair::LegacySchemas]);
    let declared = &legacy["tools"][0]["functionDeclarations"][0];
    let expected =
        json!({"type": "object", "properties": {"k": {"type": "string", "enum": ["a"], "nullable": true}}});
    assert_eq!(declared, &json!({"name": "f", "parameters": expected}));
    assert!(legacy["generationConfig"].get("responseJsonSchema").is_none());
    assert_eq!(legacy["generationConfig"]["responseSchema"]["title"], "n");

    let words = body("gemini-3.8-flash", &extra, &[Repair::LegacySchemas, Repair::SchemaInWords]);
    assert_eq!(words["generationConfig"], json!({"responseMimeType": "application/json"}));
    let told = words["systemInstruction"]["parts"][0]["text"].as_str().unwrap();
    assert!(told.starts_with("Respond only with JSON matching this schema: {\"title\":\"n\""), "{told}");

    assert_eq!(
        body("gemini-3.8-flash", &extra, &[])["toolConfig"]["functionCallingConfig"]["mode"],
        "VALIDATED"
    );
    let loose = body("gemini-3.8-flash", &extra, &[Repair::LooseCalling]);
    assert!(loose.get("toolConfig").is_none());
    assert!(!loose["tools"].to_string().contains("enum"));

    let words = body("gemini-3.8-flash", &extra, &[Repair::JsonInWords]);
    assert!(words.get("generationConfig").is_none() && words["systemInstruction"].is_object());
    let search = json!({"tools": [tool, {"type": "web_search"}]});
    assert_eq!(
        body("gemini-3.8-flash", &search, &[Repair::NoBuiltins])["tools"].as_array().unwrap().len(),
        1
    );
}

#[test]
fn older_models_are_told_the_order() {
    let schema = json!({"type": "object", "properties": {"b": {"type": "string"}, "a": {"type": "string"}}});
    let extra =
        json!({"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}});
    let told = |model: &str| {
        body(model, &extra, &[])["generationConfig"]["responseJsonSchema"]["propertyOrdering"].clone()
    };
    assert_eq!(told("gemini-2.0-flash"), json!(["b", "a"]));
    assert_eq!(told("gemini-2.5-flash"), Value::Null);
}

#[test]
fn every_refusal_of_thinking_leads_to_the_next_legal_form() {
    let none = Repairs::default();
    let by_budget = none.with(Repair::ThinkingByBudget);
    for (message, tried, expected) in [
        ("Thinking budget is not supported for this model.", none, Repair::ThinkingByLevel),
        (
            "Unknown name \"thinkingBudget\" at 'generation_config.thinking_config': Cannot find field.",
            none,
            Repair::ThinkingByLevel,
        ),
        ("Thinking budget is not supported for this model.", by_budget, Repair::ThinkingUnsaid),
        ("The model does not support setting thinking_budget to 0.", none, Repair::ThinkingStaysOn),
        (
            "The thinking budget 0 is invalid. Please choose a value between 128 and 32768.",
            none,
            Repair::ThinkingStaysOn,
        ),
        (
            "The thinking budget 30720 is invalid. Please choose a value between 512 and 24576.",
            none,
            Repair::ThinkingUnsaid,
        ),
        ("Thinking level MINIMAL is not supported for this model.", none, Repair::NoMinimalThinking),
        (
            "Thinking level MEDIUM is not supported for this model. Please retry with other thinking level.",
            none,
            Repair::NoMediumThinking,
        ),
        ("thinking_level MEDIUM is not supported by this model.", none, Repair::NoMediumThinking),
        (
            "Invalid value at 'generation_config.thinking_config.thinking_level' (TYPE_ENUM), \"xhigh\"",
            none,
            Repair::NoXHighThinking,
        ),
        ("Thinking level is not supported for this model.", none, Repair::ThinkingByBudget),
        (
            "Unknown name \"thinkingLevel\" at 'generation_config.thinking_config': Cannot find field.",
            none,
            Repair::ThinkingByBudget,
        ),
        ("Thinking is not enabled for models/gemini-robotics-er-2", none, Repair::ThinkingUnsaid),
        ("This model does not support thinking.", none, Repair::ThinkingUnsaid),
        (
            "Unknown name \"thinkingConfig\" at 'generation_config': Cannot find field.",
            none,
            Repair::ThinkingUnsaid,
        ),
        ("XHIGH is not a supported thinking level for this model.", none, Repair::NoXHighThinking),
        ("Unknown thinking level 'xhigh'.", none, Repair::NoXHighThinking),
        (
            "Invalid thinking level: xhigh. Supported values are: low, medium, high.",
            none,
            Repair::NoXHighThinking,
        ),
        (
            "Thinking budget is not supported for this model. Please use thinking_level (low, medium, high) instead.",
            none,
            Repair::ThinkingByLevel,
        ),
        (
            "Thinking level is not supported for this model. Please use thinking_budget instead.",
            none,
            Repair::ThinkingByBudget,
        ),
        // Those that are left out of what is taken may be meant: the first that changes the request is.
        (
            "The thinking level is invalid. It must be one of low, medium, high.",
            none,
            Repair::NoXHighThinking,
        ),
    ] {
        assert_eq!(Repair::for_message(message, tried).next(), Some(expected), "{message}");
        assert!(expected.is_about_model(), "{message}");
    }
    let listed = "The thinking level is invalid. It must be one of low, high.";
    let steps: Vec<Repair> = Repair::for_message(listed, none).collect();
    let levels = [Repair::NoXHighThinking, Repair::NoMediumThinking, Repair::NoMinimalThinking];
    assert_eq!(steps, [&levels[..], &[Repair::ThinkingByBudget]].concat());
    assert_eq!(Repair::for_message("You asked about a thinking level.", none).next(), None);
}

#[test]
fn thinking_is_told_in_the_form_that_is_left() {
    let config = |model: &str, effort: &str, repairs: &[Repair]| {
        body(model, &json!({"reasoning_effort": effort}), repairs)["generationConfig"]["thinkingConfig"]
            .clone()
    };
    let level = |effort: &str, repairs: &[Repair]| {
        config("gemini-robotics-er-1.5-preview", effort, repairs)["thinkingLevel"].clone()
    };
    assert_eq!(level("medium", &[]), "medium");
    assert_eq!(level("medium", &[Repair::NoMediumThinking]), "high");
    assert_eq!(level("medium", &[Repair::NoMediumThinking, Repair::NoHighThinking]), "low");
    assert_eq!(level("low", &[Repair::NoLowThinking]), "medium");
    let budget = config("gemini-robotics-er-1.5-preview", "medium", &[Repair::ThinkingByBudget]);
    assert_eq!(budget, json!({"thinkingBudget": 8192, "includeThoughts": true}));
    let none_left = [Repair::NoLowThinking, Repair::NoMediumThinking, Repair::NoHighThinking];
    assert_eq!(config("gemini-4-argon", "high", &none_left)["thinkingBudget"], 24_576);
    assert_eq!(config("gemini-4-hydrogen", "max", &[Repair::NoXHighThinking])["thinkingLevel"], "high");
    assert_eq!(config("gemini-4-argon", "high", &[Repair::ThinkingUnsaid]), Value::Null);
    // What is told last holds.
    let back = [Repair::ThinkingByLevel, Repair::ThinkingByBudget];
    assert_eq!(config("gemini-2.5-flash", "low", &back)["thinkingBudget"], 1024);
}

#[test]
fn a_name_that_another_generation_answers_is_translated_for_that_one() {
    let old = Capabilities::of_name("gemini-2.5-pro");
    let new = Capabilities::of_name("gemini-3.8-flash");
    for repair in [Repair::ThinkingByLevel, Repair::UserTurnLast, Repair::StandInSignatures] {
        assert_eq!(repair.widened(&old, &old), Repair::NewerGeneration, "{repair:?}");
        assert_eq!(repair.widened(&new, &new), repair, "{repair:?}");
    }
    for repair in [Repair::ThinkingByBudget, Repair::NoCallIds] {
        assert_eq!(repair.widened(&new, &old), Repair::OwnFamily, "{repair:?}");
        assert_eq!(repair.widened(&new, &new), repair, "{repair:?}");
    }
    // A name that was answered by an older model, and is no more.
    for row in ["gemini-2.5-pro", "gemini-3.5-flash"].map(Capabilities::of_name) {
        assert_eq!(Repair::UserTurnLast.widened(&row, &new), Repair::OwnFamily);
        assert_eq!(Repair::InlineSystem.widened(&row, &new), Repair::InlineSystem);
    }
    let minimal = Repair::NoMinimalThinking;
    assert_eq!(minimal.widened(&Capabilities::of_name("gemini-3.6-flash"), &new), Repair::OwnFamily);
    assert_eq!(minimal.widened(&new, &Capabilities::of_name("gemini-3.5-flash")), minimal);
    let mut request = history();
    request
        .as_object_mut()
        .unwrap()
        .extend(json!({"reasoning_effort": "minimal", "temperature": 0.5}).as_object().unwrap().clone());
    let newer = body("gemini-2.5-pro", &request, &[Repair::NewerGeneration]);
    assert_eq!(
        newer["generationConfig"],
        json!({"thinkingConfig": {"thinkingLevel": "low", "includeThoughts": true}})
    );
    assert_eq!(newer["contents"][1]["parts"][1]["functionCall"]["id"], "a");
    let both = Repairs::default().with(Repair::NewerGeneration).with(Repair::OwnFamily);
    assert_eq!(both, Repairs::default().with(Repair::OwnFamily), "each takes the other back");
}

#[test]
fn two_texts_tell_about_signatures() {
    for (message, is_wrong) in [
        ("Function call is missing a thought_signature in functionCall parts.", false),
        ("Unable to process: function call `f` missing `thought_signature`.", false),
        ("Corrupted thought signature.", true),
        ("Invalid thought signature.", true),
        ("Thought signature is not valid", true),
        ("Base64 decoding failed: thoughtSignature is invalid", true),
    ] {
        let repairs: Vec<Repair> = Repair::for_message(message, Repairs::default()).collect();
        assert_eq!(repairs, [Repair::StandInSignatures], "{message}");
        assert_eq!(Repair::is_about_wrong_signatures(message), is_wrong, "{message}");
    }
    assert!(!Repair::is_about_wrong_signatures("Invalid API key"));
}
