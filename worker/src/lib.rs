//! The pool service: many Gemini API keys behind isolated, OpenAI-compatible pools.
//!
//! Everything outside [`host`] is the same on Cloudflare Workers and natively. A request flows one
//! way: [`host`] -> [`service`] -> [`gateway`] (or [`admin`]) -> `pool_translate` -> `pool_engine` -> host.

#![cfg_attr(not(target_arch = "wasm32"), forbid(unsafe_code))]

pub mod admin;
mod cidr;
pub mod crypto;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod gateway;
pub mod host;
pub mod ledger;
pub mod limits;
pub mod log;
pub mod origin;
pub mod platform;
pub mod pools;
pub mod ports;
pub mod probes;
pub mod reply;
pub mod service;
#[cfg(test)]
mod service_tests;
pub mod sql;
pub mod ssrf_guard;
pub mod store;
#[cfg(test)]
mod testing;
mod ui;
