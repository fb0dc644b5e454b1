//! State of the mock server: scenario, clock, counts, quotas and planned failures.
//!
//! # Invariants
//! - No lock is held across an `await`.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use serde::{Deserialize, Serialize};

use crate::behaviour::Treatment;
use crate::clock::FakeClock;
use crate::counts::Counters;
use crate::quota::Quotas;
use crate::record::Record;
use crate::scenario::Indexed;
use crate::spending::Spending;

/// Planned failures that take precedence over the behaviour of keys and models.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// Number of requests that fail.
    pub count: u64,
    /// How they fail.
    pub behaviour: Treatment,
    /// Only requests with this key.
    #[serde(default)]
    pub key: Option<String>,
    /// Only requests for this model.
    #[serde(default)]
    pub model: Option<String>,
}

/// The state of one mock server.
#[derive(Debug)]
pub(crate) struct ServerState {
    scenario: RwLock<Arc<Indexed>>,
    pub clock: FakeClock,
    pub quotas: Quotas,
    pub spending: Spending,
    pub counters: Counters,
    pub record: Record,
    failures: Mutex<VecDeque<Failure>>,
    responses: AtomicU64,
}

impl ServerState {
    pub(crate) fn new(scenario: Indexed) -> Self {
        Self {
            scenario: RwLock::new(Arc::new(scenario)),
            clock: FakeClock::default(),
            quotas: Quotas::default(),
            spending: Spending::default(),
            counters: Counters::default(),
            record: Record::default(),
            failures: Mutex::default(),
            responses: AtomicU64::new(0),
        }
    }

    pub(crate) fn scenario(&self) -> Arc<Indexed> {
        Arc::clone(&self.scenario.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns a unique `responseId`.
    pub(crate) fn next_id(&self) -> String {
        format!("fake-{}", self.responses.fetch_add(1, Ordering::Relaxed) + 1)
    }

    pub(crate) fn set_scenario(&self, scenario: Indexed) {
        *self.scenario.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(scenario);
    }

    pub(crate) fn fail_next(&self, failure: Failure) {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).push_back(failure);
    }

    /// Clears counts, recorded requests, quotas and planned failures. Keeps scenario and clock.
    pub(crate) fn reset(&self) {
        self.counters.clear();
        self.record.clear();
        self.quotas.clear();
        self.spending.clear();
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Returns the planned failure of a request, if any, and uses it up by one.
    pub(crate) fn planned_failure(&self, key: &str, model: &str) -> Option<Treatment> {
        let fits = |wanted: &Option<String>, got: &str| wanted.as_deref().is_none_or(|wanted| wanted == got);
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.retain(|failure| failure.count > 0);
        let planned = failures.iter_mut().find(|f| fits(&f.key, key) && fits(&f.model, model))?;
        planned.count -= 1;
        Some(planned.behaviour)
    }
}
