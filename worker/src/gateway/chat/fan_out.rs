//! Fan-out: one upstream request per choice, for models without `candidateCount`.

use std::sync::Arc;

use futures_util::future::join_all;

use super::attempt_loop::ChatRun;
use super::buffered::BufferedResponse;
use super::stream::verdict_of_end;
use super::{Call, Chat, OwnSignatures};
use crate::gateway::event_stream::EventStream;
use crate::gateway::{Reply, events_reply};
use crate::ports::Host;
use pool_translate::ApiError;
use pool_translate::{ChatStream, ResponseContext, StreamFault, chat_responses};

impl<H: Host + Clone> Chat<'_, '_, H> {
    /// Makes the calls concurrently, each with its own key and retries. All use the same model, because
    /// the response names one. Nothing is sent before all are complete, so that an error is an ordinary
    /// HTTP error.
    pub(super) async fn several(&self, call: &Call) -> Result<Reply<H>, ApiError> {
        let answers = join_all((0..call.copies).map(|_| self.choice(call))).await;
        let answers = without_empty(answers)?;
        // Each was checked by its own run.
        let context = call.context.accepting_empty().map_or_else(|| Arc::clone(&call.context), Arc::new);
        let block = answers.iter().find_map(|answered| answered.answer.prompt_block.as_deref());
        let reply = match self.blocked_prompt(block) {
            Some(reply) => reply,
            None if self.request.stream() => self.streamed(context, &answers)?,
            None => {
                let bodies: Vec<_> = answers.iter().map(|answered| &answered.bodies).collect();
                self.reply(chat_responses(&bodies, &context, &self.envelope)?, None)
            }
        };
        Ok(self.with_notes(reply, call))
    }

    /// Runs the attempts of one choice.
    async fn choice(&self, call: &Call) -> Result<BufferedResponse, ApiError> {
        let mut run = ChatRun::again(self, call);
        loop {
            let (attempt, call) = run.next().await?;
            match self.whole(&call, attempt).await {
                Ok(answered) => {
                    run.succeeded(&call);
                    return Ok(answered);
                }
                Err(verdict) => run.refused(&call, &verdict).await,
            }
        }
    }

    fn streamed(
        &self,
        context: Arc<ResponseContext>,
        answers: &[BufferedResponse],
    ) -> Result<Reply<H>, ApiError> {
        let mut stream = ChatStream::new(context, self.envelope.clone());
        let mut events = Vec::new();
        for (index, answered) in (0..).zip(answers) {
            for body in &answered.bodies {
                stream
                    .push_answer(body, index, &mut events)
                    .map_err(|fault: StreamFault| fault.api_error())?;
            }
        }
        let end = stream.finish(&mut events);
        verdict_of_end(self.context.host, end, stream.usage(), None).map_err(|verdict| verdict.answer)?;
        OwnSignatures::of(self.context).remember(stream.take_signatures());
        Ok(events_reply(EventStream::complete(self.context.host.clone(), events.into())))
    }
}

/// Returns the choices. An empty one does not fail the others; if all are empty, or one has another
/// error, the request fails.
fn without_empty(
    answers: Vec<Result<BufferedResponse, ApiError>>,
) -> Result<Vec<BufferedResponse>, ApiError> {
    let any = answers.iter().any(Result::is_ok);
    let answers = answers.into_iter().map(|answer| match answer {
        Err(error) if any && error.code == Some("empty_response") => Ok(BufferedResponse::empty()),
        answer => answer,
    });
    answers.collect()
}
