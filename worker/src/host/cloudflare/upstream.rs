//! Calls to Gemini by `fetch`.

use bytes::Bytes;
use futures_util::StreamExt;
use http::StatusCode;
use worker::js_sys::Uint8Array;
use worker::{
    AbortController, ByteStream, Env, Fetch, Headers, Method, Request, RequestInit, RequestRedirect,
    Response, web_sys,
};

use super::egress::EgressStub;
use crate::host::{
    Egress, Upstream, UpstreamBody, UpstreamError, UpstreamRequest, UpstreamResponse, retry_after,
};
use crate::origin::{self, GEMINI};
use crate::service::SetupError;

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
        let (response, body) =
            call(&format!("{}{}", self.base, request.path), &init(&request)?, through).await?;
        let status = StatusCode::from_u16(response.status_code()).unwrap_or(StatusCode::BAD_GATEWAY);
        let retry_after = retry_after(response.headers().get("retry-after")?.as_deref());
        Ok(UpstreamResponse { status, retry_after, body })
    }
}

/// Where Gemini is: at the variable `GEMINI_BASE_URL`, or at Google's.
pub(super) fn base_url(env: &Env) -> Result<String, SetupError> {
    let variable = |name| env.var(name).ok().map(|value| value.to_string());
    let base = variable("GEMINI_BASE_URL").unwrap_or_else(|| GEMINI.to_owned());
    let url = origin::base_url(&base, variable("GEMINI_ALLOWED_HOSTS").as_deref());
    let url = url.map_err(|error| SetupError::Setting(error.to_string()))?;
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

fn init(request: &UpstreamRequest) -> worker::Result<RequestInit> {
    let headers = Headers::new();
    headers.set("x-goog-api-key", request.key.expose())?;
    let mut init = RequestInit::new();
    if let Some(body) = &request.body {
        headers.set("content-type", "application/json")?;
        init.with_method(Method::Post).with_body(Some(Uint8Array::from(body.as_ref()).into()));
    }
    init.with_headers(headers).with_redirect(RequestRedirect::Manual);
    Ok(init)
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
    url: &str,
    init: &RequestInit,
    through: Option<&EgressStub>,
) -> worker::Result<(Response, FetchBody)> {
    let controller = AbortController::default();
    let init = web_sys::RequestInit::from(init);
    init.set_signal(Some(&controller.signal()));
    let guard = AbortOnDrop(Some(controller));
    let call = Request::from(web_sys::Request::new_with_str_and_init(url, &init)?);
    let mut response = match through {
        None => Fetch::Request(call).send().await?,
        Some(elsewhere) => elsewhere.fetch(call).await?,
    };
    // An answer without a body has no stream.
    let body = FetchBody { stream: response.stream().ok(), guard };
    Ok((response, body))
}

/// The body of an answer.
pub struct FetchBody {
    stream: Option<ByteStream>,
    guard: AbortOnDrop,
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
        let Some(stream) = &mut self.stream else { return Ok(None) };
        match stream.next().await {
            Some(Ok(chunk)) => Ok(Some(chunk.into())),
            Some(Err(error)) => Err(UpstreamError::Read(error.to_string())),
            None => {
                // It reached its end: there is nothing to abort.
                self.guard.0 = None;
                self.stream = None;
                Ok(None)
            }
        }
    }
}
