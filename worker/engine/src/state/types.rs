//! The types of key selection and of attempts: what a pool's state takes and returns.

use jiff::Timestamp;
use pool_shared::KeyId;

use crate::circuit_breaker::OpenReason;
use crate::health::HealthState;
use crate::observation::CoolingReason;
use crate::quota::Cost;
use crate::verdict::Verdict;

/// What a key is selected for.
#[derive(Clone, Copy, Debug)]
pub struct PickRequest<'a> {
    /// The model; empty for calls that draw on no model's quota.
    pub model: &'a str,
    /// The places in the key set of the keys that were tried already.
    pub tried: &'a [usize],
    /// Requests with the same number use the same key while that is usable (session affinity).
    pub affinity: Option<u64>,
    /// What it will use up.
    pub cost: Cost,
}

/// The result of a key selection.
#[derive(Debug)]
pub enum Pick {
    /// Use this one.
    Key {
        /// Its place in the key set.
        index: usize,
        /// To be given back to [`PoolState::finish`](super::PoolState::finish).
        lease: Lease,
    },
    /// The model keeps failing: no attempt before `until`.
    Open {
        /// When the next attempt may be made.
        until: Timestamp,
        /// Why.
        reason: OpenReason,
    },
    /// Every usable key is in a cooldown.
    AllCooling {
        /// When the first of them returns.
        soonest: Timestamp,
        /// Whether all of them have used up the day's quota.
        all_until_reset: bool,
    },
    /// Every usable key was tried.
    AllTried,
    /// No key is usable or in a cooldown.
    NoneLeft {
        /// When the first of those comes back that come back by themselves.
        returns: Option<Timestamp>,
    },
}

/// A running attempt on a key.
#[derive(Debug)]
#[must_use = "an attempt that never ends counts against its key for ten minutes"]
pub struct Lease {
    pub(super) serial: u64,
    pub(super) key: KeyId,
    pub(super) model: String,
    pub(super) began: Timestamp,
    pub(super) cost: Cost,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug)]
pub enum AttemptEnd<'a> {
    /// Gemini responded.
    Success {
        /// Input tokens, as Gemini counted them.
        tokens: Option<u64>,
        /// Content was generated; `false` for embeddings, token counts and model lists.
        generated: bool,
    },
    /// Gemini returned an error, or could not be reached.
    Refused(&'a Verdict),
}

/// The state of a key, the worst first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// The key or its project is unhealthy for all models.
    Unhealthy(HealthState),
    /// It is in a cooldown for these models.
    Cooling(Vec<(String, Timestamp, CoolingReason)>),
    /// No error is known.
    Healthy,
}
