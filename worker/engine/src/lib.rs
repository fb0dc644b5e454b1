//! The pool engine: key selection, key health, quotas, retries and error classification.
//!
//! Callers pass in a pool's configured keys, the time, random numbers and Gemini's responses.
//! [`classify`] turns an error response into a [`Verdict`], [`Runtime`] keeps what was observed and
//! selects keys, [`AttemptPlan`] is the retry policy of one request. Nothing here does I/O, reads a
//! clock, or knows HTTP beyond status codes and Gemini's error bodies.

#![forbid(unsafe_code)]

mod budget;
mod callers;
mod circuit;
mod ids;
mod key_list;
mod lane;
mod learnt;
mod members;
mod model_rules;
mod plan;
mod projects;
mod quota_day;
mod random;
mod roster;
mod runtime;
mod runtimes;
mod same_keys;
mod shift;
mod standing;
mod upstream_error;
mod verdict;
mod weight_tree;

pub use budget::Cost;
pub use callers::{CallerRules, Callers, Left, OverLimit};
pub use circuit::OpenReason;
pub use ids::{KeyDigest, TokenHash, TokenTag, is_lower_hex};
pub use key_list::{KeyList, KeyListBuilder, ListedKey, Texts, TextsBuilder};
pub use learnt::{CoolingReason, Fact, Learnt, Subject};
pub use model_rules::ModelRules;
pub use plan::{AttemptPlan, Step};
pub use pool_shared::{Limits, Quota};
pub use quota_day::{QUOTA_ZONE, next_quota_day};
pub use random::Random;
#[cfg(any(test, feature = "test-support"))]
pub use random::SeededRandom;
pub use roster::{Roster, RosterKey};
pub use runtime::{AttemptEnd, KeyState, Lease, Pick, PickRequest, Runtime};
pub use runtimes::Runtimes;
pub use same_keys::{PoolKey, SameKeys};
pub use shift::shifted;
pub use standing::Condition;
pub use upstream_error::{Awaited, UpstreamError};
#[cfg(any(test, feature = "test-support"))]
pub use verdict::fuzz;
pub use verdict::{
    BlockReason, Cause, Evidence, Fault, Note, Refusal, Retry, Sent, Verdict, classify, network_fault,
};
