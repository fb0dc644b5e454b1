//! Calls to Gemini by reqwest.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Url};

use crate::host::{Upstream, UpstreamBody, UpstreamError, UpstreamRequest, UpstreamResponse, retry_after};

pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Gemini over HTTP.
pub struct HttpUpstream {
    client: Client,
    base: String,
}

impl HttpUpstream {
    /// Calls go to `base`, such as `https://generativelanguage.googleapis.com`.
    pub fn new(base: &Url) -> Result<Self, reqwest::Error> {
        let client = Client::builder().redirect(Policy::none()).connect_timeout(CONNECT_TIMEOUT).build()?;
        Ok(Self { client, base: base.as_str().trim_end_matches('/').to_owned() })
    }
}

impl Upstream for HttpUpstream {
    type Body = HttpBody;

    async fn send(&self, request: UpstreamRequest) -> Result<UpstreamResponse<HttpBody>, UpstreamError> {
        let mut key = HeaderValue::from_str(request.key.expose())
            .map_err(|_| UpstreamError::Connect("the key cannot stand in a header".to_owned()))?;
        key.set_sensitive(true);
        let url = format!("{}{}", self.base, request.path);
        let mut call = self.client.request(request.method, url).header("x-goog-api-key", key);
        if let Some(body) = request.body {
            call = call.header(CONTENT_TYPE, "application/json").body(body);
        }
        let response = call.send().await.map_err(|error| UpstreamError::Connect(describe(error)))?;
        let retry_after =
            retry_after(response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()));
        Ok(UpstreamResponse { status: response.status(), retry_after, body: HttpBody::new(response) })
    }
}

/// The body of an answer.
#[derive(Debug)]
pub struct HttpBody(reqwest::Response);

impl HttpBody {
    pub(super) fn new(response: reqwest::Response) -> Self {
        Self(response)
    }
}

impl UpstreamBody for HttpBody {
    async fn chunk(&mut self) -> Result<Option<Bytes>, UpstreamError> {
        self.0.chunk().await.map_err(|error| UpstreamError::Read(describe(error)))
    }
}

/// The innermost cause says most ("connection refused"); the URL would say where Gemini is called.
pub(super) fn describe(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
