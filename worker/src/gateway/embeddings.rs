//! `POST embeddings`.

use http::StatusCode;

use super::chat::{soft_failure, with_ignored_params};
use super::token_estimate::estimated_tokens;
use super::{Context, models};
use crate::gateway::Attempts;
use crate::gateway::Reply;
use crate::platform::Clock;
use crate::ports::Host;
use crate::retry::Attempt;
use crate::upstream::fetch;
use pool_engine::{Cause, Cost, Verdict};
use pool_translate::ApiError;
use pool_translate::gemini::{Method, ModelId};
use pool_translate::json::well_formed;
use pool_translate::openai::EmbeddingsRequest;
use pool_translate::{EmbeddingsPlan, Usage, embeddings_plan};

pub(super) async fn answer<H: Host + Clone>(
    context: &Context<'_, H>,
    body: &[u8],
) -> Result<Reply<H>, ApiError> {
    let body = well_formed(body);
    let request = EmbeddingsRequest::parse(&body)?;
    let model = models::asked_for(context, request.model())?;
    let plan = embeddings_plan(&request, &model)?;
    // Gemini counts each input as a request.
    let cost = Cost {
        requests: plan.inputs(),
        tokens: plan.batches.iter().map(|batch| estimated_tokens(batch)).sum(),
    };
    let mut attempts =
        Attempts::new(context, vec![model.as_str().to_owned()], None, cost).of_another_method();
    loop {
        let attempt = attempts.next().await?;
        let mark = attempt.mark.clone();
        match embed(context, &model, &plan, attempt, request.model()).await {
            Ok(body) => {
                let reply =
                    models::with_model(Reply::json(StatusCode::OK, body), request.model(), Some(&model));
                return Ok(mark.put_on(with_ignored_params(reply, &plan.ignored_params)));
            }
            Err(verdict) => attempts.refused(&verdict),
        }
    }
}

/// Sends every batch on one key, each counted as the call that it is.
async fn embed<H: Host>(
    context: &Context<'_, H>,
    model: &ModelId,
    plan: &EmbeddingsPlan,
    attempt: Attempt,
    shown_model: &str,
) -> Result<Vec<u8>, Verdict> {
    let Attempt { outbound, mut record, .. } = attempt;
    let host = context.host;
    // The attempt has taken the first one's call.
    if !context.calls.take(plan.batches.len().saturating_sub(1)) {
        record.not_counted();
        let verdict = Verdict::of(Cause::Ours, context.calls.used_up());
        return Err(record.failed(verdict, &Usage::default(), host));
    }
    let mut embedded = Vec::with_capacity(plan.batches.len());
    for (index, batch) in plan.batches.iter().enumerate() {
        let request = outbound.clone().post(Method::BatchEmbed.path(model), batch.clone());
        let body = fetch(host, context.state.timeouts, request).await;
        let now = host.clock().now();
        record.received(now);
        let read = match body {
            Ok(body) => plan.read(index, &body),
            Err(verdict) => return Err(record.failed(verdict, &Usage::default(), host)),
        };
        match read {
            Ok(batch) => embedded.push(batch),
            Err(failure) => return Err(record.failed(soft_failure(failure), &Usage::default(), host)),
        }
        if let Some(batch) = embedded.last().filter(|_| index + 1 < plan.batches.len()) {
            record.one_more(&batch.usage, now);
        }
    }
    let last = embedded.last().map(|batch| batch.usage).unwrap_or_default();
    record.succeeded(&last, host);
    Ok(plan.answer(embedded, shown_model))
}
