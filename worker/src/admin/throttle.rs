//! Guessing the password: every try is counted before the password is looked at, by the address that it
//! comes from and altogether, and each failure makes the next try wait longer.
//!
//! In: a try, and whether the password was right. Out: leave to compare, or how long to wait. What must
//! never happen here: a comparison that was not counted (two tries at once count as two), or an owner
//! whom strangers lock out. Against that, the delay for an address is short of five minutes, the one for
//! all addresses is at most 30 s, and the latter does not hold for an address from which somebody logged
//! in within the last 30 days. While there is a delay, the right password is refused as well, else the
//! delay would not slow down guessing at all; tokens and sessions that exist go on working.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use jiff::Timestamp;
use pool_shared::AdminTokenId;

use super::{AdminError, Context};
use crate::crypto::TokenHash;
use crate::platform::Clock;
use crate::ports::AdminHost;
use crate::store::{Change, ConfigStore, LoginAttempt, ThrottleRule};

/// For one address: five tries, then 2 s, 4 s, …
const BY_ADDRESS: ThrottleRule =
    ThrottleRule { free: 5, first: Duration::from_secs(2), longest: Duration::from_secs(256) };
/// For all addresses together: a hundred tries, then 1 s, 2 s, …
const ALTOGETHER: ThrottleRule =
    ThrottleRule { free: 100, first: Duration::from_secs(1), longest: Duration::from_secs(30) };
/// How long failures are held against an address.
const FAILURES_TTL: Duration = Duration::from_hours(24);
/// How long an address is known from which somebody logged in.
const TRUSTED_ADDRESS_TTL: Duration = Duration::from_hours(30 * 24);

impl<H: AdminHost> Context<'_, H> {
    /// Compares the password, unless it is too early for another try.
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

    /// Notes a wrong password in the audit, with the start of what stands for its source. The answer is the same
    /// when that fails.
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

    /// Where a try comes from, hashed: the store need not know where its admins are. Whoever has an IPv6
    /// address has 2^64 of them. Hosts that do not know have one source for everybody.
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
