//! Statistics of the admin API: counters, rates, latencies and outcomes.

mod outcomes;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{ClientKeyId, KeyCondition, KeyId, PoolId};

pub use outcomes::{AttemptOutcome, RequestOutcome};

/// Exact counts of attempts: since the service began to count, or in the window that was asked for. What clients sent is
/// counted in [`RequestStats`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Counters {
    /// Attempts: calls made upstream. A client's request that was tried on two keys counts two.
    pub attempts: u64,
    /// Attempts that Gemini answered and that reached their end.
    pub successes: u64,
    /// Attempts that failed. One whose client left before its end neither succeeded nor failed.
    pub failures: u64,
    /// Tokens of the prompts, as Gemini counted them.
    pub prompt_tokens: u64,
    /// Tokens of the answers, thinking included, as Gemini counted them.
    pub completion_tokens: u64,
    /// Those of the prompts' tokens that Gemini had in its cache.
    #[serde(default)]
    pub cached_tokens: u64,
    /// Those of the answers' tokens that were thinking.
    #[serde(default)]
    pub thought_tokens: u64,
}

impl Counters {
    /// Adds another set of counts to this one.
    pub fn add(&mut self, other: &Self) {
        self.attempts += other.attempts;
        self.successes += other.successes;
        self.failures += other.failures;
        self.prompt_tokens += other.prompt_tokens;
        self.completion_tokens += other.completion_tokens;
        self.cached_tokens += other.cached_tokens;
        self.thought_tokens += other.thought_tokens;
    }

    /// Returns `true` if anything was counted.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        *self == Self::default()
    }
}

/// How long something took, in milliseconds; each figure is within 5 % of the exact one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Quantiles {
    /// How many attempts were measured.
    pub count: u64,
    /// Half of them took no longer.
    pub p50_ms: f64,
    /// 95 of 100 took no longer.
    pub p95_ms: f64,
    /// 99 of 100 took no longer.
    pub p99_ms: f64,
}

/// How long the attempts took that reached their end. What failed is left out: an error's quick
/// answer says nothing about how long clients wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Latency {
    /// From the call to the first piece of the response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_byte: Option<Quantiles>,
    /// From the call to the end of the response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<Quantiles>,
}

/// How much goes through now, by the time at which attempts began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Rates {
    /// Attempts in the last full minute.
    pub rpm: u64,
    /// Attempts in the minute that runs.
    pub rpm_now: u64,
    /// Tokens of prompts in the last full minute: these are what Gemini's limits count.
    pub tpm: u64,
    /// Tokens of prompts in the minute that runs.
    pub tpm_now: u64,
    /// Attempts since midnight in California, where Gemini's days turn.
    pub rpd: u64,
    /// Tokens of prompts since then.
    pub tpd: u64,
}

impl Rates {
    /// Adds another set of rates to this one.
    pub fn add(&mut self, other: &Self) {
        self.rpm += other.rpm;
        self.rpm_now += other.rpm_now;
        self.tpm += other.tpm;
        self.tpm_now += other.tpm_now;
        self.rpd += other.rpd;
        self.tpd += other.tpd;
    }
}

/// Requests per minute and day, by the time at which they began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RequestRates {
    /// Requests in the last full minute.
    pub rpm: u64,
    /// Requests in the current minute.
    pub rpm_now: u64,
    /// Requests since midnight Pacific Time.
    pub rpd: u64,
}

impl RequestRates {
    /// Adds another set of rates to this one.
    pub fn add(&mut self, other: &Self) {
        self.rpm += other.rpm;
        self.rpm_now += other.rpm_now;
        self.rpd += other.rpd;
    }
}

/// Exact counts of what clients sent, each request once, also when it was rejected without an attempt. A request counts
/// once its client key is recognised.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RequestStats {
    /// All requests.
    pub total: u64,
    /// Those that got a complete response.
    pub succeeded: u64,
    /// Those that failed for no fault of the client: `server_error`, `quota_exhausted` and `truncated`. Invalid requests,
    /// disconnected clients and limits of client keys are neither here nor among the succeeded.
    pub failed: u64,
    /// Requests by how they ended for the client.
    #[serde(default)]
    pub outcomes: BTreeMap<RequestOutcome, u64>,
    /// Requests by how many attempts they took: `0` for those that were rejected without any, `9` for nine and more.
    #[serde(default)]
    pub attempts: BTreeMap<u32, u64>,
    /// How long the succeeded ones took, from the request to the end of the response, retries included. For a client key,
    /// known in windows with the step `minute` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Quantiles>,
    /// Current rates, whatever window was asked for.
    #[serde(default)]
    pub rates: RequestRates,
}

/// What goes with a set of [`Counters`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Activity {
    /// Attempts by what became of them.
    pub outcomes: BTreeMap<AttemptOutcome, u64>,
    /// How long they took. For a key, known in windows with the step `minute` only.
    pub latency: Latency,
    /// How much goes through now, whatever window was asked for.
    pub rates: Rates,
}

/// `GET stats`: every pool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Stats {
    /// What clients sent to all pools together, deleted ones included.
    #[serde(default)]
    pub requests: RequestStats,
    /// The attempts of all pools together, deleted ones included.
    pub total: Counters,
    /// What goes with the total.
    #[serde(default)]
    pub activity: Activity,
    /// Pool by pool, the busiest first.
    pub pools: Vec<PoolStatsRow>,
    /// Attempts that were never counted because their report could not be delivered in time or their process was
    /// killed; at most so many, since a report may have arrived without being confirmed.
    pub lost: u64,
    /// Requests that were never counted, for the same reasons; at most so many.
    #[serde(default)]
    pub lost_requests: u64,
}

/// One pool in [`Stats`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PoolStatsRow {
    /// The pool.
    pub pool: PoolId,
    /// Its name; absent when the pool was deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What clients sent to it.
    #[serde(default)]
    pub requests: RequestStats,
    /// Its attempts.
    #[serde(flatten)]
    pub counters: Counters,
    /// What goes with them.
    #[serde(default)]
    pub activity: Activity,
}

/// `GET pools/{id}/stats`: since the service began to count. With `since`, `until` (RFC 3339) or
/// `step`: in that window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PoolStats {
    /// The pool.
    pub pool: PoolId,
    /// Its name.
    pub name: String,
    /// The window that counts, outcomes, latencies and series cover; absent for everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<StatsWindow>,
    /// What clients sent.
    #[serde(default)]
    pub requests: RequestStats,
    /// The attempts of all keys and models together, removed keys included.
    pub total: Counters,
    /// What goes with the total.
    #[serde(default)]
    pub activity: Activity,
    /// What became of the attempts, the most frequent first.
    #[serde(default)]
    pub outcomes: Vec<OutcomeStats>,
    /// Key by key, the busiest first.
    pub keys: Vec<KeyStats>,
    /// Model by model, the busiest first. A request is counted under the model that it asks for, an attempt under the
    /// model that was called. Names that no model has are counted as one, `(unknown)`.
    pub models: Vec<ModelStats>,
    /// Client key by client key, the busiest first.
    #[serde(default)]
    pub client_keys: Vec<ClientKeyStats>,
    /// Step by step through the window, the oldest first. Steps without requests and attempts are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub series: Vec<SeriesPoint>,
}

/// One outcome in [`PoolStats`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OutcomeStats {
    /// The outcome.
    pub outcome: AttemptOutcome,
    /// Its counts.
    #[serde(flatten)]
    pub counters: Counters,
}

/// One key in [`PoolStats`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct KeyStats {
    /// The key.
    pub key: KeyId,
    /// First and last four characters; absent when the key was removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub masked: Option<String>,
    /// Its name; empty when it has none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// How it is.
    #[serde(flatten)]
    pub condition: KeyCondition,
    /// Its counts.
    #[serde(flatten)]
    pub counters: Counters,
    /// What goes with them.
    #[serde(default)]
    pub activity: Activity,
    /// When its last attempt began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used: Option<Timestamp>,
}

/// One model in [`PoolStats`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ModelStats {
    /// The Gemini model's id.
    pub model: String,
    /// The requests that ask for it.
    #[serde(default)]
    pub requests: RequestStats,
    /// The attempts on it.
    #[serde(flatten)]
    pub counters: Counters,
    /// What goes with them.
    #[serde(default)]
    pub activity: Activity,
}

/// One client key in [`PoolStats`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ClientKeyStats {
    /// The client key.
    pub client_key: ClientKeyId,
    /// Its name; absent when the client key was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What was sent with it.
    #[serde(default)]
    pub requests: RequestStats,
}

/// How finely a window is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum StatsStep {
    /// Minutes, kept for 26 hours.
    Minute,
    /// Hours, kept for 35 days.
    Hour,
    /// Days from midnight to midnight in California, kept for 400 days.
    Day,
}

impl StatsStep {
    /// Returns the name that the API uses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }
}

/// A stretch of time, cut into steps. Both ends lie on the beginning of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StatsWindow {
    /// Its beginning.
    pub since: Timestamp,
    /// Its end, which is no longer part of it.
    pub until: Timestamp,
    /// The step.
    pub step: StatsStep,
}

/// One step in [`PoolStats::series`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SeriesPoint {
    /// When it began.
    pub at: Timestamp,
    /// The requests that began in it.
    #[serde(default)]
    pub requests: RequestStats,
    /// The attempts that began in it.
    #[serde(flatten)]
    pub counters: Counters,
    /// Attempts by what became of them.
    pub outcomes: BTreeMap<AttemptOutcome, u64>,
    /// How long they took.
    pub latency: Latency,
}
