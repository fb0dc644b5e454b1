//! Calls to Gemini by reqwest.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Url};

use super::proxy::with_proxy_for;
use crate::host::{
    Credential, Upstream, UpstreamBody, UpstreamError, UpstreamRequest, UpstreamResponse, retry_after,
};

pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

const API_KEY: HeaderName = HeaderName::from_static("x-goog-api-key");

/// Gemini over HTTP.
pub struct HttpUpstream {
    client: Client,
    base: Url,
    /// What every path begins with: that of `base` without its last slash.
    prefix: String,
}

impl HttpUpstream {
    /// Calls go to `base`, such as `https://generativelanguage.googleapis.com`.
    pub fn new(base: &Url) -> Result<Self, reqwest::Error> {
        let builder = Client::builder().redirect(Policy::none()).connect_timeout(CONNECT_TIMEOUT);
        let client = with_proxy_for(builder, base).build()?;
        let prefix = base.path().trim_end_matches('/').to_owned();
        Ok(Self { client, base: base.clone(), prefix })
    }
}

impl Upstream for HttpUpstream {
    type Body = HttpBody;

    async fn send(&self, request: UpstreamRequest) -> Result<UpstreamResponse<HttpBody>, UpstreamError> {
        let (name, key) = match request.credential {
            Credential::ApiKey => (API_KEY, HeaderValue::from_str(request.key.expose())),
            Credential::Bearer => {
                (AUTHORIZATION, HeaderValue::try_from(format!("Bearer {}", request.key.expose())))
            }
        };
        let mut key =
            key.map_err(|_| UpstreamError::Connect("the key cannot stand in a header".to_owned()))?;
        key.set_sensitive(true);
        // Not the whole URL anew: its host need not be read again for each call.
        let url = self.base.join(&format!("{}{}", self.prefix, request.path));
        let url = url.map_err(|error| UpstreamError::Connect(error.to_string()))?;
        let mut call = self.client.request(request.method, url).header(name, key);
        if let Some(body) = request.body {
            call = call.header(CONTENT_TYPE, request.content_type).body(body);
        }
        let response = call.send().await.map_err(|error| UpstreamError::Connect(describe(error)))?;
        let headers = response.headers();
        Ok(UpstreamResponse {
            status: response.status(),
            content_type: headers.get(CONTENT_TYPE).cloned(),
            retry_after: retry_after(headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok())),
            body: HttpBody::new(response),
        })
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
    if cause.downcast_ref::<std::io::Error>().is_some_and(is_out_of_files) {
        return "the service has no connection to spare".to_owned();
    }
    cause.to_string()
}

/// Whether this process, or the whole machine, has as many files open as it may.
fn is_out_of_files(error: &std::io::Error) -> bool {
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    cfg!(unix) && matches!(error.raw_os_error(), Some(ENFILE | EMFILE))
}
