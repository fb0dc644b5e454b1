//! The control plane: the JSON admin API under `/admin/v1`.
//!
//! Every route but the two logins wants an admin token, or a browser's session, with a scope that its row in
//! the table of routes names; that is decided before any handler, so that a route that is forgotten is closed. Nothing here is on the way of a proxied request. No secret is
//! logged or repeated in an error.

mod audit;
mod body;
mod browser;
mod change_rates;
mod client_key_backups;
mod client_keys;
mod data_keys;
mod encryption;
mod error;
mod events;
mod failing;
mod key_checks;
mod key_exports;
mod key_resets;
mod key_states;
mod keys;
mod master;
mod metrics;
mod migration;
mod model_limits;
mod pool_copies;
mod pools;
mod query;
mod response;
mod routes;
mod sessions;
mod stats;
mod throttle;
mod tokens;

use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use http::{HeaderMap, Method, StatusCode};
use percent_encoding::percent_decode_str;
use pool_shared::{Pool, PoolId, Secret};

pub use error::AdminError;
pub use routes::{Access, Endpoint, ROUTES, RouteSpec};

use body::Body;
pub(crate) use browser::Browser;
use change_rates::ChangeRates;
use query::{Query, foreign_cursor, position};
use response::{HandlerResult, NO_CONTENT, Response, created, ok};
#[cfg(any(test, fuzzing))]
pub(crate) use {routes::find, sessions::presented_token};

use crate::limits;
use crate::platform::{Clock, IncomingBody, IncomingRequest};
use crate::pools::HashKeyError;
use crate::ports::AdminHost;
use crate::reply::Reply;
use crate::reporting::RequestLog;
use crate::state::ServiceState;
use crate::store::{ConfigStore, StoredAdminToken};

/// The document of the API (`OpenAPI` 3.1); `tests/openapi.rs` makes it.
const DOCUMENT: &str = include_str!("../../../docs/openapi.json");

/// Where Prometheus looks for metrics.
pub(crate) const METRICS: &str = "/metrics";

/// The pool that a path names, by its id or its name.
pub(crate) fn pool_in(path: &str) -> Option<String> {
    let reference = path.strip_prefix("/admin/v1/pools/")?.split('/').next()?;
    Some(percent_decode_str(reference).decode_utf8_lossy().into_owned())
}

/// How much of a request's body can matter: nothing before its caller has shown at least the form of a
/// token or a cookie. For a host that would have to read it only to hand it on.
#[must_use]
pub fn wanted_body(method: &Method, path: &str, headers: &HeaderMap) -> Option<usize> {
    let (_, route) = routes::find(method, path).ok()?;
    let is_shown =
        || sessions::presented_token(headers).is_ok() || headers.contains_key(http::header::COOKIE);
    match route.access {
        _ if !matches!(*method, Method::POST | Method::PATCH) => None,
        Access::Open => Some(limits::UNAUTHENTICATED_BODY),
        _ => is_shown().then_some(limits::BODY),
    }
}

/// The admin plane, with what it owns.
pub(crate) struct Admin {
    state: Arc<ServiceState>,
    password: Secret,
    change_rates: Mutex<ChangeRates>,
}

impl Admin {
    /// An admin plane with nothing cached.
    pub(crate) fn new(state: Arc<ServiceState>, password: Secret) -> Self {
        Self { state, password, change_rates: Mutex::default() }
    }
}

/// One request on its way through the admin API, its caller known.
struct Context<'a, H> {
    admin: &'a Admin,
    host: &'a H,
    /// The token that was presented; none on the routes that need none.
    token: Option<StoredAdminToken>,
    request_id: &'a str,
    client_address: Option<IpAddr>,
    browser: Browser<'a>,
}

/// Answers a request of the admin API.
pub(crate) async fn handle<H, B, S>(
    admin: &Admin,
    host: &H,
    request: IncomingRequest<B>,
    request_id: &str,
) -> Reply<S>
where
    H: AdminHost,
    B: IncomingBody,
{
    let log = admin.state.reporter.log.begin("admin", request_id, host.clock().now());
    let reply = match answer(admin, host, request, request_id, &log).await {
        Ok(Response { status, body, content_type, cookie }) => {
            let reply = body.map_or_else(|| Reply::empty(status), |body| Reply::json(status, body));
            let reply = match content_type {
                Some(content_type) => reply.header("content-type", content_type),
                None => reply,
            };
            match cookie {
                Some(cookie) => reply.header("set-cookie", &cookie),
                None => reply,
            }
        }
        Err(error) => {
            log.class(error.code().name());
            if error.is_of_the_service() {
                log.cause(&error.to_string());
            }
            error.reply(request_id)
        }
    };
    log.answered(reply.status.as_u16(), host.clock().now());
    secured(reply)
}

/// The answer to a request that could not even be begun.
pub(crate) fn refused<S>(error: AdminError, request_id: &str) -> Reply<S> {
    secured(error.reply(request_id))
}

/// Nothing of the admin API is to be kept by a cache, taken for something else by a browser, put into a
/// frame, or told to other pages.
fn secured<S>(reply: Reply<S>) -> Reply<S> {
    reply
        .header("cache-control", "no-store")
        .header("content-security-policy", "default-src 'none'; frame-ancestors 'none'")
        .header("cross-origin-opener-policy", "same-origin")
        .header("cross-origin-resource-policy", "same-origin")
        .header("referrer-policy", "no-referrer")
        .header("strict-transport-security", "max-age=31536000")
        .header("x-content-type-options", "nosniff")
        .header("x-frame-options", "DENY")
}

async fn answer<H, B>(
    admin: &Admin,
    host: &H,
    request: IncomingRequest<B>,
    request_id: &str,
    log: &RequestLog,
) -> HandlerResult
where
    H: AdminHost,
    B: IncomingBody,
{
    limits::check_head(&request)?;
    if limits::is_encoded(&request.headers) {
        return Err(AdminError::EncodedBody);
    }
    let (endpoint, route) = routes::find(&request.method, &request.path)?;
    log.route(request.method.as_str(), route.path);
    let IncomingRequest { headers, client_address, origin, body, .. } = request;
    let browser = Browser::new(&headers, origin.as_ref());
    if route.access == Access::Open {
        browser.check_login()?;
    }
    let is_shown = route.access == Access::Open
        || sessions::presented_token(&headers).is_ok()
        || browser.session().is_some();
    let verified = if is_shown { admin.state.pools.verify(host).await } else { Ok(()) };
    // Under another master key nothing of the store can be used; who has the password is told so by health.
    let trouble = match verified {
        Err(HashKeyError::Setup(error)) if endpoint.works_without_master_key() => Some(error),
        verified => {
            verified?;
            None
        }
    };
    let token = match (route.access, sessions::is_presented(&headers), browser.session()) {
        (Access::Open, ..) => Ok(None),
        (_, false, Some(session)) => {
            browser.check_origin(&request.method)?;
            browser::authenticate(admin, host, session).await.map(Some)
        }
        _ => sessions::authenticate(admin, host, &headers).await.map(Some),
    };
    // A token that is not known under another master key may be a good one.
    let token = match (token, trouble) {
        (Err(AdminError::NoToken), Some(error)) => return Err(error.into()),
        (token, _) => token?,
    };
    if let Some(token) = &token {
        log.actor(&token.id);
    }
    if endpoint == Endpoint::CreateSession {
        browser.check_origin(&request.method)?;
    }
    let limit = if token.is_some() { limits::BODY } else { limits::UNAUTHENTICATED_BODY };
    let context = Context { admin, host, token, request_id, client_address, browser };
    let pool = if route.path.contains("{pool}") { pool_in(&request.path) } else { None };
    context.authorise(route, pool.as_deref()).await?;
    let query = Query::parse(request.query.as_deref())?;
    let body = Body { unread: body, limit, bodies: &admin.state.bodies, host };
    context.dispatch(endpoint, &query, body).await
}

impl<H: AdminHost> Context<'_, H> {
    async fn dispatch<B: IncomingBody>(
        &self,
        endpoint: Endpoint,
        query: &Query,
        body: Body<'_, H, B>,
    ) -> HandlerResult {
        match endpoint {
            Endpoint::Login => self.login(body.read().await?).await,
            Endpoint::Logout => self.logout().await,
            Endpoint::CreateSession => self.create_session(body.read().await?).await,
            Endpoint::DeleteSession => self.delete_session().await,
            Endpoint::RevokeSessions => self.revoke_sessions().await,
            Endpoint::WhoAmI => self.who_am_i(),
            Endpoint::Health => self.health().await,
            Endpoint::Document => Ok(Response { body: Some(DOCUMENT.into()), ..Response::OK }),
            Endpoint::Stats => self.stats().await,
            Endpoint::Metrics => self.metrics().await,
            Endpoint::Migrate => self.migrate(body.read().await?).await,
            Endpoint::MasterKeyState => self.master_key_state(),
            Endpoint::RotateMasterKey => self.rotate_master_key(body.read().await?).await,
            Endpoint::ListTokens => self.list_tokens().await,
            Endpoint::CreateToken => self.create_token(body.read().await?).await,
            Endpoint::DeleteToken(id) => self.delete_token(&id, query).await,
            Endpoint::RotateToken(id) => self.rotate_token(&id, body.read().await?).await,
            Endpoint::Audit => self.audit(query).await,
            Endpoint::CopyPool(pool) => self.copy_pool(&pool, body.read().await?).await,
            Endpoint::PoolModels(pool) => self.pool_models(&pool).await,
            Endpoint::RotateClientKey(pool, id) => {
                self.rotate_client_key(&pool, &id, body.read().await?).await
            }
            Endpoint::ExportKeys(pool) => self.export_keys(&pool, body.read().await?).await,
            Endpoint::ListPools => self.list_pools().await,
            Endpoint::CreatePool => self.create_pool(body.read().await?).await,
            Endpoint::ShowPool(pool) => ok(&self.show_pool(&pool).await?),
            Endpoint::UpdatePool(pool) => self.update_pool(&pool, body.read().await?).await,
            Endpoint::DeletePool(pool) => self.delete_pool(&pool).await,
            Endpoint::PoolLimits(pool) => self.pool_limits(&pool, query).await,
            Endpoint::PoolStats(pool) => self.pool_stats(&pool, query).await,
            Endpoint::ResetStats(pool) => self.reset_stats(pool.as_deref()).await,
            Endpoint::Events => self.events(query).await,
            Endpoint::ListClientKeys(pool) => self.list_client_keys(&pool).await,
            Endpoint::CreateClientKey(pool) => self.create_client_key(&pool, body.read().await?).await,
            Endpoint::UpdateClientKey(pool, id) => {
                self.update_client_key(&pool, &id, body.read().await?).await
            }
            Endpoint::ImportClientKeys(pool) => self.import_client_keys(&pool, body.read().await?).await,
            Endpoint::ExportClientKeys(pool) => self.export_client_keys(&pool, body.read().await?).await,
            Endpoint::RestoreClientKeys(pool) => self.restore_client_keys(&pool, body.read().await?).await,
            Endpoint::DeleteClientKey(pool, id) => self.delete_client_key(&pool, &id).await,
            Endpoint::ListKeys(pool) => self.list_keys(&pool, query).await,
            Endpoint::UpdateKeys(pool) => self.update_keys(&pool, body.read().await?).await,
            Endpoint::ImportKeys(pool) => self.import_keys(&pool, body.read().await?).await,
            Endpoint::CheckKeys(pool) => self.check_keys(&pool, body.read().await?).await,
            Endpoint::ResetKeys(pool) => self.reset_keys(&pool, body.read().await?).await,
            Endpoint::DeleteKeys(pool) => self.delete_keys(&pool, body.read().await?).await,
        }
    }

    /// The pool that a path names, by its id or its name.
    async fn pool(&self, reference: &str) -> Result<Pool, AdminError> {
        if let Some(pool) = self.host.store().pool(reference).await? {
            return Ok(pool);
        }
        let names = self.host.store().pools().await?.into_iter().map(|pool| pool.name);
        let nearest = names
            .map(|name| (strsim::damerau_levenshtein(&name, reference), name))
            .filter(|(distance, name)| *distance <= name.chars().count().max(3) / 2)
            .min();
        Err(AdminError::UnknownPool {
            reference: reference.to_owned(),
            nearest: nearest.map(|(_, name)| name),
        })
    }

    /// Makes this isolate or process forget what it holds of a pool: what was changed here holds here
    /// at once, and elsewhere when the ledger has told the others, or when their snapshots come of age.
    fn changed(&self, pool: &PoolId) {
        self.admin.state.pool_changed(pool);
    }
}

#[cfg(test)]
mod access_control_tests;
#[cfg(test)]
mod audit_tests;
#[cfg(test)]
mod tests;
