//! Gemini's error responses, and errors inside a stream.
//!
//! # Invariants
//! - Reading never fails, and its recursion is bounded.
//! - The message contains no API key.

use serde_json::Value;

use super::redact_keys;

/// An error body, read as far as it can be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ErrorBody {
    /// Google's code, mostly the HTTP status.
    pub code: Option<u16>,
    /// Google's canonical code (`RESOURCE_EXHAUSTED`), or `""`. The Interactions API writes its own
    /// (`rate_limit_exceeded`) here.
    pub status: String,
    /// For people; API keys are redacted. `""` when there was none.
    pub message: String,
    /// Every `google.rpc.ErrorInfo`.
    pub reasons: Vec<ErrorReason>,
    /// `projects/123`, where an `ErrorInfo` of Google's names the project.
    pub consumer: Option<String>,
    /// Every violation of every `google.rpc.QuotaFailure`.
    pub violations: Vec<Violation>,
    /// How long to wait, from `google.rpc.RetryInfo`.
    pub retry_delay_ms: Option<u64>,
    /// How long to wait, from the last sentence of the message (`Please retry in 51.38s.`).
    pub retry_text_ms: Option<u64>,
    /// Whether the body is JSON with an `error` object.
    pub is_error: bool,
    /// Whether a `google.rpc.BadRequest` is among the details. Such an error quotes the request.
    pub field_violations: bool,
}

/// One `google.rpc.ErrorInfo`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ErrorReason {
    /// `googleapis.com`
    pub domain: String,
    /// `API_KEY_INVALID`
    pub reason: String,
}

/// One quota that was exceeded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Violation {
    /// `GenerateRequestsPerMinutePerProjectPerModel-FreeTier`
    pub quota_id: String,
    /// `generativelanguage.googleapis.com/generate_content_free_tier_requests`
    pub quota_metric: String,
    /// `10`; `0` means that the model has no such tier.
    pub quota_value: String,
    /// `gemini-3.8-flash`
    pub model: String,
}

/// More than any real error has; what is beyond is not read.
const MAX_BODY: usize = 256 * 1024;
/// Of a body that is no JSON, so much is kept as the message.
const MAX_SNIPPET: usize = 1_000;
const MAX_DETAILS: usize = 64;

/// Google's canonical status names (`google/rpc/code.proto`) and the string codes of the Interactions API
/// (<https://ai.google.dev/gemini-api/docs/api-errors>), with the HTTP status and the canonical name of each.
const STATUS_NAMES: [(&str, u16, &str); 34] = [
    ("INVALID_ARGUMENT", 400, "INVALID_ARGUMENT"),
    ("FAILED_PRECONDITION", 400, "FAILED_PRECONDITION"),
    ("OUT_OF_RANGE", 400, "OUT_OF_RANGE"),
    ("UNAUTHENTICATED", 401, "UNAUTHENTICATED"),
    ("PERMISSION_DENIED", 403, "PERMISSION_DENIED"),
    ("NOT_FOUND", 404, "NOT_FOUND"),
    ("ABORTED", 409, "ABORTED"),
    ("ALREADY_EXISTS", 409, "ALREADY_EXISTS"),
    ("RESOURCE_EXHAUSTED", 429, "RESOURCE_EXHAUSTED"),
    ("CANCELLED", 499, "CANCELLED"),
    ("INTERNAL", 500, "INTERNAL"),
    ("UNKNOWN", 500, "UNKNOWN"),
    ("DATA_LOSS", 500, "DATA_LOSS"),
    ("UNIMPLEMENTED", 501, "UNIMPLEMENTED"),
    ("UNAVAILABLE", 503, "UNAVAILABLE"),
    ("DEADLINE_EXCEEDED", 504, "DEADLINE_EXCEEDED"),
    ("invalid_request", 400, "INVALID_ARGUMENT"),
    ("invalid_argument", 400, "INVALID_ARGUMENT"),
    ("parameter_unknown", 400, "INVALID_ARGUMENT"),
    ("failed_precondition", 400, "FAILED_PRECONDITION"),
    ("authentication", 401, "UNAUTHENTICATED"),
    ("payment_required", 402, "RESOURCE_EXHAUSTED"),
    ("permission_denied", 403, "PERMISSION_DENIED"),
    ("not_found", 404, "NOT_FOUND"),
    ("model_not_found", 404, "NOT_FOUND"),
    ("out_of_range", 416, "OUT_OF_RANGE"),
    ("rate_limit_exceeded", 429, "RESOURCE_EXHAUSTED"),
    ("quota_exceeded", 429, "RESOURCE_EXHAUSTED"),
    ("cancelled", 499, "CANCELLED"),
    ("internal", 500, "INTERNAL"),
    ("internal_error", 500, "INTERNAL"),
    ("unimplemented", 501, "UNIMPLEMENTED"),
    ("unavailable", 503, "UNAVAILABLE"),
    ("deadline_exceeded", 504, "DEADLINE_EXCEEDED"),
];

impl ErrorReason {
    /// Returns `true` if the reason is Google's: other services have names of their own.
    #[must_use]
    pub fn is_google(&self) -> bool {
        of_google(&self.domain)
    }
}

impl ErrorBody {
    /// Reads an error: an object, an array of one, HTML, a piece of either, or nothing.
    #[must_use]
    pub fn parse(body: &[u8]) -> Self {
        let body = body.get(..MAX_BODY).unwrap_or(body);
        match serde_json::from_slice::<Value>(body) {
            Ok(value) => Self::from_value(&value),
            Err(_) => Self { message: snippet(body), ..Self::default() },
        }
    }

    /// Returns Google's canonical status name, also where the error has a string code of the Interactions API; `""`
    /// where it has neither.
    #[must_use]
    pub fn status_name(&self) -> &'static str {
        self.known_status().map_or("", |(_, _, name)| name)
    }

    /// Returns `true` if the body has the shape of Google's errors: an `error` object with a status name of Google's.
    #[must_use]
    pub fn is_google(&self) -> bool {
        self.is_error && self.known_status().is_some()
    }

    /// Returns the HTTP status that belongs to the error, where its own code or status name tells it.
    #[must_use]
    pub fn http_status(&self) -> Option<u16> {
        let named = || self.known_status().map(|(_, status, _)| *status);
        self.code.filter(|code| (400..600).contains(code)).or_else(named)
    }

    fn known_status(&self) -> Option<&'static (&'static str, u16, &'static str)> {
        STATUS_NAMES.iter().find(|(word, ..)| *word == self.status)
    }

    /// Whether these bytes are JSON that holds an error, be it one alone or in an array.
    #[must_use]
    pub fn find(body: &[u8]) -> Option<Self> {
        let value = serde_json::from_slice::<Value>(body).ok()?;
        unwrap(&value).get("error").filter(|error| !error.is_null())?;
        Some(Self::from_value(&value))
    }

    fn from_value(value: &Value) -> Self {
        let value = unwrap(value);
        let is_error = value.get("error").is_some_and(Value::is_object);
        let error = value.get("error").unwrap_or(value);
        if let Value::String(message) = error {
            return Self { message: redact_keys(message), ..Self::default() };
        }
        let mut body = Self {
            code: error.get("code").and_then(number).and_then(|code| u16::try_from(code).ok()),
            status: [error.get("status"), error.get("code")].into_iter().find_map(word).unwrap_or_default(),
            message: redact_keys(&word(error.get("message")).unwrap_or_default()),
            is_error,
            ..Self::default()
        };
        body.retry_text_ms = delay_in_text(&body.message);
        for detail in error.get("details").and_then(Value::as_array).into_iter().flatten().take(MAX_DETAILS) {
            body.read_detail(detail);
        }
        body
    }

    fn read_detail(&mut self, detail: &Value) {
        let kind = detail.get("@type").and_then(Value::as_str).unwrap_or_default();
        if kind.ends_with("google.rpc.ErrorInfo") {
            let field = |name| redact_keys(&word(detail.get(name)).unwrap_or_default());
            self.reasons.push(ErrorReason { domain: field("domain"), reason: field("reason") });
            let metadata = detail.get("metadata").filter(|_| of_google(&field("domain")));
            let consumer = metadata.and_then(|metadata| word(metadata.get("consumer")));
            self.consumer = self.consumer.take().or(consumer.map(|consumer| redact_keys(&consumer)));
        } else if kind.ends_with("google.rpc.QuotaFailure") {
            let violations = detail.get("violations").and_then(Value::as_array).into_iter().flatten();
            self.violations.extend(violations.take(MAX_DETAILS).map(|violation| {
                let field = |name| violation.get(name).and_then(scalar).unwrap_or_default();
                Violation {
                    quota_id: field("quotaId"),
                    quota_metric: field("quotaMetric"),
                    quota_value: field("quotaValue"),
                    model: violation
                        .get("quotaDimensions")
                        .and_then(|dimensions| word(dimensions.get("model")))
                        .unwrap_or_default(),
                }
            }));
        } else if kind.ends_with("google.rpc.RetryInfo") {
            let delay = detail.get("retryDelay").and_then(scalar).and_then(|delay| duration_ms(&delay));
            self.retry_delay_ms = self.retry_delay_ms.max(delay);
        } else if kind.ends_with("google.rpc.BadRequest") || detail.get("fieldViolations").is_some() {
            self.field_violations = true;
        }
    }
}

/// Returns `true` if an `ErrorInfo` of this domain is Google's.
fn of_google(domain: &str) -> bool {
    domain.is_empty() || domain == "googleapis.com" || domain.ends_with(".googleapis.com")
}

/// Returns the error's object, out of the array that some endpoints wrap it in.
fn unwrap(value: &Value) -> &Value {
    match value {
        Value::Array(items) => items.iter().find(|item| item.get("error").is_some()).unwrap_or(value),
        _ => value,
    }
}

fn word(value: Option<&Value>) -> Option<String> {
    value.and_then(Value::as_str).map(ToOwned::to_owned)
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

/// Returns the first words of a body that is no JSON, without markup.
fn snippet(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body.get(..8192).unwrap_or(body));
    let mut plain = String::new();
    let mut in_tag = false;
    for c in text.chars() {
        match c {
            '<' => in_tag = true,
            '>' if in_tag => {
                in_tag = false;
                plain.push(' ');
            }
            _ if in_tag => {}
            _ => plain.push(c),
        }
    }
    let words: Vec<&str> = plain.split_whitespace().collect();
    redact_keys(&words.join(" ")).chars().take(MAX_SNIPPET).collect()
}

/// Returns the delay in "Please retry in 51.38s.", where that is the last sentence of a message: what is elsewhere may be
/// quoted.
fn delay_in_text(message: &str) -> Option<u64> {
    const BEGINS: &str = "please retry in ";
    let lower = message.trim_end().to_ascii_lowercase();
    let start = lower.rfind(BEGINS)?;
    let is_sentence = lower.get(..start)?.trim_end_matches(' ').ends_with(['.', '\n']) || start == 0;
    let delay = lower.get(start + BEGINS.len()..)?;
    duration_ms(delay.strip_suffix('.').unwrap_or(delay)).filter(|_| is_sentence)
}

/// Milliseconds, rounded up, of `14s`, `0.5s`, `14.123456789s`, `742.5ms`, `1h2m3s`.
fn duration_ms(text: &str) -> Option<u64> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    let mut total = 0.0_f64;
    while !rest.is_empty() {
        let (count, from_unit) = rest.split_at(rest.find(|c: char| c.is_ascii_alphabetic())?);
        let end = from_unit.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(from_unit.len());
        let (unit, after) = from_unit.split_at(end);
        let factor = match unit {
            "d" => 86_400_000.0,
            "h" => 3_600_000.0,
            "m" => 60_000.0,
            "s" => 1_000.0,
            "ms" => 1.0,
            "us" | "ns" => 0.0,
            _ => return None,
        };
        let count: f64 = count.parse().ok().filter(|count: &f64| count.is_finite() && *count >= 0.0)?;
        total += count * factor;
        rest = after;
    }
    // Nine decimals are more than a float tells apart here: what is a hair above a whole number is that number. The
    // cast saturates.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    Some((total - 1e-6).ceil().max(0.0) as u64)
}

#[cfg(test)]
mod tests;
