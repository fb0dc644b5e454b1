//! The header in which a Gemini key is sent to Google's OpenAI-compatible endpoint.
//!
//! The endpoint accepts `Authorization: Bearer`, but rejects it as a second credential for some kinds of
//! keys. Such a request is sent again with the same key in `x-goog-api-key`, and keys of that kind are
//! sent so for a day, or until the endpoint rejects that header. No key's state changes.

use std::time::Duration;

use jiff::Timestamp;
use memchr::memmem;
use pool_shared::GeminiKey;

use crate::platform::Credential;

const TTL: Duration = Duration::from_hours(24);
/// Messages of the endpoint about a key that it accepts in the other header only.
const REFUSALS: [&[u8]; 2] =
    [b"Multiple authentication credentials received", b"Missing or invalid Authorization header"];

/// Kinds of keys, by prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// `AIza…`
    Classic,
    /// `AQ.…`
    Auth,
    Other,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Classic, Self::Auth, Self::Other];

    fn of(key: &GeminiKey) -> Self {
        match key.expose() {
            text if text.starts_with("AIza") => Self::Classic,
            text if text.starts_with("AQ.") => Self::Auth,
            _ => Self::Other,
        }
    }
}

/// Kinds of keys that were recently rejected as a bearer token.
#[derive(Debug, Default)]
pub struct CredentialMemory([Option<Timestamp>; Kind::ALL.len()]);

impl CredentialMemory {
    /// Returns the header in which the OpenAI-compatible endpoint accepts a key.
    pub(super) fn get(&self, key: &GeminiKey, now: Timestamp) -> Credential {
        let since = self.0.get(Kind::of(key) as usize).copied().flatten();
        match since {
            Some(since) if now.duration_since(since).unsigned_abs() < TTL => Credential::ApiKey,
            _ => Credential::Bearer,
        }
    }

    /// Remembers the header that worked after the endpoint rejected the other one.
    pub(super) fn prefer(&mut self, key: &GeminiKey, credential: Credential, now: Timestamp) {
        if let Some(since) = self.0.get_mut(Kind::of(key) as usize) {
            *since = (credential == Credential::ApiKey).then_some(now);
        }
    }
}

/// Returns `true` if an error response asks for the key in the other header.
pub(super) fn wants_other_header(status: http::StatusCode, body: &[u8]) -> bool {
    let says = |text: &&[u8]| memmem::find(body, text).is_some();
    status == http::StatusCode::BAD_REQUEST && REFUSALS.iter().any(says)
}

/// Returns the other header.
pub(super) const fn other(credential: Credential) -> Credential {
    match credential {
        Credential::ApiKey => Credential::Bearer,
        Credential::Bearer => Credential::ApiKey,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_of_keys_is_remembered_for_a_day() {
        let key = |text: &str| GeminiKey::parse(text).unwrap();
        let (auth, classic) =
            (key("AQ.Ab8RN6I-1234567890.abcdefghij"), key("AIzaSyA-1234567890_abcdefghijk"));
        let mut memory = CredentialMemory::default();
        let now = Timestamp::UNIX_EPOCH;
        memory.prefer(&auth, Credential::ApiKey, now);
        assert_eq!(memory.get(&key("AQ.another-key-of-the-same-kind"), now), Credential::ApiKey);
        assert_eq!(memory.get(&classic, now), Credential::Bearer);
        assert_eq!(memory.get(&auth, now + TTL), Credential::Bearer);
        memory.prefer(&auth, Credential::Bearer, now);
        assert_eq!(memory.get(&auth, now), Credential::Bearer);
    }
}
