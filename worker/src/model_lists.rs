//! Fetches Gemini's lists of models with a pool's keys.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use pool_engine::Cost;
use pool_shared::PoolId;
use pool_translate::ApiError;
use pool_translate::Usage;
use pool_translate::gemini::{Model, ModelPage};

use crate::attempt::Calls;
use crate::platform::{Clock, MaybeSync, lock};
use crate::pools::{ModelPageText, Snapshot};
use crate::ports::Host;
use crate::reporting::RequestLog;
use crate::retry::{Attempt, Attempts, Context};
use crate::state::ServiceState;
use crate::upstream::{UpstreamTimeouts, fetch};

/// Maximum number of pages of 1,000 models.
const MAX_PAGES: usize = 10;
/// Timeouts of a page, which Gemini returns without computation.
pub(super) const LISTING_TIMEOUTS: UpstreamTimeouts = UpstreamTimeouts {
    headers: Duration::from_mins(1),
    total: Duration::from_mins(1),
    idle: Duration::from_mins(1),
};

/// Refreshes a pool's cached list. If Gemini fails, the cached one stays.
pub(crate) async fn refresh<H: Host>(state: &Arc<ServiceState>, host: &H, pool: &PoolId) {
    let pool = lock(&state.pools.snapshots).get(pool);
    if let Some(pool) = pool {
        let _ = offered_models(state, host, pool).await;
    }
}

/// Returns the models that Gemini offers to a key of a pool now.
pub(crate) async fn offered_models<H: Host>(
    state: &Arc<ServiceState>,
    host: &H,
    pool: Arc<Snapshot>,
) -> Result<Arc<Vec<Model>>, ApiError> {
    let (calls, log) = (Calls::of_a_request::<H>(), RequestLog::default());
    load(&Context { plane: &(), state, host, pool, client_key: None, caller: None, calls, log }).await
}

pub(crate) async fn load<H: Host, P: MaybeSync>(
    context: &Context<'_, H, P>,
) -> Result<Arc<Vec<Model>>, ApiError> {
    let mut models = Vec::new();
    let mut token = None;
    for _ in 0..MAX_PAGES {
        let path = page_path(token.as_deref());
        let body = read(context, path.clone()).await?;
        let page = ModelPage::parse(&body).map_err(|_| unreadable())?;
        // Pass-through requests get the page unchanged.
        cache_page(context, path, ModelPageText { body: body.clone(), content_type: None });
        models.extend(page.models);
        token = page.next_page_token;
        if token.is_none() {
            break;
        }
    }
    let models = Arc::new(models);
    let now = context.host.clock().now();
    lock(&context.state.pools.models).insert(&context.pool, now, Arc::clone(&models));
    Ok(models)
}

/// Caches Gemini's response to a path about models for pass-through.
pub(crate) fn cache_page<H: Host, P: MaybeSync>(
    context: &Context<'_, H, P>,
    path: String,
    page: ModelPageText,
) {
    let (pool, now) = (&context.pool, context.host.clock().now());
    lock(&context.state.pools.model_pages).insert((&pool.id, pool.version), path, page, now);
}

/// Returns the cached response to a path about models.
pub(crate) fn cached_page<H: Host, P: MaybeSync>(
    context: &Context<'_, H, P>,
    path: &str,
) -> Option<ModelPageText> {
    let (pool, now) = (&context.pool, context.host.clock().now());
    lock(&context.state.pools.model_pages).get((&pool.id, pool.version), path, now)
}

fn page_path(token: Option<&str>) -> String {
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    match token {
        None => "/v1beta/models?pageSize=1000".to_owned(),
        Some(token) => {
            format!("/v1beta/models?pageSize=1000&pageToken={}", utf8_percent_encode(token, NON_ALPHANUMERIC))
        }
    }
}

/// Reads a path that any key of the pool may read. It costs no quota, so it is not counted.
pub(crate) async fn read<H: Host, P: MaybeSync>(
    context: &Context<'_, H, P>,
    path: String,
) -> Result<bytes::Bytes, ApiError> {
    let mut attempts = Attempts::new(context, vec![String::new()], None, Cost::default()).of_another_method();
    loop {
        let Attempt { outbound, mut record, .. } = attempts.next().await?;
        record.not_counted();
        let request = outbound.get(path.clone());
        match fetch(context.host, LISTING_TIMEOUTS, request).await {
            Ok(body) => {
                record.succeeded(&Usage::default(), context.host);
                return Ok(body);
            }
            Err(verdict) => {
                attempts.refused(&record.failed(verdict, &Usage::default(), context.host));
            }
        }
    }
}

pub(crate) fn unreadable() -> ApiError {
    ApiError::server(StatusCode::BAD_GATEWAY, "upstream_error", "Gemini's list of models cannot be read.")
}
