//! Another place for calls to Gemini to come from.
//!
//! A Worker runs where its caller is, and Gemini refuses some places ("User location is not supported"),
//! whatever the key. A Durable Object stays where it was made, so calls that go through one come from
//! there. It passes on what it is given, to Gemini's own address and to no other, and answers what Gemini
//! answers, unread. It is an object of the ledger's class with a name of its own: no further binding has to
//! be set up. While it waits for Gemini its time is billed, so only what was refused here goes this way.

use worker::js_sys::{Math, Uint8Array};
use worker::{
    Env, Fetch, Headers, Method, ObjectNamespace, Request, RequestInit, RequestRedirect, Response, web_sys,
};

use super::{entry, upstream};
use crate::setup::SetupError;

/// Where objects can be made that Gemini serves; a hint, honoured when the object is first used
/// (<https://developers.cloudflare.com/durable-objects/reference/data-location/>).
const PLACES: [&str; 2] = ["wnam", "weur"];
/// Objects in each place: one of them waits for the headers of no more than six calls at a time.
const OBJECTS_IN_A_PLACE: u32 = 8;
/// What every call to Gemini's API begins with.
const API_PATH: &str = "/v1beta/";

/// The way to such objects.
pub struct EgressStub(ObjectNamespace);

impl EgressStub {
    pub(super) fn new(env: &Env) -> Result<Self, SetupError> {
        entry::ledger_namespace(env).map(Self)
    }

    /// Sends a call to Gemini from somewhere else.
    pub(super) async fn fetch(&self, call: Request) -> worker::Result<Response> {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below 16")]
        let which = (Math::random() * f64::from(OBJECTS_IN_A_PLACE * 2)) as u32;
        let place = PLACES.get((which % 2) as usize).copied().unwrap_or("wnam");
        let name = format!("egress-{place}-{}", which / 2);
        self.0.get_by_name_with_location_hint(&name, place)?.fetch_with_request(call).await
    }
}

/// Whether a request to an object of the class is a call to pass on.
pub(super) fn is_call(path: &str) -> bool {
    path.contains(API_PATH)
}

/// The object's own half: makes the call as it came, from here.
pub(super) async fn pass_on(env: &Env, mut call: Request) -> worker::Result<Response> {
    let base = upstream::base_url(env).map_err(|error| error.to_string())?;
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
    // When the one who asked leaves, the call ends.
    init.set_signal(Some(&call.inner().signal()));
    let call = web_sys::Request::new_with_str_and_init(&url, &init)?;
    Fetch::Request(Request::from(call)).send().await
}
