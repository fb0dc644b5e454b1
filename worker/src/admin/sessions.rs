//! Who is calling: login, logout, the check of a presented token.

use std::time::Duration;

use http::HeaderMap;
use pool_shared::{API_VERSION, AdminTokenId, Login, LoginResponse, TokenKind, WhoAmI};

use super::{AdminError, Answer, Context, NO_CONTENT, ok};
use crate::crypto::secrets_equal;
use crate::host::{AdminHost, Clock, Random};
use crate::service::Service;
use crate::store::{ConfigStore, StoredAdminToken};

/// How long a token is good for when the login does not say.
const DEFAULT_LIFETIME: Duration = Duration::from_hours(30 * 24);
/// The longest that it can be good for.
const LONGEST_LIFETIME: Duration = Duration::from_hours(365 * 24);
/// The longest name of a token, in characters.
const LONGEST_NAME: usize = 100;

/// Finds the token that a request presents as `Authorization: Bearer`.
pub(super) async fn authenticate<H: AdminHost>(
    service: &Service,
    host: &H,
    headers: &HeaderMap,
) -> Result<StoredAdminToken, AdminError> {
    let hash = service.vault.token_hash(presented_token(headers)?);
    let stored = host.store().admin_token(&hash).await?.ok_or(AdminError::NoToken)?;
    if stored.expires_at <= host.clock().now() {
        return Err(AdminError::ExpiredToken);
    }
    Ok(stored)
}

/// The text that a request presents as its token, if it has the form of one.
pub(super) fn presented_token(headers: &HeaderMap) -> Result<&str, AdminError> {
    let value = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let token = match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
        _ => return Err(AdminError::NoToken),
    };
    TokenKind::AdminToken.verify(token).map_err(|_| AdminError::NoToken)?;
    Ok(token)
}

impl<H: AdminHost> Context<'_, H> {
    pub(super) async fn login(&self, login: Login) -> Answer {
        let password = self.service.admin_password.expose().as_bytes();
        // Hashed first, so that not even the password's length shows in the time that this takes.
        let given = self.service.vault.token_hash(login.password.expose());
        let wanted = self.service.vault.token_hash(&String::from_utf8_lossy(password));
        if !secrets_equal(given.as_str().as_bytes(), wanted.as_str().as_bytes()) {
            return Err(AdminError::WrongPassword);
        }
        let lifetime = login.expires_in_s.map_or(DEFAULT_LIFETIME, Duration::from_secs);
        if lifetime.is_zero() || lifetime > LONGEST_LIFETIME {
            return Err(AdminError::Invalid("a token is good for 1 second to 365 days".to_owned()));
        }
        if login.name.chars().count() > LONGEST_NAME || login.name.chars().any(char::is_control) {
            return Err(AdminError::Invalid(format!("a token's name has at most {LONGEST_NAME} characters")));
        }
        let mut random = [0; TokenKind::RANDOM_BYTES];
        self.host.random().fill(&mut random);
        let token = TokenKind::AdminToken.generate(&random);
        let now = self.host.clock().now();
        let stored = StoredAdminToken {
            id: AdminTokenId::from_random(self.host.random().next_u64()),
            name: login.name,
            created_at: now,
            expires_at: now + lifetime,
        };
        let hash = self.service.vault.token_hash(token.expose());
        self.host.store().create_admin_token(&hash, &stored, now).await?;
        ok(&LoginResponse { token, id: stored.id, expires_at: stored.expires_at })
    }

    pub(super) async fn logout(&self) -> Answer {
        self.host.store().delete_admin_token(&self.caller()?.id).await?;
        NO_CONTENT
    }

    pub(super) fn who_am_i(&self) -> Answer {
        let token = self.caller()?;
        ok(&WhoAmI {
            id: token.id.clone(),
            name: token.name.clone(),
            scopes: None,
            pool: None,
            expires_at: token.expires_at,
            service_version: env!("CARGO_PKG_VERSION").to_owned(),
            api_version: API_VERSION,
        })
    }

    fn caller(&self) -> Result<&StoredAdminToken, AdminError> {
        self.token.as_ref().ok_or(AdminError::NoToken)
    }
}
