//! Commands, one file per noun or verb: a clap struct and a `run` function.
//!
//! A command gets a [`Ctx`](crate::ctx::Ctx) and its parsed arguments. It writes its result through
//! `ctx.out` and returns an [`Outcome`](crate::error::Outcome) or an error; the exit code follows
//! from either.

pub mod api;
pub mod audit;
pub mod backup;
pub mod client_key;
pub mod completions;
pub mod config;
pub mod doctor;
pub mod events;
pub mod health;
pub mod help;
pub mod key;
pub mod limits;
pub mod login;
pub mod logout;
pub mod man;
pub mod manifest;
pub mod master_key;
pub mod migrate;
pub mod pool;
pub mod profile;
pub mod stats;
pub mod test_pool;
pub mod token;
pub mod top;
pub mod version;
pub mod whoami;
