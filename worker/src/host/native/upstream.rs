//! Calls to Gemini by reqwest.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, RETRY_AFTER};
use pool_shared::GeminiRoute;
use pool_shared::outbound::{self, ClientError, Route};
use reqwest::redirect::Policy;
use reqwest::{Client, Url};

use super::connections::allowed_with;
use super::open_files::open_files_limit;
use crate::platform::{
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
    route: Route,
}

impl HttpUpstream {
    /// Calls go to `base`, such as `https://generativelanguage.googleapis.com`.
    pub fn new(base: &Url) -> Result<Self, ClientError> {
        let route = Route::to(base);
        // There are never more calls than connections of clients, but for the checks of keys.
        let builder = Client::builder()
            .redirect(Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_max_idle_per_host(allowed_with(open_files_limit()));
        let client = outbound::build(builder, &route)?;
        let prefix = base.path().trim_end_matches('/').to_owned();
        Ok(Self { client, base: base.clone(), prefix, route })
    }

    /// Returns how calls go there.
    pub(super) fn route(&self) -> GeminiRoute {
        let ignored_proxy = match &self.route {
            Route::PastProxy(proxy) => Some(proxy.clone()),
            Route::Direct | Route::Through(_) => None,
        };
        GeminiRoute {
            url: self.base.as_str().trim_end_matches('/').to_owned(),
            proxy: self.route.proxy().map(ToOwned::to_owned),
            ignored_proxy,
        }
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
        let response = call.send().await.map_err(not_connected)?;
        let headers = response.headers();
        Ok(UpstreamResponse {
            status: response.status(),
            content_type: headers.get(CONTENT_TYPE).cloned(),
            retry_after: retry_after(headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok())),
            body: HttpBody::new(response),
        })
    }
}

/// The body of a response.
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

/// Returns a call that got no response.
pub(super) fn not_connected(error: reqwest::Error) -> UpstreamError {
    let error = error.without_url();
    let cause = innermost(&error);
    if cause.downcast_ref::<std::io::Error>().is_some_and(is_out_of_files) {
        return UpstreamError::NoSocket(cause.to_string());
    }
    UpstreamError::Connect(cause.to_string())
}

fn describe(error: reqwest::Error) -> String {
    innermost(&error.without_url()).to_string()
}

/// Returns the innermost cause says most ("connection rejected"); the URL would say where Gemini is called.
fn innermost<'e>(error: &'e (dyn std::error::Error + 'static)) -> &'e (dyn std::error::Error + 'static) {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause
}

/// Returns `true` if this process, or the whole machine, has as many files open as it may.
fn is_out_of_files(error: &std::io::Error) -> bool {
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    cfg!(unix) && matches!(error.raw_os_error(), Some(ENFILE | EMFILE))
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use reqwest::dns::{Name, Resolve, Resolving};

    use super::*;

    /// Looks no name up: the system says something instead.
    struct System(i32);

    impl Resolve for System {
        fn resolve(&self, _: Name) -> Resolving {
            let error = io::Error::from_raw_os_error(self.0);
            Box::pin(std::future::ready(Err(error.into())))
        }
    }

    async fn call(system: i32) -> UpstreamError {
        let client = Client::builder().no_proxy().dns_resolver(Arc::new(System(system))).build().unwrap();
        not_connected(client.get("http://gemini.invalid/secret-path").send().await.unwrap_err())
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn what_the_system_says_of_missing_files_reaches_the_log_and_no_client() {
        for missing in [23, 24] {
            let error = call(missing).await;
            assert_eq!(
                error.to_string(),
                "Gemini could not be reached: the service has no connection to spare"
            );
            let cause = error.cause().unwrap();
            assert!(cause.contains("os error"), "{cause}");
            let verdict = pool_engine::network_fault(&error);
            assert!(!verdict.answer.message.contains("os error"), "{}", verdict.answer.message);
            assert!(verdict.answer.cause.unwrap().contains(cause));
        }
        // Any other cause is told to clients as well.
        let refused = call(111).await;
        assert!(
            matches!(&refused, UpstreamError::Connect(text) if text.contains("os error 111")),
            "{refused}"
        );
    }
}
