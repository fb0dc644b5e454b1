//! The thought signature of a call in the history: every place where clients send it back.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::calls::{Call, CallArgs};
use crate::json::Text;
use crate::request::signatures::{SignatureCache, in_extra, is_plausible};

/// Returns the signature of a call: as the client sent it back, else from the cache.
pub(crate) fn of_call<'r>(call: &Call<'r>, cache: Option<&dyn SignatureCache>) -> Option<Cow<'r, str>> {
    let source = call.source;
    let in_function = match call.args {
        CallArgs::Function(function) => function.thought_signature,
        CallArgs::Custom(_) | CallArgs::Raw(_) => None,
    };
    in_extra(source.and_then(|source| source.extra_content))
        .or_else(|| in_extra(source.and_then(|source| source.provider_specific_fields)))
        .or_else(|| string(source.and_then(|source| source.thought_signature)))
        .or_else(|| string(in_function))
        .or_else(|| call.id_signature.map(Cow::Borrowed).filter(|signature| is_plausible(signature)))
        .or_else(|| cache?.signature(call.id?, call.name).map(Cow::Owned))
}

fn string(raw: Option<&RawValue>) -> Option<Cow<'_, str>> {
    let text: Text = serde_json::from_str(raw?.get()).ok()?;
    Some(text.0).filter(|text| is_plausible(text))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::gemini::ModelId;
    use crate::openai::ChatRequest;
    use crate::request::signatures::{OTHER_STAND_IN, STAND_IN};
    use crate::{TranslateOptions, to_gemini};

    const REAL: &str = "EjQKMgG+PgqFzSpLIfcvqzvyN3Wx1Qk0";

    #[derive(Debug)]
    struct Cache;

    impl SignatureCache for Cache {
        fn signature(&self, call_id: &str, function: &str) -> Option<String> {
            (call_id == "known" && function == "f").then(|| REAL.to_owned())
        }
    }

    fn sent(model: &str, call: &Value) -> Value {
        let mut full = json!({"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}});
        full.as_object_mut().unwrap().extend(call.as_object().unwrap().clone());
        let messages = json!([{"role": "user", "content": "x"}, {"role": "assistant", "tool_calls": [full]}]);
        let body = json!({"model": model, "messages": messages}).to_string();
        let options = TranslateOptions { signatures: Some(&Cache), ..TranslateOptions::default() };
        let request = ChatRequest::parse(body.as_bytes()).unwrap();
        let call = to_gemini(&request, &ModelId::parse(model).unwrap(), &options).unwrap();
        let body: Value = serde_json::from_slice(&call.body).unwrap();
        body["contents"][1]["parts"][0]["thoughtSignature"].clone()
    }

    #[test]
    fn every_place_in_its_order() {
        for call in [
            json!({"extra_content": {"google": {"thought_signature": REAL}}}),
            json!({"extra_content": {"vertex": {"thoughtSignature": REAL}}}),
            json!({"provider_specific_fields": {"thought_signature": REAL}}),
            json!({"thought_signature": REAL}),
            json!({"thoughtSignature": REAL}),
            json!({"function": {"name": "f", "thought_signature": REAL}}),
            json!({"id": format!("a__thought__{REAL}")}),
            json!({"id": "known"}),
            json!({"id": format!("known__thought__{STAND_IN}"), "extra_content": {"google": {"thought_signature": REAL}}}),
        ] {
            assert_eq!(sent("gemini-3.8-flash", &call), REAL, "{call}");
            assert_eq!(sent("gemini-2.5-flash", &call), REAL, "{call}");
            assert_eq!(sent("gemini-2.0-flash", &call), Value::Null, "{call}");
        }
    }

    #[test]
    fn what_is_no_signature_is_replaced() {
        for call in [
            json!({}),
            json!({"extra_content": {"google": {"thought_signature": "short"}}}),
            json!({"extra_content": {"google": {"thought_signature": "not base64 at all, really!"}}}),
            json!({"extra_content": "odd", "provider_specific_fields": 5, "thought_signature": {}}),
        ] {
            assert_eq!(sent("gemini-3.8-flash", &call), STAND_IN, "{call}");
            assert_eq!(sent("gemini-2.5-flash", &call), Value::Null, "{call}");
        }
        let other = json!({"thought_signature": OTHER_STAND_IN});
        assert_eq!(sent("gemini-3.8-flash", &other), OTHER_STAND_IN);
    }
}
