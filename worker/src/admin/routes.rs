//! The route table of the admin API: every route, and who may use it.

use std::sync::OnceLock;

use http::Method;
use matchit::{Params, Router};
use percent_encoding::percent_decode_str;
use pool_shared::Scope;

use super::AdminError;

/// The endpoint of a route, with the parameters of its path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// Exchange the password for a token.
    Login,
    /// Revoke the presented token.
    Logout,
    /// Exchange the password for a browser's session.
    CreateSession,
    /// End the browser's session.
    DeleteSession,
    /// End every browser's session.
    RevokeSessions,
    /// Show the presented token.
    WhoAmI,
    /// Show the service's health.
    Health,
    /// Return the API's document.
    Document,
    /// Statistics of all pools.
    Stats,
    /// The same for Prometheus.
    Metrics,
    /// Run a step of a migration to the other store.
    Migrate,
    /// Show which master key encrypts the HMAC keys.
    MasterKeyState,
    /// Run a step of a master key rotation.
    RotateMasterKey,
    /// List pools.
    ListPools,
    /// Create a pool.
    CreatePool,
    /// Show a pool.
    ShowPool(String),
    /// Update a pool.
    UpdatePool(String),
    /// Delete a pool.
    DeletePool(String),
    /// Limits of a pool's models.
    PoolLimits(String),
    /// Statistics of one pool.
    PoolStats(String),
    /// Reset the statistics of one pool, or of all.
    ResetStats(Option<String>),
    /// List recent errors.
    Events,
    /// List a pool's client keys.
    ListClientKeys(String),
    /// Create a client key.
    CreateClientKey(String),
    /// Update a client key.
    UpdateClientKey(String, String),
    /// Import client keys of another system.
    ImportClientKeys(String),
    /// Export client keys with their hashes.
    ExportClientKeys(String),
    /// Restore client keys by their hashes.
    RestoreClientKeys(String),
    /// Revoke a client key.
    DeleteClientKey(String, String),
    /// List a pool's keys.
    ListKeys(String),
    /// Update several keys.
    UpdateKeys(String),
    /// Import keys.
    ImportKeys(String),
    /// Check keys.
    CheckKeys(String),
    /// Reset the health of several keys.
    ResetKeys(String),
    /// Delete several keys.
    DeleteKeys(String),
    /// Export keys in clear text.
    ExportKeys(String),
    /// Rotate a client key.
    RotateClientKey(String, String),
    /// Copy a pool.
    CopyPool(String),
    /// List the models of a pool.
    PoolModels(String),
    /// List admin tokens.
    ListTokens,
    /// Create an admin token.
    CreateToken,
    /// Revoke an admin token.
    DeleteToken(String),
    /// Rotate an admin token.
    RotateToken(String),
    /// List the audit log.
    Audit,
}

impl Endpoint {
    /// Returns `true` if it needs nothing that is encrypted or hashed under the master key: enough
    /// to log in with the password and to read health.
    pub(super) const fn works_without_master_key(&self) -> bool {
        matches!(
            self,
            Self::Login
                | Self::Logout
                | Self::CreateSession
                | Self::DeleteSession
                | Self::WhoAmI
                | Self::Health
                | Self::Document
        )
    }
}

/// The access control of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// No authentication.
    Open,
    /// Any admin token.
    Token,
    /// An admin token with one of these scopes, and with access to the pool in the path.
    Scoped(&'static [Scope]),
    /// An admin token with all scopes.
    Full,
}

/// A route: its method, its path with `{pool}` and `{id}` for parameters, and its access control.
#[derive(Clone, Debug)]
pub struct RouteSpec {
    /// Its method.
    pub method: Method,
    /// Its path.
    pub path: &'static str,
    /// Its access control.
    pub access: Access,
    /// Its handler limits a token of one pool to that pool. Otherwise, and without a pool in the
    /// path, such a token is rejected.
    pub keeps_to_own_pool: bool,
    endpoint: fn(&Params) -> Endpoint,
}

const fn route(
    method: Method,
    path: &'static str,
    access: Access,
    endpoint: fn(&Params) -> Endpoint,
) -> RouteSpec {
    RouteSpec { method, path, access, keeps_to_own_pool: false, endpoint }
}

/// Builds a route whose handler limits a token to its own pool.
const fn own(path: &'static str, access: Access, endpoint: fn(&Params) -> Endpoint) -> RouteSpec {
    RouteSpec { method: Method::GET, path, access, keeps_to_own_pool: true, endpoint }
}

const READ: Access = Access::Scoped(&[Scope::Pools, Scope::StatsRead]);
const CHANGE: Access = Access::Scoped(&[Scope::Pools]);
const IMPORT: Access = Access::Scoped(&[Scope::Pools, Scope::KeysImport]);
const EXPORT: Access = Access::Scoped(&[Scope::KeysExport]);
const TOKENS: Access = Access::Scoped(&[Scope::Tokens]);
const GET: Method = Method::GET;
const POST: Method = Method::POST;
const PATCH: Method = Method::PATCH;
const DELETE: Method = Method::DELETE;

/// Every route of the admin API.
pub const ROUTES: &[RouteSpec] = &[
    route(POST, "/admin/v1/login", Access::Open, |_| Endpoint::Login),
    route(POST, "/admin/v1/logout", Access::Token, |_| Endpoint::Logout),
    route(POST, "/admin/v1/session", Access::Open, |_| Endpoint::CreateSession),
    route(DELETE, "/admin/v1/session", Access::Token, |_| Endpoint::DeleteSession),
    route(POST, "/admin/v1/session/revoke-all", Access::Full, |_| Endpoint::RevokeSessions),
    route(GET, "/admin/v1/whoami", Access::Token, |_| Endpoint::WhoAmI),
    route(GET, "/admin/v1/health", Access::Token, |_| Endpoint::Health),
    route(GET, "/admin/v1/openapi.json", Access::Token, |_| Endpoint::Document),
    route(GET, "/admin/v1/stats", READ, |_| Endpoint::Stats),
    route(POST, "/admin/v1/stats/reset", CHANGE, |_| Endpoint::ResetStats(None)),
    own(super::METRICS, READ, |_| Endpoint::Metrics),
    own("/admin/v1/events", READ, |_| Endpoint::Events),
    own("/admin/v1/audit", CHANGE, |_| Endpoint::Audit),
    route(POST, "/admin/v1/migration", Access::Full, |_| Endpoint::Migrate),
    own("/admin/v1/master", READ, |_| Endpoint::MasterKeyState),
    route(POST, "/admin/v1/master/rotate", Access::Full, |_| Endpoint::RotateMasterKey),
    route(GET, "/admin/v1/tokens", TOKENS, |_| Endpoint::ListTokens),
    route(POST, "/admin/v1/tokens", TOKENS, |_| Endpoint::CreateToken),
    route(DELETE, "/admin/v1/tokens/{id}", TOKENS, |names| Endpoint::DeleteToken(name(names, "id"))),
    route(POST, "/admin/v1/tokens/{id}/rotate", TOKENS, |names| Endpoint::RotateToken(name(names, "id"))),
    own("/admin/v1/pools", READ, |_| Endpoint::ListPools),
    route(POST, "/admin/v1/pools", CHANGE, |_| Endpoint::CreatePool),
    route(GET, "/admin/v1/pools/{pool}", READ, |names| Endpoint::ShowPool(pool(names))),
    route(PATCH, "/admin/v1/pools/{pool}", CHANGE, |names| Endpoint::UpdatePool(pool(names))),
    route(DELETE, "/admin/v1/pools/{pool}", CHANGE, |names| Endpoint::DeletePool(pool(names))),
    route(POST, "/admin/v1/pools/{pool}/copy", CHANGE, |names| Endpoint::CopyPool(pool(names))),
    route(GET, "/admin/v1/pools/{pool}/models", READ, |names| Endpoint::PoolModels(pool(names))),
    route(GET, "/admin/v1/pools/{pool}/limits", READ, |names| Endpoint::PoolLimits(pool(names))),
    route(GET, "/admin/v1/pools/{pool}/stats", READ, |names| Endpoint::PoolStats(pool(names))),
    route(POST, "/admin/v1/pools/{pool}/stats/reset", CHANGE, |names| {
        Endpoint::ResetStats(Some(pool(names)))
    }),
    route(GET, "/admin/v1/pools/{pool}/client-keys", READ, |names| Endpoint::ListClientKeys(pool(names))),
    route(POST, "/admin/v1/pools/{pool}/client-keys", CHANGE, |names| Endpoint::CreateClientKey(pool(names))),
    route(POST, "/admin/v1/pools/{pool}/client-keys/import", CHANGE, |names| {
        Endpoint::ImportClientKeys(pool(names))
    }),
    route(POST, "/admin/v1/pools/{pool}/client-keys/export", EXPORT, |names| {
        Endpoint::ExportClientKeys(pool(names))
    }),
    route(POST, "/admin/v1/pools/{pool}/client-keys/restore", CHANGE, |names| {
        Endpoint::RestoreClientKeys(pool(names))
    }),
    route(PATCH, "/admin/v1/pools/{pool}/client-keys/{id}", CHANGE, |names| {
        Endpoint::UpdateClientKey(pool(names), name(names, "id"))
    }),
    route(DELETE, "/admin/v1/pools/{pool}/client-keys/{id}", CHANGE, |names| {
        Endpoint::DeleteClientKey(pool(names), name(names, "id"))
    }),
    route(POST, "/admin/v1/pools/{pool}/client-keys/{id}/rotate", CHANGE, |names| {
        Endpoint::RotateClientKey(pool(names), name(names, "id"))
    }),
    route(GET, "/admin/v1/pools/{pool}/keys", READ, |names| Endpoint::ListKeys(pool(names))),
    route(PATCH, "/admin/v1/pools/{pool}/keys", CHANGE, |names| Endpoint::UpdateKeys(pool(names))),
    route(POST, "/admin/v1/pools/{pool}/keys/import", IMPORT, |names| Endpoint::ImportKeys(pool(names))),
    route(POST, "/admin/v1/pools/{pool}/keys/check", IMPORT, |names| Endpoint::CheckKeys(pool(names))),
    route(POST, "/admin/v1/pools/{pool}/keys/reset", CHANGE, |names| Endpoint::ResetKeys(pool(names))),
    route(POST, "/admin/v1/pools/{pool}/keys/export", EXPORT, |names| Endpoint::ExportKeys(pool(names))),
    route(POST, "/admin/v1/pools/{pool}/keys/delete", CHANGE, |names| Endpoint::DeleteKeys(pool(names))),
];

fn pool(names: &Params) -> String {
    name(names, "pool")
}

fn name(names: &Params, which: &str) -> String {
    percent_decode_str(names.get(which).unwrap_or_default()).decode_utf8_lossy().into_owned()
}

/// Returns the routes by path; each path has one per accepted method.
fn router() -> &'static Router<Vec<&'static RouteSpec>> {
    static ROUTER: OnceLock<Router<Vec<&'static RouteSpec>>> = OnceLock::new();
    ROUTER.get_or_init(|| {
        let mut router: Router<Vec<&'static RouteSpec>> = Router::new();
        for spec in ROUTES {
            match router.at_mut(spec.path) {
                Ok(found) => found.value.push(spec),
                // The paths are constant and do not conflict: a test looks up each of them.
                Err(_) => drop(router.insert(spec.path, vec![spec])),
            }
        }
        router
    })
}

/// Finds the route of a request: 404 for an unknown path, 405 for another method.
pub(crate) fn find(method: &Method, path: &str) -> Result<(Endpoint, &'static RouteSpec), AdminError> {
    let found = router().at(path).map_err(|_| AdminError::UnknownRoute(path.chars().take(200).collect()))?;
    let spec = found.value.iter().find(|spec| spec.method == *method);
    let spec = spec.ok_or_else(|| AdminError::MethodNotAllowed {
        method: method.to_string(),
        path: path.chars().take(200).collect(),
        allowed: found.value.iter().map(|spec| spec.method.as_str()).collect::<Vec<_>>().join(", "),
    })?;
    Ok(((spec.endpoint)(&found.params), spec))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_is_found_and_only_logins_are_open() {
        for spec in ROUTES {
            let path = spec.path.replace("{pool}", "prod").replace("{id}", "ck-1");
            let (_, found) = find(&spec.method, &path).unwrap();
            assert_eq!((found.path, &found.method), (spec.path, &spec.method));
            let is_login =
                spec.method == Method::POST && ["login", "session"].iter().any(|name| path.ends_with(name));
            assert_eq!(found.access == Access::Open, is_login, "{path}");
        }
    }

    #[test]
    fn names_in_paths_are_decoded() {
        let (endpoint, _) = find(&Method::GET, "/admin/v1/pools/my%20pool").unwrap();
        assert_eq!(endpoint, Endpoint::ShowPool("my pool".to_owned()));
    }

    #[test]
    fn wrong_methods_name_the_right_ones() {
        let error = find(&Method::PUT, "/admin/v1/pools/prod").unwrap_err();
        assert_eq!(
            error.to_string(),
            "PUT is not allowed on /admin/v1/pools/prod; allowed: GET, PATCH, DELETE"
        );
        assert!(matches!(find(&Method::GET, "/admin/v1/nothing"), Err(AdminError::UnknownRoute(_))));
    }
}
