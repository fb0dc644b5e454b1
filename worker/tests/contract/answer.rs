//! A response of the service with its whole body.

use pool_shared::{ErrorBody, ErrorCode, ErrorDetail};
use reqwest::Response;
use reqwest::header::HeaderMap;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Status, headers and body.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    pub async fn read(response: Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self { status, headers, body: response.text().await.unwrap() }
    }

    /// Returns a header's value; empty if it is missing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Asserts the status and returns the JSON body.
    #[track_caller]
    pub fn json<T: DeserializeOwned>(&self, status: u16) -> T {
        assert_eq!(self.status, status, "{}", self.body);
        assert_eq!(self.header("content-type"), "application/json");
        serde_json::from_str(&self.body).unwrap()
    }

    /// Asserts a response without a body.
    #[track_caller]
    pub fn no_content(&self) {
        assert_eq!((self.status, self.body.as_str()), (204, ""));
    }

    /// Asserts a complete error of the admin API.
    #[track_caller]
    pub fn admin_error(&self, status: u16, code: ErrorCode) -> ErrorDetail {
        let ErrorBody { error } = self.json(status);
        assert_eq!(error.code, code, "{}", error.message);
        assert!(!error.message.is_empty());
        assert_eq!(error.request_id, self.header("x-request-id"));
        assert!(error.request_id.starts_with("req_"));
        error
    }

    /// Asserts an error in OpenAI's format. Returns its message.
    #[track_caller]
    pub fn openai_error(&self, status: u16, code: Option<&str>) -> String {
        let body: Value = self.json(status);
        let error = body["error"].as_object().expect("an error object");
        let members: Vec<&str> = error.keys().map(String::as_str).collect();
        assert_eq!(members, ["message", "type", "param", "code"]);
        assert_eq!(error["code"].as_str(), code, "{}", self.body);
        assert!(error["type"].is_string());
        assert!(self.header("x-request-id").starts_with("req_"));
        error["message"].as_str().unwrap().to_owned()
    }

    /// Asserts an error of the service in Gemini's format. Returns its message.
    #[track_caller]
    pub fn gemini_error(&self, status: u16, canonical: &str, reason: &str) -> String {
        let body: Value = self.json(status);
        let error = &body["error"];
        assert_eq!((&error["code"], &error["status"]), (&status.into(), &canonical.into()), "{}", self.body);
        assert_eq!(error["details"][0]["reason"], reason, "{}", self.body);
        assert!(self.header("x-request-id").starts_with("req_"));
        error["message"].as_str().unwrap().to_owned()
    }

    /// Asserts an error of the service in the format of a path's dialect. Returns its message.
    #[track_caller]
    pub fn own_error(&self, path: &str, status: u16, canonical: &str, code: &str) -> String {
        if path.starts_with("/v1beta/") && !path.starts_with("/v1beta/openai/") {
            self.gemini_error(status, canonical, &code.to_uppercase())
        } else {
            self.openai_error(status, Some(code))
        }
    }
}
