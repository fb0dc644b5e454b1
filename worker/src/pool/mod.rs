//! The pool engine: plain functions over plain data.
//!
//! What comes in is a pool's stored config, random numbers, and what Gemini answered; what goes out
//! is which key to try and what a refusal means. Nothing here does I/O, reads a clock, or knows HTTP
//! beyond a status.

mod model_rules;
mod select;
mod snapshot;
mod verdict;

pub use model_rules::ModelRules;
pub use select::KeyTable;
pub use snapshot::{Snapshot, SnapshotKey};
pub use verdict::{Fault, Verdict, classify, network_fault};
