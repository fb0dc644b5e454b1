//! The format of the service's own secrets: client keys, admin tokens and sessions.
//!
//! `<prefix><40 base62 digits><6 base62 digits>`: 238 random bits, then the CRC-32 of everything
//! before it. The checksum lets the service turn garbage away without a look-up and lets secret
//! scanners recognise a leaked token offline, as GitHub's tokens do.

use crate::Secret;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const RANDOM_DIGITS: usize = 40;
/// 62^6 > 2^32, so six digits hold a CRC-32.
const CHECKSUM_DIGITS: usize = 6;

/// What a token is for. No kind opens another one's doors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// Presented by clients of a pool's OpenAI-compatible endpoint.
    ClientKey,
    /// Presented to the admin API.
    AdminToken,
    /// Presented to the admin API by a browser, as a cookie.
    Session,
}

/// Why a text is not a token of this service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The prefix, the length or a digit is not that of the format.
    #[error("invalid {0} format")]
    Format(&'static str),
    /// The checksum does not match: a digit was lost or changed on the way.
    #[error("the checksum does not match: the {0} was cut or mistyped")]
    Checksum(&'static str),
}

impl TokenKind {
    /// How many random bytes [`TokenKind::generate`] takes: one a digit, see there.
    pub const RANDOM_BYTES: usize = 2 * RANDOM_DIGITS;

    /// Returns the text that every token of this kind starts with.
    #[must_use]
    pub const fn prefix(self) -> &'static str {
        match self {
            // Some OpenAI clients insist on keys that start with `sk-`.
            Self::ClientKey => "sk-pool-",
            Self::AdminToken => "padm_",
            Self::Session => "pses_",
        }
    }

    const fn noun(self) -> &'static str {
        match self {
            Self::ClientKey => "client key",
            Self::AdminToken => "admin token",
            Self::Session => "session",
        }
    }

    /// Makes a token from random bytes. Each digit takes 16 bits modulo 62, which is biased by
    /// less than 0.1 %: 40 digits still hold more than 238 bits of entropy.
    #[must_use]
    pub fn generate(self, random: &[u8; Self::RANDOM_BYTES]) -> Secret {
        let mut text = String::with_capacity(self.prefix().len() + RANDOM_DIGITS + CHECKSUM_DIGITS);
        text.push_str(self.prefix());
        for pair in random.chunks_exact(2) {
            let value = pair.iter().fold(0_usize, |value, byte| value << 8 | usize::from(*byte));
            text.push(digit(value));
        }
        let checksum = checksum_digits(text.as_bytes());
        text.push_str(&checksum);
        Secret::new(text)
    }

    /// Returns `true` if a text can be the key of a client: what begins like a secret of this service has to be a client
    /// key, anything else may be one that was imported from another system.
    #[must_use]
    pub fn could_be_client_key(text: &str) -> bool {
        let kinds = [Self::ClientKey, Self::AdminToken];
        Self::ClientKey.verify(text).is_ok() || !kinds.iter().any(|kind| text.starts_with(kind.prefix()))
    }

    /// Checks prefix, length, alphabet and checksum of a presented token.
    pub fn verify(self, text: &str) -> Result<(), TokenError> {
        let digits = text.strip_prefix(self.prefix()).ok_or(TokenError::Format(self.noun()))?;
        if digits.len() != RANDOM_DIGITS + CHECKSUM_DIGITS
            || !digits.bytes().all(|byte| byte.is_ascii_alphanumeric())
        {
            return Err(TokenError::Format(self.noun()));
        }
        let (body, checksum) = text.split_at(text.len() - CHECKSUM_DIGITS);
        if checksum_digits(body.as_bytes()) == checksum {
            Ok(())
        } else {
            Err(TokenError::Checksum(self.noun()))
        }
    }
}

fn digit(value: usize) -> char {
    ALPHABET.get(value % ALPHABET.len()).map_or('0', |byte| char::from(*byte))
}

fn checksum_digits(bytes: &[u8]) -> String {
    let mut rest = crc32fast::hash(bytes) as usize;
    let mut digits = [0_u8; CHECKSUM_DIGITS];
    for slot in digits.iter_mut().rev() {
        *slot = u8::try_from(digit(rest)).unwrap_or(b'0');
        rest /= ALPHABET.len();
    }
    digits.iter().map(|byte| char::from(*byte)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn random() -> impl Strategy<Value = [u8; TokenKind::RANDOM_BYTES]> {
        proptest::collection::vec(any::<u8>(), TokenKind::RANDOM_BYTES)
            .prop_map(|bytes| bytes.try_into().unwrap())
    }

    proptest! {
        #[test]
        fn a_generated_token_verifies_as_its_own_kind_only(bytes in random()) {
            let client = TokenKind::ClientKey.generate(&bytes);
            let admin = TokenKind::AdminToken.generate(&bytes);
            prop_assert_eq!(TokenKind::ClientKey.verify(client.expose()), Ok(()));
            prop_assert_eq!(TokenKind::AdminToken.verify(admin.expose()), Ok(()));
            prop_assert!(TokenKind::AdminToken.verify(client.expose()).is_err());
            prop_assert!(TokenKind::ClientKey.verify(admin.expose()).is_err());
        }

        #[test]
        fn one_changed_digit_is_noticed(bytes in random(), at in 8_usize..54, by in 1_usize..62) {
            let token = TokenKind::ClientKey.generate(&bytes);
            let mut changed = token.expose().as_bytes().to_vec();
            let old = ALPHABET.iter().position(|byte| *byte == changed[at]).unwrap();
            changed[at] = ALPHABET[(old + by) % 62];
            let changed = String::from_utf8(changed).unwrap();
            prop_assert_eq!(
                TokenKind::ClientKey.verify(&changed),
                Err(TokenError::Checksum("client key"))
            );
        }

        #[test]
        fn any_text_is_judged_without_panic(text in ".*") {
            let _ = TokenKind::ClientKey.verify(&text);
        }
    }

    #[test]
    fn the_format_is_fixed() {
        let token = TokenKind::ClientKey.generate(&[0; TokenKind::RANDOM_BYTES]);
        assert_eq!(token.expose().len(), 8 + 46);
        assert!(token.expose().starts_with("sk-pool-0000"));
    }
}
