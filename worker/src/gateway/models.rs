//! Model names: `GET models`, `GET models/{id}`, aliases, allowlists and fallback models.

use http::StatusCode;
use pool_translate::ApiError;
use pool_translate::gemini::{Model, ModelId};
use pool_translate::{ModelSuffix, model_get, models_list};

use super::{Context, Reply};
use crate::model_lists::{load, read, unreadable};
use crate::platform::{Clock, lock};
use crate::pools::Known;
use crate::ports::Host;

impl<H> Context<'_, H> {
    /// Returns `true` if the pool and the client key allow the model.
    fn allows(&self, model: &str) -> bool {
        let caller = self.caller.as_ref().is_none_or(|caller| caller.rules.models.allow(model));
        caller && self.pool.models.allow(model)
    }
}

/// Returns the Gemini model that a request names, also by an alias, if it is allowed. The request is
/// counted under it.
pub(super) fn asked_for<H: Host>(context: &Context<'_, H>, requested: &str) -> Result<ModelId, ApiError> {
    let found = asked_for_with_suffix(context, requested).map(|(model, _)| model);
    context.log.model(found.as_ref().ok());
    found
}

/// As [`asked_for`], with the suffix of the name in pools with `model_suffixes`.
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

/// Returns the Gemini model of a name, if the pool and the client key allow it.
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

/// Returns the model that a request names, then its fallback models, and the suffix of the name.
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
        // A fallback model must be allowed too.
        if let Ok((model, _)) = asked_for_with_suffix(context, name)
            && !models.contains(&model)
        {
            models.push(model);
        }
    }
    Ok((models, suffix))
}

/// Returns the output token limit of a model, if the pool's model list is cached.
pub(super) fn output_token_limit<H: Host>(context: &Context<'_, H>, model: &ModelId) -> Option<u64> {
    let now = context.host.clock().now();
    lock(&context.state.pools.models).find(&context.pool, model, now)?.output_token_limit
}

/// Names the model that responded, if it is not the one that the request names.
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
    let known = lock(&context.state.pools.models).get(pool, context.host.clock().now());
    let (models, stale) = match known {
        Known::Fresh(models) => (models, false),
        Known::Stale(models) => (models, true),
        Known::Missing => (load(context).await?, false),
    };
    let aliases = &pool.settings.aliases;
    let allowed = aliases.iter().filter(|(_, target)| context.allows(target));
    let allowed: Vec<_> = allowed.map(|(alias, target)| (alias.clone(), target.clone())).collect();
    // An alias may hide a model of the same name.
    let usable = models
        .iter()
        .filter(|model| model.is_usable() && context.allows(&model.id) && !aliases.contains_key(&model.id));
    let mut reply = Reply::json(StatusCode::OK, models_list(usable, &allowed));
    reply.background.refresh_models = stale.then(|| pool.id.clone());
    Ok(reply)
}

pub(super) async fn get<H: Host>(context: &Context<'_, H>, id: &str) -> Result<Reply<H>, ApiError> {
    let model = asked_for_with_suffix(context, id)?.0;
    let listed = lock(&context.state.pools.models).find(&context.pool, &model, context.host.clock().now());
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

/// Rejects a name that Gemini recently reported as unknown.
pub(super) fn check_known<H: Host>(context: &Context<'_, H>, model: &ModelId) -> Result<(), ApiError> {
    let now = context.host.clock().now();
    if lock(&context.state.pools.models).is_unknown(&context.pool, model, now) {
        return Err(ApiError::model_not_found(model.as_str()));
    }
    Ok(())
}

/// Remembers an unknown model if the status is 404.
pub(super) fn note_unknown<H: Host>(context: &Context<'_, H>, model: &ModelId, status: StatusCode) {
    if status == StatusCode::NOT_FOUND {
        let now = context.host.clock().now();
        lock(&context.state.pools.models).note_unknown(&context.pool, model, now);
    }
}

#[cfg(test)]
mod tests;
