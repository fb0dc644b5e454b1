//! Allowlists of values that Gemini quotes in its errors: enum values, resource names and settings of its
//! own tools.
//!
//! Errors decide about keys, so a client's value is sent only if it is known or cannot be a sentence.
//! Prompts, descriptions, property names and values of a schema's `enum` are content and sent unchanged.

use std::borrow::Cow;

use serde_json::Value;
use serde_json::value::RawValue;

use crate::error::ApiError;

/// Longer than any name of a resource, and short enough for an error.
const MAX_WORD_BYTES: usize = 512;
/// Longer than any continuation token that was seen.
const MAX_TOKEN_BYTES: usize = 256 * 1024;

/// `generationConfig.responseModalities`
const MODALITIES: &[&str] = &["TEXT", "IMAGE", "AUDIO", "VIDEO"];
/// `generationConfig.mediaResolution`, without its prefix.
const RESOLUTIONS: &[&str] = &["UNSPECIFIED", "LOW", "MEDIUM", "HIGH", "ULTRA_HIGH"];
const RESOLUTION_PREFIX: &str = "MEDIA_RESOLUTION_";
/// `taskType` of embeddings.
const TASK_TYPES: &[&str] = &[
    "TASK_TYPE_UNSPECIFIED",
    "RETRIEVAL_QUERY",
    "RETRIEVAL_DOCUMENT",
    "SEMANTIC_SIMILARITY",
    "CLASSIFICATION",
    "CLUSTERING",
    "QUESTION_ANSWERING",
    "FACT_VERIFICATION",
    "CODE_RETRIEVAL_QUERY",
];
/// `threshold` of a safety setting.
const THRESHOLDS: &[&str] = &[
    "HARM_BLOCK_THRESHOLD_UNSPECIFIED",
    "BLOCK_LOW_AND_ABOVE",
    "BLOCK_MEDIUM_AND_ABOVE",
    "BLOCK_ONLY_HIGH",
    "BLOCK_NONE",
    "OFF",
];

/// Returns `true` if a text is visible ASCII without quotes: no blanks, so no sentence.
pub(crate) fn is_word(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_WORD_BYTES && text.bytes().all(is_word_byte)
}

fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\'' | b'`' | b'\\' | b'<' | b'>')
}

/// Returns `true` if a text has the form of a URI that is sent as it is.
pub(crate) fn is_uri(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_word_byte)
}

fn invalid(param: &str, expected: &str) -> ApiError {
    ApiError::invalid_value(param, format!("Invalid value for '{param}': expected {expected}."))
}

/// Returns the value of a table that a text names, in any case.
fn known(param: &str, text: &str, table: &[&'static str]) -> Result<&'static str, ApiError> {
    let text = text.trim();
    let found = table.iter().find(|value| value.eq_ignore_ascii_case(text));
    found.copied().ok_or_else(|| invalid(param, &format!("one of {}", table.join(", "))))
}

/// Returns a modality of the response.
pub(crate) fn modality(param: &str, text: &str) -> Result<&'static str, ApiError> {
    known(param, text, MODALITIES)
}

/// Returns what an embedding is for.
pub(crate) fn task_type(param: &str, text: &str) -> Result<&'static str, ApiError> {
    known(param, text, TASK_TYPES)
}

/// Returns a resolution of media, with or without its prefix.
pub(crate) fn media_resolution(param: &str, text: &str) -> Result<String, ApiError> {
    let text = text.trim();
    let prefix = text.get(..RESOLUTION_PREFIX.len());
    let bare = prefix.filter(|prefix| prefix.eq_ignore_ascii_case(RESOLUTION_PREFIX));
    let bare = bare.and_then(|_| text.get(RESOLUTION_PREFIX.len()..)).unwrap_or(text);
    known(param, bare, RESOLUTIONS).map(|level| format!("{RESOLUTION_PREFIX}{level}"))
}

/// Returns the shape of an image: `16:9`. `auto` leaves it to the model.
pub(crate) fn aspect_ratio<'r>(param: &str, text: &'r str) -> Result<Option<&'r str>, ApiError> {
    let is_side = |side: &str| matches!(side.len(), 1..=5) && side.bytes().all(|byte| byte.is_ascii_digit());
    match text.split_once(':') {
        Some((width, height)) if is_side(width) && is_side(height) => Ok(Some(text)),
        None if text.eq_ignore_ascii_case("auto") => Ok(None),
        _ => Err(invalid(param, "a ratio such as 16:9")),
    }
}

/// Returns the size of an image: `2K`, `512`. `auto` leaves it to the model.
pub(crate) fn image_size<'r>(param: &str, text: &'r str) -> Result<Option<&'r str>, ApiError> {
    let is_size = text.starts_with(|first: char| first.is_ascii_digit())
        && text.len() <= 12
        && text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'x' | b'K' | b'k' | b'p'));
    match text {
        _ if is_size => Ok(Some(text)),
        _ if text.eq_ignore_ascii_case("auto") => Ok(None),
        _ => Err(invalid(param, "a size such as 1K, 2K or 4K")),
    }
}

/// Returns the name of a voice: one word of letters and digits. Google adds voices, so there is no table of them.
pub(crate) fn voice<'r>(param: &str, text: &'r str) -> Result<&'r str, ApiError> {
    let is_name = matches!(text.len(), 1..=64)
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if is_name { Ok(text) } else { Err(invalid(param, "the name of a voice")) }
}

/// Returns the name of a resource: `cachedContents/abc`.
pub(crate) fn resource<'r>(param: &str, text: &'r str) -> Result<&'r str, ApiError> {
    let is_name = text.len() <= MAX_WORD_BYTES
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'_' | b'.'));
    if is_name && text.contains('/') {
        Ok(text)
    } else {
        Err(invalid(param, "the name of a resource such as cachedContents/abc"))
    }
}

/// Returns a token of Gemini's, which only Gemini reads.
pub(crate) fn token<'r>(param: &str, text: &'r str) -> Result<&'r str, ApiError> {
    if text.len() <= MAX_TOKEN_BYTES && text.bytes().all(is_word_byte) {
        Ok(text)
    } else {
        Err(invalid(param, "a token as Gemini has made it"))
    }
}

/// Returns the id of a call as Gemini gets it: itself, or what means it. One id always becomes the same one.
pub(crate) fn call_id(id: &str) -> Cow<'_, str> {
    if is_word(id) { Cow::Borrowed(id) } else { Cow::Owned(format!("call_{:016x}", fnv1a(id))) }
}

fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// Settings in Gemini's own words that go upstream as the client wrote them: every name and text in them is a word,
/// except where content belongs.
pub(crate) fn settings<'r>(param: &str, raw: &'r RawValue) -> Result<&'r RawValue, ApiError> {
    let value = serde_json::from_str(raw.get()).map_err(|_| invalid(param, "JSON as Gemini has it"))?;
    if are_settings(&value) {
        Ok(raw)
    } else {
        Err(invalid(param, "settings as Gemini has them, whose values are single words"))
    }
}

/// `safetySettings`: a list of categories with their thresholds.
pub(crate) fn safety<'r>(param: &str, raw: &'r RawValue) -> Result<&'r RawValue, ApiError> {
    let is_category = |text: &str| {
        text.starts_with("HARM_CATEGORY_")
            && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
    };
    let is_setting = |setting: &Value| {
        let text = |name: &str| setting.get(name).and_then(Value::as_str);
        text("category").is_some_and(is_category)
            && text("threshold").is_some_and(|threshold| THRESHOLDS.contains(&threshold))
    };
    let value: Option<Value> = serde_json::from_str(raw.get()).ok();
    let are_known = value.as_ref().is_some_and(|value| match value {
        Value::Array(list) => list.iter().all(is_setting) && are_settings(value),
        _ => value.is_null(),
    });
    if are_known {
        Ok(raw)
    } else {
        Err(invalid(param, "a list of Gemini's categories, each with its threshold"))
    }
}

fn are_settings(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => true,
        Value::String(text) => text.is_empty() || is_word(text),
        Value::Array(items) => items.iter().all(are_settings),
        Value::Object(members) => {
            members.iter().all(|(name, value)| is_word(name) && is_setting(name, value))
        }
    }
}

fn is_setting(name: &str, value: &Value) -> bool {
    match name {
        // What people write for the model or for Gemini's search, and what is part of a request to another server.
        "description" | "metadataFilter" | "metadata_filter" | "headers" => true,
        // As the prompt has it: `Speaker 1`.
        "speaker" => value.as_str().is_some_and(|name| {
            name.len() <= 64 && name.split(' ').count() <= 2 && name.split(' ').all(is_word)
        }),
        "parameters"
        | "parametersJsonSchema"
        | "parameters_json_schema"
        | "response"
        | "responseJsonSchema"
        | "response_json_schema" => is_schema(value),
        _ => are_settings(value),
    }
}

/// Returns `true` if what a schema says in enum words is words. Its names and values are content.
fn is_schema(value: &Value) -> bool {
    let Value::Object(members) = value else { return true };
    members.iter().all(|(name, value)| match (name.as_str(), value) {
        ("type" | "format" | "contentEncoding" | "contentMediaType", value) => are_settings(value),
        (
            "properties" | "$defs" | "definitions" | "patternProperties" | "dependentSchemas",
            Value::Object(named),
        ) => named.values().all(is_schema),
        ("anyOf" | "oneOf" | "allOf" | "prefixItems" | "items", Value::Array(schemas)) => {
            schemas.iter().all(is_schema)
        }
        ("enum" | "default" | "example" | "examples" | "const", _) => true,
        (_, value @ Value::Object(_)) => is_schema(value),
        _ => true,
    })
}

#[cfg(test)]
mod tests;
