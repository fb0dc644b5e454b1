//! The circuit breaker of a model: closed, open, or half-open with one probe at a time.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::shifted;

/// The weight of an attempt in the moving average of failures; five failures in a row open the circuit.
const WEIGHT: f64 = 0.2;
const OPENS_ABOVE: f64 = 0.65;
/// After a success of a probe: two or three failures more open it again.
const AFTER_PROBE: f64 = 0.4;
/// How long it stays open at first, and at most.
const OPEN_FOR: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(16);
/// While it is open, one probe is allowed per interval.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);
/// The failure rate is reset after this time without an attempt.
const MEMORY: Duration = Duration::from_mins(1);

/// Why a circuit is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenReason {
    /// The model is overloaded, or Gemini has a fault.
    Overload,
    /// Bursts on several keys in a row: the model or the egress is the reason, not the keys.
    Burst,
}

/// The circuit of one model.
#[derive(Clone, Debug)]
pub(super) struct CircuitBreaker {
    failure_rate: f64,
    last_at: Timestamp,
    open: Option<Open>,
    trips: u32,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    since: Timestamp,
    until: Timestamp,
    reason: OpenReason,
}

impl Default for CircuitBreaker {
    fn default() -> Self {
        Self { failure_rate: 0.0, last_at: Timestamp::MIN, open: None, trips: 0 }
    }
}

impl CircuitBreaker {
    /// Whether an attempt may be made now; else, when the next one may, and why it waits.
    pub(super) fn check(&self, now: Timestamp) -> Result<(), (Timestamp, OpenReason)> {
        match self.open {
            Some(open) if open.until > now => Err((open.until, open.reason)),
            _ => Ok(()),
        }
    }

    /// An attempt is made. While the circuit is open it is a probe, and the next one has to wait.
    pub(super) fn attempt(&mut self, now: Timestamp) {
        if let Some(open) = &mut self.open {
            open.until = now + PROBE_INTERVAL;
        }
    }

    /// Returns `true` if an attempt was ever answered by the model, or failed for its sake.
    pub(super) fn has_evidence(&self) -> bool {
        self.last_at > Timestamp::MIN
    }

    /// An attempt that began at `began` was answered.
    pub(super) fn success(&mut self, began: Timestamp, now: Timestamp) {
        self.note(0.0, now);
        // A response that was under way before the trouble says nothing about its end.
        if self.open.is_some_and(|open| began >= open.since) {
            self.open = None;
            self.failure_rate = AFTER_PROBE;
        } else if self.open.is_none() && self.failure_rate < 0.1 {
            self.trips = 0;
        }
    }

    /// An attempt that began at `began` failed for the model's sake.
    pub(super) fn failure(&mut self, began: Timestamp, now: Timestamp) {
        self.note(1.0, now);
        match self.open {
            Some(open) if began < open.since => {}
            Some(open) => self.trip(open.reason, now),
            None if self.failure_rate > OPENS_ABOVE => self.trip(OpenReason::Overload, now),
            None => {}
        }
    }

    /// Opens the circuit, each time for longer.
    pub(super) fn trip(&mut self, reason: OpenReason, now: Timestamp) {
        let time = OPEN_FOR.saturating_mul(1 << self.trips.min(8)).min(LONGEST);
        self.trips += 1;
        let since = self.open.map_or(now, |open| open.since);
        self.open = Some(Open { since, until: now + time, reason });
    }

    /// The clock was set: times move with it.
    pub(super) fn shift(&mut self, by: SignedDuration) {
        self.last_at = shifted(self.last_at, by);
        if let Some(open) = &mut self.open {
            (open.since, open.until) = (shifted(open.since, by), shifted(open.until, by));
        }
    }

    fn note(&mut self, failed: f64, now: Timestamp) {
        if now.duration_since(self.last_at).unsigned_abs() > MEMORY {
            self.failure_rate = 0.0;
            self.trips = 0;
        }
        self.failure_rate += WEIGHT * (failed - self.failure_rate);
        self.last_at = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn opened(now: Timestamp) -> CircuitBreaker {
        let mut circuit = CircuitBreaker::default();
        let mut failures = 0;
        while circuit.check(now).is_ok() {
            circuit.failure(now, now);
            failures += 1;
        }
        assert_eq!(failures, 5);
        circuit
    }

    #[test]
    fn a_model_that_mostly_answers_stays_in_use() {
        let mut circuit = CircuitBreaker::default();
        for second in 0..100 {
            circuit.failure(at(second), at(second));
            circuit.success(at(second), at(second));
            assert!(circuit.check(at(second)).is_ok());
        }
    }

    #[test]
    fn one_probe_at_a_time_finds_out_when_it_is_over() {
        let mut circuit = opened(at(0));
        assert_eq!(circuit.check(at(0)), Err((at(1), OpenReason::Overload)));
        assert!(circuit.check(at(1)).is_ok());
        circuit.attempt(at(1));
        assert!(circuit.check(at(1)).is_err(), "one probe is enough");
        circuit.failure(at(1), at(1));
        assert_eq!(circuit.check(at(1)), Err((at(3), OpenReason::Overload)), "longer each time");
        circuit.attempt(at(3));
        circuit.success(at(3), at(4));
        assert!(circuit.check(at(4)).is_ok());
    }

    #[test]
    fn an_answer_from_before_the_trouble_does_not_end_it() {
        let mut circuit = opened(at(10));
        circuit.success(at(5), at(10));
        assert!(circuit.check(at(10)).is_err());
    }

    #[test]
    fn it_never_stays_closed_to_all_for_long() {
        let mut circuit = opened(at(0));
        let mut now = at(0);
        for _ in 0..20 {
            let Err((until, _)) = circuit.check(now) else { panic!("open") };
            assert!(until.duration_since(now).as_secs() <= 16);
            now = until;
            circuit.attempt(now);
            circuit.failure(now, now);
        }
    }
}
