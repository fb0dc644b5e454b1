//! A stand-in for `generativelanguage.googleapis.com` (v1beta), on loopback.
//!
//! In: a [`Scenario`] that says which models and keys there are and how each behaves. Out: a server that answers chats,
//! streams, embeddings and listings as Gemini does, refuses with its error bodies, keeps its quotas, breaks off where
//! it is told to, and counts exactly what it did. Never here: a secret, a request to anywhere else, or a shape that the
//! real service does not have (all of that is under `/_fake`).
//!
//! ```no_run
//! # async fn example() -> Result<(), pool_fake_gemini::StartError> {
//! use pool_fake_gemini::{Behaviour, FakeGemini, KeySpec, Scenario};
//!
//! let scenario = Scenario::with_keys(["AIza-good"]).key(KeySpec::new("AIza-bad", Behaviour::Suspended));
//! let gemini = FakeGemini::start(scenario).await?;
//! // … call gemini.url() …
//! assert_eq!(gemini.counts().key("AIza-good").requests, 1);
//! # Ok(())
//! # }
//! ```
//!
//! Tokens are words between white space, so that a test can predict the usage it will read.

#![forbid(unsafe_code)]

mod answer;
mod behaviour;
mod catalogue;
mod clock;
mod compat;
mod control;
mod counts;
mod embedding;
mod exchange;
mod family;
mod listen;
mod playback;
mod quota;
mod record;
mod refusal;
mod request;
mod scenario;
mod server;
mod spending;
mod tls;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub use behaviour::{Behaviour, Treatment};
pub use clock::FakeClock;
pub use counts::{Counts, KeyModelCount, Tally, Tokens};
pub use record::{Credential, RecordedRequest};
pub use scenario::{Account, Answer, KeySpec, Limits, Scenario, ScenarioError, Script, Tier};
pub use server::Failure;
pub use tls::{TlsError, TlsFront};

use scenario::Indexed;
use server::Server;

/// Why the stand-in did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The scenario cannot be played.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// No port could be had.
    #[error("cannot listen: {0}")]
    Listen(#[from] std::io::Error),
}

/// A running stand-in. Dropping it closes its port and every connection.
#[derive(Debug)]
pub struct FakeGemini {
    server: Arc<Server>,
    url: String,
    accepting: JoinHandle<()>,
}

impl FakeGemini {
    /// Starts on a free port of 127.0.0.1, inside the current tokio runtime.
    pub async fn start(scenario: Scenario) -> Result<Self, StartError> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        Self::on(listener, scenario)
    }

    /// Starts on a listener that is already bound.
    pub fn on(listener: TcpListener, scenario: Scenario) -> Result<Self, StartError> {
        scenario.check()?;
        let address = listener.local_addr()?;
        let server = Arc::new(Server::new(Indexed::new(scenario)));
        let accepting = tokio::spawn(listen::accept(listener, Arc::clone(&server)));
        Ok(Self { server, url: url(address), accepting })
    }

    /// Serves on `listener` until the future is dropped: the whole life of a command-line program.
    pub async fn serve(listener: TcpListener, scenario: Scenario) -> Result<(), StartError> {
        scenario.check()?;
        let server = Arc::new(Server::new(Indexed::new(scenario)));
        listen::accept(listener, server).await;
        Ok(())
    }

    /// What to use instead of `https://generativelanguage.googleapis.com`: no path, no slash at the end.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What was done since the start or the last [`reset`](Self::reset).
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.server.counters.read()
    }

    /// The last requests, oldest first; how many the scenario says.
    #[must_use]
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.server.record.read()
    }

    /// The clock of the quotas.
    #[must_use]
    pub fn clock(&self) -> &FakeClock {
        &self.server.clock
    }

    /// Plays another scenario from the next request on. Counts and used quotas stay; scripts start afresh.
    pub fn set_scenario(&self, scenario: Scenario) -> Result<(), ScenarioError> {
        control::replace(&self.server, scenario)
    }

    /// Changes how one key is treated from the next request on; a new key is added.
    pub fn set_behaviour(&self, key: &str, treatment: impl Into<Treatment>) -> Result<(), ScenarioError> {
        control::set_key(&self.server, key, treatment.into())
    }

    /// Makes the next `count` generations or embeddings fail in this way, whatever their key.
    pub fn fail_next(&self, count: u64, treatment: impl Into<Treatment>) {
        self.plan(Failure { count, behaviour: treatment.into(), key: None, model: None });
    }

    /// As [`fail_next`](Self::fail_next), for some requests only. Plans that fit are used up in their order.
    pub fn plan(&self, failure: Failure) {
        self.server.fail_next(failure);
    }

    /// Forgets counts, requests, used quotas and planned failures; scenario and clock stay. Requests that still run
    /// are not counted when they end.
    pub fn reset(&self) {
        self.server.reset();
    }
}

impl Drop for FakeGemini {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn url(address: SocketAddr) -> String {
    format!("http://{address}")
}
