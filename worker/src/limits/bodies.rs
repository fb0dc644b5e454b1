//! Request bodies being received: a memory budget over all of them, and a minimum upload rate for
//! each.
//!
//! A body holds a permit, which grows with each chunk. A body that stalls, or arrives more slowly
//! than [`MIN_RATE`], is aborted and its permit released.
//!
//! # Invariants
//! - The bytes held never exceed the budget of the large bodies plus the reserve of the small ones.
//! - A permit never outlives its request.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};

use super::SMALL_BODY;
use crate::platform::lock;
use crate::platform::{Clock, IncomingBody, IncomingBodyError};
use crate::ports::Host;

/// Time that every body has, whatever its length.
const GRACE: Duration = Duration::from_secs(30);
/// Minimum upload rate after the grace period, in bytes per second.
pub const MIN_RATE: usize = 64 * 1024;
/// Idle timeout of a body.
pub const STALL_TIMEOUT: Duration = Duration::from_mins(1);
/// A rejected body is drained up to this multiple of its limit: a client whose connection is closed
/// while it still writes often never sees the error.
pub const DRAIN_FACTOR: usize = 4;

/// The memory budget of the bodies that are being received or processed.
#[derive(Debug, Default)]
pub struct BodyBudget(Arc<Mutex<Permits>>);

#[derive(Debug, Default)]
struct Permits {
    /// By serial number.
    held: BTreeMap<u64, Held>,
    /// Bytes of all bodies.
    total: usize,
    /// Bytes of those above [`SMALL_BODY`].
    large: usize,
    /// The highest `total` until now.
    peak: usize,
    last: u64,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    length: usize,
    /// When the permit expires.
    until: Option<Timestamp>,
}

/// A body's part of the budget, released when dropped.
#[derive(Debug)]
pub struct BodyPermit {
    bodies: Arc<Mutex<Permits>>,
    serial: u64,
    max: usize,
    lost_after: Option<SignedDuration>,
}

impl BodyBudget {
    /// Returns an empty permit of a budget of `max` bytes for large bodies; small ones have a
    /// reserve of a quarter of that. Where the runtime may end a request without dropping its
    /// future, a permit expires `lost_after` its last growth.
    #[must_use]
    pub fn permit(&self, max: usize, lost_after: Option<SignedDuration>) -> BodyPermit {
        let serial = {
            let mut permits = lock(&self.0);
            permits.last += 1;
            permits.last
        };
        BodyPermit { bodies: Arc::clone(&self.0), serial, max, lost_after }
    }

    /// Returns the number of bytes held now.
    #[must_use]
    pub fn held(&self) -> usize {
        lock(&self.0).total
    }

    /// Returns the highest number of bytes held concurrently until now.
    #[must_use]
    pub fn peak(&self) -> usize {
        lock(&self.0).peak
    }
}

impl Permits {
    /// Sets the length of a body, if the budget allows it.
    fn resize(&mut self, serial: u64, held: Held, max: usize) -> bool {
        let before = self.held.get(&serial).map_or(0, |held| held.length);
        let total = self.total - before + held.length;
        let large = self.large - large(before) + large(held.length);
        let fits = total <= max + max / 4 && (held.length <= SMALL_BODY || large <= max);
        if fits {
            self.held.insert(serial, held);
            (self.total, self.large) = (total, large);
            self.peak = self.peak.max(total);
        }
        fits
    }

    fn remove(&mut self, serial: u64) {
        if let Some(Held { length, .. }) = self.held.remove(&serial) {
            self.total -= length;
            self.large -= large(length);
        }
    }

    fn remove_lost(&mut self, now: Timestamp) {
        let is_lost = |held: &Held| held.until.is_some_and(|until| until <= now);
        let lost: Vec<u64> =
            self.held.iter().filter(|(_, held)| is_lost(held)).map(|(serial, _)| *serial).collect();
        for serial in lost {
            self.remove(serial);
        }
    }
}

/// Returns what a body counts among the large ones.
const fn large(length: usize) -> usize {
    if length > SMALL_BODY { length } else { 0 }
}

impl BodyPermit {
    /// Grows the permit to `length` bytes. Returns `false`, and changes nothing, if the budget does
    /// not allow that.
    pub fn grow(&mut self, length: usize, now: Timestamp) -> bool {
        // Until it is complete, the body also has the time of its upload.
        let until = self.lost_after.and_then(|after| {
            let reading = SignedDuration::try_from(allowed(length)).ok()?;
            now.checked_add(after.checked_add(reading)?).ok()
        });
        let held = Held { length, until };
        let mut permits = lock(&self.bodies);
        permits.resize(self.serial, held, self.max) || {
            permits.remove_lost(now);
            permits.resize(self.serial, held, self.max)
        }
    }
}

impl Drop for BodyPermit {
    fn drop(&mut self) {
        lock(&self.bodies).remove(self.serial);
    }
}

/// Returns the time that a body of this length may take.
fn allowed(bytes: usize) -> Duration {
    let milliseconds = (bytes as u64).saturating_mul(1_000) / MIN_RATE as u64;
    GRACE + Duration::from_millis(milliseconds)
}

/// Returns the timeout of the next chunk; `None` when the body's time is up.
#[must_use]
pub fn time_left(elapsed: Duration, bytes: usize) -> Option<Duration> {
    let left = allowed(bytes).checked_sub(elapsed).filter(|left| !left.is_zero())?;
    Some(left.min(STALL_TIMEOUT))
}

/// Reads a body of up to `limit` bytes, growing its permit. A rejected body is drained, within
/// bounds.
///
/// # Errors
/// Returns why the body could not be read.
pub async fn read<H: Host, B: IncomingBody>(
    host: &H,
    mut body: B,
    limit: usize,
    permit: &mut BodyPermit,
) -> Result<Bytes, IncomingBodyError> {
    let mut pace = Pace::begin(host.clock());
    let announced = body.announced();
    let mut refused = refusal(announced.unwrap_or_default(), limit, permit, pace.began);
    let mut whole = Whole::default();
    while refused.is_none() {
        let Some(chunk) = pace.next(host.clock(), &mut body).await? else { return Ok(whole.into_bytes()) };
        let length = whole.len() + chunk.len();
        // An announced body already has all its bytes in the permit.
        if announced.is_none_or(|announced| length > announced) {
            refused = refusal(length, limit, permit, host.clock().now());
        }
        whole.push(chunk, announced);
    }
    drop(whole);
    if announced.is_none_or(|length| length <= limit.saturating_mul(DRAIN_FACTOR)) {
        // The request is rejected whatever the result is.
        let _ = pace.read_away(host.clock(), body, limit.saturating_mul(DRAIN_FACTOR)).await;
    }
    Err(refused.unwrap_or(IncomingBodyError::Broken))
}

fn refusal(
    length: usize,
    limit: usize,
    permit: &mut BodyPermit,
    now: Timestamp,
) -> Option<IncomingBodyError> {
    if length > limit {
        return Some(IncomingBodyError::TooLarge);
    }
    (!permit.grow(length, now)).then_some(IncomingBodyError::NoRoom)
}

/// Progress of a body: its start, and the bytes received.
struct Pace {
    began: Timestamp,
    bytes: usize,
}

impl Pace {
    fn begin(clock: &impl Clock) -> Self {
        Self { began: clock.now(), bytes: 0 }
    }

    async fn next<B: IncomingBody>(
        &mut self,
        clock: &impl Clock,
        body: &mut B,
    ) -> Result<Option<Bytes>, IncomingBodyError> {
        let left = self.left(clock, body)?;
        let next = pin!(body.chunk());
        let chunk = clock.within(left, next).await.unwrap_or(Err(IncomingBodyError::TooSlow))?;
        self.bytes += chunk.as_ref().map_or(0, Bytes::len);
        Ok(chunk)
    }

    /// Returns the timeout of the next chunk.
    fn left<B: IncomingBody>(&self, clock: &impl Clock, body: &B) -> Result<Duration, IncomingBodyError> {
        if let Some(announced) = body.announced().filter(|_| B::IS_WHOLE) {
            // Its progress is not visible, so it has the time of the whole body.
            return Ok(allowed(announced));
        }
        let elapsed = clock.now().duration_since(self.began).try_into().unwrap_or_default();
        time_left(elapsed, self.bytes).ok_or(IncomingBodyError::TooSlow)
    }

    async fn read_away<B: IncomingBody>(
        &mut self,
        clock: &impl Clock,
        mut body: B,
        limit: usize,
    ) -> Result<(), IncomingBodyError> {
        while self.bytes <= limit {
            let left = self.left(clock, &body)?;
            let skipped = clock.within(left, pin!(body.skip())).await;
            let Some(length) = skipped.unwrap_or(Err(IncomingBodyError::TooSlow))? else { break };
            self.bytes += length;
        }
        Ok(())
    }
}

/// A body's bytes. A body of one chunk is not copied. Several chunks are, because a chunk of one
/// byte may keep a whole connection buffer alive.
#[derive(Default)]
struct Whole {
    first: Bytes,
    more: Vec<u8>,
}

impl Whole {
    fn len(&self) -> usize {
        self.first.len() + self.more.len()
    }

    fn push(&mut self, chunk: Bytes, announced: Option<usize>) {
        if self.more.is_empty() && self.first.is_empty() {
            self.first = chunk;
            return;
        }
        if self.more.is_empty() {
            self.more.reserve_exact(announced.unwrap_or_default().max(self.first.len() + chunk.len()));
            self.more.extend_from_slice(&std::mem::take(&mut self.first));
        }
        self.more.extend_from_slice(&chunk);
    }

    fn into_bytes(self) -> Bytes {
        if self.more.is_empty() { self.first } else { self.more.into() }
    }
}

#[cfg(test)]
mod tests;
