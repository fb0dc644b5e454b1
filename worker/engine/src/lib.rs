//! The pool engine: key selection, key health, quotas, retries and error classification.
//!
//! Callers pass in a pool's configured keys, the time, random numbers and Gemini's responses.
//! [`classify`] turns an error response into a [`Verdict`], [`PoolState`] keeps what was observed and
//! selects keys, [`RetryPlan`] is the retry policy of one request. Nothing here does I/O, reads a
//! clock, or knows HTTP beyond status codes and Gemini's error bodies.

#![forbid(unsafe_code)]

mod circuit_breaker;
mod health;
mod ids;
mod key_list;
mod key_set;
mod key_table;
mod model_rules;
mod observation;
mod pool_states;
mod projects;
mod quota;
mod random;
mod rate_limiter;
mod retry;
mod same_keys;
mod selector;
mod shift;
mod state;
mod suspicions;
mod upstream_error;
mod verdict;
mod weight_tree;

pub use circuit_breaker::OpenReason;
pub use health::HealthState;
pub use ids::{KeyDigest, TokenHash, TokenTag, is_lower_hex};
pub use key_list::{KeyList, KeyListBuilder, ListedKey, Texts, TextsBuilder};
pub use key_set::{KeySet, KeySetEntry};
pub use model_rules::ModelRules;
pub use observation::{CoolingReason, Observation, ObservationKind, Subject};
pub use pool_shared::{Limits, Quota};
pub use pool_states::PoolStates;
pub use quota::Cost;
pub use quota::{QUOTA_ZONE, next_quota_day};
pub use random::Random;
#[cfg(any(test, feature = "test-support"))]
pub use random::SeededRandom;
pub use rate_limiter::{ClientLimits, Left, OverLimit, RateLimiter};
pub use retry::{Exhausted, ExhaustionReason, RetryAdvice, RetryPlan, Step};
pub use same_keys::{PoolKey, SameKeys};
pub use shift::shifted;
pub use state::{AttemptEnd, KeyState, Lease, Pick, PickRequest, PoolState};
pub use suspicions::{Belief, Suspicions};
pub use upstream_error::{Awaited, UpstreamError};
#[cfg(any(test, feature = "test-support"))]
pub use verdict::fuzz;
pub use verdict::{
    BlockReason, Cause, Evidence, Fault, Note, Refusal, Retry, Sent, Verdict, classify, network_fault,
};
