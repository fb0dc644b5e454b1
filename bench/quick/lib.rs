//! Deterministic benchmarks, which count instead of measuring time.
//!
//! Time is virtual, randomness is seeded and Gemini is a script, so results are equal on every run
//! and machine. Two programs run the cases: `quick-counts` counts calls and allocations,
//! `quick-work` runs under callgrind.
//!
//! # Invariants
//! - No threads, no sockets, no system clock.

// A benchmark that cannot prepare its input panics.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a benchmark, not a service")]
#![forbid(unsafe_code)]

pub mod bodies;
pub mod harness;
pub mod host;
pub mod time;
pub mod translations;
