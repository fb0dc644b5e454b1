//! What every test against a running service needs: the deployment's secrets, and the two hosts.
//!
//! A test file takes the host that it wants by `#[path = "support/native.rs"]` or
//! `#[path = "support/workerd.rs"]`; both offer `Host::start`, `Host::url` and `Host::stop`.

/// 32 bytes in base64, as `openssl rand -base64 32` makes them.
pub const MASTER_KEY: &str = "bm90LWEtc2VjcmV0LW9ubHktZm9yLXRlc3RzLTMyYnk=";
/// 32 other bytes.
#[allow(dead_code, reason = "not every test changes its master key")]
pub const NEW_MASTER_KEY: &str = "YW5vdGhlci1rZXktb25seS1mb3ItdGVzdHMtMzJieXQ=";
/// The admin password.
pub const ADMIN_PASSWORD: &str = "correct horse battery staple";
