//! The pool service: many Gemini API keys behind isolated, OpenAI-compatible pools.
//!
//! Everything outside [`host`] is the same on Cloudflare Workers and natively. A request flows one
//! way: [`host`] -> [`service`] -> [`gateway`] (or [`admin`]) -> [`translate`] -> [`pool`] -> host.

#![cfg_attr(not(target_arch = "wasm32"), forbid(unsafe_code))]

pub mod admin;
pub mod crypto;
pub mod fetch_guard;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod gateway;
pub mod gemini;
pub mod host;
mod json_text;
pub mod ledger;
pub mod limits;
pub mod log;
mod networks;
pub mod openai;
pub mod origin;
pub mod pool;
pub mod probes;
pub mod reply;
pub mod service;
#[cfg(test)]
mod service_tests;
pub mod sql;
pub mod store;
#[cfg(test)]
mod testing;
pub mod translate;
mod ui;
