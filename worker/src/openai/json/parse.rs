//! Whole documents, and values that stand in them.
//!
//! In: bytes. Out: what they say, or which field is at fault, in OpenAI's words. Nothing here may show a caller serde's
//! words or places.

use std::borrow::Cow;

use serde::de::{self, Deserialize};
use serde_json::value::RawValue;
use simdutf8::basic::from_utf8;

use super::locate;
use crate::json_text;
use crate::limits;
use crate::openai::ApiError;

/// What some programs write at the beginning of a text.
pub const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads a JSON document, which is UTF-8 (RFC 8259, section 8.1). In a text whose characters are checked already, serde
/// does not check each string again.
///
/// # Errors
/// As [`serde_json::from_str`]; bytes that are no text are no JSON. All that reads large types reads text: for bytes,
/// serde's code for each of them would stand in the Worker a second time.
pub fn read<'a, T: Deserialize<'a>>(document: &'a [u8]) -> serde_json::Result<T> {
    let document = document.strip_prefix(BYTE_ORDER_MARK).unwrap_or(document);
    from_utf8(document).map_err(|_| de::Error::custom("not UTF-8")).and_then(serde_json::from_str)
}

/// What stands in an error's text before the address of the byte where a value went wrong that was read on its own:
/// serde knows no place but its own. It writes no such character, and escapes those of a value.
const ADDRESS: char = '\0';

/// Reads a value that stands in the document of [`parse`].
pub(in crate::openai) fn read_inside<'a, T: Deserialize<'a>, E: de::Error>(
    value: &'a RawValue,
) -> Result<T, E> {
    let value = value.get();
    serde_json::from_str(value).map_err(|error| {
        let detail = error.to_string();
        let address = value.as_ptr().addr() + offset_of(value.as_bytes(), &error);
        // A value inside this one has told its own.
        if detail.contains(ADDRESS) {
            E::custom(without_place(&detail))
        } else {
            E::custom(format_args!("{}{ADDRESS}{address}", without_place(&detail)))
        }
    })
}

fn offset_of(document: &[u8], error: &serde_json::Error) -> usize {
    locate::offset_of(document, error.line(), error.column())
}

/// What serde says, without the place that it adds.
fn without_place(detail: &str) -> &str {
    detail.rsplit_once(" at line ").map_or(detail, |(detail, _)| detail)
}

/// A request body without half surrogate pairs: JavaScript sends them, and as names of members or in what is passed on as
/// it came they would fail the request here or at Gemini.
#[must_use]
pub fn well_formed(body: &[u8]) -> Cow<'_, [u8]> {
    json_text::well_formed(body)
}

/// Reads a request body.
///
/// # Errors
/// 400 `json_too_deep`; 400 `request_too_large`; 400 without a code when the body is no JSON; 400 `invalid_type` or `missing_required_parameter`, with the path of the
/// field as `param`, when it has the wrong shape.
pub fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, ApiError> {
    // Some clients of Windows begin with it; RFC 8259, section 8.1, lets a reader ignore it.
    let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
    if limits::is_too_deep(body) {
        let message = format!("The JSON body is nested more than {} levels deep.", limits::JSON_DEPTH);
        return Err(ApiError::invalid(None, "json_too_deep", message));
    }
    if limits::has_too_many(body) {
        let message = format!(
            "The request is too large: it has more than {} parts, tools, properties and other list elements together, \
             or more than {} members.",
            limits::ELEMENTS,
            limits::MEMBERS
        );
        return Err(ApiError::invalid(None, "request_too_large", message));
    }
    let text = from_utf8(body).map_err(|_| ApiError::invalid_json())?;
    match serde_json::from_str(text) {
        Ok(value) => Ok(value),
        Err(error) if error.is_data() => {
            let text = error.to_string();
            let detail = without_place(&text);
            let (detail, address) = detail.split_once(ADDRESS).unwrap_or((detail, ""));
            let inside = address.parse::<usize>().ok().and_then(|at| at.checked_sub(body.as_ptr().addr()));
            let offset = inside.unwrap_or_else(|| offset_of(body, &error));
            Err(describe(&locate::path_at(body, offset), detail))
        }
        Err(_) => Err(ApiError::invalid_json()),
    }
}

/// Puts serde's words ("invalid type: string \"hot\", expected a decimal at line 1 column 9") into OpenAI's.
fn describe(path: &str, detail: &str) -> ApiError {
    let param = (!path.is_empty()).then_some(path);
    if let Some(name) = detail.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`')) {
        let name = param.map_or_else(|| name.to_owned(), |path| format!("{path}.{name}"));
        return ApiError::missing(&name);
    }
    let shown = param.unwrap_or("body");
    let message = match (detail.strip_prefix("invalid type: "), detail.rsplit_once(", expected ")) {
        (Some(found), Some((_, expected))) => {
            let (expected, found) = (plain(expected), plain(found));
            format!("Invalid type for '{shown}': expected {expected}, but got {found} instead.")
        }
        _ => format!("Invalid value for '{shown}'."),
    };
    ApiError::invalid(param, "invalid_type", message)
}

/// The kind of thing that serde names, without its value, in the words that OpenAI uses.
fn plain(serde: &str) -> &str {
    const WORDS: [(&str, &str); 11] = [
        ("string", "a string"),
        ("integer", "an integer"),
        ("floating point", "a decimal"),
        ("boolean", "a boolean"),
        ("a boolean", "a boolean"),
        ("a sequence", "an array"),
        ("sequence", "an array"),
        ("map", "an object"),
        ("struct", "an object"),
        ("null", "null"),
        ("unit", "null"),
    ];
    WORDS.iter().find(|(word, _)| serde.starts_with(word)).map_or(serde, |(_, plain)| plain)
}
