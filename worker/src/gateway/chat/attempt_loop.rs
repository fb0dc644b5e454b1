//! One way through the attempts: that of a request, or of one of its choices where each takes a call.

use std::sync::Arc;

use bytes::Bytes;
use pool_shared::KeyId;

use super::super::estimate::estimated_tokens;
use super::repairs::{is_about_fetching, is_about_signatures, repairs_for};
use super::{Call, Chat, OwnSignatures};
use crate::gateway::Attempts;
use crate::platform::Clock;
use crate::platform::lock;
use crate::ports::Host;
use crate::retry::Attempt;
use pool_engine::{Cause, Cost, Verdict};
use pool_translate::gemini::ModelId;
use pool_translate::openai::ApiError;
use pool_translate::{Capabilities, Repair, Repairs, TranslateOptions, to_gemini};

/// See the module.
pub(super) struct ChatRun<'c, 'a, 'r, H> {
    chat: &'c Chat<'a, 'r, H>,
    attempts: Attempts<'a, H>,
    /// What was asked for, then what to fall back on, each translated when it is first needed.
    models: Vec<Translated>,
    /// The key of the attempt under way.
    key: Option<KeyId>,
    /// The request was sent once more as it was, to the key that made its signatures.
    sent_to_maker: bool,
    /// What was left to Gemini was fetched here.
    fetched_instead: bool,
    /// A response was empty.
    was_empty: bool,
    /// The changes of the request, and which model each was for.
    repaired: Vec<(usize, Repair)>,
}

/// The request as one model takes it; retries reuse it.
struct Translated {
    model: ModelId,
    repairs: Repairs,
    call: Option<Arc<Call>>,
}

impl<'c, 'a, 'r, H: Host> ChatRun<'c, 'a, 'r, H> {
    /// Fails when the first model cannot do what the request asks for.
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

    /// A run on the model of a call, as it was translated.
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

    /// The first model's call.
    pub(super) fn first(&self) -> Option<&Arc<Call>> {
        self.models.first()?.call.as_ref()
    }

    /// The next attempt, and what to send; or what the caller is told when there is none.
    pub(super) async fn next(&mut self) -> Result<(Attempt, Arc<Call>), ApiError> {
        loop {
            let mut attempt = self.attempts.next().await?;
            let call = self.models.get_mut(attempt.model).map(|model| model.call(attempt.model, self.chat));
            if let Some(Ok(call)) = call {
                self.key = Some(attempt.mark.key().clone());
                return Ok((attempt, self.judged_leniently(call)));
            }
            // The stand-in cannot do what the request asks for.
            attempt.record.not_counted();
            self.attempts.skip_model();
        }
    }

    /// The call as it is judged from now on: where a response was empty and a stop sequence of the request can be why,
    /// another empty one is a whole turn.
    fn judged_leniently(&self, call: Arc<Call>) -> Arc<Call> {
        match call.context.accepting_empty().filter(|_| self.was_empty) {
            Some(context) => Arc::new(Call { context: context.into(), ..(*call).clone() }),
            None => call,
        }
    }

    /// Takes note of a failure. What a change of the request may heal is sent once more, changed.
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
                // What stands at the URLs is now part of the request for every model.
                for model in &mut self.models {
                    model.call = None;
                }
                self.attempts.resend(verdict);
            }
            None => self.attempts.refused(verdict),
        }
    }

    /// Whether the request can be sent with what Gemini refused to fetch.
    async fn fetches_instead(&self, verdict: &Verdict) -> bool {
        let may_help = !self.fetched_instead && is_about_fetching(verdict);
        may_help && self.chat.media.fetch_instead(self.chat.context).await
    }

    /// The key that made the signatures of the request, if Gemini refused them because another one sent them back.
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
        // What is wider comes first; where the request knew that already, what was refused is left.
        for repair in repairs.flat_map(|repair| [repair.widened(&call.capabilities, &own), repair]) {
            let translated = self.models.get_mut(call.place)?;
            let repairs = call.repairs.with(repair);
            let mut changed = Translated { model: call.model.clone(), repairs, call: None };
            // What changes nothing heals nothing, and what cannot be said so is better refused as it was.
            let repaired = changed.call(call.place, self.chat).ok()?;
            if repaired.body != call.body || repaired.copies != call.copies {
                *translated = changed;
                return Some(repair);
            }
        }
        None
    }

    /// Remembers what helped.
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
