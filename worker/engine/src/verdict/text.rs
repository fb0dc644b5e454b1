//! The table of Google's own error texts.
//!
//! Free text is weak evidence, since an error may repeat what a client sent. A text counts only
//! - in an error of Google's shape, at the status and with the status name that Google uses with it,
//! - at the beginning of the message,
//! - without a `google.rpc.BadRequest` beside it,
//! - and with words that the request does not contain.

use super::{Cause, Refusal};

/// One text. In `begins`, `*` means one word, such as a model's name.
struct Row {
    status: u16,
    name: &'static str,
    begins: &'static str,
    /// Words of which one has to be in the first sentence; none where `begins` is enough.
    one_of: &'static [&'static str],
    cause: Cause,
}

const fn row(status: u16, name: &'static str, begins: &'static str, cause: Cause) -> Row {
    Row { status, name, begins, one_of: &[], cause }
}

const ARGUMENT: &str = "INVALID_ARGUMENT";
const PRECONDITION: &str = "FAILED_PRECONDITION";
const DENIED: &str = "PERMISSION_DENIED";
const NOT_FOUND: &str = "NOT_FOUND";
const EXHAUSTED: &str = "RESOURCE_EXHAUSTED";

/// In lower case.
const TEXTS: &[Row] = &[
    row(400, ARGUMENT, "api key not valid", Cause::InvalidKey),
    row(400, ARGUMENT, "api key not found", Cause::InvalidKey),
    row(400, ARGUMENT, "api key expired", Cause::InvalidKey),
    row(400, ARGUMENT, "invalid auth key", Cause::InvalidKey),
    row(400, ARGUMENT, "multiple authentication credentials received", Cause::Ours),
    row(400, PRECONDITION, "user location is not supported", Cause::Location),
    row(400, PRECONDITION, "gemini api free tier is not available in your country", Cause::Billing),
    row(403, DENIED, "your api key was reported as leaked", Cause::LeakedKey),
    row(403, DENIED, "permission denied: consumer * has been suspended", Cause::Suspended),
    row(403, DENIED, "method doesn't allow unregistered callers", Cause::Ours),
    row(404, NOT_FOUND, "this model models/* is no longer available to new users", Cause::NewUsers),
    Row {
        status: 429,
        name: EXHAUSTED,
        begins: "your ",
        one_of: &["prepay", "credits are depleted", "spending cap", "spend cap"],
        cause: Cause::Billing,
    },
];

/// Words of a 429 about a cap on what may be spent in a month, or about an account without credits.
const SPEND_CAP: &[&str] = &[
    "prepay",
    "prepaid",
    "pre paid",
    "credits are depleted",
    "out of credits",
    "credit balance",
    "spending cap",
    "spend cap",
    "monthly spend",
];
/// The beginning of a word that marks a spend limit which does not end by itself.
const MONTH: &str = "month";
/// The beginning of a word of a 429 about what was spent in the last ten minutes. Google has not published the text,
/// so any form of the word counts, outside of links.
const SPEND: &str = "spend";

/// How a 404 begins that is about a model.
const NO_SUCH_MODEL: [&str; 2] = ["models/* is not found for api version", "model is not found: models/*"];

/// How a 429 begins that is about quotas.
const QUOTA: [&str; 3] =
    ["you exceeded your current quota", "quota exceeded for metric:", "quota exceeded for quota metric"];
/// A 429 that tells nothing.
const BARE: [&str; 2] = ["resource has been exhausted", "resource exhausted"];

/// How a 403 begins that is about a file, cached content or tuned model of another project.
const OTHER_PROJECT: [&str; 3] =
    ["you do not have permission to access", "cachedcontent not found", "permission denied on cachedcontent"];
/// Names of such resources.
const RESOURCES: [&str; 3] = ["files/", "cachedcontents/", "tunedmodels/"];
/// Paths under which a project's own resources are: a 403 without a reason may mean those.
const PATHS: [&str; 5] = ["/files/", "/cachedContents/", "/tunedModels/", "/fileSearchStores/", "/corpora/"];

/// Returns the cause that the text alone tells.
pub(super) fn cause(refusal: &Refusal) -> Option<Cause> {
    let message = refusal.body.message.to_ascii_lowercase();
    let (status, name) = (refusal.status.as_u16(), refusal.body.status_name());
    let row = TEXTS.iter().find(|row| {
        let sentence = message.split(". ").next().unwrap_or_default();
        (row.status, row.name) == (status, name)
            && begins(&message, row.begins)
            && (row.one_of.is_empty() || row.one_of.iter().any(|words| sentence.contains(words)))
    })?;
    let words = row.begins.split('*').max_by_key(|part| part.len()).unwrap_or_default();
    let words = row.one_of.iter().find(|words| message.contains(*words)).copied().unwrap_or(words);
    is_google_s_own(refusal, words).then_some(row.cause)
}

/// Returns `true` if words of an error are Google's and not the client's.
fn is_google_s_own(refusal: &Refusal, words: &str) -> bool {
    refusal.body.is_google()
        && !refusal.body.field_violations
        && refusal.sent.is_some_and(|sent| !sent.contains(words))
}

/// Returns `true` if a 404 says that the model does not exist, or not for this key.
pub(super) fn names_a_model(refusal: &Refusal) -> bool {
    let message = refusal.body.message.to_ascii_lowercase();
    refusal.body.status_name() == NOT_FOUND
        && !refusal.body.field_violations
        && NO_SUCH_MODEL.iter().any(|pattern| begins(&message, pattern))
}

/// Returns `true` if a 403 is about a file, cached content or tuned model. Those belong to a project, so that other keys have
/// no access either: the error goes to the client.
pub(super) fn names_a_resource(refusal: &Refusal) -> bool {
    let message = refusal.body.message.to_ascii_lowercase();
    OTHER_PROJECT.iter().any(|text| message.starts_with(text))
        || RESOURCES.iter().any(|name| names(&message, name))
        || refusal.sent.is_some_and(|sent| PATHS.iter().any(|path| sent.is_for(path)))
}

/// Returns `true` if a 429 has a quota's text.
pub(super) fn is_quota(refusal: &Refusal) -> bool {
    let message = refusal.body.message.to_ascii_lowercase();
    QUOTA.iter().any(|text| message.starts_with(text) && is_google_s_own(refusal, text))
}

/// Returns what a 429 is about whose text speaks of spending.
pub(super) fn spend(refusal: &Refusal) -> Option<Cause> {
    let message = refusal.body.message.to_ascii_lowercase();
    let is_link = |word: &&str| word.starts_with("http") || word.contains("://");
    // What follows a quota's first sentence is advice.
    let about_quota = QUOTA.iter().any(|text| message.starts_with(text));
    let told = message.split(". ").next().filter(|_| about_quota).unwrap_or(&message);
    // Whichever way a word is hyphenated.
    let words = told.split_whitespace().filter(|word| !is_link(word));
    let words = words.flat_map(|word| word.split(|letter: char| !letter.is_alphanumeric()));
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    let has = |beginning: &str| words.iter().any(|word| word.starts_with(beginning));
    let text = words.join(" ");
    let (phrase, cause) = match SPEND_CAP.iter().find(|phrase| text.contains(**phrase)) {
        Some(phrase) => (*phrase, Cause::Billing),
        None if has(SPEND) && has(MONTH) => (SPEND, Cause::Billing),
        None if has(SPEND) => (SPEND, Cause::SpendWindow),
        None => return None,
    };
    is_google_s_own(refusal, phrase).then_some(cause)
}

/// Returns `true` if the text of a 429 is in no table: such texts are reported to operators.
pub(super) fn is_unknown_quota(refusal: &Refusal) -> bool {
    let message = refusal.body.message.to_ascii_lowercase();
    let known = QUOTA.iter().chain(&BARE).any(|text| message.starts_with(text));
    !known
        && !message.trim().is_empty()
        && refusal.body.violations.is_empty()
        && cause(refusal).is_none()
        && spend(refusal).is_none()
}

/// Returns `true` if the quota's text names a limit of zero, as in `* Quota exceeded for metric: M, limit: 0, model: X`. What
/// is behind the limit may be the client's.
pub(super) fn says_limit_zero(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    message.split("quota exceeded for metric: ").skip(1).any(|line| {
        let mut parts = line.splitn(3, ", ");
        let metric = parts.next().unwrap_or_default();
        let limit = parts.next().and_then(|part| part.strip_prefix("limit: ")).unwrap_or_default();
        let end = limit.split(['\n', ' ']).next().unwrap_or_default().trim_end_matches('.');
        !metric.contains(char::is_whitespace) && end == "0"
    })
}

/// Returns `true` if a text has a name that no letter is before: `profiles/` names no file.
fn names(text: &str, name: &str) -> bool {
    text.match_indices(name)
        .any(|(at, _)| !text.get(..at).is_some_and(|before| before.ends_with(char::is_alphanumeric)))
}

/// Returns `true` if a text begins with a pattern, in which `*` means one word.
fn begins(text: &str, pattern: &str) -> bool {
    let mut rest = text;
    let mut parts = pattern.split('*');
    let Some(after) = parts.next().and_then(|first| rest.strip_prefix(first)) else { return false };
    rest = after;
    for part in parts {
        let word = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let (word, after) = rest.split_at(word);
        let Some(after) = after.strip_prefix(part).filter(|_| !word.is_empty()) else { return false };
        rest = after;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_of_zero_is_told_from_limits_that_begin_with_it() {
        for (end, zero) in [
            ("limit: 0", true),
            ("limit: 0, model: x", true),
            ("limit: 0.", true),
            ("limit: 0\nPlease retry in 5s.", true),
            ("limit: 0.5", false),
            ("limit: 05", false),
            ("limit: 10", false),
            ("limit: 10, model: x, limit: 0", false),
        ] {
            assert_eq!(says_limit_zero(&format!("Quota exceeded for metric: a.b/c, {end}")), zero, "{end}");
            assert!(!says_limit_zero(end), "{end}");
        }
    }

    #[test]
    fn a_resource_is_named_by_its_whole_name() {
        assert!(names("the file files/abc is not yours", "files/") && names("files/a", "files/"));
        assert!(!names("no access to profiles/a", "files/") && !names("", "files/"));
    }

    #[test]
    fn a_star_stands_for_one_word() {
        let pattern = "this model models/* is no longer";
        assert!(begins("this model models/gemini-x is no longer available", pattern));
        assert!(!begins("this model models/gemini x is no longer available", pattern));
        assert!(!begins("this model models/ is no longer available", pattern));
        assert!(!begins("x this model models/a is no longer", pattern));
        assert!(begins("model is not found: models/x for api version", NO_SUCH_MODEL[1]));
    }
}
