//! Unknown client keys, counted by the address that they come from: a rate limiter with fixed windows.
//!
//! A client key of this service's own form cannot be guessed, one that was imported from another system perhaps can. Known
//! keys are never slowed down while their pool is in memory.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use http::StatusCode;
use jiff::{SignedDuration, Timestamp};

use pool_engine::shifted;
use pool_translate::openai::ApiError;

const WINDOW: Duration = Duration::from_mins(1);
/// Unknown keys from an address, per window, before those are refused unseen that could be guessed.
const GUESSES: u32 = 30;
/// The same for keys of this service's form, each of which costs a question to the store.
const QUESTIONS: u32 = 600;
/// Log lines about unknown keys from an address, per window; from then on one in [`SAMPLE`].
const LOGGED: u32 = 20;
const SAMPLE: u32 = 100;
/// Addresses that are counted at the same time.
const MAX_ADDRESSES: usize = 10_000;

/// What is counted.
#[derive(Debug, Default)]
pub struct Guesses(HashMap<Option<IpAddr>, Window>);

#[derive(Clone, Copy, Debug)]
struct Window {
    since: Timestamp,
    count: u32,
}

impl Window {
    /// What is left of it. A window that begins in the future was begun by another clock, and is over.
    fn left(&self, now: Timestamp) -> Option<Duration> {
        let elapsed = now.duration_since(self.since).try_into().ok()?;
        WINDOW.checked_sub(elapsed).filter(|left| !left.is_zero())
    }
}

impl Guesses {
    /// Returns how long an address has to wait before one more key of its is looked up; `None` if it need not.
    pub(super) fn wait(
        &self,
        address: Option<IpAddr>,
        is_own_form: bool,
        now: Timestamp,
    ) -> Option<Duration> {
        let window = self.0.get(&source(address))?;
        let most = if is_own_form { QUESTIONS } else { GUESSES };
        window.left(now).filter(|_| window.count >= most)
    }

    /// Notes an unknown key. Returns `true` if it is to get a line in the log.
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

    /// Moves with the clock.
    pub(crate) fn shift(&mut self, by: SignedDuration) {
        for window in self.0.values_mut() {
            window.since = shifted(window.since, by);
        }
    }
}

/// An IPv6 client has at least a /64 of its own.
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
        for _ in GUESSES..QUESTIONS {
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
