//! The attempt loop of a chat request, or of one of its choices where each takes a call.

use std::sync::Arc;

use bytes::Bytes;
use pool_shared::KeyId;

use super::super::token_estimate::estimated_tokens;
use super::repairs::{is_about_fetching, is_about_signatures, repairs_for};
use super::{Call, Chat, OwnSignatures};
use crate::gateway::Attempts;
use crate::platform::Clock;
use crate::platform::lock;
use crate::ports::Host;
use crate::retry::Attempt;
use pool_engine::{Cause, Cost, Verdict};
use pool_translate::ApiError;
use pool_translate::gemini::ModelId;
use pool_translate::{Capabilities, Repair, Repairs, TranslateOptions, to_gemini};

/// The attempts of one request or choice, and what was changed between them.
pub(super) struct ChatRun<'c, 'a, 'r, H> {
    chat: &'c Chat<'a, 'r, H>,
    attempts: Attempts<'a, H>,
    /// The requested model, then its fallbacks, each converted when first needed.
    models: Vec<Translated>,
    /// Key of the current attempt.
    key: Option<KeyId>,
    /// Whether the request was resent unchanged, with the key that made its signatures.
    sent_to_maker: bool,
    /// Whether media left to Gemini were fetched here.
    fetched_instead: bool,
    /// Whether a response was empty.
    was_empty: bool,
    /// Changes of the request, each with the place of its model.
    repaired: Vec<(usize, Repair)>,
}

/// The request for one model; retries reuse the conversion.
struct Translated {
    model: ModelId,
    repairs: Repairs,
    call: Option<Arc<Call>>,
}

impl<'c, 'a, 'r, H: Host> ChatRun<'c, 'a, 'r, H> {
    /// Fails if the first model does not support what the request asks for.
    pub(super) fn new(chat: &'c Chat<'a, 'r, H>, models: &[ModelId]) -> Result<Self, ApiError> {
        let context = chat.context;
        let now = context.host.clock().now();
        let translated = |model: &ModelId| Translated {
            repairs: lock(&context.plane.repairs).of(&context.pool.id, model, now),
            model: model.clone(),
            call: None,
        };
        let mut models: Vec<Translated> = models.iter().map(translated).collect();
        let first = models.first_mut().ok_or_else(|| ApiError::missing("model"))?.call(0, chat)?;
        Ok(Self::with(chat, models, &first.body))
    }

    /// Creates a run for a call that is converted already.
    pub(super) fn again(chat: &'c Chat<'a, 'r, H>, call: &Call) -> Self {
        let call = Call { place: 0, ..call.clone() };
        let body = call.body.clone();
        let (model, repairs) = (call.model.clone(), call.repairs);
        Self::with(chat, vec![Translated { model, repairs, call: Some(call.into()) }], &body)
    }

    fn with(chat: &'c Chat<'a, 'r, H>, models: Vec<Translated>, first: &Bytes) -> Self {
        let cost = Cost { requests: 1, tokens: estimated_tokens(first) };
        let affinity = chat.request.affinity().filter(|_| chat.context.pool.settings.sticky);
        let names = models.iter().map(|translated| translated.model.as_str().to_owned()).collect();
        let attempts = Attempts::new(chat.context, names, affinity, cost);
        Self {
            chat,
            attempts,
            models,
            key: None,
            sent_to_maker: false,
            fetched_instead: false,
            was_empty: false,
            repaired: Vec::new(),
        }
    }

    /// Returns the first model's call.
    pub(super) fn first(&self) -> Option<&Arc<Call>> {
        self.models.first()?.call.as_ref()
    }

    /// Returns the next attempt and its call, or the client's error if there is none.
    pub(super) async fn next(&mut self) -> Result<(Attempt, Arc<Call>), ApiError> {
        loop {
            let mut attempt = self.attempts.next().await?;
            let call = self.models.get_mut(attempt.model).map(|model| model.call(attempt.model, self.chat));
            if let Some(Ok(call)) = call {
                self.key = Some(attempt.mark.key().clone());
                return Ok((attempt, self.judged_leniently(call)));
            }
            // The fallback model does not support what the request asks for.
            attempt.record.not_counted();
            self.attempts.skip_model();
        }
    }

    /// Returns the call for the next attempt: after an empty response that a stop sequence can explain,
    /// another empty one is a whole turn.
    fn judged_leniently(&self, call: Arc<Call>) -> Arc<Call> {
        match call.context.accepting_empty().filter(|_| self.was_empty) {
            Some(context) => Arc::new(Call { context: context.into(), ..(*call).clone() }),
            None => call,
        }
    }

    /// Handles a failed attempt. If a changed request may avoid the error, it is resent changed.
    pub(super) async fn refused(&mut self, call: &Call, verdict: &Verdict) {
        self.was_empty |=
            verdict.cause == Cause::SoftFailure && verdict.answer.code == Some("empty_response");
        if let Some(maker) = self.maker(verdict) {
            self.sent_to_maker = true;
            self.attempts.resend_on(maker, verdict);
            return;
        }
        match self.repair(call, verdict) {
            Some(repair) => {
                self.repaired.push((call.place, repair));
                self.attempts.resend(verdict);
            }
            None if self.fetches_instead(verdict).await => {
                self.fetched_instead = true;
                // The media are now part of the request for every model.
                for model in &mut self.models {
                    model.call = None;
                }
                self.attempts.resend(verdict);
            }
            None => self.attempts.refused(verdict),
        }
    }

    /// Fetches media that Gemini failed to fetch. Returns `true` if the request can be resent with them.
    async fn fetches_instead(&self, verdict: &Verdict) -> bool {
        let may_help = !self.fetched_instead && is_about_fetching(verdict);
        may_help && self.chat.media.fetch_instead(self.chat.context).await
    }

    /// Returns the key that made the signatures of the request, if Gemini rejected them from another key.
    fn maker(&self, verdict: &Verdict) -> Option<KeyId> {
        if self.sent_to_maker || !is_about_signatures(verdict) {
            return None;
        }
        let maker = OwnSignatures::of(self.chat.context).maker(self.chat.request)?;
        (self.key.as_ref() != Some(&maker)).then_some(maker)
    }

    fn repair(&mut self, call: &Call, verdict: &Verdict) -> Option<Repair> {
        let last = self.repaired.last().map(|(_, repair)| *repair);
        let own = Capabilities::of_name(call.model.as_str());
        let repairs = repairs_for(verdict, call.repairs, last).into_iter();
        // The wider change comes first, unless the request has it already.
        for repair in repairs.flat_map(|repair| [repair.widened(&call.capabilities, &own), repair]) {
            let translated = self.models.get_mut(call.place)?;
            let repairs = call.repairs.with(repair);
            let mut changed = Translated { model: call.model.clone(), repairs, call: None };
            // A repair without a change cannot help. If the changed request is invalid, the first error is the better one.
            let repaired = changed.call(call.place, self.chat).ok()?;
            if repaired.body != call.body || repaired.copies != call.copies {
                *translated = changed;
                return Some(repair);
            }
        }
        None
    }

    /// Remembers the changes that helped.
    pub(super) fn succeeded(&self, call: &Call) {
        let context = self.chat.context;
        for (place, repair) in &self.repaired {
            if *place == call.place && repair.is_about_model() {
                let now = context.host.clock().now();
                lock(&context.plane.repairs).remember(&context.pool.id, &call.model, *repair, now);
            }
        }
    }
}

impl Translated {
    fn call<H: Host>(&mut self, place: usize, chat: &Chat<'_, '_, H>) -> Result<Arc<Call>, ApiError> {
        if let Some(call) = &self.call {
            return Ok(call.clone());
        }
        let context = chat.context;
        let signatures = OwnSignatures::of(context);
        let now = context.host.clock().now();
        let answered_by = lock(&context.plane.families).get(&context.pool.id, &self.model, now);
        let options = TranslateOptions {
            now,
            answered_by: answered_by.as_ref(),
            output_token_limit: super::super::models::output_token_limit(context, &self.model),
            several_calls: true,
            length: chat.length,
            repairs: self.repairs,
            settings: Some(&context.pool.settings.translation),
            suffix: chat.suffix,
            media: Some(&chat.media),
            signatures: Some(&signatures),
        };
        let call = to_gemini(chat.request, &self.model, &options)?;
        let call = Call {
            place,
            model: self.model.clone(),
            repairs: self.repairs,
            capabilities: options.capabilities(&self.model),
            path: call.method.path(&self.model),
            body: call.body.into(),
            copies: call.copies,
            ignored_params: call.ignored_params,
            context: call.context.into(),
        };
        Ok(self.call.insert(call.into()).clone())
    }
}
