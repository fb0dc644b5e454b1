//! Egress from another region.
//!
//! A Worker runs near its client, and Gemini rejects requests from some regions ("User location is not
//! supported"), whatever the key. A Durable Object stays in the region where it was created, so upstream
//! requests can be sent from there. It forwards requests to Gemini's base URL only, and returns responses
//! unread. While it waits for Gemini its duration is billed, so only rejected requests take this path.

use worker::js_sys::{Math, Uint8Array};
use worker::{
    DurableObject, Env, Fetch, Headers, Method, ObjectNamespace, Request, RequestInit, RequestRedirect,
    Response, State, durable_object, web_sys,
};

use super::bindings;
use crate::setup::SetupError;

/// Location hints of regions that Gemini supports; honoured when an object is first used
/// (<https://developers.cloudflare.com/durable-objects/reference/data-location/>).
const REGIONS: [&str; 2] = ["wnam", "weur"];
/// Objects per region: one of them waits for the headers of at most six requests at a time.
const OBJECTS_PER_REGION: u32 = 8;
/// Prefix of every path of the Gemini API.
const API_PATH: &str = "/v1beta/";

/// Calls the egress objects.
pub struct EgressStub(ObjectNamespace);

impl EgressStub {
    pub(super) fn new(env: &Env) -> Result<Self, SetupError> {
        bindings::namespace(env, "EGRESS", "EGRESS (the Durable Object class Egress)").map(Self)
    }

    /// Sends an upstream request from another region.
    pub(super) async fn fetch(&self, call: Request) -> worker::Result<Response> {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below 16")]
        let which = (Math::random() * f64::from(OBJECTS_PER_REGION * 2)) as u32;
        let region = REGIONS.get((which % 2) as usize).copied().unwrap_or("wnam");
        let name = format!("egress-{region}-{}", which / 2);
        self.0.get_by_name_with_location_hint(&name, region)?.fetch_with_request(call).await
    }
}

/// A Durable Object that forwards upstream requests. It stores nothing.
#[durable_object]
pub struct Egress {
    env: Env,
}

impl DurableObject for Egress {
    fn new(_state: State, env: Env) -> Self {
        Self { env }
    }

    async fn fetch(&self, request: Request) -> worker::Result<Response> {
        forward(&self.env, request).await
    }
}

/// Sends the request as it came.
async fn forward(env: &Env, mut call: Request) -> worker::Result<Response> {
    let base = bindings::base_url(env).map_err(|error| error.to_string())?;
    let url = call.inner().url();
    if !url.starts_with(&format!("{base}{API_PATH}")) {
        return Response::error("not a call to Gemini", 400);
    }
    let headers = Headers::new();
    for name in ["x-goog-api-key", "authorization", "content-type"] {
        if let Some(value) = call.headers().get(name)? {
            headers.set(name, &value)?;
        }
    }
    let mut init = RequestInit::new();
    init.with_method(call.method()).with_headers(headers).with_redirect(RequestRedirect::Manual);
    if call.method() == Method::Post {
        init.with_body(Some(Uint8Array::from(call.bytes().await?.as_slice()).into()));
    }
    let init = web_sys::RequestInit::from(&init);
    // A client that disconnects cancels the upstream request.
    init.set_signal(Some(&call.inner().signal()));
    let call = web_sys::Request::new_with_str_and_init(&url, &init)?;
    Fetch::Request(Request::from(call)).send().await
}
