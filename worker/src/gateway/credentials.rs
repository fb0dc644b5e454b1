//! In which header a Gemini key travels to Google's OpenAI endpoint.
//!
//! The endpoint takes `Authorization: Bearer`, and for some kinds of keys refuses it as a second credential. What was
//! refused so is sent once more with the same key in `x-goog-api-key`, and keys of that kind travel so for a day, or
//! until the endpoint refuses that header. No key's state changes.

use std::time::Duration;

use jiff::Timestamp;
use memchr::memmem;
use pool_shared::GeminiKey;

use crate::platform::Credential;

const TTL: Duration = Duration::from_hours(24);
/// What the endpoint says of a key that it takes in the other header only.
const REFUSALS: [&[u8]; 2] =
    [b"Multiple authentication credentials received", b"Missing or invalid Authorization header"];

/// The kinds of keys, by how they begin.
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

/// Which kinds of keys were refused as a bearer lately.
#[derive(Debug, Default)]
pub struct CredentialMemory([Option<Timestamp>; Kind::ALL.len()]);

impl CredentialMemory {
    /// Returns the header that the OpenAI endpoint takes a key in.
    pub(super) fn get(&self, key: &GeminiKey, now: Timestamp) -> Credential {
        let since = self.0.get(Kind::of(key) as usize).copied().flatten();
        match since {
            Some(since) if now.duration_since(since).unsigned_abs() < TTL => Credential::ApiKey,
            _ => Credential::Bearer,
        }
    }

    /// Takes note of the header that helped where the endpoint refused the other one.
    pub(super) fn prefer(&mut self, key: &GeminiKey, credential: Credential, now: Timestamp) {
        if let Some(since) = self.0.get_mut(Kind::of(key) as usize) {
            *since = (credential == Credential::ApiKey).then_some(now);
        }
    }
}

/// Whether a refusal says that the key should travel in the other header.
pub(super) fn wants_other_header(status: http::StatusCode, body: &[u8]) -> bool {
    let says = |text: &&[u8]| memmem::find(body, text).is_some();
    status == http::StatusCode::BAD_REQUEST && REFUSALS.iter().any(says)
}

/// The header that the endpoint did not get the key in.
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
