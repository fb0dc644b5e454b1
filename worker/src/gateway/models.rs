//! `GET models` and `GET models/{id}`, and which models a pool may use.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use pool_shared::PoolId;

use super::Context;
use super::attempts::{Attempt, Attempts};
use super::calls::Calls;
use super::exchange::fetch;
use super::model_pages::ModelPageText;
use super::timeouts::UpstreamTimeouts;
use crate::gemini::{Model, ModelId, ModelPage};
use crate::host::{Clock, Host};
use crate::log::RequestLog;
use crate::openai::ApiError;
use crate::pool::{Cost, Snapshot};
use crate::reply::Reply;
use crate::service::{Service, lock};
use crate::translate::{ModelSuffix, Usage, model_get, models_list};

/// How long a pool's list of models is taken for new. New models appear weekly, not hourly.
const FRESH_AGE: Duration = Duration::from_hours(1);
/// How long it is used all the same, while it is read anew behind the request.
const USABLE_AGE: Duration = Duration::from_hours(24);
/// How long a request that reads it anew has, before another one tries.
const REFRESH_LEASE: Duration = Duration::from_secs(30);
/// Pages of 1,000 models that are read at most.
const MOST_PAGES: usize = 10;
/// How long a page may take: it is at hand, and no model has to think about it.
pub(super) const LISTING_TIMEOUTS: UpstreamTimeouts = UpstreamTimeouts {
    headers: Duration::from_mins(1),
    total: Duration::from_mins(1),
    idle: Duration::from_mins(1),
};
/// How long a name is known to be no model: somebody who mistypes one often asks again at once.
const UNKNOWN_AGE: Duration = Duration::from_mins(1);
/// Names that are known to be none at once.
const MOST_UNKNOWN: usize = 1_000;
/// Lists kept at once; a list takes some 30 KB.
const MOST_LISTS: usize = 100;

/// Gemini's lists of models, by pool: what a key may use depends on its project. They are kept as Gemini
/// gives them; what the pool allows and its aliases are looked up at each request.
#[derive(Debug, Default)]
pub struct ModelCache {
    lists: HashMap<PoolId, Listing>,
    /// Until when a name is known to be no model, by the pool and its version.
    unknown: HashMap<(PoolId, u64, String), Timestamp>,
}

#[derive(Debug)]
struct Listing {
    models: Arc<Vec<Model>>,
    read_at: Timestamp,
    /// The pool's version then: with other keys it may have other models.
    version: u64,
    refreshing_until: Timestamp,
}

/// What the cache has for a pool.
#[derive(Debug)]
enum Known {
    /// Use it.
    Fresh(Arc<Vec<Model>>),
    /// Use it, and read it anew behind the request.
    Stale(Arc<Vec<Model>>),
    /// Read it first.
    Missing,
}

impl ModelCache {
    fn look_up(&mut self, pool: &Snapshot, now: Timestamp) -> Known {
        let Some(listing) = self.lists.get_mut(&pool.id) else { return Known::Missing };
        let age = now.duration_since(listing.read_at).unsigned_abs();
        if age >= USABLE_AGE {
            return Known::Missing;
        }
        let models = Arc::clone(&listing.models);
        let is_refreshing = is_within(listing.refreshing_until, REFRESH_LEASE, now);
        if (age < FRESH_AGE && listing.version == pool.version) || is_refreshing {
            return Known::Fresh(models);
        }
        listing.refreshing_until = now + REFRESH_LEASE;
        Known::Stale(models)
    }

    /// A model of the pool, if its list is at hand.
    fn find(&self, pool: &Snapshot, id: &ModelId, now: Timestamp) -> Option<Model> {
        let listing = self.lists.get(&pool.id)?;
        let fresh = now.duration_since(listing.read_at).unsigned_abs() < FRESH_AGE;
        let found = listing.models.iter().find(|model| model.id == id.as_str());
        found.filter(|_| fresh && listing.version == pool.version).cloned()
    }

    /// Whether the list of a pool that is at hand has a model that generates content, be it an old list.
    pub(super) fn lists_generating(&self, pool: &PoolId, id: &str) -> bool {
        let generates = |model: &Model| {
            model.supported_generation_methods.iter().any(|method| method == "generateContent")
        };
        let listing = self.lists.get(pool);
        listing.is_some_and(|listing| listing.models.iter().any(|model| model.id == id && generates(model)))
    }

    /// Whether the list of a pool that is at hand has a model, be it an old list.
    pub(crate) fn lists(&self, pool: &PoolId, id: &str) -> bool {
        self.lists.get(pool).is_some_and(|listing| listing.models.iter().any(|model| model.id == id))
    }

    /// Whether Gemini said lately that it has no such model.
    fn is_unknown(&self, pool: &Snapshot, id: &ModelId, now: Timestamp) -> bool {
        let name = (pool.id.clone(), pool.version, id.as_str().to_owned());
        self.unknown.get(&name).is_some_and(|until| is_within(*until, UNKNOWN_AGE, now))
    }

    fn note_unknown(&mut self, pool: &Snapshot, id: &ModelId, now: Timestamp) {
        if self.unknown.len() >= MOST_UNKNOWN {
            self.unknown.retain(|_, until| is_within(*until, UNKNOWN_AGE, now));
        }
        if self.unknown.len() < MOST_UNKNOWN {
            self.unknown.insert((pool.id.clone(), pool.version, id.as_str().to_owned()), now + UNKNOWN_AGE);
        }
    }

    fn insert(&mut self, pool: &Snapshot, now: Timestamp, models: Arc<Vec<Model>>) {
        if self.lists.len() >= MOST_LISTS {
            self.lists.clear();
        }
        let listing =
            Listing { models, read_at: now, version: pool.version, refreshing_until: Timestamp::MIN };
        self.lists.insert(pool.id.clone(), listing);
    }
}

/// Whether a time that was `length` away when it was set is still to come. If it is further away now, the clock went back.
fn is_within(until: Timestamp, length: Duration, now: Timestamp) -> bool {
    let left = until.duration_since(now);
    left.is_positive() && left <= SignedDuration::try_from(length).unwrap_or(SignedDuration::MAX)
}

impl<H> Context<'_, H> {
    /// Whether the request may use a model.
    fn allows(&self, model: &str) -> bool {
        let caller = self.caller.as_ref().is_none_or(|caller| caller.rules.models.allow(model));
        caller && self.pool.models.allow(model)
    }
}

/// The Gemini model that a request names, be it by an alias, if the pool may use it. The request is counted under it.
pub(super) fn asked_for<H: Host>(context: &Context<'_, H>, requested: &str) -> Result<ModelId, ApiError> {
    let found = asked_for_with_suffix(context, requested).map(|(model, _)| model);
    context.log.model(found.as_ref().ok());
    found
}

/// The same, and what its name asks for besides, in a pool that heeds that.
fn asked_for_with_suffix<H: Host>(
    context: &Context<'_, H>,
    requested: &str,
) -> Result<(ModelId, ModelSuffix), ApiError> {
    let pool = &context.pool;
    let name = pool.settings.aliases.get(requested).map_or(requested, String::as_str);
    let (name, suffix) = if pool.settings.translation.model_suffixes {
        ModelSuffix::split(name)
    } else {
        (name, ModelSuffix::default())
    };
    Ok((allowed(context, name)?, suffix))
}

/// The Gemini model of a name, if the pool and the client key may use it.
pub(super) fn allowed<H: Host>(context: &Context<'_, H>, name: &str) -> Result<ModelId, ApiError> {
    let pool = &context.pool;
    let model = ModelId::parse(name)?;
    let message = if !pool.models.allow(model.as_str()) {
        format!("The model '{model}' is not among the allowed models of the pool '{}'.", pool.name)
    } else if !context.allows(model.as_str()) {
        format!("The model '{model}' is not among the allowed models of this client key.")
    } else {
        return Ok(model);
    };
    let error = ApiError::new(StatusCode::FORBIDDEN, "permission_error", Some("model_not_allowed"), message);
    Err(ApiError { param: Some("model".to_owned()), ..error })
}

/// The models that may answer a request: the one that it names, then those that the pool falls back on
/// when that is overloaded or used up; and what the name asks for besides.
pub(super) fn to_ask<H: Host>(
    context: &Context<'_, H>,
    requested: &str,
) -> Result<(Vec<ModelId>, ModelSuffix), ApiError> {
    let found = asked_for_with_suffix(context, requested);
    context.log.model(found.as_ref().ok().map(|(model, _)| model));
    let (first, suffix) = found?;
    let fallbacks = context.pool.fallbacks(first.as_str());
    let mut models = vec![first];
    for name in fallbacks {
        // What the pool may not use is no way out either.
        if let Ok((model, _)) = asked_for_with_suffix(context, name)
            && !models.contains(&model)
        {
            models.push(model);
        }
    }
    Ok((models, suffix))
}

/// The most tokens that a model can answer with, where the pool's list of models is at hand.
pub(super) fn output_token_limit<H: Host>(context: &Context<'_, H>, model: &ModelId) -> Option<u64> {
    let now = context.host.clock().now();
    lock(&context.service.models).find(&context.pool, model, now)?.output_token_limit
}

/// Tells the caller which model answered, where it is not the one that the request names.
pub(super) fn with_model<H: Host>(reply: Reply<H>, requested: &str, answered: Option<&ModelId>) -> Reply<H> {
    match answered {
        Some(model) if ModelId::parse(requested).ok().as_ref() != Some(model) => {
            reply.header("x-pool-model", model.as_str())
        }
        _ => reply,
    }
}

pub(super) async fn list<H: Host>(context: &Context<'_, H>) -> Result<Reply<H>, ApiError> {
    let pool = &context.pool;
    let known = lock(&context.service.models).look_up(pool, context.host.clock().now());
    let (models, stale) = match known {
        Known::Fresh(models) => (models, false),
        Known::Stale(models) => (models, true),
        Known::Missing => (load(context).await?, false),
    };
    let aliases = &pool.settings.aliases;
    let allowed = aliases.iter().filter(|(_, target)| context.allows(target));
    let allowed: Vec<_> = allowed.map(|(alias, target)| (alias.clone(), target.clone())).collect();
    // An alias may bear the name of a model, which is then out of reach.
    let usable = models
        .iter()
        .filter(|model| model.is_usable() && context.allows(&model.id) && !aliases.contains_key(&model.id));
    let mut reply = Reply::json(StatusCode::OK, models_list(usable, &allowed));
    reply.follow_up.refresh_models = stale.then(|| pool.id.clone());
    Ok(reply)
}

/// Reads a pool's list anew. When Gemini does not answer, the one at hand stays.
pub(crate) async fn refresh<H: Host>(service: &Arc<Service>, host: &H, pool: &PoolId) {
    let pool = lock(&service.snapshots).get(pool);
    if let Some(pool) = pool {
        let _ = offered_models(service, host, pool).await;
    }
}

pub(super) async fn get<H: Host>(context: &Context<'_, H>, id: &str) -> Result<Reply<H>, ApiError> {
    let model = asked_for_with_suffix(context, id)?.0;
    let listed = lock(&context.service.models).find(&context.pool, &model, context.host.clock().now());
    let described = if let Some(described) = listed {
        described
    } else {
        check_known(context, &model)?;
        let body = read(context, format!("/v1beta/{}", model.resource())).await;
        let body = body.inspect_err(|error| note_unknown(context, &model, error.status))?;
        Model::parse(&body).map_err(|_| unreadable())?
    };
    let alias = Some(id).filter(|id| context.pool.settings.aliases.contains_key(*id));
    Ok(Reply::json(StatusCode::OK, model_get(&described, alias)))
}

/// Refuses a name that Gemini said lately is none of a model.
pub(super) fn check_known<H: Host>(context: &Context<'_, H>, model: &ModelId) -> Result<(), ApiError> {
    let now = context.host.clock().now();
    if lock(&context.service.models).is_unknown(&context.pool, model, now) {
        return Err(ApiError::model_not_found(model.as_str()));
    }
    Ok(())
}

/// Remembers for a while that there is no such model, if that is what a status says.
pub(super) fn note_unknown<H: Host>(context: &Context<'_, H>, model: &ModelId, status: StatusCode) {
    if status == StatusCode::NOT_FOUND {
        let now = context.host.clock().now();
        lock(&context.service.models).note_unknown(&context.pool, model, now);
    }
}

/// What Gemini offers to a key of a pool now.
pub(crate) async fn offered_models<H: Host>(
    service: &Arc<Service>,
    host: &H,
    pool: Arc<Snapshot>,
) -> Result<Arc<Vec<Model>>, ApiError> {
    let (calls, log) = (Calls::of_a_request::<H>(), RequestLog::default());
    load(&Context { service, host, pool, client_key: None, caller: None, calls, log }).await
}

async fn load<H: Host>(context: &Context<'_, H>) -> Result<Arc<Vec<Model>>, ApiError> {
    let mut models = Vec::new();
    let mut token = None;
    for _ in 0..MOST_PAGES {
        let path = page_path(token.as_deref());
        let body = read(context, path.clone()).await?;
        let page = ModelPage::parse(&body).map_err(|_| unreadable())?;
        // Whoever asks for it in Gemini's own language gets it as it is.
        keep_page(context, path, ModelPageText { body: body.clone(), content_type: None });
        models.extend(page.models);
        token = page.next_page_token;
        if token.is_none() {
            break;
        }
    }
    let models = Arc::new(models);
    let now = context.host.clock().now();
    lock(&context.service.models).insert(&context.pool, now, Arc::clone(&models));
    Ok(models)
}

/// Keeps what Gemini answered to a path about models, for whoever asks for it in the same way.
pub(super) fn keep_page<H: Host>(context: &Context<'_, H>, path: String, page: ModelPageText) {
    let (pool, now) = (&context.pool, context.host.clock().now());
    lock(&context.service.model_pages).keep((&pool.id, pool.version), path, page, now);
}

/// What Gemini lately answered to a path about models.
pub(super) fn known_page<H: Host>(context: &Context<'_, H>, path: &str) -> Option<ModelPageText> {
    let (pool, now) = (&context.pool, context.host.clock().now());
    lock(&context.service.model_pages).get((&pool.id, pool.version), path, now)
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

/// Reads something that any key of the pool may read. It costs no quota, so it is not counted.
async fn read<H: Host>(context: &Context<'_, H>, path: String) -> Result<bytes::Bytes, ApiError> {
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

fn unreadable() -> ApiError {
    ApiError::server(StatusCode::BAD_GATEWAY, "upstream_error", "Gemini's list of models cannot be read.")
}

#[cfg(test)]
mod tests;
