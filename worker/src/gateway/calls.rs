//! How many calls to other servers one request may make: attempts on Gemini, what goes on with a cut answer, batches,
//! media and their redirects, all together. Cloudflare's free plan ends a request at the 51st.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use http::StatusCode;

use crate::openai::ApiError;

/// The most calls of a request.
const MOST: u32 = 48;

/// What is left of a request's calls.
#[derive(Clone, Debug)]
pub(super) struct Calls(Arc<AtomicU32>);

impl Calls {
    /// Those of a new request.
    pub(super) fn of_a_request() -> Self {
        Self(Arc::new(AtomicU32::new(MOST)))
    }

    /// Takes so many, if there are as many left.
    pub(super) fn take(&self, count: usize) -> bool {
        let Ok(count) = u32::try_from(count) else { return false };
        let take = |left: u32| left.checked_sub(count);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }

    /// What the caller is told when none is left and nothing else can be said.
    pub(super) fn used_up() -> ApiError {
        let message =
            format!("The request took more than {MOST} calls of other servers: ask for less at once.");
        ApiError::server(StatusCode::SERVICE_UNAVAILABLE, "too_many_calls", message)
    }
}
