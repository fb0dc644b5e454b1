//! One Gemini key in the text that people paste around it: quotes, brackets, the name of a variable, a URL.
//!
//! In: a field of a line, or what was typed at a prompt. Out: the key alone, or why there is none. The browser page
//! reads keys by the same rules (`key_text.js`); `worker/tests/page.rs` compares the two.

use crate::{GeminiKey, GeminiKeyError};

/// What may be around a key and is no part of it.
const AROUND: &[char] = &[
    '"', '\'', '`', '\u{201c}', '\u{201d}', '\u{201e}', '\u{201f}', '\u{2018}', '\u{2019}', '\u{201a}',
    '\u{ab}', '\u{bb}', '\u{ff02}', '\u{ff07}', '[', ']', '(', ')', '{', '}', '<', '>',
];
/// What may follow it.
const AFTER: &[char] = &[',', ';', '\u{ff0c}', '\u{ff1b}', '\u{3001}', '\\'];
/// A longer text has no key, whatever is around it: a URL has at most a few thousand bytes.
const MAX_TEXT: usize = 16 * 1024;
/// How many names may be before a value: `env: KEY=value`.
const MAX_NAMES: usize = 3;

/// Reads the one key of a text.
///
/// # Errors
/// There is none, or something that cannot be taken for one; positions are those in `text`.
pub fn read_key(text: &str) -> Result<GeminiKey, GeminiKeyError> {
    if text.len() > MAX_TEXT {
        return Err(GeminiKeyError::TooLong(text.chars().count()));
    }
    let value = value_of(text);
    if is_masked(value) {
        return Err(GeminiKeyError::Masked);
    }
    GeminiKey::parse(value).map_err(|error| match error {
        GeminiKeyError::Character(at) => {
            let before = text.find(value).and_then(|start| text.get(..start)).unwrap_or_default();
            GeminiKeyError::Character(before.chars().count() + at)
        }
        error => error,
    })
}

/// White space, and characters of no width that come along when something is copied.
pub(crate) fn is_space(character: char) -> bool {
    character.is_whitespace() || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}')
}

/// Returns `true` if a part of a key is left out, as where keys are shown.
pub(crate) fn is_masked(text: &str) -> bool {
    text.contains(['\u{2026}', '\u{2022}', '\u{25cf}', '\u{22ef}'])
        || text.contains("...")
        || text.contains("***")
}

/// Returns what a text holds beside the name of a variable, quotes and a comment.
fn value_of(text: &str) -> &str {
    let mut value = bare(text);
    for _ in 0..MAX_NAMES {
        let Some(assigned) = assigned(value) else { break };
        value = bare(assigned);
    }
    let has_scheme = value.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("bearer "));
    if has_scheme { bare(value.get(7..).unwrap_or_default()) } else { value }
}

/// Returns the value of `…key=VALUE`, `NAME=value`, `name: value`; `None` where no name is before it.
fn assigned(text: &str) -> Option<&str> {
    let lower = text.to_ascii_lowercase();
    let is_url = lower.contains("://") || lower.contains('?');
    if let Some(at) = lower.find("key=") {
        let value = text.get(at + 4..)?;
        let value = value.trim_start_matches(|character| is_space(character) || AROUND.contains(&character));
        if !is_url {
            return Some(value.trim_start_matches('='));
        }
        let end = value.find(|character| "&#\"'`)>".contains(character) || is_space(character));
        return value.get(..end.unwrap_or(value.len()));
    }
    let at = text.find(['=', ':', '\u{ff1a}'])?;
    let (name, value) = (text.get(..at)?, text.get(at..)?);
    let is_name = !name.is_empty()
        && name.chars().all(|character| {
            character.is_alphanumeric()
                || AROUND.contains(&character)
                || is_space(character)
                || "_.-$".contains(character)
        });
    // Two keys with a sign between them: the first one would be lost.
    let is_key = is_like_googles(bare(name));
    (is_name && !is_key).then(|| value.trim_start_matches(['=', ':', '>', '\u{ff1a}']))
}

/// Returns `true` if a text begins as Google's keys do. Decides only that it is no name.
fn is_like_googles(text: &str) -> bool {
    text.len() >= 20 && (text.starts_with("AIza") || text.starts_with("AQ."))
}

/// Without a comment behind it, and without what is around it.
fn bare(text: &str) -> &str {
    let mut text = without_comment(text);
    loop {
        let mut shorter = text.trim_matches(is_space).trim_end_matches(AFTER).trim_matches(AROUND);
        let is_bold = shorter.starts_with("**") && !shorter.starts_with("***");
        if let Some(inner) = shorter.strip_prefix("**").and_then(|inner| inner.strip_suffix("**"))
            && is_bold
            && !is_masked(shorter)
        {
            shorter = inner;
        }
        if shorter.len() == text.len() {
            return shorter;
        }
        text = shorter;
    }
}

/// A comment begins with `#` or `//` after white space.
fn without_comment(text: &str) -> &str {
    let is_comment = |at: usize| {
        let before = text.get(..at).and_then(|before| before.chars().next_back());
        before.is_some_and(is_space)
    };
    let starts = text.match_indices('#').chain(text.match_indices("//")).map(|(at, _)| at);
    let end = starts.filter(|at| is_comment(*at)).min();
    end.and_then(|end| text.get(..end)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: &str = "AIzaSyReal-000000000000000000000000001";

    #[test]
    fn what_stands_around_a_key_is_no_part_of_it() {
        for text in [
            KEY.to_owned(),
            format!("\"{KEY}\""),
            format!("'{KEY}',"),
            format!("  `{KEY}` \u{200b}"),
            format!("\u{201c}{KEY}\u{201d},"),
            format!("\u{ab}{KEY}\u{bb}"),
            format!("**{KEY}**"),
            format!("<{KEY}>"),
            format!("[{KEY}]"),
            format!("GOOGLE_API_KEY={KEY}"),
            format!("GOOGLE_API_KEY=\"{KEY}\""),
            format!("export GEMINI_API_KEY='{KEY}'"),
            format!("$env:GEMINI_API_KEY = \"{KEY}\""),
            format!("set GEMINI={KEY}"),
            format!("const apiKey = \"{KEY}\";"),
            format!("\"api_key\": \"{KEY}\","),
            format!("key: {KEY}"),
            format!("alice:{KEY}"),
            format!("x-goog-api-key: {KEY}"),
            format!("Authorization: Bearer {KEY}"),
            format!("https://x?key={KEY}"),
            format!("https://generativelanguage.googleapis.com/v1beta/models?alt=sse&key={KEY}&pageSize=3#x"),
            format!("curl \"https://x/v1beta/models?key={KEY}\" -H 'a: b'"),
            format!("{KEY} # laptop"),
            format!("KEY={KEY} // of the laptop"),
            format!("- env: GEMINI_API_KEY={KEY}").replace("- ", ""),
            format!("os.environ[\"GEMINI_API_KEY\"] = \"{KEY}\""),
        ] {
            assert_eq!(read_key(&text).unwrap().expose(), KEY, "{text}");
        }
    }

    #[test]
    fn what_is_no_key_is_refused_with_its_place() {
        assert_eq!(read_key("NAME=\"AIzaSy Real-0000000000000001\""), Err(GeminiKeyError::Character(13)));
        assert_eq!(read_key("https://example.com/a/path/of/some/length"), Err(GeminiKeyError::Character(7)));
        for masked in
            ["AIza…wxyz", "AIza...wxyz", "AIzaSyReal-00000000000000*************", "KEY=••••••••••••", "***"]
        {
            assert_eq!(read_key(masked), Err(GeminiKeyError::Masked), "{masked}");
        }
        for text in ["GEMINI_API_KEY=", "PORT=8080", "key:", ""] {
            assert!(matches!(read_key(text), Err(GeminiKeyError::TooShort(_))), "{text}");
        }
        for (first, second) in
            [(KEY, "AQ.Ab8RN6I-bbbbbbbbbbbbbbbbbbbb"), ("AQ.Ab8RN6I-bbbbbbbbbbbbbbbbbbbb", KEY)]
        {
            for between in [":", "=", " = ", "\": \"", "\u{ff1a}", "->", "/", "+"] {
                let text = format!("{first}{between}{second}");
                assert!(matches!(read_key(&text), Err(GeminiKeyError::Character(_))), "{text}");
            }
        }
        for text in
            [format!("{KEY} {KEY}"), format!("{KEY}\\n{KEY}"), format!("{KEY}\u{e9}"), format!("a@b.c:{KEY}")]
        {
            assert!(matches!(read_key(&text), Err(GeminiKeyError::Character(_))), "{text}");
        }
    }

    #[test]
    fn the_longest_text_is_read_in_no_time() {
        for around in ["\"\\", ",\"", "** ", "a=", "key=", "# ", "//", "\u{200b}'", "(", "bearer ", "\u{e9}"]
        {
            let text = format!("{}{KEY}{}", around.repeat(1_000_000), around.repeat(1_000_000));
            assert!(matches!(read_key(&text), Err(GeminiKeyError::TooLong(_))), "{around}");
            let text = format!("{}{KEY}{}", around.repeat(1_000), around.repeat(1_000));
            for _ in 0..20 {
                let _ = read_key(&text);
            }
        }
    }

    proptest! {
        #[test]
        fn a_key_comes_out_of_any_wrapping_as_it_went_in_or_not_at_all(
            key in "[A-Za-z0-9._-]{20,60}",
            quote in prop::sample::select(vec!["", "\"", "'", "`", "\u{201c}", "**", " "]),
            name in prop::sample::select(vec!["", "KEY=", "export A_KEY = ", "a: ", "https://x/?key="]),
            after in prop::sample::select(vec!["", ",", ";", "  # mine", " ,", "\u{a0}"]),
        ) {
            prop_assume!(!is_masked(&key) && !key.starts_with("sk-pool-"));
            let wrapped = format!("{name}{quote}{key}{quote}{after}");
            let read = read_key(&wrapped);
            prop_assert_eq!(read.as_ref().map(GeminiKey::expose), Ok(key.as_str()), "{}", wrapped);
        }

        #[test]
        fn whatever_is_taken_is_a_key_and_nothing_panics(text in "\\PC{0,80}") {
            if let Ok(key) = read_key(&text) {
                prop_assert!(key.expose().chars().all(crate::is_key_character));
                prop_assert!(text.contains(key.expose()));
            }
        }
    }
}
