//! Upstream requests of one key.

use bytes::Bytes;
use http::Method;
use pool_shared::GeminiKey;

use crate::platform::{Credential, Egress, JSON, UpstreamRequest};

/// The key and the egress of an upstream request.
#[derive(Clone)]
pub(crate) struct Outbound {
    pub(crate) key: GeminiKey,
    pub(crate) egress: Egress,
}

impl Outbound {
    /// Returns a GET request.
    pub(crate) fn get(self, path: String) -> UpstreamRequest {
        let Self { key, egress } = self;
        let credential = Credential::default();
        UpstreamRequest { method: Method::GET, path, key, credential, body: None, content_type: JSON, egress }
    }

    /// Returns a POST request with a JSON body.
    pub(crate) fn post(self, path: String, body: Bytes) -> UpstreamRequest {
        UpstreamRequest { method: Method::POST, body: Some(body), ..self.get(path) }
    }
}
