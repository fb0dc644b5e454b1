//! Login throttling: exponential backoff per address and globally, after failed passwords.
//!
//! Every attempt is counted before the password is compared. During a delay the right password is
//! rejected as well, otherwise the delay would not slow down guessing. Existing tokens and sessions
//! keep working.
//!
//! # Invariants
//! - No password is compared without being counted; concurrent attempts count one by one.
//! - Attackers cannot lock out the owner: the delay of an address is below five minutes, the global
//!   delay is at most 30 s, and it does not apply to an address with a successful login in the last
//!   30 days.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use jiff::Timestamp;
use pool_shared::AdminTokenId;

use super::{AdminError, Context};
use crate::crypto::TokenHash;
use crate::platform::Clock;
use crate::ports::AdminHost;
use crate::store::{Change, ConfigStore, LoginAttempt, ThrottleRule};

/// Per address: five attempts, then 2 s, 4 s, …
const BY_ADDRESS: ThrottleRule =
    ThrottleRule { free: 5, first: Duration::from_secs(2), longest: Duration::from_secs(256) };
/// Globally: a hundred attempts, then 1 s, 2 s, …
const ALTOGETHER: ThrottleRule =
    ThrottleRule { free: 100, first: Duration::from_secs(1), longest: Duration::from_secs(30) };
/// How long failures of an address count.
const FAILURES_TTL: Duration = Duration::from_hours(24);
/// How long an address is trusted after a successful login.
const TRUSTED_ADDRESS_TTL: Duration = Duration::from_hours(30 * 24);

impl<H: AdminHost> Context<'_, H> {
    /// Compares the password, unless the attempt comes too early.
    pub(super) async fn check_password(&self, given: &str) -> Result<(), AdminError> {
        let now = self.host.clock().now();
        let source = self.source();
        let attempt = LoginAttempt {
            source: source.clone(),
            rules: [BY_ADDRESS, ALTOGETHER],
            now,
            forget_before: now - FAILURES_TTL,
        };
        if let Some(until) = self.host.store().try_login(&attempt).await? {
            return Err(AdminError::TooManyLogins(until.duration_since(now).unsigned_abs()));
        }
        if !self.admin.is_admin_password(given) {
            self.note_failed_login(&source, now).await;
            return Err(AdminError::WrongPassword);
        }
        Ok(self.host.store().login_succeeded(&source, now + TRUSTED_ADDRESS_TTL).await?)
    }

    /// Adds an audit entry for a wrong password, with the start of the source's hash. A failure of
    /// this does not change the response.
    async fn note_failed_login(&self, source: &TokenHash, now: Timestamp) {
        let change = Change {
            at: now,
            actor: AdminTokenId::new("nobody"),
            actor_name: String::new(),
            budget: AdminTokenId::new("nobody"),
            action: "login.failed",
            pool: None,
            target: source.as_str().get(..8).map(ToOwned::to_owned),
            request_id: self.request_id.to_owned(),
            before: None,
            after: None,
            is_noted: false,
        };
        let _ = self.host.store().note_failed_login(change).await;
    }

    /// Returns the hashed source of an attempt: the store need not know the addresses of admins. An
    /// IPv6 client has 2^64 addresses, so its network counts. Hosts that do not know addresses have
    /// a single source.
    fn source(&self) -> TokenHash {
        let network = match self.client_address {
            None => "unknown".to_owned(),
            Some(IpAddr::V4(address)) => address.to_string(),
            Some(IpAddr::V6(address)) => {
                Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).to_string()
            }
        };
        self.admin.state.pools.vault.token_hash(&format!("login from {network}"))
    }
}
