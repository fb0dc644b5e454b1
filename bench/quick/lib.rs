//! What the benchmarks count instead of timing it: the same numbers on every run and every machine.
//!
//! In: nothing from outside; time stands still unless something sleeps, randomness is seeded, Gemini is a script. Out:
//! cases that two programs run, `quick-counts` to count calls and allocations, `quick-work` under callgrind. Never here:
//! a thread, a socket, the system's clock.

// A benchmark that cannot prepare its input may as well stop.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a benchmark, not a service")]
#![forbid(unsafe_code)]

pub mod bodies;
pub mod harness;
pub mod host;
pub mod time;
pub mod translations;
