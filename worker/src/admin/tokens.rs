//! Admin tokens: authorisation, and tokens with fewer scopes.
//!
//! # Invariants
//! - A token never grants more than it has itself.

use std::time::Duration;

use jiff::Timestamp;
use pool_shared::{
    AdminToken, AdminTokenCreate, AdminTokenCreated, AdminTokenId, AdminTokenList, AdminTokenRotate, PoolId,
    Scope, Secret, TokenKind, bounds, is_visible,
};

use super::audit::fields;
use super::routes::{Access, RouteSpec};
use super::{AdminError, Context, HandlerResult, NO_CONTENT, Query, created, ok};
use crate::platform::{Clock, Random};
use crate::ports::AdminHost;
use crate::store::{ConfigStore, SESSION_PREFIX, StoredAdminToken};

/// Default lifetime of a token.
const DEFAULT_LIFETIME: Duration = Duration::from_hours(90 * 24);
/// Default grace period of a rotated token.
const DEFAULT_GRACE: Duration = Duration::from_hours(1);

impl<H: AdminHost> Context<'_, H> {
    /// Checks that the token may use a route, whose path may name a pool.
    pub(super) async fn authorise(&self, route: &RouteSpec, pool: Option<&str>) -> Result<(), AdminError> {
        let Some(token) = &self.token else { return Ok(()) };
        match route.access {
            Access::Open | Access::Token => return Ok(()),
            Access::Full if token.scopes.is_some() || token.pool.is_some() => {
                return Err(AdminError::Forbidden("this requires a token with all scopes".to_owned()));
            }
            Access::Full => {}
            Access::Scoped(scopes) => {
                if !scopes.iter().any(|scope| has_scope(token, *scope)) {
                    let names: Vec<_> = scopes.iter().map(|scope| scope.name()).collect();
                    let names = names.join(" or ");
                    return Err(AdminError::Forbidden(format!(
                        "this requires a token with the scope {names}"
                    )));
                }
            }
        }
        let Some(own) = &token.pool else { return Ok(()) };
        let is_own = match pool {
            None => route.keeps_to_own_pool,
            Some(reference) if reference == own.as_str() => true,
            Some(reference) => self.host.store().pool(reference).await?.is_some_and(|pool| pool.id == *own),
        };
        if is_own { Ok(()) } else { Err(AdminError::Forbidden(format!("the token is limited to {own}"))) }
    }

    /// Returns the only pool that the token is limited to.
    pub(super) fn own_pool(&self) -> Option<&PoolId> {
        self.token.as_ref()?.pool.as_ref()
    }

    /// Returns the pool that a list is limited to by the token. Another pool in the query is
    /// rejected, so that no list looks empty by mistake.
    pub(super) async fn own_pool_of(&self, query: &Query) -> Result<Option<PoolId>, AdminError> {
        let Some(own) = self.own_pool() else { return Ok(None) };
        if let Some(reference) = query.get("pool")
            && reference != own.as_str()
            && self.host.store().pool(reference).await?.is_none_or(|pool| pool.id != *own)
        {
            return Err(AdminError::Forbidden(format!("the token is limited to {own}")));
        }
        Ok(Some(own.clone()))
    }

    /// Rejects a token that lacks a scope which only some requests of a route need.
    pub(super) fn require(&self, scope: Scope) -> Result<(), AdminError> {
        if self.token.as_ref().is_some_and(|token| has_scope(token, scope)) {
            return Ok(());
        }
        Err(AdminError::Forbidden(format!("this requires a token with the scope {}", scope.name())))
    }

    pub(super) async fn list_tokens(&self) -> HandlerResult {
        let tokens = self.host.store().admin_tokens(self.host.clock().now()).await?;
        ok(&AdminTokenList { tokens: tokens.into_iter().map(shown).collect() })
    }

    /// Creates a token. Costs two rows: the token and its audit entry.
    pub(super) async fn create_token(&self, create: AdminTokenCreate) -> HandlerResult {
        let asking = self.caller()?;
        let scopes = given_scopes(asking, create.scopes)?;
        let pool = match &create.pool {
            Some(reference) => Some(self.pool(reference).await?.id),
            None => None,
        };
        let lifetime = lifetime(create.expires_in_s, DEFAULT_LIFETIME)?;
        check_name("a token", &create.name)?;
        let (secret, mut stored) = self.new_token(create.name, lifetime, scopes, pool);
        stored.parent = Some(asking.id.clone());
        stored.budget = (!asking.has_all_rights()).then(|| asking.budget().clone());
        stored.expires_at = stored.expires_at.min(latest_end(asking));
        let after = fields([
            ("name", stored.name.as_str().into()),
            ("scopes", serde_json::to_value(&stored.scopes).unwrap_or_default()),
            ("pool", serde_json::to_value(&stored.pool).unwrap_or_default()),
            ("expires_at", stored.expires_at.to_string().into()),
        ]);
        let mut change = self.change("token.create", None, Some(stored.id.to_string()))?;
        change.after = Some(after);
        let hash = self.admin.state.pools.vault.token_hash(secret.expose());
        self.host.store().create_admin_token(&hash, &stored, change).await?;
        created(&AdminTokenCreated { token: shown(stored), secret })
    }

    /// Revokes a token with no more scopes than the client's, and all tokens created with it unless
    /// the request keeps them. Costs two rows, and one for each of those.
    pub(super) async fn delete_token(&self, id: &str, query: &Query) -> HandlerResult {
        let keep_children = query.parsed("keep_children")?.unwrap_or(false);
        let tokens = self.host.store().admin_tokens(self.host.clock().now()).await?;
        let token = self.within_reach(&tokens, id)?;
        let made: Vec<&str> = if keep_children {
            Vec::new()
        } else {
            descendants(&tokens, &token.id).map(AdminTokenId::as_str).collect()
        };
        let mut change = self.change("token.delete", None, Some(token.id.to_string()))?;
        let mut before = fields([("name", token.name.as_str().into())]);
        if !made.is_empty() {
            before.insert("made".to_owned(), made.into());
        }
        change.before = Some(before);
        self.host.store().delete_admin_token(token, keep_children, change).await?;
        NO_CONTENT
    }

    /// Rotates a token with no more scopes than the client's. Costs about three rows.
    pub(super) async fn rotate_token(&self, id: &str, rotate: AdminTokenRotate) -> HandlerResult {
        let grace = rotate.grace_s.map_or(DEFAULT_GRACE, Duration::from_secs);
        if grace.as_secs() > bounds::TOKEN_GRACE_S {
            return Err(AdminError::Invalid("the grace period is at most 24 hours".to_owned()));
        }
        let lifetime = lifetime(rotate.expires_in_s, DEFAULT_LIFETIME)?;
        let tokens = self.host.store().admin_tokens(self.host.clock().now()).await?;
        let old = self.within_reach(&tokens, id)?.clone();
        if old.id.as_str().starts_with(SESSION_PREFIX) {
            return Err(AdminError::Invalid("a browser session cannot be rotated: log in again".to_owned()));
        }
        let (secret, mut new) = self.new_token(old.name, lifetime, old.scopes, old.pool);
        let maker = tokens.iter().find(|token| Some(&token.id) == old.parent.as_ref());
        let ends = [Some(self.caller()?), maker].into_iter().flatten().map(latest_end);
        new.expires_at = ends.fold(new.expires_at, Timestamp::min);
        new.budget = Some(old.budget.unwrap_or_else(|| old.id.clone()));
        new.parent = old.parent;
        let mut change = self.change("token.rotate", None, Some(old.id.to_string()))?;
        change.after =
            Some(fields([("id", new.id.as_str().into()), ("expires_at", new.expires_at.to_string().into())]));
        let (hash, until) = (self.admin.state.pools.vault.token_hash(secret.expose()), change.at + grace);
        if !self.host.store().rotate_admin_token(&old.id, until, &hash, &new, change).await? {
            return Err(AdminError::UnknownToken(old.id.to_string()));
        }
        created(&AdminTokenCreated { token: shown(new), secret })
    }

    /// Finds an active token with no more scopes than the client's.
    fn within_reach<'t>(
        &self,
        tokens: &'t [StoredAdminToken],
        id: &str,
    ) -> Result<&'t StoredAdminToken, AdminError> {
        let asking = self.caller()?;
        let token = tokens.iter().find(|token| token.id.as_str() == id);
        let token = token.ok_or_else(|| AdminError::UnknownToken(id.to_owned()))?;
        let covered = match &token.scopes {
            None => asking.scopes.is_none(),
            Some(scopes) => scopes.iter().all(|scope| has_scope(asking, *scope)),
        };
        if covered {
            Ok(token)
        } else {
            Err(AdminError::Forbidden("the token has scopes that yours lacks".to_owned()))
        }
    }

    /// Builds a new token: its secret, and what is stored of it.
    pub(super) fn new_token(
        &self,
        name: String,
        lifetime: Duration,
        scopes: Option<Vec<Scope>>,
        pool: Option<PoolId>,
    ) -> (Secret, StoredAdminToken) {
        let mut random = [0; TokenKind::RANDOM_BYTES];
        self.host.random().fill(&mut random);
        let now = self.host.clock().now();
        let stored = StoredAdminToken {
            id: AdminTokenId::from_random(self.host.random().next_u64()),
            name,
            created_at: now,
            expires_at: now.saturating_add(lifetime).unwrap_or(Timestamp::MAX),
            scopes,
            pool,
            parent: None,
            budget: None,
            last_used_at: None,
        };
        (TokenKind::AdminToken.generate(&random), stored)
    }
}

/// Returns the latest expiry of a token that another one creates or rotates: a token without all
/// scopes cannot outlive itself through another one.
fn latest_end(maker: &StoredAdminToken) -> Timestamp {
    if maker.has_all_rights() { Timestamp::MAX } else { maker.expires_at }
}

/// Returns all tokens created with a token, directly or indirectly.
fn descendants<'t>(
    tokens: &'t [StoredAdminToken],
    id: &AdminTokenId,
) -> impl Iterator<Item = &'t AdminTokenId> {
    let mut found: Vec<&AdminTokenId> = Vec::new();
    loop {
        let is_below = |token: &&StoredAdminToken| {
            let parent = token.parent.as_ref();
            parent.is_some_and(|parent| parent == id || found.contains(&parent))
                && !found.contains(&&token.id)
        };
        let Some(next) = tokens.iter().find(is_below) else { return found.into_iter() };
        found.push(&next.id);
    }
}

/// Returns the scopes of a new token: some of the creator's, or all of them.
fn given_scopes(
    asking: &StoredAdminToken,
    wanted: Option<Vec<Scope>>,
) -> Result<Option<Vec<Scope>>, AdminError> {
    let Some(mut wanted) = wanted else { return Ok(asking.scopes.clone()) };
    wanted.sort_unstable();
    wanted.dedup();
    if wanted.is_empty() {
        return Err(AdminError::Invalid("a token needs at least one scope".to_owned()));
    }
    match wanted.iter().find(|scope| !has_scope(asking, **scope)) {
        None => Ok(Some(wanted)),
        Some(scope) => Err(AdminError::Forbidden(format!("your token lacks the scope {}", scope.name()))),
    }
}

fn has_scope(token: &StoredAdminToken, scope: Scope) -> bool {
    token.scopes.as_ref().is_none_or(|scopes| scopes.contains(&scope))
}

fn shown(token: StoredAdminToken) -> AdminToken {
    let StoredAdminToken { id, name, created_at, expires_at, scopes, pool, parent, last_used_at, .. } = token;
    AdminToken { id, name, scopes, pool, parent, created_at, expires_at, last_used_at }
}

/// Returns the lifetime of a new token.
pub(super) fn lifetime(seconds: Option<u64>, default: Duration) -> Result<Duration, AdminError> {
    let lifetime = seconds.map_or(default, Duration::from_secs);
    if lifetime.is_zero() || lifetime.as_secs() > bounds::TOKEN_LIFETIME_S {
        return Err(AdminError::Invalid("the lifetime of a token is 1 second to 365 days".to_owned()));
    }
    Ok(lifetime)
}

/// Validates the name of `what`, a token or a client key.
pub(super) fn check_name(what: &str, name: &str) -> Result<(), AdminError> {
    if name.chars().count() > bounds::NAME || !name.chars().all(is_visible) {
        let message = format!(
            "{what}'s name has at most {} characters, without control or invisible characters",
            bounds::NAME
        );
        return Err(AdminError::Invalid(message));
    }
    Ok(())
}
