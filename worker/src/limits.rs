//! Request size limits, checked before any other work.
//!
//! # Invariants
//! - No client can make an allocation grow beyond these limits.

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
/// Maximum body size of an unauthenticated request.
pub const UNAUTHENTICATED_BODY: usize = 16 * 1024;
/// Maximum size of a body that a Worker reads in order to forward it, before the service that holds
/// the tokens has verified its client.
pub const UNVERIFIED_BODY: usize = 64 * 1024;
/// Bodies of up to this size have a reserve that larger ones cannot use.
pub const SMALL_BODY: usize = 256 * 1024;
/// Memory budget of the larger bodies together, on a host with little memory: an isolate has 128
/// MB, and a body takes up to three times its size (received, converted, sent).
pub const BODIES: usize = BODY;
/// Maximum length of the path, and of the query.
pub const PATH: usize = 8 * 1024;
/// Maximum size of all headers together, names and values.
pub const HEADERS: usize = 64 * 1024;

/// The part of a request's head that is too large.
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
    /// Returns the status of the response.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Path => StatusCode::URI_TOO_LONG,
            Self::Headers => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        }
    }
}

/// Checks the size of a request's head.
pub fn check_head<B>(request: &IncomingRequest<B>) -> Result<(), HeadTooLarge> {
    if request.path.len() > PATH || request.query.as_ref().is_some_and(|query| query.len() > PATH) {
        return Err(HeadTooLarge::Path);
    }
    if size(&request.headers) > HEADERS { Err(HeadTooLarge::Headers) } else { Ok(()) }
}

fn size(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}

/// Returns the `Content-Length` of a request.
#[must_use]
pub fn announced(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Returns `true` if the body has a content encoding other than `identity`.
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
