//! The reasons why a request ends without a response.
//!
//! The engine names the reason; the texts, status codes and headers that clients get are the gateway's.

use jiff::Timestamp;
use pool_translate::ApiError;

use crate::circuit_breaker::OpenReason;

/// The end of a request for which no further attempt is made.
#[derive(Clone, Debug)]
pub struct Exhausted {
    /// Why it ends.
    pub reason: ExhaustionReason,
    /// When that was found out: waits are counted from then.
    pub at: Timestamp,
}

/// Why no further attempt is made.
#[derive(Clone, Debug)]
pub enum ExhaustionReason {
    /// An attempt failed, and its error is the most useful one.
    Failed {
        /// The error of the attempt.
        error: ApiError,
        /// When the daily quota is reset that the attempt exceeded.
        reset: Option<Timestamp>,
        /// What the client is advised about a retry.
        advice: RetryAdvice,
    },
    /// The circuit breaker of the model is open.
    ModelUnavailable {
        /// Why it is open.
        reason: OpenReason,
        /// When the next attempt may be made.
        until: Timestamp,
    },
    /// Every usable key is in a cooldown for the model.
    AllCooling {
        /// When the first cooldown ends.
        soonest: Timestamp,
        /// Whether each of them lasts until a quota reset.
        all_until_reset: bool,
    },
    /// The pool has no key that Gemini accepts.
    NoUsableKey {
        /// Whether the pool has enabled keys at all.
        has_keys: bool,
        /// When the first key recovers without an operator.
        returns: Option<Timestamp>,
    },
    /// Gemini rejected every key that was tried; other keys may be usable.
    KeysRefused {
        /// When a retry may succeed.
        retry_at: Timestamp,
    },
    /// The time limit was reached before the first attempt.
    Timeout,
}

/// What a client is advised about a retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAdvice {
    /// As the error of the attempt says.
    AsReported,
    /// The same request can never succeed.
    Never,
    /// A retry may succeed from this time on.
    At(Timestamp),
}

impl ExhaustionReason {
    /// Returns the same failure with another advice.
    pub(super) fn with_advice(self, advice: RetryAdvice) -> Self {
        match self {
            Self::Failed { error, reset, .. } => Self::Failed { error, reset, advice },
            other => other,
        }
    }
}
