//! Time.

use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select};
use jiff::{SignedDuration, Timestamp};

use super::{MaybeSend, MaybeSync};

/// Time. On Workers it is still while code computes and moves with every I/O.
pub trait Clock: MaybeSend + MaybeSync {
    /// Now.
    fn now(&self) -> Timestamp;
    /// Adopts a changed system clock, if [`Self::now`] has continued without a jump. Returns by
    /// how much `now` moved. A host whose clock is never set does nothing.
    fn correct(&self) -> Option<SignedDuration> {
        None
    }
    /// Resolves after `duration`.
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + MaybeSend;

    /// Waits for `work`, at most for `limit`; `None` when it takes longer. It is pinned where it was made: a future that
    /// holds another one by value is twice as large, and is copied as often as it is handed on.
    fn within<F: Future + MaybeSend + Unpin>(
        &self,
        limit: Duration,
        work: F,
    ) -> impl Future<Output = Option<F::Output>> + MaybeSend {
        async move {
            match select(work, pin!(self.sleep(limit))).await {
                Either::Left((done, _)) => Some(done),
                Either::Right(_) => None,
            }
        }
    }
}
