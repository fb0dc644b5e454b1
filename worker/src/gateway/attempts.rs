//! One key after another, until an answer is there or there is no sense in going on.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{Either, select};
use http::{Method, StatusCode};
use jiff::Timestamp;
use pool_shared::{AttemptOutcome, Event, GeminiKey, KeyId, PoolId};

use super::Context;
use crate::gemini::{ErrorBody, redact_keys};
use crate::host::{Clock, Host, Upstream, UpstreamBody, UpstreamError, UpstreamRequest};
use crate::ledger::Attempt as CountedAttempt;
use crate::openai::ApiError;
use crate::pool::{Fault, Verdict, classify, network_fault};
use crate::service::Service;
use crate::translate::Usage;

/// Attempts a request: two more than one bad key and one limited key need, and far below the 50 calls
/// that a request may make on the free plan.
const MOST_ATTEMPTS: usize = 4;
/// No further key is tried when a request has taken this long.
const NO_MORE_ATTEMPTS_AFTER: Duration = Duration::from_mins(1);
/// How long Gemini may take until its headers: a long answer that is not streamed comes all at once.
const HEADERS_TIMEOUT: Duration = Duration::from_mins(5);
/// How long Gemini may be silent in the middle of an answer.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_mins(2);
/// The longest answer that is held in memory whole.
const LONGEST_ANSWER: usize = 64 * 1024 * 1024;
/// The longest error body that is looked at.
const LONGEST_REFUSAL: usize = 256 * 1024;

/// The keys that one request has tried.
pub(super) struct Attempts<'a, H> {
    context: &'a Context<'a, H>,
    started_at: Timestamp,
    tried: Vec<usize>,
    last: Option<Verdict>,
}

impl<'a, H: Host> Attempts<'a, H> {
    pub(super) fn new(context: &'a Context<'a, H>) -> Self {
        Self { context, started_at: context.host.clock().now(), tried: Vec::new(), last: None }
    }

    /// The next key to try, and the record under which the attempt is counted; or what the caller is
    /// told when there is none.
    pub(super) fn next(&mut self, model: &str) -> Result<Attempt, ApiError> {
        let Context { service, host, pool } = self.context;
        let spent = host.clock().now().duration_since(self.started_at).unsigned_abs();
        if self.tried.len() >= MOST_ATTEMPTS || spent > NO_MORE_ATTEMPTS_AFTER {
            return Err(self.give_up());
        }
        while let Some(index) = pool.table().choose(&self.tried, host.random()) {
            self.tried.push(index);
            let Some(stored) = pool.key(index) else { break };
            let Ok(key) = pool.open(stored) else { continue };
            let account = Account { pool: pool.id.clone(), key: stored.id.clone(), model: model.to_owned() };
            let began = host.clock().now();
            let record =
                AttemptRecord { service: Arc::clone(service), account: Some(account), began, received: None };
            return Ok(Attempt { key, record });
        }
        Err(self.give_up())
    }

    /// Takes note of a refusal. An error: nothing more is to be tried, and this is the answer.
    pub(super) fn refused(&mut self, verdict: Verdict) -> Result<(), ApiError> {
        if verdict.try_another_key {
            self.last = Some(verdict);
            Ok(())
        } else {
            Err(verdict.answer)
        }
    }

    fn give_up(&mut self) -> ApiError {
        match self.last.take() {
            None => no_usable_key(&self.context.pool.name, "has no enabled key"),
            Some(verdict) if verdict.fault == Fault::Key => {
                no_usable_key(&self.context.pool.name, "has no key that Gemini accepts")
            }
            Some(verdict) => verdict.answer,
        }
    }
}

/// The caller did nothing wrong and trying again does not help: the operator has to add keys.
fn no_usable_key(pool: &str, why: &str) -> ApiError {
    let message = format!("The pool '{pool}' {why}.");
    ApiError {
        should_retry: Some(false),
        ..ApiError::server(StatusCode::SERVICE_UNAVAILABLE, "no_usable_key", message)
    }
}

/// One key, about to be tried.
pub(super) struct Attempt {
    pub(super) key: GeminiKey,
    pub(super) record: AttemptRecord,
}

/// Counts one attempt exactly once: as told, or as left by the client when it is dropped before its
/// end, as happens when the client goes away.
pub(super) struct AttemptRecord {
    service: Arc<Service>,
    account: Option<Account>,
    began: Timestamp,
    /// When the first and the last piece of the answer came.
    received: Option<(Timestamp, Timestamp)>,
}

/// Where an attempt is counted.
#[derive(Clone)]
struct Account {
    pool: PoolId,
    key: KeyId,
    model: String,
}

impl AttemptRecord {
    /// A piece of the answer is there: what the attempt took is measured up to the last one.
    pub(super) fn received(&mut self, now: Timestamp) {
        let first = self.received.map_or(now, |(first, _)| first);
        self.received = Some((first, now));
    }

    /// The attempt reached its end.
    pub(super) fn succeeded(mut self, usage: &Usage) {
        self.count(AttemptOutcome::Ok, usage);
    }

    /// It did not; `usage` is what Gemini said it cost all the same. `why` is shown to operators, except
    /// for the caller's own mistakes, which are none of theirs and may repeat what the caller wrote.
    pub(super) fn failed(mut self, outcome: AttemptOutcome, why: &str, usage: &Usage) {
        if let Some(Account { pool, key, model }) = self.account.clone()
            && outcome != AttemptOutcome::Caller
        {
            let message = redact_keys(why);
            self.service.note(Event {
                at: self.began,
                pool,
                key,
                model,
                verdict: outcome,
                message,
                count: 1,
            });
        }
        self.count(outcome, usage);
    }

    /// It was refused.
    pub(super) fn refused(self, verdict: &Verdict, usage: &Usage) {
        self.failed(outcome_of(verdict.fault), &verdict.answer.message, usage);
    }

    /// This call reached its end, and another one follows on the same key.
    pub(super) fn succeeded_with_more_to_come(mut self, now: Timestamp) -> Self {
        let account = self.account.clone();
        let next = Self { service: Arc::clone(&self.service), account, began: now, received: None };
        self.count(AttemptOutcome::Ok, &Usage::default());
        next
    }

    /// The call does not draw on any quota.
    pub(super) fn not_counted(mut self) {
        self.account = None;
    }

    fn count(&mut self, outcome: AttemptOutcome, usage: &Usage) {
        let Some(Account { pool, key, model }) = self.account.take() else { return };
        let since_began = |at: Timestamp| at.duration_since(self.began).try_into().unwrap_or_default();
        self.service.count(&CountedAttempt {
            pool,
            key,
            model,
            outcome,
            began: self.began,
            took: self.received.map(|(first, last)| (since_began(first), since_began(last))),
            prompt_tokens: usage.prompt,
            completion_tokens: usage.completion,
            cached_tokens: usage.cached,
            thought_tokens: usage.thoughts,
        });
    }
}

impl Drop for AttemptRecord {
    fn drop(&mut self) {
        self.count(AttemptOutcome::ClientLeft, &Usage::default());
    }
}

/// Under which outcome a refusal is counted.
pub(super) const fn outcome_of(fault: Fault) -> AttemptOutcome {
    match fault {
        Fault::Key => AttemptOutcome::Key,
        Fault::Quota => AttemptOutcome::Quota,
        Fault::Model => AttemptOutcome::Model,
        Fault::Egress => AttemptOutcome::Egress,
        Fault::Network => AttemptOutcome::Network,
        Fault::Caller => AttemptOutcome::Caller,
    }
}

/// Sends a request and waits for a success's headers.
pub(super) async fn open<H: Host>(
    host: &H,
    request: UpstreamRequest,
) -> Result<<H::Upstream as Upstream>::Body, Verdict> {
    let sending = std::pin::pin!(host.upstream().send(request));
    let timeout = std::pin::pin!(host.clock().sleep(HEADERS_TIMEOUT));
    let response = match select(sending, timeout).await {
        Either::Left((response, _)) => response.map_err(|error| network_fault(&error))?,
        Either::Right(_) => return Err(network_fault(&UpstreamError::Timeout(HEADERS_TIMEOUT))),
    };
    if response.status.is_success() {
        return Ok(response.body);
    }
    // A refusal whose body breaks off is judged by its status and what came of it.
    let body = read_whole(host, response.body, LONGEST_REFUSAL).await.unwrap_or_default();
    Err(classify(response.status, &ErrorBody::parse(&body)))
}

/// Sends a request and reads the whole answer.
pub(super) async fn fetch<H: Host>(host: &H, request: UpstreamRequest) -> Result<Bytes, Verdict> {
    let body = open(host, request).await?;
    read_whole(host, body, LONGEST_ANSWER).await.map_err(|error| network_fault(&error))
}

/// A POST of a JSON body.
pub(super) fn post(path: String, key: GeminiKey, body: Bytes) -> UpstreamRequest {
    UpstreamRequest { method: Method::POST, path, key, body: Some(body) }
}

async fn read_whole<H: Host>(
    host: &H,
    mut body: impl UpstreamBody,
    limit: usize,
) -> Result<Bytes, UpstreamError> {
    let mut whole = Vec::new();
    while let Some(chunk) = next_chunk(host, &mut body, IDLE_TIMEOUT).await? {
        whole.extend_from_slice(&chunk);
        if whole.len() > limit {
            return Err(UpstreamError::Read(format!("more than {limit} bytes")));
        }
    }
    Ok(whole.into())
}

/// The next piece of an answer, or a timeout when none comes for `idle`.
pub(super) async fn next_chunk<H: Host>(
    host: &H,
    body: &mut impl UpstreamBody,
    idle: Duration,
) -> Result<Option<Bytes>, UpstreamError> {
    let reading = std::pin::pin!(body.chunk());
    let timeout = std::pin::pin!(host.clock().sleep(idle));
    match select(reading, timeout).await {
        Either::Left((chunk, _)) => chunk,
        Either::Right(_) => Err(UpstreamError::Timeout(idle)),
    }
}
