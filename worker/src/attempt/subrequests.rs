//! Limit of the calls to other servers that one request may make: attempts, continuations of a
//! truncated response, batches, media and their redirects together. The limit is
//! [`Platform::CALLS_OF_A_REQUEST`](crate::platform::Platform::CALLS_OF_A_REQUEST).

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use http::StatusCode;

use crate::ports::Host;
use pool_translate::ApiError;

/// What is left of a request's calls.
#[derive(Clone, Debug)]
pub(crate) struct Calls {
    left: Arc<AtomicU32>,
    most: u32,
}

impl Calls {
    /// Returns those of a new request.
    pub(crate) fn of_a_request<H: Host>() -> Self {
        let most = H::CALLS_OF_A_REQUEST;
        Self { left: Arc::new(AtomicU32::new(most)), most }
    }

    /// Takes so many, if there are as many left.
    pub(crate) fn take(&self, count: usize) -> bool {
        let Ok(count) = u32::try_from(count) else { return false };
        let take = |left: u32| left.checked_sub(count);
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }

    /// Returns what the client is told when none is left and nothing else can be said.
    pub(crate) fn used_up(&self) -> ApiError {
        let message =
            format!("The request took more than {} calls of other servers: ask for less at once.", self.most);
        ApiError::server(StatusCode::SERVICE_UNAVAILABLE, "too_many_calls", message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::FakeHost;

    #[test]
    fn the_host_says_how_many_there_are() {
        fn all_of<H: Host>() {
            let calls = Calls::of_a_request::<H>();
            let most = usize::try_from(H::CALLS_OF_A_REQUEST).unwrap();
            assert!(calls.take(most - 1) && calls.take(1) && !calls.take(1), "{}", calls.used_up().message);
            assert!(calls.used_up().message.contains(&format!("more than {most} calls")));
        }
        all_of::<FakeHost>();
        #[cfg(not(target_arch = "wasm32"))]
        {
            use crate::host::native::NativeHost;
            use crate::platform::Platform as _;

            all_of::<NativeHost>();
            // What a Worker may is no bound of the native host's.
            const { assert!(NativeHost::CALLS_OF_A_REQUEST > 48 && NativeHost::CHECKS_AT_A_TIME > 20) };
        }
    }
}
