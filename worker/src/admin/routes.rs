//! The admin API's routes: the one table that says what exists and who may use it.

use std::sync::OnceLock;

use http::Method;
use matchit::{Params, Router};
use percent_encoding::percent_decode_str;

use super::AdminError;

/// What a route does, with the names that its path carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// Exchange the password for a token.
    Login,
    /// Revoke the presented token.
    Logout,
    /// Whose token is it?
    WhoAmI,
    /// How is the service doing?
    Health,
    /// Counts of all pools.
    Stats,
    /// A step of a copy to the other store.
    Migrate,
    /// All pools.
    ListPools,
    /// A new pool.
    CreatePool,
    /// One pool.
    ShowPool(String),
    /// Change a pool.
    UpdatePool(String),
    /// Delete a pool.
    DeletePool(String),
    /// Counts of one pool.
    PoolStats(String),
    /// Forget the counts: of one pool, or of all.
    ResetStats(Option<String>),
    /// What went wrong lately.
    Events,
    /// A pool's client keys.
    ListClientKeys(String),
    /// A new client key.
    CreateClientKey(String),
    /// Revoke a client key.
    DeleteClientKey(String, String),
    /// A pool's keys.
    ListKeys(String),
    /// Change several keys.
    UpdateKeys(String),
    /// Add keys.
    ImportKeys(String),
    /// Try keys now.
    CheckKeys(String),
    /// Remove several keys.
    DeleteKeys(String),
}

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody.
    Open,
    /// Whoever presents an admin token.
    Token,
}

/// One route: its method, its path with `{pool}` and `{id}` for names, and who may use it.
#[derive(Clone, Debug)]
pub struct RouteSpec {
    /// Its method.
    pub method: Method,
    /// Its path.
    pub path: &'static str,
    /// Who may use it.
    pub access: Access,
    endpoint: fn(&Params) -> Endpoint,
}

const fn route(method: Method, path: &'static str, endpoint: fn(&Params) -> Endpoint) -> RouteSpec {
    RouteSpec { method, path, access: Access::Token, endpoint }
}

/// Every route of the admin API.
pub const ROUTES: &[RouteSpec] = &[
    RouteSpec {
        method: Method::POST,
        path: "/admin/v1/login",
        access: Access::Open,
        endpoint: |_| Endpoint::Login,
    },
    route(Method::POST, "/admin/v1/logout", |_| Endpoint::Logout),
    route(Method::GET, "/admin/v1/whoami", |_| Endpoint::WhoAmI),
    route(Method::GET, "/admin/v1/health", |_| Endpoint::Health),
    route(Method::GET, "/admin/v1/stats", |_| Endpoint::Stats),
    route(Method::POST, "/admin/v1/stats/reset", |_| Endpoint::ResetStats(None)),
    route(Method::GET, "/admin/v1/events", |_| Endpoint::Events),
    route(Method::POST, "/admin/v1/migration", |_| Endpoint::Migrate),
    route(Method::GET, "/admin/v1/pools", |_| Endpoint::ListPools),
    route(Method::POST, "/admin/v1/pools", |_| Endpoint::CreatePool),
    route(Method::GET, "/admin/v1/pools/{pool}", |names| Endpoint::ShowPool(pool(names))),
    route(Method::PATCH, "/admin/v1/pools/{pool}", |names| Endpoint::UpdatePool(pool(names))),
    route(Method::DELETE, "/admin/v1/pools/{pool}", |names| Endpoint::DeletePool(pool(names))),
    route(Method::GET, "/admin/v1/pools/{pool}/stats", |names| Endpoint::PoolStats(pool(names))),
    route(Method::POST, "/admin/v1/pools/{pool}/stats/reset", |names| {
        Endpoint::ResetStats(Some(pool(names)))
    }),
    route(Method::GET, "/admin/v1/pools/{pool}/client-keys", |names| Endpoint::ListClientKeys(pool(names))),
    route(Method::POST, "/admin/v1/pools/{pool}/client-keys", |names| Endpoint::CreateClientKey(pool(names))),
    route(Method::DELETE, "/admin/v1/pools/{pool}/client-keys/{id}", |names| {
        Endpoint::DeleteClientKey(pool(names), name(names, "id"))
    }),
    route(Method::GET, "/admin/v1/pools/{pool}/keys", |names| Endpoint::ListKeys(pool(names))),
    route(Method::PATCH, "/admin/v1/pools/{pool}/keys", |names| Endpoint::UpdateKeys(pool(names))),
    route(Method::POST, "/admin/v1/pools/{pool}/keys/import", |names| Endpoint::ImportKeys(pool(names))),
    route(Method::POST, "/admin/v1/pools/{pool}/keys/check", |names| Endpoint::CheckKeys(pool(names))),
    route(Method::POST, "/admin/v1/pools/{pool}/keys/delete", |names| Endpoint::DeleteKeys(pool(names))),
];

fn pool(names: &Params) -> String {
    name(names, "pool")
}

fn name(names: &Params, which: &str) -> String {
    percent_decode_str(names.get(which).unwrap_or_default()).decode_utf8_lossy().into_owned()
}

/// The routes by path; each path has one for every method that it takes.
fn router() -> &'static Router<Vec<&'static RouteSpec>> {
    static ROUTER: OnceLock<Router<Vec<&'static RouteSpec>>> = OnceLock::new();
    ROUTER.get_or_init(|| {
        let mut router: Router<Vec<&'static RouteSpec>> = Router::new();
        for spec in ROUTES {
            match router.at_mut(spec.path) {
                Ok(found) => found.value.push(spec),
                // The paths are fixed and do not clash: a test looks each of them up.
                Err(_) => drop(router.insert(spec.path, vec![spec])),
            }
        }
        router
    })
}

/// Finds the route of a request: 404 for an unknown path, 405 for a wrong method.
pub(super) fn find(method: &Method, path: &str) -> Result<(Endpoint, Access), AdminError> {
    let found = router().at(path).map_err(|_| AdminError::UnknownRoute(path.chars().take(200).collect()))?;
    let spec = found.value.iter().find(|spec| spec.method == *method);
    let spec = spec.ok_or_else(|| AdminError::MethodNotAllowed {
        method: method.to_string(),
        path: path.chars().take(200).collect(),
        allowed: found.value.iter().map(|spec| spec.method.as_str()).collect::<Vec<_>>().join(", "),
    })?;
    Ok(((spec.endpoint)(&found.params), spec.access))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_is_found_and_only_login_is_open() {
        for spec in ROUTES {
            let path = spec.path.replace("{pool}", "prod").replace("{id}", "ck-1");
            let (_, access) = find(&spec.method, &path).unwrap();
            assert_eq!(access == Access::Open, spec.path == "/admin/v1/login", "{path}");
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
