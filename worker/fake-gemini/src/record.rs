//! Recorder of the last requests, for inspection by tests.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, Method, Uri};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// Place of a credential in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Credential {
    /// `x-goog-api-key`.
    Header,
    /// `?key=`.
    Query,
    /// `Authorization`.
    Authorization,
}

/// A recorded request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedRequest {
    /// `GET` or `POST`.
    pub method: String,
    /// The path without the query.
    pub path: String,
    /// The query without the question mark; empty if there is none.
    pub query: String,
    /// Names of all headers in lower case.
    pub header_names: Vec<String>,
    /// All places that hold a credential. A valid request has one.
    pub credentials: Vec<Credential>,
    /// The body as text.
    pub body: String,
}

/// A received request, as handlers need it.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub method: Method,
    pub uri: Uri,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// Extracts the request with its whole body; a handler's last argument.
impl<S: Send + Sync> FromRequest<S> for Received {
    type Rejection = BytesRejection;

    async fn from_request(request: Request, state: &S) -> Result<Self, BytesRejection> {
        let (method, uri, headers) =
            (request.method().clone(), request.uri().clone(), request.headers().clone());
        let body = Bytes::from_request(request, state).await?;
        Ok(Self { method, uri, headers, body })
    }
}

impl Received {
    pub(crate) fn credentials(&self) -> Vec<Credential> {
        let header = self.headers.get_all("x-goog-api-key").iter().map(|_| Credential::Header);
        let authorization = self.headers.get_all("authorization").iter().map(|_| Credential::Authorization);
        let query = self.uri.query().unwrap_or_default().split('&');
        let query = query.filter(|pair| pair.starts_with("key=")).map(|_| Credential::Query);
        header.chain(authorization).chain(query).collect()
    }

    fn record(&self) -> RecordedRequest {
        RecordedRequest {
            method: self.method.to_string(),
            path: self.uri.path().to_owned(),
            query: self.uri.query().unwrap_or_default().to_owned(),
            header_names: self.headers.keys().map(|name| name.as_str().to_owned()).collect(),
            credentials: self.credentials(),
            body: String::from_utf8_lossy(&self.body).into_owned(),
        }
    }
}

/// Ring buffer of requests.
#[derive(Debug, Default)]
pub(crate) struct Record(Mutex<VecDeque<Received>>);

impl Record {
    /// Records `request` as one of the last `most`.
    pub(crate) fn keep(&self, request: &Received, most: usize) {
        if most == 0 {
            return;
        }
        let request = request.clone();
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while kept.len() >= most {
            kept.pop_front();
        }
        kept.push_back(request);
    }

    /// Returns the requests, oldest first.
    pub(crate) fn read(&self) -> Vec<RecordedRequest> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().map(Received::record).collect()
    }

    pub(crate) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
