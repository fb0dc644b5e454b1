//! The pool service: many Gemini API keys behind isolated, OpenAI-compatible pools.
//!
//! Everything outside [`host`] is the same on Cloudflare Workers and natively. A host calls the
//! [`router`], which hands a request to a plane ([`gateway`], [`admin`] or the web UI). Both planes
//! are on `health`, `retry`, [`reporting`] and [`pools`], these on [`store`], [`ledger`] and
//! [`crypto`], and all of them on the ports in [`platform`].

#![cfg_attr(not(target_arch = "wasm32"), forbid(unsafe_code))]

pub mod admin;
mod attempt;
mod cidr;
pub mod crypto;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod gateway;
mod health;
pub mod host;
pub mod ledger;
pub mod limits;
pub mod liveness;
mod model_lists;
pub mod origin;
pub mod platform;
pub mod pools;
pub mod ports;
pub mod reply;
pub mod reporting;
mod retry;
pub mod router;
#[cfg(test)]
mod service_tests;
pub mod settings;
pub mod setup;
pub mod sql;
pub mod ssrf_guard;
pub mod state;
pub mod store;
#[cfg(test)]
mod testing;
mod ui;
pub mod upstream;
