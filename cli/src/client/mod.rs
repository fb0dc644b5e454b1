//! The admin API's client: typed calls over the types of `pool-shared`.
//!
//! In: an address, a token, requests. Out: answers, or an error that says what to do. Never: a
//! request to another host (no redirect is followed), or a token in a URL or in a message.

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

/// To connect takes this long at most, whatever `--timeout` says.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Where a token came from, for the message when it is refused.
#[derive(Clone)]
pub enum TokenSource {
    /// `POOLCTL_TOKEN`, which wins over any login.
    Environment,
    /// A login; the place where it is kept.
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

/// What a client needs to know.
#[derive(Clone)]
pub struct ClientOptions {
    /// The service.
    pub url: ServiceUrl,
    /// Where the address came from, for the message when nobody answers there.
    pub url_source: String,
    /// The admin token and where it came from; none before login.
    pub token: Option<(Secret, TokenSource)>,
    /// How long an answer may take.
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
    /// Prepares a client; nothing is sent.
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

    /// The same client for what has to be done even after Ctrl-C; a second Ctrl-C still ends the process.
    fn without_interrupt(&self) -> Self {
        Self { http: self.http.clone(), options: self.options.clone(), interrupt: Interrupt::never() }
    }

    /// The service's address.
    pub fn url(&self) -> &ServiceUrl {
        &self.options.url
    }

    /// One call that is answered with JSON.
    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, String)],
        body: Option<&(impl Serialize + Sync)>,
    ) -> Result<T, ClientError> {
        let answer = self.send(method, path, query, body).await?;
        serde_json::from_slice(&answer.body).map_err(|_| answer.unexpected())
    }

    /// One call; any answer but a success is an error.
    async fn send(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, String)],
        body: Option<&(impl Serialize + Sync)>,
    ) -> Result<Answer, ClientError> {
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
            Answer::read(response).await
        };
        let answer = self.interrupt.wait(exchange).await.map_err(|_| ClientError::Interrupted)?;
        let answer = answer.map_err(|error| ClientError::transport(&error, self.options.timeout))?;
        if answer.status.is_success() { Ok(answer) } else { Err(answer.refusal()) }
    }

    /// Turns a failed call into the message for people and programs.
    fn explain(&self, error: ClientError) -> CliError {
        error.explain(&self.options)
    }
}

/// An answer, read to its end.
struct Answer {
    status: StatusCode,
    content_type: String,
    location: Option<String>,
    request_id: Option<String>,
    retry_after: Option<Duration>,
    server: ServerInfo,
    body: Vec<u8>,
}

/// What an answer's headers say of where it came from.
#[derive(Debug, Default)]
pub struct ServerInfo {
    /// The service's clock, to the second.
    pub date: Option<Timestamp>,
    /// Cloudflare's name for the place that answered, such as `FRA`.
    pub colo: Option<String>,
}

impl Answer {
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

    fn refusal(self) -> ClientError {
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
