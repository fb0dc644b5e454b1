//! The OpenAI API's error envelope.

use serde::Serialize;

use crate::error::ApiError;

/// Returns the body of an error response.
#[must_use]
pub fn error_body(error: &ApiError) -> Vec<u8> {
    #[derive(Serialize)]
    struct Envelope<'a> {
        error: Body<'a>,
    }
    #[derive(Serialize)]
    struct Body<'a> {
        message: &'a str,
        r#type: &'a str,
        param: Option<&'a str>,
        code: Option<&'a str>,
    }
    let error =
        Body { message: &error.message, r#type: error.kind, param: error.param.as_deref(), code: error.code };
    // Writing strings into a vector cannot fail.
    serde_json::to_vec(&Envelope { error }).unwrap_or_default()
}

/// Appends the error as a server-sent event, for a stream that has begun. No `[DONE]` may follow.
pub fn error_event(error: &ApiError, out: &mut Vec<u8>) {
    out.extend_from_slice(b"data: ");
    out.extend_from_slice(&error_body(error));
    out.extend_from_slice(b"\n\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_always_has_all_four_members() {
        let body = error_body(&ApiError::invalid_json());
        let value: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(value["error"]["type"], "invalid_request_error");
        assert!(value["error"]["param"].is_null() && value["error"]["code"].is_null());
        let body = error_body(&ApiError::missing("model"));
        assert_eq!(
            String::from_utf8(body).unwrap(),
            r#"{"error":{"message":"Missing required parameter: 'model'.","type":"invalid_request_error","param":"model","code":"missing_required_parameter"}}"#
        );
    }
}
