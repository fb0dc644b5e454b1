//! `GET models` and `GET models/{id}`, and which models a pool may use.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use jiff::Timestamp;
use pool_shared::PoolId;

use super::Context;
use super::attempts::{Attempt, Attempts, fetch};
use crate::gemini::{Model, ModelId, ModelPage};
use crate::host::{Clock, Host, UpstreamRequest};
use crate::openai::ApiError;
use crate::pool::{Cost, Snapshot};
use crate::reply::Reply;
use crate::service::{Service, lock};
use crate::translate::{Usage, model_get, models_list};

/// How long a pool's list of models is kept. New models appear weekly, not hourly.
const LIST_AGE: Duration = Duration::from_hours(1);
/// Pages of 1,000 models that are read at most.
const MOST_PAGES: usize = 10;
/// Lists kept at once; a list takes some 30 KB.
const MOST_LISTS: usize = 100;

/// The lists of models, by pool: what a key may use depends on its project.
#[derive(Debug, Default)]
pub struct ModelCache(HashMap<PoolId, (Timestamp, Arc<Vec<Model>>)>);

impl ModelCache {
    fn get(&self, pool: &PoolId, now: Timestamp) -> Option<Arc<Vec<Model>>> {
        let (read_at, models) = self.0.get(pool)?;
        (now.duration_since(*read_at).unsigned_abs() < LIST_AGE).then(|| Arc::clone(models))
    }

    fn insert(&mut self, pool: PoolId, now: Timestamp, models: Arc<Vec<Model>>) {
        if self.0.len() >= MOST_LISTS {
            self.0.clear();
        }
        self.0.insert(pool, (now, models));
    }
}

/// The Gemini model that a request names, be it by an alias, if the pool may use it.
pub(super) fn asked_for<H: Host>(context: &Context<'_, H>, requested: &str) -> Result<ModelId, ApiError> {
    let pool = &context.pool;
    let model = ModelId::parse(pool.settings.aliases.get(requested).map_or(requested, String::as_str))?;
    if pool.models.allow(model.as_str()) {
        return Ok(model);
    }
    let message = format!("The model '{model}' is not among the allowed models of the pool '{}'.", pool.name);
    let error = ApiError::new(StatusCode::FORBIDDEN, "permission_error", Some("model_not_allowed"), message);
    Err(ApiError { param: Some("model".to_owned()), ..error })
}

/// The models that may answer a request: the one that it names, then those that the pool falls back on
/// when that is overloaded or used up.
pub(super) fn to_ask<H: Host>(context: &Context<'_, H>, requested: &str) -> Result<Vec<ModelId>, ApiError> {
    let mut models = vec![asked_for(context, requested)?];
    for name in context.pool.fallbacks(models.first().map_or(requested, ModelId::as_str)) {
        // What the pool may not use is no way out either.
        if let Ok(model) = asked_for(context, name)
            && !models.contains(&model)
        {
            models.push(model);
        }
    }
    Ok(models)
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
    let cached = lock(&context.service.models).get(&context.pool.id, context.host.clock().now());
    let models = match cached {
        Some(models) => models,
        None => load(context).await?,
    };
    let aliases: Vec<_> = context.pool.settings.aliases.clone().into_iter().collect();
    let usable = models.iter().filter(|model| model.is_usable() && context.pool.models.allow(&model.id));
    Ok(Reply::json(StatusCode::OK, models_list(usable, &aliases)))
}

pub(super) async fn get<H: Host>(context: &Context<'_, H>, id: &str) -> Result<Reply<H>, ApiError> {
    let model = asked_for(context, id)?;
    let body = read(context, format!("/v1beta/{}", model.resource())).await?;
    let model = Model::parse(&body).map_err(|_| unreadable())?;
    Ok(Reply::json(StatusCode::OK, model_get(&model, &model.id)))
}

/// What Gemini offers to a key of a pool now.
pub(crate) async fn offered_models<H: Host>(
    service: &Arc<Service>,
    host: &H,
    pool: Arc<Snapshot>,
) -> Result<Arc<Vec<Model>>, ApiError> {
    load(&Context { service, host, pool }).await
}

async fn load<H: Host>(context: &Context<'_, H>) -> Result<Arc<Vec<Model>>, ApiError> {
    let mut models = Vec::new();
    let mut token = None;
    for _ in 0..MOST_PAGES {
        let page =
            ModelPage::parse(&read(context, page_path(token.as_deref())).await?).map_err(|_| unreadable())?;
        models.extend(page.models);
        token = page.next_page_token;
        if token.is_none() {
            break;
        }
    }
    let models = Arc::new(models);
    let now = context.host.clock().now();
    lock(&context.service.models).insert(context.pool.id.clone(), now, Arc::clone(&models));
    Ok(models)
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
    let mut attempts = Attempts::new(context, vec![String::new()], None, Cost::default());
    loop {
        let Attempt { key, mut record, .. } = attempts.next().await?;
        record.not_counted();
        let request = UpstreamRequest { method: Method::GET, path: path.clone(), key, body: None };
        match fetch(context.host, request).await {
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
