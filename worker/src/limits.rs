//! How large a request may be in every direction, judged before any work is done for it.
//!
//! In: a request's head, or the bytes of its body. Out: a refusal, or nothing. What must never happen
//! here: an allocation that a caller can make grow.

mod bodies;
#[cfg(any(target_arch = "wasm32", test))]
mod handover;

use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use http::{HeaderMap, StatusCode};

use crate::platform::IncomingRequest;

pub use bodies::{BodyBudget, BodyPermit, DRAIN_FACTOR, MIN_RATE, STALL_TIMEOUT, read, time_left};
#[cfg(any(target_arch = "wasm32", test))]
pub use handover::read_to_hand_over;
pub use pool_translate::json::bounds::{JSON_DEPTH, MAX_ELEMENTS, MAX_MEMBERS, has_too_many, is_too_deep};

pub use crate::platform::MAX_BODY as BODY;
/// The longest body of a request whose caller is not known yet.
pub const UNAUTHENTICATED_BODY: usize = 16 * 1024;
/// How much of a body a Worker reads that hands it on, before whoever holds the tokens has said that it knows the caller.
pub const UNVERIFIED_BODY: usize = 64 * 1024;
/// Bodies of up to this length have a reserve of their own, which larger ones cannot use up.
pub const SMALL_BODY: usize = 256 * 1024;
/// How much the larger bodies that are worked on at once may have together, where a host has little memory: an isolate
/// has 128 MB, and a body is there up to three times, as it came, translated, and on its way out.
pub const BODIES: usize = BODY;
/// The longest path and query, each.
pub const PATH: usize = 8 * 1024;
/// All headers together, names and values.
pub const HEADERS: usize = 64 * 1024;

/// What is too large about a request's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadTooLarge {
    /// The path or the query.
    #[error("the URL is longer than {PATH} bytes")]
    Path,
    /// The headers.
    #[error("the headers are longer than {HEADERS} bytes")]
    Headers,
}

impl HeadTooLarge {
    /// The status to answer with.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Path => StatusCode::URI_TOO_LONG,
            Self::Headers => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        }
    }
}

/// Whether a request's head is of a size to go on with.
pub fn check_head<B>(request: &IncomingRequest<B>) -> Result<(), HeadTooLarge> {
    if request.path.len() > PATH || request.query.as_ref().is_some_and(|query| query.len() > PATH) {
        return Err(HeadTooLarge::Path);
    }
    if size(&request.headers) > HEADERS { Err(HeadTooLarge::Headers) } else { Ok(()) }
}

fn size(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}

/// The length that a request announces of its body.
#[must_use]
pub fn announced(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Whether a body would have to be decompressed or decoded before it is what it is.
#[must_use]
pub fn is_encoded(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(CONTENT_ENCODING).into_iter();
    codings.any(|coding| !coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity"))
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, Method};

    use super::*;

    #[test]
    fn a_head_is_measured_whole() {
        let mut request = IncomingRequest {
            method: Method::GET,
            path: "/".to_owned(),
            query: None,
            headers: HeaderMap::new(),
            body: (),
            client_address: None,
            origin: None,
        };
        assert_eq!(check_head(&request), Ok(()));
        for _ in 0..=HEADERS / 1_000 {
            request.headers.append("x-many", HeaderValue::from_str(&"x".repeat(1_000)).unwrap());
        }
        assert_eq!(check_head(&request), Err(HeadTooLarge::Headers));
        request.query = Some("x".repeat(PATH + 1));
        assert_eq!(check_head(&request), Err(HeadTooLarge::Path));
    }
}
