//! Texts that should be JSON: arguments of calls and results of tools, as JSON objects for Gemini.
//!
//! # Invariants
//! - Numbers and the order of members are preserved.
//! - A malformed text does not fail the conversation.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::json::Text;
use crate::json::escape;
use crate::request::schema::WRAPPER;

/// Returns the arguments of a call as an object, whatever they are.
pub(crate) fn arguments(raw: Option<&RawValue>) -> Cow<'_, RawValue> {
    read_arguments(raw, false)
}

/// Returns the arguments of a call of a function whose arguments are no object: under the wrapper, whatever they are.
pub(crate) fn wrapped_arguments(raw: Option<&RawValue>) -> Cow<'_, RawValue> {
    read_arguments(raw, true)
}

fn read_arguments(raw: Option<&RawValue>, wrapped: bool) -> Cow<'_, RawValue> {
    let Some(raw) = raw else { return empty_object() };
    // Some clients send the object itself instead of its text.
    let text = if raw.get().starts_with('"') {
        serde_json::from_str::<Text>(raw.get()).unwrap_or_default().0
    } else {
        Cow::Borrowed(raw.get())
    };
    let trimmed = text.trim();
    // `null` itself says nothing; as a text it may be the value that was declared.
    let says_null = trimmed == "null" && !(wrapped && raw.get().starts_with('"'));
    if trimmed.is_empty() || says_null {
        return empty_object();
    }
    let is_object = trimmed.starts_with('{');
    match raw_json(text) {
        Ok(json) if is_object && !wrapped => json,
        Ok(json) => wrap(WRAPPER, json.get().trim()),
        Err(text) => wrap("_raw", &quoted(&text)),
    }
}

/// Returns a tool's text as the object that Gemini requires: itself if it is one, and otherwise under `output`.
pub(crate) fn response(text: Cow<'_, str>) -> Cow<'_, RawValue> {
    let first = text.trim_start().as_bytes().first().copied();
    if !matches!(first, Some(b'{' | b'[')) {
        return wrap("output", &quoted(&text));
    }
    if serde_json::from_str::<Lossless>(&escape::well_formed_text(&text)).is_err() {
        return wrap("output", &quoted(&text));
    }
    match raw_json(text) {
        Ok(json) if first == Some(b'{') => json,
        Ok(json) => wrap("output", json.get()),
        Err(text) => wrap("output", &quoted(&text)),
    }
}

/// Returns what replaces a result that the client has not given.
pub(crate) fn no_response() -> Cow<'static, RawValue> {
    raw_json(Cow::Borrowed(r#"{"output":"","error":"no result provided"}"#))
        .unwrap_or_else(|_| empty_object())
}

/// `{}`
pub(crate) fn empty_object() -> Cow<'static, RawValue> {
    // `{}` is JSON; `null` is what there is without a parser.
    Cow::Borrowed(serde_json::from_str("{}").unwrap_or(RawValue::NULL))
}

/// `{"input": text}`, for tools of free text.
pub(crate) fn custom_input(text: &str) -> Cow<'static, RawValue> {
    wrap("input", &quoted(text))
}

/// Returns the text as JSON, borrowed or moved; or the text again.
fn raw_json(text: Cow<'_, str>) -> Result<Cow<'_, RawValue>, Cow<'_, str>> {
    match well_formed(text) {
        Cow::Borrowed(text) => {
            serde_json::from_str::<&RawValue>(text).map(Cow::Borrowed).map_err(|_| Cow::Borrowed(text))
        }
        Cow::Owned(text) => {
            let valid = serde_json::from_str::<&RawValue>(&text).is_ok();
            if !valid {
                return Err(Cow::Owned(text));
            }
            RawValue::from_string(text).map(Cow::Owned).map_err(|_| Cow::Owned(String::new()))
        }
    }
}

/// Returns the text without half surrogate pairs among its escapes, which are JSON in a way that Gemini does not read.
fn well_formed(text: Cow<'_, str>) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => escape::well_formed_text(text),
        Cow::Owned(text) => match escape::well_formed_text(&text) {
            Cow::Owned(text) => Cow::Owned(text),
            Cow::Borrowed(_) => Cow::Owned(text),
        },
    }
}

fn wrap(key: &str, json: &str) -> Cow<'static, RawValue> {
    RawValue::from_string(format!("{{\"{key}\":{json}}}")).map_or_else(|_| empty_object(), Cow::Owned)
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_else(|_| "\"\"".to_owned())
}

/// JSON that Gemini's `Struct` holds without loss and without reading a meaning into it: no integer beyond 2^53, no key
/// twice in one object, and no `$ref`, which Gemini takes for a pointer into the message's parts.
struct Lossless;

const LARGEST_INTEGER: u64 = 1 << 53;

impl<'de> Deserialize<'de> for Lossless {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct LosslessVisitor;

        impl<'de> Visitor<'de> for LosslessVisitor {
            type Value = Lossless;

            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("JSON without loss")
            }

            fn visit_unit<E: de::Error>(self) -> Result<Lossless, E> {
                Ok(Lossless)
            }

            fn visit_bool<E: de::Error>(self, _: bool) -> Result<Lossless, E> {
                Ok(Lossless)
            }

            fn visit_str<E: de::Error>(self, _: &str) -> Result<Lossless, E> {
                Ok(Lossless)
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Lossless, E> {
                self.visit_u64(value.unsigned_abs())
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Lossless, E> {
                if value <= LARGEST_INTEGER { Ok(Lossless) } else { Err(E::custom("an integer beyond 2^53")) }
            }

            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Lossless, E> {
                // What is so large was an integer too long for 64 bits, or cannot be told from one.
                #[allow(clippy::cast_precision_loss)]
                if value.abs() <= LARGEST_INTEGER as f64 {
                    Ok(Lossless)
                } else {
                    Err(E::custom("a large number"))
                }
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Lossless, A::Error> {
                while items.next_element::<Lossless>()?.is_some() {}
                Ok(Lossless)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Lossless, A::Error> {
                let mut seen = HashSet::new();
                while let Some(key) = members.next_key::<Text<'de>>()? {
                    if &*key == "$ref" {
                        return Err(de::Error::custom("a reference"));
                    }
                    if !seen.insert(key.0) {
                        return Err(de::Error::custom("a key that stands twice"));
                    }
                    members.next_value::<Lossless>()?;
                }
                Ok(Lossless)
            }
        }

        deserializer.deserialize_any(LosslessVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_keep_their_text() {
        for (text, expected) in [
            (
                r#""{\"b\": 1.0, \"a\":[true,null], \"n\":12345678901234567890}""#,
                r#"{"b": 1.0, "a":[true,null], "n":12345678901234567890}"#,
            ),
            (r#"{"already":"json"}"#, r#"{"already":"json"}"#),
            (r#""""#, "{}"),
            (r#"" null ""#, "{}"),
            ("null", "{}"),
            (r#""[1]""#, r#"{"value":[1]}"#),
            (r#""{\"a\":\"cut \\ud83d\"}""#, r#"{"a":"cut \ufffd"}"#),
            (r#"{"a":"cut \ud83d"}"#, r#"{"a":"cut \ufffd"}"#),
            (r#""{\"cut\":""#, r#"{"_raw":"{\"cut\":"}"#),
            (r#""{\"two\":1} 2""#, r#"{"_raw":"{\"two\":1} 2"}"#),
        ] {
            let raw: &RawValue = serde_json::from_str(text).unwrap();
            assert_eq!(arguments(Some(raw)).get(), expected, "{text}");
        }
        assert_eq!(arguments(None).get(), "{}");
    }

    #[test]
    fn results_are_objects_only_without_loss() {
        for (text, expected) in [
            ("rainy", r#"{"output":"rainy"}"#),
            (r#"{"temp_c": 21}"#, r#"{"temp_c": 21}"#),
            (r#"{"id": 12345678901234567890}"#, r#"{"output":"{\"id\": 12345678901234567890}"}"#),
            (r#"{"id":123456789012345678901234}"#, r#"{"output":"{\"id\":123456789012345678901234}"}"#),
            (r#"{"id":9007199254740993}"#, r#"{"output":"{\"id\":9007199254740993}"}"#),
            (r#"{"a":{"$ref":"x"}}"#, r#"{"output":"{\"a\":{\"$ref\":\"x\"}}"}"#),
            (r#"{"a":1,"a":2}"#, r#"{"output":"{\"a\":1,\"a\":2}"}"#),
            ("[1, 2]", r#"{"output":[1, 2]}"#),
            (r#"{"\udc00":"cut \ud83d"}"#, r#"{"\ufffd":"cut \ufffd"}"#),
            (r#"{"cut":"#, r#"{"output":"{\"cut\":"}"#),
            ("", r#"{"output":""}"#),
            ("12", r#"{"output":"12"}"#),
        ] {
            assert_eq!(response(Cow::Borrowed(text)).get(), expected, "{text}");
            assert_eq!(response(Cow::Owned(text.to_owned())).get(), expected, "{text}");
        }
        let deep = "[".repeat(200) + &"]".repeat(200);
        assert!(response(Cow::Borrowed(&deep)).get().starts_with(r#"{"output":"[["#));
        assert_eq!(no_response().get(), r#"{"output":"","error":"no result provided"}"#);
    }
}
