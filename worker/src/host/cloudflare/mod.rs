//! The Cloudflare host: Workers, D1, a Durable Object for the ledger, `fetch`.
//!
//! A host is made for each request, since a binding belongs to the request that it came with. What
//! outlives a request (caches, counts that wait for their report) is plain data in [`Service`].

mod d1;
mod entry;
mod ledger;
mod pump;
mod upstream;

use std::rc::Rc;
use std::time::Duration;

use jiff::Timestamp;
use worker::{Date, Delay, Env};

use super::{Clock, Host, Random};
use crate::service::SetupError;
use crate::store::sql::SqlStore;
use d1::D1;
use ledger::LedgerStub;
use upstream::FetchUpstream;

/// The Cloudflare host, as one request sees it.
#[derive(Clone)]
pub struct CloudflareHost {
    parts: Rc<Parts>,
}

struct Parts {
    store: SqlStore<D1>,
    ledger: LedgerStub,
    upstream: FetchUpstream,
}

impl CloudflareHost {
    fn new(env: &Env) -> Result<Self, SetupError> {
        let database = env.d1("DB").map_err(|_| SetupError::MissingBinding("DB (a D1 database)"))?;
        let ledger = env
            .durable_object("LEDGER")
            .map_err(|_| SetupError::MissingBinding("LEDGER (the Durable Object class Ledger)"))?;
        let parts = Parts {
            store: SqlStore::new(D1::new(database)),
            ledger: LedgerStub::new(ledger),
            upstream: FetchUpstream::new(env)?,
        };
        Ok(Self { parts: Rc::new(parts) })
    }
}

impl Host for CloudflareHost {
    type Store = SqlStore<D1>;
    type Ledger = LedgerStub;
    type Upstream = FetchUpstream;
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
