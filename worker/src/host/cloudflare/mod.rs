//! The Cloudflare host: Workers, D1 or KV, Durable Objects for the ledger and for KV's config, `fetch`.
//!
//! A host is made for each request, since a binding belongs to the request that it came with. What
//! outlives a request (caches, counts that wait for their report) is plain data in [`Service`].

mod config_object;
mod d1;
mod egress;
mod entry;
mod kv;
mod ledger;
mod media;
mod pump;
mod store;
mod upstream;

use std::rc::Rc;
use std::time::Duration;

use jiff::Timestamp;
use worker::{Date, Delay, Env};

use super::{Clock, Host, Random};
use crate::service::SetupError;
use crate::store::PoolReader;
use ledger::LedgerStub;
use media::FetchMediaClient;
use store::CloudflareReader;
use upstream::FetchUpstream;

/// The Cloudflare host, as one request sees it: with what the data plane reads, or with the whole store.
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
        let ledger = LedgerStub::new(entry::ledger_namespace(env)?);
        Ok(Self { parts: Rc::new(Parts { store, ledger, upstream: FetchUpstream::new(env)? }) })
    }
}

impl<S> Clone for CloudflareHost<S> {
    fn clone(&self) -> Self {
        Self { parts: Rc::clone(&self.parts) }
    }
}

impl<S: PoolReader + 'static> Host for CloudflareHost<S> {
    type Store = S;
    type Ledger = LedgerStub;
    type Upstream = FetchUpstream;
    type Media = FetchMediaClient;
    type Clock = WorkerClock;
    type Random = WorkerRandom;

    fn name(&self) -> &'static str {
        "cloudflare"
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
        &WorkerRandom
    }
}

/// The runtime's time, which moves with I/O only.
pub struct WorkerClock;

impl Clock for WorkerClock {
    fn now(&self) -> Timestamp {
        let milliseconds = i64::try_from(Date::now().as_millis()).unwrap_or_default();
        Timestamp::from_millisecond(milliseconds).unwrap_or_default()
    }

    async fn sleep(&self, duration: Duration) {
        Delay::from(duration).await;
    }
}

/// `crypto.getRandomValues`.
pub struct WorkerRandom;

impl Random for WorkerRandom {
    fn fill(&self, bytes: &mut [u8]) {
        // `getRandomValues` fails only outside a request, where nothing of this runs; a service that
        // cannot make secrets must not run.
        if getrandom::fill(bytes).is_err() {
            std::process::abort();
        }
    }
}
