//! Types of the pool service's admin API, shared by the service and `poolctl`.
//!
//! Everything here is plain data: what goes over the wire, the ids, the formats of tokens and
//! of key files. There is no I/O, no clock and no randomness, so the crate builds for every target;
//! `outbound`, behind a feature of its name, is for native programs.
//! A secret only ever lives in a [`Secret`], whose `Debug` and `Display` print `[redacted]`.

#![forbid(unsafe_code)]

mod admin_token;
mod audit;
pub mod bounds;
mod client_key;
mod client_key_backup;
mod error;
mod events;
mod fetch_media;
mod gemini_key;
mod health;
mod ids;
mod key;
mod key_check;
mod key_file;
mod key_json;
mod key_state;
mod key_text;
mod limits;
mod loopback;
mod master_key;
mod migration;
mod model_lifecycle;
mod model_limits;
mod names;
mod object;
#[cfg(all(feature = "outbound", not(target_arch = "wasm32")))]
pub mod outbound;
mod pacing;
mod pool;
mod pool_copy;
#[cfg(feature = "schema")]
mod schema;
mod secret;
mod session;
mod stats;
mod token;
mod translation;

pub use admin_token::{
    AdminToken, AdminTokenCreate, AdminTokenCreated, AdminTokenList, AdminTokenRotate, Scope, ScopeError,
};
pub use audit::{AuditEntry, AuditList, AuditLoss};
pub use client_key::{
    ClientKey, ClientKeyCreate, ClientKeyCreated, ClientKeyImport, ClientKeyImportReport, ClientKeyList,
    ClientKeyRotate, ClientKeyRules, ClientKeyUpdate, ClientKeyUpdated, ImportedClientKey,
};
pub use client_key_backup::{ClientKeyExport, HashedClientKey, HashedClientKeys, MasterKeyState};
pub use error::{ErrorBody, ErrorCode, ErrorDetail};
pub use events::{Event, EventList, EventQuota};
pub use fetch_media::{FetchHosts, FetchMedia, Fetcher, Hosts};
pub use gemini_key::{GeminiKey, GeminiKeyError, is_key_character};
pub use health::{
    ComponentHealth, GeminiRoute, Health, HealthStatus, LedgerLoad, PoolModelNotice, UnreadablePool,
};
pub use ids::{AdminTokenId, ClientKeyId, KeyId, PoolId};
pub use key::{
    Key, KeyBatchResult, KeyChange, KeyDelete, KeyImport, KeyImportEntry, KeyImportReport, KeyList, KeyReset,
    KeyUpdate, MalformedEntry, Weight, WeightError,
};
pub use key_check::{CheckedKey, ExportedKey, ExportedKeys, KeyCheck, KeyCheckReport, KeyExport, KeyVerdict};
pub use key_file::{KeyFile, parse_key_file};
pub use key_state::{Failing, KeyCondition, KeyState, KeyStateError, RestingModel, StateCounts};
pub use key_text::read_key;
pub use limits::{Limits, Quota};
pub use loopback::{is_loopback, stays_on_this_machine};
pub use master_key::{MasterKeyRotate, MasterKeyRotation, MasterKeyRows};
pub use migration::{Migrate, MigratedTable, MigrationReport, MigrationStep, StoreKind};
pub use model_lifecycle::{EXAMPLE_MODEL, ModelNotice, answering_model, model_notice, model_notices};
pub use model_limits::{LearntLimit, ModelLimits, PoolLimits, matches_model};
pub use names::{is_visible, name_key};
pub use object::object;
pub use pacing::{Pacing, PacingUnit};
pub use pool::{
    Pool, PoolCreate, PoolCreated, PoolList, PoolNameError, PoolSettings, PoolUpdate, PoolUpdated, pool_name,
};
pub use pool_copy::{PoolCopied, PoolCopy, PoolModel, PoolModels};
pub use secret::Secret;
pub use session::{Login, LoginResponse, SessionCreate, SessionCreated, SessionsRevoked, WhoAmI};
pub use stats::{
    Activity, AttemptOutcome, ClientKeyStats, Counters, KeyStats, Latency, ModelStats, OutcomeStats,
    PoolStats, PoolStatsRow, Quantiles, Rates, RequestOutcome, RequestRates, RequestStats, SeriesPoint,
    Stats, StatsStep, StatsWindow,
};
pub use token::{TokenError, TokenKind};
pub use translation::{
    HarmBlockThreshold, HarmCategory, ImageOutput, KeepAlive, PromptBlock, SafetySetting, SystemMessages,
    Thoughts, TranslationSettings, TranslationUpdate, TranslationUpdateError,
};

/// The version of the admin API's paths: every route is under `/admin/v1`.
pub const API_VERSION: u32 = 1;

/// The path prefix of the admin API.
pub const ADMIN_PREFIX: &str = "/admin/v1";
