//! Redaction of API keys in texts of Google, some of whose errors quote the client's key.
//!
//! Everything that looks like a key becomes `[redacted]`, also what may be none.

/// Replaces everything that looks like a Google API key, or that a text calls one.
#[must_use]
pub fn redact_keys(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(is_key_char) {
        let (before, from) = rest.split_at(start);
        let (word, after) = from.split_at(from.find(|c| !is_key_char(c)).unwrap_or(from.len()));
        clean.push_str(before);
        if is_secret(&clean, word) {
            clean.push_str("[redacted]");
        } else {
            clean.push_str(word);
        }
        rest = after;
    }
    clean.push_str(rest);
    clean
}

fn is_key_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')
}

/// How secrets begin, and how many characters one has at least: Google's keys, OAuth tokens and client secrets, and
/// this service's client keys, admin tokens and sessions.
const SECRETS: [(&str, usize); 7] =
    [("AIza", 20), ("AQ.", 12), ("ya29.", 12), ("GOCSPX-", 12), ("sk-pool-", 9), ("padm_", 6), ("pses_", 6)];

/// Returns `true` if a text begins like a secret, whatever follows: in a place where none belongs it is taken for one.
#[must_use]
pub fn begins_like_secret(text: &str) -> bool {
    SECRETS.iter().any(|(prefix, _)| text.starts_with(prefix))
}

fn is_secret(before: &str, word: &str) -> bool {
    let looks_like_one =
        SECRETS.iter().any(|(prefix, shortest)| word.starts_with(prefix) && word.len() >= *shortest);
    let called_key =
        ["key=", "key:", "key%3D", "key%3d", "Bearer "].iter().any(|name| before.ends_with(name));
    looks_like_one || (called_key && word.len() >= 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_go_and_the_rest_stays() {
        let key = format!("AIza{}", "Sy0-_x".repeat(6));
        for (text, expected) in [
            (
                format!("Permission denied: Consumer 'api_key:{key}' has been suspended."),
                "Permission denied: Consumer 'api_key:[redacted]' has been suspended.",
            ),
            (
                format!("https://g.co/v1beta/models?key={key}&alt=sse"),
                "https://g.co/v1beta/models?key=[redacted]&alt=sse",
            ),
            (format!("{key}é{key}"), "[redacted]é[redacted]"),
            ("AQ.Ab8RN6KabcdefGH-1_2.xyz is bad".to_owned(), "[redacted] is bad"),
            (
                "models/sk-pool-0123abc is padm_x1 or pses_x1".to_owned(),
                "models/[redacted] is [redacted] or [redacted]",
            ),
            ("API key not valid. See key: name.".to_owned(), "API key not valid. See key: name."),
        ] {
            assert_eq!(redact_keys(&text), expected);
        }
    }
}
