//! `POST embeddings`.

use http::StatusCode;
use pool_shared::AttemptOutcome;

use super::attempts::{Attempt, Attempts, fetch, post};
use super::chat::with_dropped;
use super::{Context, models};
use crate::gemini::{Method, ModelId};
use crate::host::{Clock, Host};
use crate::openai::{ApiError, EmbeddingsRequest};
use crate::pool::{Fault, Verdict};
use crate::reply::Reply;
use crate::translate::{EmbeddingsPlan, Usage, embeddings_plan};

pub(super) async fn answer<H: Host + Clone>(
    context: &Context<'_, H>,
    body: &[u8],
) -> Result<Reply<H>, ApiError> {
    let request = EmbeddingsRequest::parse(body)?;
    let model = models::allowed(context, request.model())?;
    let plan = embeddings_plan(&request, &model)?;
    let mut attempts = Attempts::new(context);
    loop {
        let attempt = attempts.next(model.as_str())?;
        match embed(context, &model, &plan, attempt, request.model()).await {
            Ok(body) => return Ok(with_dropped(Reply::json(StatusCode::OK, body), &plan.dropped)),
            Err(verdict) => attempts.refused(verdict)?,
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
    let Attempt { key, mut record } = attempt;
    let mut bodies = Vec::with_capacity(plan.batches.len());
    for (index, batch) in plan.batches.iter().enumerate() {
        let request = post(Method::BatchEmbed.path(model), key.clone(), batch.clone().into());
        let body = match fetch(context.host, request).await {
            Ok(body) => body,
            Err(verdict) => {
                record.refused(&verdict, &Usage::default());
                return Err(verdict);
            }
        };
        bodies.push(body.to_vec());
        let now = context.host.clock().now();
        record.received(now);
        if index + 1 < plan.batches.len() {
            record = record.succeeded_with_more_to_come(now);
        }
    }
    match plan.answer(&bodies, shown_model) {
        Ok((body, usage)) => {
            record.succeeded(&usage);
            Ok(body)
        }
        Err(failure) => {
            let verdict = Verdict { fault: Fault::Model, try_another_key: true, answer: failure.into() };
            record.failed(AttemptOutcome::SoftFailure, &verdict.answer.message, &Usage::default());
            Err(verdict)
        }
    }
}
