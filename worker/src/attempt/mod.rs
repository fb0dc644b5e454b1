//! Attempts: one upstream request made for a client's request, counted exactly once.

mod client;
mod guard;
mod subrequests;

pub(crate) use client::Caller;
pub(crate) use guard::{Account, AttemptRecord};
pub(crate) use subrequests::Calls;
