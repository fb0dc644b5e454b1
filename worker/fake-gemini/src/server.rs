//! All state of the stand-in, and a request's way to its answer: who asks, how the scenario treats them, how long they
//! wait.
//!
//! In: requests to `/v1beta`. Out: answers, each counted once. Never here: a lock held across an await, or the content
//! of an answer, which [`crate::exchange`] has.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use axum::body::Body;
use axum::extract::Query;
use axum::http::{HeaderValue, Response};
use serde::{Deserialize, Serialize};

use crate::behaviour::{Behaviour, Treatment};
use crate::clock::FakeClock;
use crate::counts::{Counters, Purpose};
use crate::exchange::{Exchange, refuse};
use crate::quota::Quotas;
use crate::record::{Credential, Received, Record};
use crate::refusal::{self, Refusal};
use crate::scenario::{Indexed, KeySpec};
use crate::spending::Spending;

/// How auth keys begin, which are bound to a service account.
const AUTH_KEY: &str = "AQ.";

/// Requests to come that fail whatever their key deserves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// How many requests.
    pub count: u64,
    /// What happens to them.
    pub behaviour: Treatment,
    /// Only requests with this key.
    #[serde(default)]
    pub key: Option<String>,
    /// Only requests for this model.
    #[serde(default)]
    pub model: Option<String>,
}

/// A mark on a response: the connection is to be closed instead of sending it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CloseConnection;

/// All state of the stand-in.
#[derive(Debug)]
pub(crate) struct Server {
    scenario: RwLock<Arc<Indexed>>,
    pub clock: FakeClock,
    pub quotas: Quotas,
    pub spending: Spending,
    pub counters: Counters,
    pub record: Record,
    failures: Mutex<VecDeque<Failure>>,
    answers: AtomicU64,
}

/// What a path asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call<'a> {
    /// Empty for a listing.
    pub model: &'a str,
    /// What follows the colon; `list` and `get` for the two calls that have none.
    pub method: &'a str,
    /// Whether it came to Google's OpenAI endpoint.
    pub compat: bool,
}

impl Call<'_> {
    fn purpose(self) -> Purpose {
        match self.method {
            "list" | "get" | "countTokens" => Purpose::Probe,
            _ => Purpose::Serve,
        }
    }
}

/// The query, as far as it matters.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Parameters {
    key: Option<String>,
    pub alt: Option<String>,
    pub page_size: Option<String>,
    pub page_token: Option<String>,
}

impl Server {
    pub(crate) fn new(scenario: Indexed) -> Self {
        Self {
            scenario: RwLock::new(Arc::new(scenario)),
            clock: FakeClock::default(),
            quotas: Quotas::default(),
            spending: Spending::default(),
            counters: Counters::default(),
            record: Record::default(),
            failures: Mutex::default(),
            answers: AtomicU64::new(0),
        }
    }

    pub(crate) fn scenario(&self) -> Arc<Indexed> {
        Arc::clone(&self.scenario.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// A `responseId` that no other answer has.
    pub(crate) fn next_id(&self) -> String {
        format!("fake-{}", self.answers.fetch_add(1, Ordering::Relaxed) + 1)
    }

    pub(crate) fn set_scenario(&self, scenario: Indexed) {
        *self.scenario.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(scenario);
    }

    pub(crate) fn fail_next(&self, failure: Failure) {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).push_back(failure);
    }

    /// Forgets counts, requests, quotas and failures to come; scenario and clock stay.
    pub(crate) fn reset(&self) {
        self.counters.clear();
        self.record.clear();
        self.quotas.clear();
        self.spending.clear();
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Answers a request to `/v1beta`.
    pub(crate) async fn answer(&self, call: Call<'_>, received: Received) -> Response<Body> {
        let scenario = self.scenario();
        self.record.keep(&received, scenario.scenario.record);
        let (key, parameters) = match identify(&received, call, scenario.scenario.auth_keys_as_bearer) {
            Ok(identified) => identified,
            Err(refusal) => {
                self.counters.unauthenticated();
                return refuse(&refusal, call.compat);
            }
        };
        let mut attempt = self.counters.begin(call.purpose(), &key, call.model);
        let spec = scenario.key(&key);
        let treatment = self.treatment(&scenario, spec, &key, call);
        let wait = treatment.before_headers(scenario.scenario.before_headers_ms);
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        match treatment.kind {
            // Ends when the client leaves and the server drops this future.
            Behaviour::Silent => std::future::pending().await,
            Behaviour::Close => {
                attempt.cut();
                let mut response = Response::new(Body::empty());
                response.extensions_mut().insert(CloseConnection);
                return response;
            }
            _ => {}
        }
        let project = project(spec, &key);
        let exchange = Exchange {
            server: self,
            scenario: &scenario,
            call,
            treatment,
            project: &project,
            key: &key,
            parameters: &parameters,
            received: &received,
        };
        exchange.respond(attempt)
    }

    /// A planned failure before the key's own treatment, that before the model's.
    fn treatment(&self, scenario: &Indexed, spec: Option<&KeySpec>, key: &str, call: Call) -> Treatment {
        if call.purpose() == Purpose::Serve
            && let Some(planned) = self.planned(key, call.model)
        {
            return planned;
        }
        let own = spec.map_or(scenario.scenario.unknown_keys, |spec| {
            spec.model_behaviour.get(call.model).copied().unwrap_or(spec.behaviour)
        });
        let treatment = if own.kind == Behaviour::Ok {
            scenario.scenario.model_behaviour.get(call.model).copied().unwrap_or(own)
        } else {
            own
        };
        if matches!(call.method, "list" | "get") && !treatment.kind.meets_listing() {
            return Treatment { kind: Behaviour::Ok, ..treatment };
        }
        treatment
    }

    fn planned(&self, key: &str, model: &str) -> Option<Treatment> {
        let fits = |wanted: &Option<String>, got: &str| wanted.as_deref().is_none_or(|wanted| wanted == got);
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.retain(|failure| failure.count > 0);
        let planned = failures.iter_mut().find(|f| fits(&f.key, key) && fits(&f.model, model))?;
        planned.count -= 1;
        Some(planned.behaviour)
    }
}

/// The key of a request that has exactly one, and the rest of its query.
fn identify(
    received: &Received,
    call: Call,
    auth_keys_as_bearer: bool,
) -> Result<(String, Parameters), Refusal> {
    let credential = match received.credentials()[..] {
        [] => return Err(refusal::unregistered()),
        [one] => one,
        _ => return Err(refusal::several_credentials()),
    };
    let query = Query::<Parameters>::try_from_uri(&received.uri);
    let Query(mut parameters) = query.map_err(|error| Refusal::invalid_argument(&error.body_text()))?;
    let key = match credential {
        Credential::Authorization if call.compat => {
            let value = received.headers.get("authorization");
            let value = String::from_utf8_lossy(value.map_or(&[], HeaderValue::as_bytes)).into_owned();
            value.strip_prefix("Bearer ").unwrap_or_default().to_owned()
        }
        // What some say of auth keys there: the endpoint adds a header to what it takes from the caller.
        Credential::Header if call.compat && !auth_keys_as_bearer => header_key(received),
        _ if call.compat => {
            return Err(Refusal::invalid_argument("Missing or invalid Authorization header."));
        }
        Credential::Header => header_key(received),
        Credential::Query => parameters.key.take().unwrap_or_default(),
        // The native API takes OAuth tokens there, of which this service has none.
        Credential::Authorization => return Err(refusal::unauthenticated(call.method)),
    };
    if key.is_empty() {
        return Err(refusal::unregistered());
    }
    let as_bearer = call.compat && credential == Credential::Authorization;
    if as_bearer && key.starts_with(AUTH_KEY) && !auth_keys_as_bearer {
        return Err(refusal::several_credentials());
    }
    Ok((key, parameters))
}

fn header_key(received: &Received) -> String {
    let value = received.headers.get("x-goog-api-key");
    String::from_utf8_lossy(value.map_or(&[], HeaderValue::as_bytes)).into_owned()
}

/// The key's project, or a number of its own made from the key.
fn project<'a>(spec: Option<&'a KeySpec>, key: &str) -> Cow<'a, str> {
    if let Some(project) = spec.and_then(|spec| spec.project.as_deref()) {
        return Cow::Borrowed(project);
    }
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    Cow::Owned((100_000_000_000 + hasher.finish() % 900_000_000_000).to_string())
}

/// The answer to any other path.
pub(crate) fn no_such_path(path: &str) -> Response<Body> {
    refuse(&refusal::no_such_path(path), false)
}
