//! Response to one authenticated request whose delay has passed.
//!
//! Error texts are in [`crate::refusal`].

use std::borrow::Cow;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use serde_json::json;

use crate::answer::{Chat, Frames, Shape, Speech};
use crate::behaviour::{Behaviour, Treatment};
use crate::call::{Call, Parameters};
use crate::catalogue;
use crate::compat;
use crate::counts::{Attempt, Tokens};
use crate::embedding;
use crate::family::Family;
use crate::playback::{Ending, Framing, Playback, Source};
use crate::quota::Cost;
use crate::record::Received;
use crate::refusal::{self, Asked, Refusal};
use crate::request::{self, BatchEmbed, CountTokens, Embed, Generate};
use crate::scenario::{Indexed, Script, Tier};
use crate::state::ServerState;

const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=UTF-8");
const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");

/// Returns an error response; `in_array` is for streams without SSE.
pub(crate) fn refuse(refusal: &Refusal, in_array: bool) -> Response<Body> {
    let mut response = Response::new(Body::from(refusal.body(in_array)));
    *response.status_mut() = status(refusal.status);
    let content_type = HeaderValue::from_static(refusal.content_type());
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn with_type(body: Body, content_type: HeaderValue) -> Response<Body> {
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

/// A response that is no API error.
enum Reply<'a> {
    Json(Vec<u8>, Tokens),
    /// JSON that lacks its finish reason.
    Unfinished(Vec<u8>, Tokens),
    /// The first half of the JSON, then a closed connection.
    Half(Vec<u8>),
    Stream(Box<Frames>, Framing, Ending),
    Script(&'a Script),
}

/// One request with everything its response depends on.
pub(crate) struct Exchange<'a> {
    pub state: &'a ServerState,
    pub scenario: &'a Indexed,
    pub call: Call<'a>,
    pub treatment: Treatment,
    pub project: &'a str,
    pub key: &'a str,
    pub parameters: &'a Parameters,
    pub received: &'a Received,
}

impl<'a> Exchange<'a> {
    /// Returns the response and counts it. A streamed body counts itself when it ends.
    pub(crate) fn respond(&self, mut attempt: Attempt) -> Response<Body> {
        let reply = match self.reply() {
            Ok(reply) => reply,
            Err(refusal) => {
                attempt.refused(refusal.status);
                let in_array = self.call.compat
                    || (self.call.method == "streamGenerateContent" && self.framing() == Framing::Array);
                return refuse(&refusal, in_array);
            }
        };
        let between_frames = self.treatment.between_frames(self.scenario.scenario.between_frames_ms);
        match reply {
            Reply::Json(json, tokens) => {
                attempt.report(tokens);
                attempt.ok();
                with_type(Body::from(json), JSON)
            }
            Reply::Unfinished(json, tokens) => {
                attempt.report(tokens);
                attempt.cut();
                with_type(Body::from(json), JSON)
            }
            Reply::Half(json) => half(&json, attempt),
            Reply::Stream(frames, framing, ending) => {
                let source = Source::Frames(frames, framing);
                let body = Playback { source, ending, between_frames, attempt }.into_body();
                with_type(body, if framing == Framing::Array { JSON } else { EVENTS })
            }
            Reply::Script(script) => scripted(script, between_frames, attempt),
        }
    }

    fn reply(&self) -> Result<Reply<'a>, Refusal> {
        let Call { model, method, compat } = self.call;
        if let Some(refusal) = refusal::of(self.treatment.kind, self.asked()) {
            return Err(refusal);
        }
        if method == "list" {
            let Parameters { page_size, page_token, .. } = self.parameters;
            let models = &self.scenario.scenario.models;
            if compat {
                return Ok(Reply::Json(compat::models(models).to_string().into_bytes(), Tokens::default()));
            }
            let page = catalogue::list(models, page_size.as_deref(), page_token.as_deref())?;
            return Ok(Reply::Json(page.to_string().into_bytes(), Tokens::default()));
        }
        if !self.scenario.offers(model) || (method != "get" && !catalogue::supports(model, method)) {
            return Err(refusal::not_found(model, method));
        }
        let body = str::from_utf8(&self.received.body)
            .map_err(|_| Refusal::invalid_argument("Invalid JSON payload received. Unexpected token."))?;
        match method {
            "get" => {
                let model = if compat { compat::model(model) } else { catalogue::describe(model) };
                Ok(Reply::Json(model.to_string().into_bytes(), Tokens::default()))
            }
            "countTokens" => {
                let total = request::parse::<CountTokens>(body)?.tokens();
                let details = [json!({"modality": "TEXT", "tokenCount": total})];
                let json = json!({"totalTokens": total, "promptTokensDetails": details});
                Ok(Reply::Json(json.to_string().into_bytes(), Tokens::default()))
            }
            "generateContent" if compat => {
                let (generate, stream) = compat::generate(body)?;
                let shape = if stream { Shape::Chunk } else { Shape::Completion };
                self.chat(&generate, body, shape)
            }
            "generateContent" => self.chat(body, body, Shape::Whole),
            "streamGenerateContent" => self.chat(body, body, Shape::Frames),
            "embedContent" => {
                let item: Embed = request::parse(body)?;
                let usage = self.scenario.scenario.embedding_usage;
                let json = embedding::one(model, &item, usage)?;
                self.embedded(body, json, 1, embedding::tokens(std::slice::from_ref(&item)))
            }
            "batchEmbedContents" => {
                let asked = if compat { Cow::Owned(compat::batch(body)?) } else { Cow::Borrowed(body) };
                let batch: BatchEmbed = request::parse(&asked)?;
                embedding::check(&batch)?;
                let usage = self.scenario.scenario.embedding_usage;
                let json = if compat {
                    compat::vectors(model, &batch)?
                } else {
                    embedding::many(model, &batch, usage)?
                };
                self.embedded(body, json, batch.requests.len(), embedding::tokens(&batch.requests))
            }
            _ => Err(refusal::not_found(model, method)),
        }
    }

    /// Returns a chat response. `generate` is the request as Gemini's JSON, `body` as it was sent.
    fn chat(&self, generate: &str, body: &str, shape: Shape) -> Result<Reply<'a>, Refusal> {
        let request: Generate = request::parse(generate)?;
        request.check()?;
        let answering = self.scenario.answering(self.call.model);
        Family::of(answering).check(self.call.model, &request)?;
        self.admit(Cost { requests: 1, input_tokens: request.prompt_tokens() })?;
        if let Some(script) = self.script(body) {
            return Ok(Reply::Script(script));
        }
        let Treatment { kind, after_frames, .. } = self.treatment;
        let speech = match kind {
            Behaviour::Empty => Speech::Empty,
            Behaviour::MalformedFunctionCall => Speech::MalformedFunctionCall,
            Behaviour::PromptBlocked => Speech::PromptBlocked,
            _ => Speech::Text,
        };
        let id = self.state.next_id();
        let chat = Chat::new(id, answering, &request, &self.scenario.scenario.answer, speech);
        let chat = chat.shaped(shape);
        if matches!(shape, Shape::Frames | Shape::Chunk) {
            let ending = match kind {
                Behaviour::Cut => Ending::Cut(after_frames),
                Behaviour::ErrorMidStream => Ending::ErrorEvent(after_frames, refusal::overloaded()),
                Behaviour::RawErrorTail => Ending::BareError(after_frames, refusal::overloaded()),
                Behaviour::Truncated => Ending::Stop(after_frames),
                _ => Ending::Whole,
            };
            return Ok(Reply::Stream(Box::new(chat.into_frames()), self.framing(), ending));
        }
        let written = chat.whole(kind != Behaviour::Truncated);
        match kind {
            Behaviour::Cut => Ok(Reply::Half(written.json)),
            Behaviour::ErrorMidStream | Behaviour::RawErrorTail => Err(refusal::overloaded()),
            Behaviour::Truncated => Ok(Reply::Unfinished(written.json, written.tokens)),
            _ => Ok(Reply::Json(written.json, written.tokens)),
        }
    }

    fn embedded(&self, body: &str, json: Vec<u8>, items: usize, tokens: u64) -> Result<Reply<'a>, Refusal> {
        let requests = u64::try_from(items).unwrap_or(u64::MAX);
        self.admit(Cost { requests, input_tokens: tokens })?;
        if let Some(script) = self.script(body) {
            return Ok(Reply::Script(script));
        }
        match self.treatment.kind {
            Behaviour::Cut => Ok(Reply::Half(json)),
            Behaviour::ErrorMidStream | Behaviour::RawErrorTail => Err(refusal::overloaded()),
            _ => Ok(Reply::Json(json, Tokens { prompt: tokens, completion: 0 })),
        }
    }

    fn admit(&self, cost: Cost) -> Result<(), Refusal> {
        if let Some(account) = self.scenario.account(self.project) {
            let now_ms = self.state.clock.unix_ms();
            if !self.state.spending.admit(account, cost.input_tokens, now_ms) {
                let refused = refusal::of(Behaviour::SpendWindow, self.asked());
                return refused.map_or(Ok(()), Err);
            }
        }
        let Some(limits) = self.scenario.limits(self.project, self.call.model) else {
            return Ok(());
        };
        let now_ms = self.state.clock.unix_ms();
        let admitted = self.state.quotas.admit(self.project, self.call.model, limits, cost, now_ms);
        admitted.map_err(|violations| refusal::quota(Asked { now_ms, ..self.asked() }, &violations))
    }

    fn script(&self, body: &str) -> Option<&'a Script> {
        let header = self.received.headers.get("x-fake-script");
        self.scenario.script(self.call.model, header.and_then(|value| value.to_str().ok()), body)
    }

    fn framing(&self) -> Framing {
        match self.parameters.alt.as_deref() {
            _ if self.call.compat => Framing::OpenAi,
            Some("sse") => Framing::Sse,
            _ => Framing::Array,
        }
    }

    fn asked(&self) -> Asked<'a> {
        let limits = self.scenario.limits(self.project, self.call.model);
        Asked {
            key: self.key,
            project: self.project,
            model: self.call.model,
            method: self.call.method,
            tier: limits.map_or(Tier::Free, |limits| limits.tier),
            now_ms: self.state.clock.unix_ms(),
        }
    }
}

/// Returns a response with the full content length that ends after half of the body.
fn half(json: &[u8], attempt: Attempt) -> Response<Body> {
    let first = json.get(..json.len() / 2).unwrap_or_default();
    let wire = vec![String::from_utf8_lossy(first).into_owned()];
    let body = Playback {
        source: Source::wire(wire, Tokens::default()),
        ending: Ending::Cut(1),
        between_frames: Duration::ZERO,
        attempt,
    }
    .into_body();
    let mut response = with_type(body, JSON);
    // A replaced partial character lengthens the first half, but never beyond the whole.
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(json.len()));
    response
}

fn scripted(script: &Script, between_frames: Duration, mut attempt: Attempt) -> Response<Body> {
    let tokens = Tokens { prompt: script.prompt_tokens, completion: script.completion_tokens };
    if script.status >= 400 {
        attempt.refused(script.status);
    }
    let content_type = HeaderValue::from_str(script.content_type()).unwrap_or(JSON);
    let mut response = match &script.wire[..] {
        [whole] if content_type != EVENTS && !script.cut => {
            attempt.report(tokens);
            attempt.ok();
            with_type(Body::from(whole.clone()), content_type)
        }
        wire => {
            let ending = if script.cut { Ending::Cut(wire.len()) } else { Ending::Whole };
            let source = Source::wire(wire.to_vec(), tokens);
            let body = Playback { source, ending, between_frames, attempt }.into_body();
            with_type(body, content_type)
        }
    };
    *response.status_mut() = status(script.status);
    response
}
