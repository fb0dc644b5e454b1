//! Handling of one API request: authentication, choice of its treatment, delay.
//!
//! # Invariants
//! - Every request is counted once.

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use axum::body::Body;
use axum::extract::Query;
use axum::http::{HeaderValue, Response};

use crate::behaviour::{Behaviour, Treatment};
use crate::call::{Call, Parameters};
use crate::counts::Purpose;
use crate::exchange::{Exchange, refuse};
use crate::record::{Credential, Received};
use crate::refusal::{self, Refusal};
use crate::scenario::{Indexed, KeySpec};
use crate::state::ServerState;

/// Prefix of auth keys, which are bound to a service account.
const AUTH_KEY: &str = "AQ.";

/// Response extension: close the connection instead of sending the response.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CloseConnection;

/// Responds to a request to `/v1beta`.
pub(crate) async fn respond(state: &ServerState, call: Call<'_>, received: Received) -> Response<Body> {
    let scenario = state.scenario();
    state.record.keep(&received, scenario.scenario.record);
    let (key, parameters) = match identify(&received, call, scenario.scenario.auth_keys_as_bearer) {
        Ok(identified) => identified,
        Err(refusal) => {
            state.counters.unauthenticated();
            return refuse(&refusal, call.compat);
        }
    };
    let mut attempt = state.counters.begin(call.purpose(), &key, call.model);
    let spec = scenario.key(&key);
    let treatment = choose_treatment(state, &scenario, spec, &key, call);
    let wait = treatment.before_headers(scenario.scenario.before_headers_ms);
    if !wait.is_zero() {
        tokio::time::sleep(wait).await;
    }
    match treatment.kind {
        // Ends when the client disconnects and the server drops this future.
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
        state,
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

/// Returns the treatment of a request: a planned failure, else the key's, else the model's.
fn choose_treatment(
    state: &ServerState,
    scenario: &Indexed,
    spec: Option<&KeySpec>,
    key: &str,
    call: Call,
) -> Treatment {
    if call.purpose() == Purpose::Serve
        && let Some(planned) = state.planned_failure(key, call.model)
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

/// Returns the API key and the query parameters of a request with exactly one credential.
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
        // Reported by users of auth keys: the endpoint adds a header to the client's credential.
        Credential::Header if call.compat && !auth_keys_as_bearer => header_key(received),
        _ if call.compat => {
            return Err(Refusal::invalid_argument("Missing or invalid Authorization header."));
        }
        Credential::Header => header_key(received),
        Credential::Query => parameters.key.take().unwrap_or_default(),
        // The native API expects OAuth tokens there, which the mock server does not issue.
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

/// Returns the key's project, or a project number derived from the key.
fn project<'a>(spec: Option<&'a KeySpec>, key: &str) -> Cow<'a, str> {
    if let Some(project) = spec.and_then(|spec| spec.project.as_deref()) {
        return Cow::Borrowed(project);
    }
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    Cow::Owned((100_000_000_000 + hasher.finish() % 900_000_000_000).to_string())
}

/// Returns the error response for an unknown path.
pub(crate) fn no_such_path(path: &str) -> Response<Body> {
    refuse(&refusal::no_such_path(path), false)
}
