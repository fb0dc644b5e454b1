//! Responses of the handlers of the admin API.

use http::StatusCode;
use serde::Serialize;

use super::AdminError;

/// A successful response.
pub(super) struct Response {
    pub(super) status: StatusCode,
    /// A JSON document, or none.
    pub(super) body: Option<Vec<u8>>,
    /// The content type, if it is not JSON.
    pub(super) content_type: Option<&'static str>,
    /// The `Set-Cookie` header.
    pub(super) cookie: Option<String>,
}

impl Response {
    pub(super) const OK: Self = Self { status: StatusCode::OK, body: None, content_type: None, cookie: None };
    pub(super) const NO_CONTENT: Self = Self { status: StatusCode::NO_CONTENT, ..Self::OK };
}

pub(super) type HandlerResult = Result<Response, AdminError>;

fn json(status: StatusCode, body: &impl Serialize) -> HandlerResult {
    let body = serde_json::to_vec(body).map_err(|error| AdminError::Internal(error.to_string()))?;
    Ok(Response { status, body: Some(body), ..Response::OK })
}

pub(super) fn ok(body: &impl Serialize) -> HandlerResult {
    json(StatusCode::OK, body)
}

pub(super) fn created(body: &impl Serialize) -> HandlerResult {
    json(StatusCode::CREATED, body)
}

pub(super) const NO_CONTENT: HandlerResult = Ok(Response::NO_CONTENT);
