//! Client of the admin API: typed calls with the types of `pool-shared`.
//!
//! # Invariants
//!
//! - No redirect is followed, so that no request goes to another host.
//! - No token is part of a URL or of a message.

mod api;
mod chat;
mod client_keys;
mod error;
mod import;
mod keys;

use std::{fmt, time::Duration};

use jiff::{Timestamp, fmt::rfc2822::DateTimeParser};
use pool_shared::{
    Secret,
    outbound::{self, Route},
};
use reqwest::{
    Method, StatusCode,
    header::{self, HeaderValue},
};
use serde::{Serialize, de::DeserializeOwned};

pub use self::{
    chat::{Chat, ChatResult},
    error::ClientError,
    import::chunks,
    keys::KeyFilter,
};
use crate::{
    config::ServiceUrl,
    env,
    error::{CliError, Code},
    interrupt::Interrupt,
};

/// Timeout of a connection attempt, also if `--timeout` is longer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Source of a token, for error messages.
#[derive(Clone)]
pub enum TokenSource {
    /// `POOLCTL_TOKEN`, which overrides any login.
    Environment,
    /// A login, and the place of its token.
    Login(String),
}

impl fmt::Display for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment => write!(f, "environment {}", env::TOKEN),
            Self::Login(place) => f.write_str(place),
        }
    }
}

/// Options of a client.
#[derive(Clone)]
pub struct ClientOptions {
    /// The service.
    pub url: ServiceUrl,
    /// Source of the address, for error messages.
    pub url_source: String,
    /// The admin token and its source; none before login.
    pub token: Option<(Secret, TokenSource)>,
    /// Timeout of a response.
    pub timeout: Duration,
    /// The command to log in with, for hints.
    pub login_command: String,
}

/// A connection to one service.
pub struct Client {
    http: reqwest::Client,
    options: ClientOptions,
    interrupt: Interrupt,
}

impl Client {
    /// Creates a client; sends nothing.
    pub fn new(options: ClientOptions, interrupt: Interrupt) -> Result<Self, CliError> {
        let builder = reqwest::Client::builder()
            .user_agent(concat!("poolctl/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .timeout(options.timeout)
            .connect_timeout(options.timeout.min(CONNECT_TIMEOUT));
        let http = outbound::build(builder, &Route::to(&options.url.admin(&[]))).map_err(|error| {
            let cause = match &error {
                outbound::ClientError::Certificates(error) => error.to_string(),
                outbound::ClientError::Library(error) => error::chain(error),
            };
            CliError::new(Code::Local, "cannot prepare connections").cause(cause)
        })?;
        Ok(Self { http, options, interrupt })
    }

    /// Returns a client for clean-up after Ctrl-C. A second Ctrl-C still ends the process.
    fn without_interrupt(&self) -> Self {
        Self { http: self.http.clone(), options: self.options.clone(), interrupt: Interrupt::never() }
    }

    /// Returns the service's address.
    pub fn url(&self) -> &ServiceUrl {
        &self.options.url
    }

    /// Sends a request and parses the JSON response.
    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, String)],
        body: Option<&(impl Serialize + Sync)>,
    ) -> Result<T, ClientError> {
        let response = self.send(method, path, query, body).await?;
        serde_json::from_slice(&response.body).map_err(|_| response.unexpected())
    }

    /// Sends a request; any status except success is an error.
    async fn send(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, String)],
        body: Option<&(impl Serialize + Sync)>,
    ) -> Result<ApiResponse, ClientError> {
        let mut url = self.options.url.admin(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut request = self.http.request(method, url).header(header::ACCEPT, "application/json");
        if let Some((token, _)) = &self.options.token {
            let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose()))
                .map_err(|_| ClientError::UnusableToken)?;
            value.set_sensitive(true);
            request = request.header(header::AUTHORIZATION, value);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let exchange = async {
            let response = request.send().await?;
            ApiResponse::read(response).await
        };
        let response = self.interrupt.wait(exchange).await.map_err(|_| ClientError::Interrupted)?;
        let response = response.map_err(|error| ClientError::transport(&error, self.options.timeout))?;
        if response.status.is_success() { Ok(response) } else { Err(response.into_error()) }
    }

    /// Converts the error of a call to a [`CliError`].
    fn explain(&self, error: ClientError) -> CliError {
        error.explain(&self.options)
    }
}

/// A response with its body.
struct ApiResponse {
    status: StatusCode,
    content_type: String,
    location: Option<String>,
    request_id: Option<String>,
    retry_after: Option<Duration>,
    server: ServerInfo,
    body: Vec<u8>,
}

/// Facts about the server from response headers.
#[derive(Debug, Default)]
pub struct ServerInfo {
    /// The service's clock, to the second.
    pub date: Option<Timestamp>,
    /// Cloudflare data centre, such as `FRA`.
    pub colo: Option<String>,
}

impl ApiResponse {
    async fn read(response: reqwest::Response) -> reqwest::Result<Self> {
        let text = |name: &str| {
            response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
        };
        Ok(Self {
            status: response.status(),
            content_type: text("content-type").unwrap_or_default(),
            location: text("location"),
            request_id: text("x-request-id"),
            retry_after: text("retry-after").and_then(|value| value.parse().ok()).map(Duration::from_secs),
            server: ServerInfo {
                date: text("date")
                    .and_then(|date| DateTimeParser::new().parse_timestamp(date.as_bytes()).ok()),
                // cf-ray: 8f2a...-FRA
                colo: text("cf-ray").and_then(|ray| Some(ray.rsplit_once('-')?.1.to_owned())),
            },
            body: response.bytes().await?.to_vec(),
        })
    }

    fn into_error(self) -> ClientError {
        if self.status.is_redirection() {
            return ClientError::Redirect { status: self.status.as_u16(), location: self.location };
        }
        match serde_json::from_slice::<pool_shared::ErrorBody>(&self.body) {
            Ok(body) => ClientError::Service {
                status: self.status.as_u16(),
                request_id: Some(body.error.request_id.clone())
                    .filter(|id| !id.is_empty())
                    .or(self.request_id),
                detail: body.error,
                retry_after: self.retry_after,
            },
            Err(_) => self.unexpected(),
        }
    }

    fn unexpected(self) -> ClientError {
        ClientError::Unexpected {
            status: self.status.as_u16(),
            content_type: self.content_type,
            retry_after: self.retry_after,
        }
    }
}
