//! The pool engine: plain functions over plain data.
//!
//! What comes in is a pool's stored config, random numbers, the time, and what Gemini answered; what
//! goes out is which key to try and what a refusal means. [`classify`] judges an answer, [`Runtime`]
//! keeps what was learnt and chooses keys, [`AttemptPlan`] takes one request from key to key. Nothing
//! here does I/O, reads a clock, or knows HTTP beyond a status.

mod budget;
mod callers;
mod circuit;
mod lane;
mod learnt;
mod members;
mod model_rules;
mod plan;
mod projects;
mod quota_day;
mod roster;
mod runtime;
mod runtimes;
mod same_keys;
mod shift;
mod snapshot;
mod standing;
mod verdict;
mod weight_tree;

pub use budget::Cost;
pub use callers::{CallerRules, Callers, Left, OverLimit};
pub use circuit::OpenReason;
pub use learnt::{CoolingReason, Fact, Learnt, Subject};
pub use model_rules::ModelRules;
pub use plan::{AttemptPlan, Step};
pub use pool_shared::{Limits, Quota};
pub use quota_day::next_quota_day;
pub use roster::{Roster, RosterKey};
pub use runtime::{AttemptEnd, KeyState, Lease, Pick, PickRequest, Runtime};
pub use runtimes::Runtimes;
pub use same_keys::{PoolKey, SameKeys};
pub(crate) use shift::shifted;
pub use snapshot::{Snapshot, SnapshotKey};
pub use standing::Condition;
#[cfg(any(test, fuzzing))]
pub use verdict::fuzz;
pub use verdict::{
    BlockReason, Cause, Evidence, Fault, Note, Refusal, Retry, Sent, Verdict, classify, network_fault,
};
