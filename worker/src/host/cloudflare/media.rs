//! Fetches of media by `fetch`. The platform's `fetch` goes out to the internet from Cloudflare's edge, where no private
//! network is within reach, and it tells no addresses: so names are not checked here as they are natively. A
//! workerd of one's own keeps private networks out by its `network` service, which allows `public` only by default.

use http::StatusCode;
use url::Url;
use worker::{Headers, RequestInit, RequestRedirect};

use super::upstream::{FetchBody, call};
use crate::host::{ACCEPTED_MEDIA, MEDIA_AGENT, MediaFetch, MediaResponse, UpstreamError};

/// Media over the runtime's `fetch`.
pub struct FetchMediaClient;

impl FetchMediaClient {
    async fn fetch(url: &Url) -> worker::Result<MediaResponse<FetchBody>> {
        let headers = Headers::new();
        headers.set("accept", ACCEPTED_MEDIA)?;
        headers.set("user-agent", MEDIA_AGENT)?;
        let mut init = RequestInit::new();
        init.with_headers(headers).with_redirect(RequestRedirect::Manual);
        let (response, body) = call(url.as_str(), &init, None).await?;
        let headers = response.headers();
        Ok(MediaResponse {
            status: StatusCode::from_u16(response.status_code()).unwrap_or(StatusCode::BAD_GATEWAY),
            location: headers.get("location")?,
            content_type: headers.get("content-type")?,
            content_length: headers.get("content-length")?.and_then(|length| length.parse().ok()),
            body,
        })
    }
}

impl MediaFetch for FetchMediaClient {
    type Body = FetchBody;

    async fn get(&self, url: &Url) -> Result<MediaResponse<FetchBody>, UpstreamError> {
        Self::fetch(url).await.map_err(|error| UpstreamError::Connect(error.to_string()))
    }
}
