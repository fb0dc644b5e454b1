//! What the ledger counted, as the admin API shows it.

use serde::{Deserialize, Serialize};

use crate::{KeyId, PoolId};

/// Exact counts since the service began to count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Attempts: calls made upstream. A caller's request that was tried on two keys counts two.
    pub requests: u64,
    /// Attempts that Gemini answered and that reached their end.
    pub successes: u64,
    /// Attempts that did not.
    pub failures: u64,
    /// Tokens of the prompts, as Gemini counted them.
    pub prompt_tokens: u64,
    /// Tokens of the answers, thinking included, as Gemini counted them.
    pub completion_tokens: u64,
}

impl Counters {
    /// Adds another set of counts to this one.
    pub fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.successes += other.successes;
        self.failures += other.failures;
        self.prompt_tokens += other.prompt_tokens;
        self.completion_tokens += other.completion_tokens;
    }

    /// Whether anything was counted.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        *self == Self::default()
    }
}

/// `GET stats`: every pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// All pools together, deleted ones included.
    pub total: Counters,
    /// Pool by pool, the busiest first.
    pub pools: Vec<PoolStatsRow>,
    /// Attempts that were never counted because their report could not be delivered in time.
    pub lost: u64,
}

/// One pool in [`Stats`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolStatsRow {
    /// The pool.
    pub pool: PoolId,
    /// Its name; absent when the pool was deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its counts.
    #[serde(flatten)]
    pub counters: Counters,
}

/// `GET pools/{id}/stats`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolStats {
    /// The pool.
    pub pool: PoolId,
    /// Its name.
    pub name: String,
    /// All keys and models together, removed keys included.
    pub total: Counters,
    /// Key by key, the busiest first.
    pub keys: Vec<KeyStats>,
    /// Model by model, the busiest first.
    pub models: Vec<ModelStats>,
}

/// One key in [`PoolStats`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyStats {
    /// The key.
    pub key: KeyId,
    /// First and last four characters; absent when the key was removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub masked: Option<String>,
    /// Its name; empty when it has none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Its counts.
    #[serde(flatten)]
    pub counters: Counters,
}

/// One model in [`PoolStats`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelStats {
    /// The Gemini model's id.
    pub model: String,
    /// Its counts.
    #[serde(flatten)]
    pub counters: Counters,
}
