//! Mock Gemini server: `generativelanguage.googleapis.com` (v1beta) on loopback.
//!
//! Plays a [`Scenario`] of models, keys and behaviours. It serves chats, streams, embeddings and model
//! lists with Gemini's error bodies and quotas, fails where the scenario says so, and keeps exact
//! counts.
//!
//! # Invariants
//! - It calls no other server and needs no real key.
//! - Everything that the real API lacks is under `/_fake`.
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
//! Tokens are whitespace-separated words, so tests can predict usage.

#![forbid(unsafe_code)]

mod answer;
mod behaviour;
mod call;
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
mod state;
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
pub use state::Failure;
pub use tls::{TlsError, TlsFront};

use scenario::Indexed;
use state::ServerState;

/// Error of starting the mock server.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The scenario is invalid.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// No port is available.
    #[error("cannot listen: {0}")]
    Listen(#[from] std::io::Error),
}

/// A running mock server. Dropping it closes its port and all connections.
#[derive(Debug)]
pub struct FakeGemini {
    state: Arc<ServerState>,
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
        let state = Arc::new(ServerState::new(Indexed::new(scenario)));
        let accepting = tokio::spawn(listen::accept(listener, Arc::clone(&state)));
        Ok(Self { state, url: url(address), accepting })
    }

    /// Serves on `listener` until the future is dropped, for command-line programs.
    pub async fn serve(listener: TcpListener, scenario: Scenario) -> Result<(), StartError> {
        scenario.check()?;
        let state = Arc::new(ServerState::new(Indexed::new(scenario)));
        listen::accept(listener, state).await;
        Ok(())
    }

    /// Returns the base URL that replaces `https://generativelanguage.googleapis.com`, without a path or
    /// trailing slash.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the counts since the start or the last [`reset`](Self::reset).
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.state.counters.read()
    }

    /// Returns the last requests, oldest first. The scenario sets how many are kept.
    #[must_use]
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.state.record.read()
    }

    /// Returns the clock of the quotas.
    #[must_use]
    pub fn clock(&self) -> &FakeClock {
        &self.state.clock
    }

    /// Replaces the scenario from the next request on. Keeps counts and used quotas; restarts scripts.
    pub fn set_scenario(&self, scenario: Scenario) -> Result<(), ScenarioError> {
        control::replace(&self.state, scenario)
    }

    /// Sets the treatment of one key from the next request on. Adds the key if it is new.
    pub fn set_behaviour(&self, key: &str, treatment: impl Into<Treatment>) -> Result<(), ScenarioError> {
        control::set_key(&self.state, key, treatment.into())
    }

    /// Makes the next `count` generations or embeddings fail, independent of their key.
    pub fn fail_next(&self, count: u64, treatment: impl Into<Treatment>) {
        self.plan(Failure { count, behaviour: treatment.into(), key: None, model: None });
    }

    /// Plans failures of some requests only. Plans that match a request are used up in order.
    pub fn plan(&self, failure: Failure) {
        self.state.fail_next(failure);
    }

    /// Clears counts, requests, used quotas and planned failures. Keeps scenario and clock. Requests in
    /// flight are not counted when they end.
    pub fn reset(&self) {
        self.state.reset();
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
