//! `GET health`: does the service have what it needs?

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::{AuditLoss, MasterKeyRows, ModelNotice, PoolId};

/// How the service or a part of it is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum HealthStatus {
    /// Works.
    Ok,
    /// Works from what it has in memory, or with something lost.
    Degraded,
    /// Does not work.
    Failing,
    /// A state that this version of the client does not know.
    #[serde(other)]
    Unknown,
}

/// The service's health.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Health {
    /// The worst of the parts.
    pub status: HealthStatus,
    /// The service's version.
    pub version: String,
    /// Which host runs it: `cloudflare` or `native`.
    pub host: String,
    /// The config store.
    pub store: ComponentHealth,
    /// The ledger.
    pub ledger: ComponentHealth,
    /// Whether what the store keeps encrypted decrypts; absent where the store or the service is too old to tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<ComponentHealth>,
    /// The pools in which something does not decrypt.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<UnreadablePool>,
    /// Attempts that were never counted because their report could not be delivered in time, in
    /// the isolate or process that answered, or because the process before it was killed.
    pub lost_attempts: u64,
    /// Clients' requests that were never counted, for the same reasons.
    #[serde(default)]
    pub lost_requests: u64,
    /// What the ledger wrote since it was last loaded; absent when it does not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ledger_load: Option<LedgerLoad>,
    /// How much is sealed under which master key; present while there is a previous one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub master_key: Option<MasterKeyRows>,
    /// Whether media of the service's own zone would be fetched past what protects it, as on Workers without the
    /// compatibility flag `global_fetch_strictly_public`; absent where that cannot be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_zone_reachable: Option<bool>,
    /// How Gemini is called; absent on Workers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gemini: Option<GeminiRoute>,
    /// A proxy on the service's machine or in its network that passes requests on and is not trusted: all of its clients share
    /// its address. It does not change the status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub untrusted_proxy: Option<IpAddr>,
    /// Where the audit lost entries before their 400 days; it does not change the status.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub audit_lost: Vec<AuditLoss>,
    /// What was announced about models that pools name; it does not change the status.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<PoolModelNotice>,
}

/// A warning about a model that a pool's settings name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PoolModelNotice {
    /// The pool's name.
    pub pool: String,
    /// The warning.
    #[serde(flatten)]
    pub notice: ModelNotice,
}

impl Health {
    /// Returns the parts that have a state of their own, by their names.
    pub fn parts(&self) -> impl Iterator<Item = (&'static str, &ComponentHealth)> {
        let always = [("store", &self.store), ("ledger", &self.ledger)];
        always.into_iter().chain(self.encryption.as_ref().map(|part| ("encryption", part)))
    }
}

/// How the native server calls Gemini.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GeminiRoute {
    /// The base URL.
    pub url: String,
    /// The proxy through which it is called, without credentials; absent if it is called directly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
    /// A proxy that the environment names and that is not used, since Gemini is on this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ignored_proxy: Option<String>,
}

impl std::fmt::Display for GeminiRoute {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.proxy, &self.ignored_proxy) {
            (Some(proxy), _) => write!(f, "{}, through the proxy {proxy}", self.url),
            (None, Some(proxy)) => write!(f, "{}, direct, not through {proxy}: it is this machine", self.url),
            (None, None) => write!(f, "{}, direct", self.url),
        }
    }
}

/// A pool in which something does not decrypt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UnreadablePool {
    /// The pool.
    pub pool: PoolId,
    /// Its name.
    pub name: String,
    /// Whether its data key does not decrypt, and with it none of its Gemini keys.
    pub data_key: bool,
    /// How many of its Gemini keys do not decrypt, among those that were looked at.
    pub keys: u64,
}

/// How much the ledger wrote: on Cloudflare's free plan, written rows are what runs out first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LedgerLoad {
    /// Reports that were counted.
    pub reports: u64,
    /// Rows that were written for them, by the database's own count.
    pub rows_written: u64,
}

/// The health of one part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ComponentHealth {
    /// How it is doing.
    pub status: HealthStatus,
    /// What it is: `d1`, `kv`, `sqlite`, `durable object`.
    pub kind: String,
    /// What is wrong; absent when nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}
