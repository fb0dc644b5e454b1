//! Bodies of requests that are forwarded to the service that verifies their client.
//!
//! The forwarder cannot tell a valid token from an invented one, so it may hold only little of a
//! body before it has asked.
//!
//! # Invariants
//! - At most [`UNVERIFIED_BODY`] bytes of a body are held before its client is verified.

use bytes::Bytes;

use super::{BodyPermit, UNVERIFIED_BODY, read};
use crate::platform::{IncomingBody, IncomingBodyError};
use crate::ports::Host;

/// Returns `true` if the client has to be verified before a body with this limit is read.
const fn needs_a_known_caller(limit: usize, announced: Option<usize>) -> bool {
    let may_be_longer = match announced {
        Some(length) => length > UNVERIFIED_BODY,
        None => true,
    };
    limit > UNVERIFIED_BODY && may_be_longer
}

/// Reads a body of up to `limit` bytes in order to forward it. `is_known` verifies the client; it
/// is called only if the body may be longer than [`UNVERIFIED_BODY`], and before any of it is read.
/// The body of an unknown client is drained like a rejected one, and `None` is returned: the
/// receiver of the request sends the error.
///
/// # Errors
/// What `is_known` returns, and within, why the body could not be read.
pub async fn read_to_hand_over<H: Host, B: IncomingBody, E>(
    host: &H,
    body: B,
    limit: usize,
    permit: &mut BodyPermit,
    is_known: impl AsyncFnOnce() -> Result<bool, E>,
) -> Result<Result<Option<Bytes>, IncomingBodyError>, E> {
    let is_refused = needs_a_known_caller(limit, body.announced()) && !is_known().await?;
    if is_refused {
        let _ = read(host, body, UNVERIFIED_BODY, permit).await;
        return Ok(Ok(None));
    }
    Ok(read(host, body, limit, permit).await.map(Some))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::FutureExt;
    use proptest::prelude::*;

    use super::*;
    use crate::limits::{BODY, BodyBudget, DRAIN_FACTOR, UNAUTHENTICATED_BODY};
    use crate::testing::FakeHost;

    const EARLY: usize = UNVERIFIED_BODY;
    const PIECE: usize = 16 * 1024;

    /// A body of zeros in chunks, which counts the bytes taken.
    struct Pieces {
        announced: Option<usize>,
        left: usize,
        taken: Arc<AtomicUsize>,
    }

    impl IncomingBody for Pieces {
        const IS_WHOLE: bool = false;

        fn announced(&self) -> Option<usize> {
            self.announced
        }

        async fn chunk(&mut self) -> Result<Option<Bytes>, IncomingBodyError> {
            let length = self.left.min(PIECE);
            self.left -= length;
            self.taken.fetch_add(length, Ordering::SeqCst);
            Ok((length > 0).then(|| vec![0; length].into()))
        }
    }

    /// The outcome of a body.
    #[derive(Debug, PartialEq)]
    struct Seen {
        /// Bytes read when the client was verified; `None` if it was not.
        read_before: Option<usize>,
        /// Bytes read in total.
        read: usize,
        /// The most bytes held.
        held: usize,
        handed_over: Result<Option<usize>, IncomingBodyError>,
    }

    fn hand_over(length: usize, is_announced: bool, limit: usize, is_known: bool) -> Seen {
        let (host, bodies) = (FakeHost::new(), BodyBudget::default());
        let taken = Arc::new(AtomicUsize::new(0));
        let announced = is_announced.then_some(length);
        let body = Pieces { announced, left: length, taken: Arc::clone(&taken) };
        let mut read_before = None;
        let mut permit = bodies.permit(BODY, None);
        let ask = async || {
            read_before = Some(taken.load(Ordering::SeqCst));
            Ok::<_, Infallible>(is_known)
        };
        let read = read_to_hand_over(&host, body, limit, &mut permit, ask).now_or_never();
        let handed_over = read.unwrap().unwrap().map(|body| body.map(|body| body.len()));
        Seen { read_before, read: taken.load(Ordering::SeqCst), held: bodies.peak(), handed_over }
    }

    proptest! {
        #[test]
        fn before_the_caller_is_known_little_is_held(
            length in prop_oneof![0..4 * EARLY, EARLY - 2..EARLY + 3, EARLY..BODY + 2],
            is_announced: bool,
            limit in prop_oneof![Just(BODY), Just(UNAUTHENTICATED_BODY), Just(EARLY)],
            is_known: bool,
        ) {
            let seen = hand_over(length, is_announced, limit, is_known);
            let is_asked = limit > EARLY && (!is_announced || length > EARLY);
            prop_assert_eq!(seen.read_before, is_asked.then_some(0));
            if is_asked && !is_known {
                prop_assert_eq!(&seen.handed_over, &Ok(None));
                prop_assert!(seen.held <= EARLY, "{seen:?}");
                prop_assert!(seen.read <= DRAIN_FACTOR * EARLY + PIECE, "{seen:?}");
            } else if length <= limit {
                prop_assert_eq!(&seen.handed_over, &Ok(Some(length)));
            } else {
                prop_assert_eq!(&seen.handed_over, &Err(IncomingBodyError::TooLarge));
                prop_assert!(seen.held <= limit, "{seen:?}");
            }
        }
    }

    #[tokio::test]
    async fn an_answer_that_does_not_come_reads_nothing() {
        let (host, bodies) = (FakeHost::new(), BodyBudget::default());
        let taken = Arc::new(AtomicUsize::new(0));
        let body = Pieces { announced: Some(BODY), left: BODY, taken: Arc::clone(&taken) };
        let mut permit = bodies.permit(BODY, None);
        let read = read_to_hand_over(&host, body, BODY, &mut permit, async || Err("gone")).await;
        assert_eq!((read, taken.load(Ordering::SeqCst), bodies.peak()), (Err("gone"), 0, 0));
    }
}
