//! Fetches of media by `fetch`. The platform's `fetch` goes out to the internet from Cloudflare's edge, where no private
//! network is within reach, and it tells no addresses: so names are not checked here as they are natively. A
//! workerd of one's own keeps private networks out by its `network` service, which allows `public` only by default.

use url::Url;
use worker::web_sys::AbortSignal;
use worker::{Headers, RequestInit, RequestRedirect, web_sys};

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
        let init = web_sys::RequestInit::from(&init);
        let make = |signal: &AbortSignal| {
            init.set_signal(Some(signal));
            Ok(web_sys::Request::new_with_str_and_init(url.as_str(), &init)?)
        };
        let (head, body) = call(make, None).await?;
        Ok(MediaResponse {
            status: head.status,
            location: head.location,
            content_type: head.content_type,
            content_length: head.content_length.map(|length| length as u64),
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
