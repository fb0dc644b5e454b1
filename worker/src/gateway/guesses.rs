//! Fixed-window rate limiter for unknown client keys, per client address.
//!
//! A generated client key cannot be guessed; one that was imported from another system may be. Known keys
//! are never throttled while their pool is cached.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use http::StatusCode;
use jiff::{SignedDuration, Timestamp};

use pool_engine::shifted;
use pool_translate::ApiError;

const WINDOW: Duration = Duration::from_mins(1);
/// Unknown keys per address and window before imported forms are rejected without a look-up.
const GUESSES: u32 = 30;
/// The same for keys of the generated form; each look-up costs a read of the store.
const LOOK_UPS: u32 = 600;
/// Log lines about unknown keys per address and window; after that one in [`SAMPLE`].
const LOGGED: u32 = 20;
const SAMPLE: u32 = 100;
/// Addresses tracked at a time.
const MAX_ADDRESSES: usize = 10_000;

/// Unknown keys per address.
#[derive(Debug, Default)]
pub struct Guesses(HashMap<Option<IpAddr>, Window>);

#[derive(Clone, Copy, Debug)]
struct Window {
    since: Timestamp,
    count: u32,
}

impl Window {
    /// Returns the remaining time. A window that begins in the future belongs to a clock that was set
    /// back, and is over.
    fn left(&self, now: Timestamp) -> Option<Duration> {
        let elapsed = now.duration_since(self.since).try_into().ok()?;
        WINDOW.checked_sub(elapsed).filter(|left| !left.is_zero())
    }
}

impl Guesses {
    /// Returns the time until a further key of the address is looked up; `None` if at once.
    pub(super) fn wait(
        &self,
        address: Option<IpAddr>,
        is_own_form: bool,
        now: Timestamp,
    ) -> Option<Duration> {
        let window = self.0.get(&source(address))?;
        let most = if is_own_form { LOOK_UPS } else { GUESSES };
        window.left(now).filter(|_| window.count >= most)
    }

    /// Counts an unknown key. Returns `true` if it is to be logged.
    pub(super) fn note(&mut self, address: Option<IpAddr>, now: Timestamp) -> bool {
        let source = source(address);
        if self.0.len() >= MAX_ADDRESSES && !self.0.contains_key(&source) {
            self.0.retain(|_, window| window.left(now).is_some());
            if self.0.len() >= MAX_ADDRESSES {
                self.0.clear();
            }
        }
        let window = self.0.entry(source).or_insert(Window { since: now, count: 0 });
        if window.left(now).is_none() {
            *window = Window { since: now, count: 0 };
        }
        window.count = window.count.saturating_add(1);
        window.count <= LOGGED || window.count.is_multiple_of(SAMPLE)
    }

    /// Moves all times after the clock was set.
    pub(crate) fn shift(&mut self, by: SignedDuration) {
        for window in self.0.values_mut() {
            window.since = shifted(window.since, by);
        }
    }
}

/// Returns what is counted as one client: an IPv6 client has at least a /64.
fn source(address: Option<IpAddr>) -> Option<IpAddr> {
    address.map(|address| match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address @ IpAddr::V4(_) => address,
    })
}

/// 429: too many unknown keys from this address.
pub(super) fn refusal(wait: Duration) -> ApiError {
    let message = "Too many requests with unknown client keys came from your address. Check the key, and try again later.";
    let code = Some("too_many_unknown_keys");
    let error = ApiError::new(StatusCode::TOO_MANY_REQUESTS, "invalid_request_error", code, message);
    ApiError { retry_after_ms: u64::try_from(wait.as_millis()).ok(), ..error }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn an_address_has_a_budget_of_unknown_keys_per_minute() {
        let mut guesses = Guesses::default();
        let [one, same, other] =
            ["2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"].map(|address| address.parse().ok());
        for _ in 0..GUESSES {
            assert_eq!(guesses.wait(one, false, at(0)), None);
            guesses.note(one, at(0));
        }
        assert_eq!(guesses.wait(same, false, at(20)), Some(Duration::from_secs(40)));
        assert_eq!((guesses.wait(one, true, at(20)), guesses.wait(other, false, at(20))), (None, None));
        for _ in GUESSES..LOOK_UPS {
            guesses.note(one, at(1));
        }
        assert!(guesses.wait(one, true, at(59)).is_some());
        assert_eq!(guesses.wait(one, true, at(60)), None);
        guesses.note(one, at(60));
        assert_eq!(guesses.wait(one, false, at(61)), None, "a new window");
    }

    #[test]
    fn a_budget_follows_the_clock_and_no_wait_is_longer_than_the_window() {
        let address = "192.0.2.1".parse().ok();
        for hours in [-4, 4] {
            let mut guesses = Guesses::default();
            for _ in 0..GUESSES {
                guesses.note(address, at(0));
            }
            let later = at(hours * 3_600 + 20);
            assert_eq!(guesses.wait(address, false, later), None, "another clock");
            guesses.shift(SignedDuration::from_hours(hours));
            assert_eq!(guesses.wait(address, false, later), Some(Duration::from_secs(40)));
        }
    }

    #[test]
    fn their_log_lines_are_sampled_and_addresses_take_no_room_without_bound() {
        let mut guesses = Guesses::default();
        let logged = (0..10_000).filter(|_| guesses.note(None, at(0))).count();
        assert_eq!(logged, 20 + 100);
        for number in 0..3 * MAX_ADDRESSES {
            let address = IpAddr::V4(u32::try_from(number).unwrap().into());
            guesses.note(Some(address), at(0));
            assert!(guesses.0.len() <= MAX_ADDRESSES);
        }
    }
}
