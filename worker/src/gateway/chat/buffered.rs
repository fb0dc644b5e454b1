//! Buffered (non-streaming) responses.

use bytes::Bytes;
use http::StatusCode;
use pool_shared::KeyId;

use super::super::families;
use super::{Call, Chat, MAX_CONTINUATIONS, OwnSignatures};
use crate::gateway::Reply;
use crate::platform::Clock;
use crate::ports::Host;
use crate::retry::Attempt;
use crate::upstream::fetch;
use pool_engine::{Cause, Verdict};
use pool_translate::{
    AnswerError, ChatAnswer, SoftFailure, Usage, chat_response, chat_responses, resumed_body,
    resumed_response,
};

/// The response of an attempt.
pub(super) struct BufferedResponse {
    /// Gemini's bodies, each continuing the one before.
    pub(super) bodies: Vec<Bytes>,
    /// The converted response.
    pub(super) answer: ChatAnswer,
}

impl BufferedResponse {
    /// Returns a choice without content.
    pub(super) fn empty() -> Self {
        let body = Bytes::from_static(br#"{"candidates":[{"finishReason":"STOP"}]}"#);
        Self { bodies: vec![body], answer: ChatAnswer::default() }
    }
}

impl<H: Host + Clone> Chat<'_, '_, H> {
    /// Makes one attempt. If the limit of one call truncates the response and the client wants more,
    /// further calls with the same key continue it, each counted.
    pub(super) async fn whole(&self, call: &Call, attempt: Attempt) -> Result<BufferedResponse, Verdict> {
        let Attempt { outbound, mut record, .. } = attempt;
        let host = self.context.host;
        let mut bodies = Vec::new();
        let mut last = None;
        let mut next = call.body.clone();
        loop {
            let request = outbound.clone().post(call.path.clone(), next);
            let fetched = fetch(host, self.context.state.timeouts, request).await;
            let now = host.clock().now();
            let (answer, body) = match fetched {
                Ok(body) => {
                    record.received(now);
                    let read = if bodies.is_empty() { chat_response } else { resumed_response };
                    (read(&body, &call.context, &self.envelope), body)
                }
                Err(verdict) => {
                    let verdict = record.failed(verdict, &Usage::default(), host);
                    return self.cut(call, bodies, last).ok_or(verdict);
                }
            };
            let answer = match answer {
                Ok(answer) => answer,
                Err(failure) => {
                    let usage = failure.usage;
                    let verdict = record.failed(soft_failure(failure), &usage, host);
                    return self.cut(call, bodies, last).ok_or(verdict);
                }
            };
            families::observe(self.context, &call.model, answer.model_version.as_deref());
            bodies.push(body);
            let may_go_on = call.context.resumes() && bodies.len() <= MAX_CONTINUATIONS;
            let usage = answer.usage;
            let token = answer.continuation.clone().filter(|_| may_go_on && self.context.calls.take(1));
            last = Some(answer);
            let Some(token) = token else {
                return match self.together(call, bodies, last) {
                    Ok(answered) => {
                        if answered.answer.spent_on_thoughts {
                            record.note_spent_on_thoughts(&usage, host);
                        }
                        record.succeeded(&usage, host);
                        Ok(answered)
                    }
                    Err(failure) => Err(record.failed(soft_failure(failure), &usage, host)),
                };
            };
            record.one_more(&usage, now);
            next = resumed_body(&call.body, &token).into();
        }
    }

    /// Returns the response so far, if any: it says that it is truncated, and how the client can
    /// continue it.
    fn cut(&self, call: &Call, bodies: Vec<Bytes>, last: Option<ChatAnswer>) -> Option<BufferedResponse> {
        self.together(call, bodies, last).ok()
    }

    fn together(
        &self,
        call: &Call,
        bodies: Vec<Bytes>,
        last: Option<ChatAnswer>,
    ) -> Result<BufferedResponse, AnswerError> {
        let answer = match (bodies.as_slice(), last) {
            ([], _) => return Err(AnswerError { reason: SoftFailure::Empty, usage: Usage::default() }),
            ([_], Some(answer)) => answer,
            _ => chat_responses(&[&bodies], &call.context, &self.envelope)?,
        };
        Ok(BufferedResponse { bodies, answer })
    }

    /// Returns the reply for a converted response.
    pub(super) fn reply(&self, answer: ChatAnswer, key: Option<&KeyId>) -> Reply<H> {
        let own = OwnSignatures::of(self.context);
        let own = if let Some(key) = key { own.made_by(key.clone()) } else { own };
        own.remember(answer.signatures);
        let blocked = self.blocked_prompt(answer.prompt_block.as_deref());
        blocked.unwrap_or_else(|| Reply::json(StatusCode::OK, answer.body))
    }
}

pub(in crate::gateway) fn soft_failure(failure: AnswerError) -> Verdict {
    Verdict::of(Cause::SoftFailure, failure.into())
}
