//! Request bodies of the admin API: read only after the client is authenticated, within limits.

use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::AdminError;
use crate::limits;
use crate::limits::BodyBudget;
use crate::platform::IncomingBody;
use crate::ports::Host;

/// A request's body, unread until the client is authenticated.
pub(super) struct Body<'a, H, B> {
    pub(super) unread: B,
    pub(super) limit: usize,
    pub(super) bodies: &'a BodyBudget,
    pub(super) host: &'a H,
}

impl<H: Host, B: IncomingBody> Body<'_, H, B> {
    pub(super) async fn read<T: DeserializeOwned>(self) -> Result<T, AdminError> {
        let Self { unread, limit, bodies, host } = self;
        let mut share = bodies.permit(H::BODIES_AT_ONCE, H::BODY_LOST_AFTER);
        let read = limits::read(host, unread, limit, &mut share).await;
        let bytes: Bytes = read.map_err(|error| AdminError::from_body(error, limit))?;
        if limits::is_too_deep(&bytes) {
            let message = format!("the JSON body is nested more than {} levels deep", limits::JSON_DEPTH);
            return Err(AdminError::Invalid(message));
        }
        // serde's message may repeat a value, which may be a secret; its position is enough.
        let mut deserializer = serde_json::Deserializer::from_slice(&bytes);
        let read = pool_shared::object(&mut deserializer).and_then(|body| deserializer.end().map(|()| body));
        read.map_err(|error| AdminError::from_json(&error))
    }
}
