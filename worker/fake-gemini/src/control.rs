//! The paths under `/_fake`, by which tests and benchmarks in other processes look in and steer.
//!
//! In: JSON, or TOML for a scenario. Out: JSON. Never here: anything that the real service has.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

use crate::behaviour::Treatment;
use crate::counts::Counts;
use crate::record::RecordedRequest;
use crate::scenario::{Indexed, Scenario, ScenarioError};
use crate::server::{Failure, Server};

/// A key's new treatment.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewBehaviour {
    key: String,
    behaviour: Treatment,
}

/// A move of the quota clock.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum ClockMove {
    AdvanceMs(u64),
    StopAtUnixMs(i64),
}

#[derive(Serialize)]
struct ClockReading {
    unix_ms: i64,
}

type Told = Result<StatusCode, (StatusCode, String)>;

pub(crate) fn routes() -> Router<Arc<Server>> {
    Router::new()
        .route("/_fake/counts", get(counts))
        .route("/_fake/requests", get(requests))
        .route("/_fake/reset", post(reset))
        .route("/_fake/scenario", get(scenario).post(set_scenario))
        .route("/_fake/behaviour", post(set_behaviour))
        .route("/_fake/fail", post(fail))
        .route("/_fake/clock", get(clock).post(move_clock))
}

async fn counts(State(server): State<Arc<Server>>) -> Json<Counts> {
    Json(server.counters.read())
}

async fn requests(State(server): State<Arc<Server>>) -> Json<Vec<RecordedRequest>> {
    Json(server.record.read())
}

async fn reset(State(server): State<Arc<Server>>) -> StatusCode {
    server.reset();
    StatusCode::NO_CONTENT
}

async fn scenario(State(server): State<Arc<Server>>) -> Json<Scenario> {
    Json(server.scenario().scenario.clone())
}

async fn set_scenario(State(server): State<Arc<Server>>, body: String) -> Told {
    let scenario = if body.trim_ascii_start().starts_with('{') {
        serde_json::from_str(&body).map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))?
    } else {
        Scenario::from_toml(&body).map_err(|error| bad(&error))?
    };
    replace(&server, scenario).map_err(|error| bad(&error))?;
    Ok(StatusCode::NO_CONTENT)
}

async fn set_behaviour(State(server): State<Arc<Server>>, Json(new): Json<NewBehaviour>) -> Told {
    set_key(&server, &new.key, new.behaviour).map_err(|error| bad(&error))?;
    Ok(StatusCode::NO_CONTENT)
}

async fn fail(State(server): State<Arc<Server>>, Json(failure): Json<Failure>) -> StatusCode {
    server.fail_next(failure);
    StatusCode::NO_CONTENT
}

async fn clock(State(server): State<Arc<Server>>) -> Json<ClockReading> {
    Json(ClockReading { unix_ms: server.clock.unix_ms() })
}

async fn move_clock(State(server): State<Arc<Server>>, Json(step): Json<ClockMove>) -> Json<ClockReading> {
    match step {
        ClockMove::AdvanceMs(by) => server.clock.advance(Duration::from_millis(by)),
        ClockMove::StopAtUnixMs(unix_ms) => server.clock.stop_at(unix_ms),
    }
    clock(State(server)).await
}

fn bad(error: &ScenarioError) -> (StatusCode, String) {
    (StatusCode::BAD_REQUEST, error.to_string())
}

/// Checks a scenario and plays it from now on.
pub(crate) fn replace(server: &Server, scenario: Scenario) -> Result<(), ScenarioError> {
    scenario.check()?;
    server.set_scenario(Indexed::new(scenario));
    Ok(())
}

/// Changes how one key is treated, for all models that have no treatment of their own; adds the key if it is new.
pub(crate) fn set_key(server: &Server, key: &str, treatment: Treatment) -> Result<(), ScenarioError> {
    let mut scenario = server.scenario().scenario.clone();
    match scenario.keys.iter_mut().find(|spec| spec.key == key) {
        Some(spec) => spec.behaviour = treatment,
        None => scenario.keys.push(crate::scenario::KeySpec::new(key, treatment)),
    }
    replace(server, scenario)
}
