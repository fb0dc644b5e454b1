//! Parsing of whole documents and of raw values inside them, with the path of the field at fault.
//!
//! # Invariants
//! - No text of serde's and no position in the document reaches an error that a client sees.

use std::borrow::Cow;

use serde::de::{self, Deserialize};
use serde_json::value::RawValue;
use simdutf8::basic::from_utf8;

use super::bounds::{has_too_many, is_too_deep};
use super::{JsonError, escape, locate};

/// What some programs write at the beginning of a text.
pub const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads a JSON document, which is UTF-8 (RFC 8259, section 8.1). In a text whose characters are checked already, serde
/// does not check each string again.
///
/// # Errors
/// As [`serde_json::from_str`]; bytes that are no text are no JSON. All that reads large types reads text: for bytes,
/// serde's code for each of them would be in the Worker a second time.
pub fn read<'a, T: Deserialize<'a>>(document: &'a [u8]) -> serde_json::Result<T> {
    let document = document.strip_prefix(BYTE_ORDER_MARK).unwrap_or(document);
    from_utf8(document).map_err(|_| de::Error::custom("not UTF-8")).and_then(serde_json::from_str)
}

/// What is in an error's text before the address of the byte where a value went wrong that was read on its own:
/// serde knows no place but its own. It writes no such character, and escapes those of a value.
const ADDRESS: char = '\0';

/// Reads a value that is in the document of [`parse`].
pub(crate) fn read_inside<'a, T: Deserialize<'a>, E: de::Error>(value: &'a RawValue) -> Result<T, E> {
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

/// Returns what serde says, without the place that it adds.
fn without_place(detail: &str) -> &str {
    detail.rsplit_once(" at line ").map_or(detail, |(detail, _)| detail)
}

/// Returns a request body without half surrogate pairs: JavaScript sends them, and as names of members or in what is passed on as
/// it came they would fail the request here or at Gemini.
#[must_use]
pub fn well_formed(body: &[u8]) -> Cow<'_, [u8]> {
    escape::well_formed(body)
}

/// Reads a request body.
///
/// # Errors
/// [`JsonError`], with the path of the field at fault where there is one.
pub fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, JsonError> {
    // Some Windows clients begin with it; RFC 8259, section 8.1, lets a reader ignore it.
    let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
    if is_too_deep(body) {
        return Err(JsonError::TooDeep);
    }
    if has_too_many(body) {
        return Err(JsonError::TooManyValues);
    }
    let text = from_utf8(body).map_err(|_| JsonError::NotJson)?;
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
        Err(_) => Err(JsonError::NotJson),
    }
}

/// Converts serde's text ("invalid type: string \"hot\", expected a decimal at line 1 column 9").
fn describe(path: &str, detail: &str) -> JsonError {
    let path = (!path.is_empty()).then(|| path.to_owned());
    if let Some(name) = detail.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`')) {
        return JsonError::Missing(path.map_or_else(|| name.to_owned(), |path| format!("{path}.{name}")));
    }
    match (detail.strip_prefix("invalid type: "), detail.rsplit_once(", expected ")) {
        (Some(found), Some((_, expected))) => JsonError::WrongType {
            path,
            expected: plain(expected).to_owned(),
            found: plain(found).to_owned(),
        },
        _ => JsonError::WrongValue { path },
    }
}

/// Returns the JSON type that serde names, without its value and with an article.
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
