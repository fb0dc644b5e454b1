//! Authentication: login, logout, and the check of a presented token.

use std::time::Duration;

use http::HeaderMap;
use pool_shared::{API_VERSION, Login, LoginResponse, TokenKind, WhoAmI};

use super::Admin;
use super::tokens::{check_name, lifetime};
use super::{AdminError, Context, HandlerResult, NO_CONTENT, ok};
use crate::crypto::secrets_equal;
use crate::platform::Clock;
use crate::ports::AdminHost;
use crate::store::{ConfigStore, StoredAdminToken};

/// Default lifetime of a login's token.
const DEFAULT_LIFETIME: Duration = Duration::from_hours(30 * 24);
/// Minimum time between two records of a token's use: at most one row per hour and token.
const LAST_USED_INTERVAL: Duration = Duration::from_hours(1);

/// Authenticates the token in `Authorization: Bearer`.
pub(super) async fn authenticate<H: AdminHost>(
    admin: &Admin,
    host: &H,
    headers: &HeaderMap,
) -> Result<StoredAdminToken, AdminError> {
    let hash = admin.state.pools.vault.token_hash(presented_token(headers)?);
    let stored = host.store().admin_token(&hash).await?.ok_or(AdminError::NoToken)?;
    if stored.expires_at <= host.clock().now() {
        return Err(AdminError::ExpiredToken);
    }
    let now = host.clock().now();
    if stored.last_used_at.is_none_or(|last| last + LAST_USED_INTERVAL <= now) {
        // A failed write is repeated at the next use.
        let _ = host.store().use_admin_token(&stored.id, now).await;
    }
    Ok(stored)
}

/// Returns `true` if a request presents a token, well formed or not.
pub(super) fn is_presented(headers: &HeaderMap) -> bool {
    headers.contains_key("authorization")
}

/// Returns the presented token, if it is well formed.
pub(crate) fn presented_token(headers: &HeaderMap) -> Result<&str, AdminError> {
    let value = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let token = match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
        _ => return Err(AdminError::NoToken),
    };
    TokenKind::AdminToken.verify(token).map_err(|_| AdminError::NoToken)?;
    Ok(token)
}

impl Admin {
    /// Compares a password with the admin password in constant time: both are hashed first, so that
    /// not even the length shows.
    pub(super) fn is_admin_password(&self, given: &str) -> bool {
        let hashed = |password: &str| self.state.pools.vault.token_hash(password);
        let (given, wanted) = (hashed(given), hashed(self.password.expose()));
        secrets_equal(given.as_str().as_bytes(), wanted.as_str().as_bytes())
    }
}

impl<H: AdminHost> Context<'_, H> {
    pub(super) async fn login(&self, login: Login) -> HandlerResult {
        self.check_password(login.password.expose()).await?;
        let lifetime = lifetime(login.expires_in_s, DEFAULT_LIFETIME)?;
        check_name("a token", &login.name)?;
        let (token, stored) = self.new_token(login.name, lifetime, None, None);
        let hash = self.admin.state.pools.vault.token_hash(token.expose());
        let change = self.change_by(&stored, "token.login", None, Some(stored.id.to_string()));
        self.host.store().create_admin_token(&hash, &stored, change).await?;
        ok(&LoginResponse { token, id: stored.id, expires_at: stored.expires_at })
    }

    pub(super) async fn logout(&self) -> HandlerResult {
        let token = self.caller()?;
        let change = self.change_by(token, "token.logout", None, Some(token.id.to_string()));
        // A logout is no sign of distrust, so tokens created with this one keep working.
        self.host.store().delete_admin_token(token, true, change).await?;
        NO_CONTENT
    }

    pub(super) fn who_am_i(&self) -> HandlerResult {
        let token = self.caller()?;
        ok(&WhoAmI {
            id: token.id.clone(),
            name: token.name.clone(),
            scopes: token.scopes.clone(),
            pool: token.pool.clone(),
            expires_at: token.expires_at,
            service_version: env!("CARGO_PKG_VERSION").to_owned(),
            api_version: API_VERSION,
        })
    }

    /// Returns the token of the request.
    pub(super) fn caller(&self) -> Result<&StoredAdminToken, AdminError> {
        self.token.as_ref().ok_or(AdminError::NoToken)
    }
}
