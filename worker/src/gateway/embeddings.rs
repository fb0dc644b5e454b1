//! `POST embeddings`.

use http::StatusCode;

use super::attempts::{Attempt, Attempts, fetch, post};
use super::chat::with_dropped;
use super::{Context, models};
use crate::gemini::{Method, ModelId};
use crate::host::Host;
use crate::openai::{ApiError, EmbeddingsRequest};
use crate::pool::{Fault, Verdict};
use crate::reply::Reply;
use crate::translate::{EmbeddingsPlan, embeddings_plan};

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
    let Attempt { key, record } = attempt;
    let mut record = Some(record);
    let mut embedded = Vec::with_capacity(plan.batches.len());
    for (index, batch) in plan.batches.iter().enumerate() {
        let Some(current) = record.take() else { break };
        let request = post(Method::BatchEmbed.path(model), key.clone(), batch.clone().into());
        let body = fetch(context.host, request).await?;
        let batch = plan.read(index, &body).map_err(|failure| Verdict {
            fault: Fault::Model,
            try_another_key: true,
            answer: failure.into(),
        })?;
        record = (index + 1 < plan.batches.len()).then(|| current.another());
        current.succeeded(&batch.usage);
        embedded.push(batch);
    }
    Ok(plan.answer(embedded, shown_model))
}
