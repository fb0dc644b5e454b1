//! Thought signatures: the opaque proof, made by newer models, that a call or a text is their own.
//!
//! In: wherever clients keep them. Out: the signature for a part, or nothing. A signature must stay on the part it came
//! with, and what is none must not be sent as one.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::calls::{Call, CallArgs};
use crate::json::Text;

/// What Google accepts in place of a signature that is lost.
pub(super) const STAND_IN: &str = "skip_thought_signature_validator";
/// Another of those, which some clients send.
const OTHER_STAND_IN: &str = "context_engineering_is_the_way_to_go";
/// Real ones are much longer.
const SHORTEST: usize = 16;

/// Remembers the signatures of calls, for clients that drop what they do not know.
pub trait SignatureCache: fmt::Debug {
    /// The signature that came with the call of this id to this function.
    fn signature(&self, call_id: &str, function: &str) -> Option<String>;
}

/// A signature that came with a call, to be remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallSignature {
    /// The call's id, as the client has got it.
    pub call_id: String,
    /// The function, as the client calls it.
    pub function: String,
    /// The signature.
    pub signature: String,
}

/// The signature of a call: as the client sends it back, or as it was remembered.
pub(super) fn of_call<'r>(call: &Call<'r>, cache: Option<&dyn SignatureCache>) -> Option<Cow<'r, str>> {
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

/// The signature in a vendor's `extra_content`.
pub(super) fn in_extra(extra: Option<&RawValue>) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Signed<'a> {
        #[serde(borrow, alias = "thoughtSignature")]
        thought_signature: Option<Text<'a>>,
    }
    #[derive(Deserialize)]
    struct Extra<'a> {
        #[serde(borrow)]
        google: Option<Signed<'a>>,
        #[serde(borrow)]
        vertex: Option<Signed<'a>>,
        #[serde(borrow, alias = "thoughtSignature")]
        thought_signature: Option<Text<'a>>,
    }
    // A vendor's extra of another shape is none of our business.
    let extra: Extra = serde_json::from_str(extra?.get()).ok()?;
    [extra.google, extra.vertex]
        .into_iter()
        .flatten()
        .filter_map(|signed| signed.thought_signature)
        .chain(extra.thought_signature)
        .map(|text| text.0)
        .find(|text| is_plausible(text))
}

fn string(raw: Option<&RawValue>) -> Option<Cow<'_, str>> {
    let text: Text = serde_json::from_str(raw?.get()).ok()?;
    Some(text.0).filter(|text| is_plausible(text))
}

fn is_plausible(signature: &str) -> bool {
    let base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_' | b'=');
    matches!(signature, STAND_IN | OTHER_STAND_IN)
        || (signature.len() >= SHORTEST && signature.bytes().all(base64))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::gemini::ModelId;
    use crate::openai::ChatRequest;
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
