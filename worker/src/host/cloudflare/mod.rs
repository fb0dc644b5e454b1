//! The Cloudflare host: Workers, D1 or KV, Durable Objects for the ledger and for KV's config, `fetch`.
//!
//! Bindings are the same for all requests of an isolate, so the data plane's host is made once. Whatever comes of using
//! one (a call, a stream, a timer) belongs to the request that used it and must never be waited for by another.

mod bindings;
mod body_reader;
mod config_object;
mod d1;
mod egress;
mod entry;
mod js_bridge;
mod kv;
mod ledger;
mod media;
mod store;
mod stream_pipe;
mod upstream;

use std::rc::Rc;
use std::time::Duration;

use jiff::Timestamp;
use worker::js_sys::{Date, JsString};
use worker::{Delay, Env};

use super::SystemRandom;
use crate::platform::{Clock, Platform};
use crate::setup::SetupError;
use crate::store::PoolReader;
use ledger::LedgerStub;
use media::FetchMediaClient;
use store::CloudflareReader;
use upstream::FetchUpstream;

/// The Cloudflare host: with what the data plane reads, or with the whole store.
pub struct CloudflareHost<S = CloudflareReader> {
    parts: Rc<Parts<S>>,
}

struct Parts<S> {
    store: S,
    ledger: LedgerStub,
    upstream: FetchUpstream,
}

impl<S> CloudflareHost<S> {
    fn new(env: &Env, store: S) -> Result<Self, SetupError> {
        let ledger = LedgerStub::new(env)?;
        Ok(Self { parts: Rc::new(Parts { store, ledger, upstream: FetchUpstream::new(env)? }) })
    }
}

impl<S> Clone for CloudflareHost<S> {
    fn clone(&self) -> Self {
        Self { parts: Rc::clone(&self.parts) }
    }
}

impl<S: PoolReader + 'static> Platform for CloudflareHost<S> {
    type Store = S;
    type Ledger = LedgerStub;
    type Upstream = FetchUpstream;
    type Media = FetchMediaClient;
    type Clock = WorkerClock;
    type Random = SystemRandom;

    fn name(&self) -> &'static str {
        "cloudflare"
    }

    fn own_zone_is_reachable(&self) -> Option<bool> {
        media::own_zone_is_reachable()
    }

    fn nfkc(text: &str) -> String {
        JsString::from(text).normalize("NFKC").into()
    }

    fn store(&self) -> &Self::Store {
        &self.parts.store
    }

    fn ledger(&self) -> &Self::Ledger {
        &self.parts.ledger
    }

    fn upstream(&self) -> &Self::Upstream {
        &self.parts.upstream
    }

    fn media(&self) -> &Self::Media {
        &FetchMediaClient
    }

    fn clock(&self) -> &Self::Clock {
        &WorkerClock
    }

    fn random(&self) -> &Self::Random {
        &SystemRandom
    }
}

/// The runtime's time, which moves with I/O only.
pub struct WorkerClock;

impl Clock for WorkerClock {
    fn now(&self) -> Timestamp {
        #[allow(clippy::cast_possible_truncation, reason = "whole milliseconds, below 2^53")]
        let milliseconds = Date::now() as i64;
        Timestamp::from_millisecond(milliseconds).unwrap_or_default()
    }

    async fn sleep(&self, duration: Duration) {
        Delay::from(duration).await;
    }
}
