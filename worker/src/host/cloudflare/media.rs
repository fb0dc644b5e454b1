//! Fetches of media by `fetch`. The platform's `fetch` goes out from Cloudflare's edge, where no private network is within
//! reach, and it tells no addresses: so names are not checked here as they are natively. One thing is within reach all
//! the same: a URL of the Worker's own zone goes straight to that zone's origin, past Cloudflare's protection, unless
//! the compatibility flag `global_fetch_strictly_public` sends it through the front door like any other
//! (<https://developers.cloudflare.com/workers/configuration/compatibility-flags/#global-fetch-strictly-public>).
//! `wrangler.toml.example` sets it. A workerd of one's own keeps private networks out by its `network` service, which
//! allows `public` only by default.

use url::Url;
use worker::js_sys::{Reflect, global};
use worker::wasm_bindgen::JsValue;
use worker::web_sys::AbortSignal;
use worker::{Headers, RequestInit, RequestRedirect, web_sys};

use super::upstream::{FetchBody, call};
use crate::platform::{ACCEPTED_MEDIA, MEDIA_AGENT, MediaFetch, MediaResponse, UpstreamError};

/// Whether the runtime sends a fetch of a URL of the Worker's own zone straight to the origin: what the flag of the
/// module's head says in `Cloudflare.compatibilityFlags`.
pub(super) fn own_zone_is_reachable() -> Option<bool> {
    let mut value: JsValue = global().into();
    for name in ["Cloudflare", "compatibilityFlags", "global_fetch_strictly_public"] {
        value = Reflect::get(&value, &JsValue::from_str(name)).ok()?;
    }
    value.as_bool().map(|is_strict| !is_strict)
}

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
