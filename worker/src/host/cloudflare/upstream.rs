//! Calls to Gemini by `fetch`.

use bytes::Bytes;
use http::HeaderValue;
use worker::js_sys::Uint8Array;
use worker::wasm_bindgen::{JsCast, JsValue};
use worker::wasm_bindgen_futures::JsFuture;
use worker::web_sys::{AbortSignal, ReadableStream, WorkerGlobalScope};
use worker::{AbortController, Env, Request, web_sys};

use super::bindings::base_url;
use super::body_reader::BodyReader;
use super::egress::EgressStub;
use super::js_bridge::{self, AnswerHead};
use crate::platform::{
    Egress, Upstream, UpstreamBody, UpstreamError, UpstreamRequest, UpstreamResponse, read_whole, retry_after,
};
use crate::setup::SetupError;

/// Gemini over the runtime's `fetch`: from here, or through an object that is somewhere else.
pub struct FetchUpstream {
    base: String,
    elsewhere: EgressStub,
}

impl FetchUpstream {
    /// Calls go to the variable `GEMINI_BASE_URL`, or to Google.
    pub(super) fn new(env: &Env) -> Result<Self, SetupError> {
        Ok(Self { base: base_url(env)?, elsewhere: EgressStub::new(env)? })
    }

    async fn fetch(&self, request: UpstreamRequest) -> worker::Result<UpstreamResponse<FetchBody>> {
        let through = (request.egress == Egress::Elsewhere).then_some(&self.elsewhere);
        let (head, body) =
            call(|signal| js_bridge::upstream_call(&self.base, &request, signal), through).await?;
        Ok(UpstreamResponse {
            status: head.status,
            content_type: head.content_type.and_then(|value| HeaderValue::try_from(value).ok()),
            retry_after: if head.status.is_success() {
                None
            } else {
                retry_after(head.retry_after.as_deref())
            },
            body,
        })
    }
}

impl Upstream for FetchUpstream {
    type Body = FetchBody;

    fn has_elsewhere(&self) -> bool {
        true
    }

    async fn send(&self, request: UpstreamRequest) -> Result<UpstreamResponse<FetchBody>, UpstreamError> {
        self.fetch(request).await.map_err(|error| UpstreamError::Connect(error.to_string()))
    }
}

/// Starts a call that ends when its body is dropped, from here or through an object somewhere else.
pub(super) async fn call(
    make: impl FnOnce(&AbortSignal) -> worker::Result<web_sys::Request>,
    through: Option<&EgressStub>,
) -> worker::Result<(AnswerHead, FetchBody)> {
    let controller = AbortController::default();
    let call = make(&controller.signal())?;
    let guard = AbortOnDrop(Some(controller));
    let response: web_sys::Response = match through {
        None => {
            let global: WorkerGlobalScope = worker::js_sys::global().unchecked_into();
            JsFuture::from(global.fetch_with_request(&call)).await?.unchecked_into()
        }
        Some(elsewhere) => elsewhere.fetch(Request::from(call)).await?.into(),
    };
    let head = AnswerHead::of(&response);
    let announced = head.content_length;
    Ok((head, FetchBody { unread: Some(response), announced, reader: None, guard }))
}

/// The body of a response.
pub struct FetchBody {
    /// As long as nobody has asked for a chunk.
    unread: Option<web_sys::Response>,
    /// How long it says that it is.
    announced: Option<usize>,
    reader: Option<BodyReader>,
    guard: AbortOnDrop,
}

impl FetchBody {
    /// Returns the runtime's own stream of a body of which nothing was read, for the runtime to send on: it ends the call when
    /// the client leaves.
    pub(super) fn into_stream(mut self) -> Option<ReadableStream> {
        self.guard.0 = None;
        self.unread.take()?.body()
    }

    /// It reached its end: there is nothing to abort.
    fn end(&mut self) {
        self.guard.0 = None;
        self.reader = None;
    }
}

/// Dropping a `fetch` does not end it: the runtime must be told.
struct AbortOnDrop(Option<AbortController>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        if let Some(controller) = self.0.take() {
            controller.abort();
        }
    }
}

impl UpstreamBody for FetchBody {
    async fn chunk(&mut self) -> Result<Option<Bytes>, UpstreamError> {
        if let Some(unread) = self.unread.take() {
            // A response without a body has no stream.
            self.reader = unread.body().as_ref().map(BodyReader::new);
        }
        let Some(reader) = &self.reader else { return Ok(None) };
        let chunk = reader.take().await.map_err(UpstreamError::Read)?;
        if chunk.is_none() {
            self.end();
        }
        Ok(chunk)
    }

    /// Returns the runtime puts it together, so that it crosses in one piece. What it is longer than is known by then only
    /// where its length was not announced, as that of a response that Google compresses.
    async fn whole(&mut self, limit: usize) -> Result<Bytes, UpstreamError> {
        let Some(unread) = self.unread.take() else { return read_whole(self, limit).await };
        if self.announced.is_some_and(|length| length > limit) {
            return Err(UpstreamError::longer_than(limit));
        }
        let failed = |error: JsValue| UpstreamError::Read(worker::Error::from(error).to_string());
        let buffer = JsFuture::from(unread.array_buffer().map_err(failed)?).await.map_err(failed)?;
        self.end();
        let whole = Uint8Array::new(&buffer).to_vec();
        if whole.len() > limit { Err(UpstreamError::longer_than(limit)) } else { Ok(whole.into()) }
    }
}
