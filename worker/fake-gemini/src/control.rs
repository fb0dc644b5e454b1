//! Control API under `/_fake`, for tests and benchmarks in other processes.
//!
//! Takes JSON, or TOML for a scenario, and returns JSON.

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
use crate::state::{Failure, ServerState};

/// New treatment of a key.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewBehaviour {
    key: String,
    behaviour: Treatment,
}

/// A change of the quota clock.
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

type ControlResult = Result<StatusCode, (StatusCode, String)>;

pub(crate) fn routes() -> Router<Arc<ServerState>> {
    Router::new()
        .route("/_fake/counts", get(counts))
        .route("/_fake/requests", get(requests))
        .route("/_fake/reset", post(reset))
        .route("/_fake/scenario", get(scenario).post(set_scenario))
        .route("/_fake/behaviour", post(set_behaviour))
        .route("/_fake/fail", post(fail))
        .route("/_fake/clock", get(clock).post(move_clock))
}

async fn counts(State(state): State<Arc<ServerState>>) -> Json<Counts> {
    Json(state.counters.read())
}

async fn requests(State(state): State<Arc<ServerState>>) -> Json<Vec<RecordedRequest>> {
    Json(state.record.read())
}

async fn reset(State(state): State<Arc<ServerState>>) -> StatusCode {
    state.reset();
    StatusCode::NO_CONTENT
}

async fn scenario(State(state): State<Arc<ServerState>>) -> Json<Scenario> {
    Json(state.scenario().scenario.clone())
}

async fn set_scenario(State(state): State<Arc<ServerState>>, body: String) -> ControlResult {
    let scenario = if body.trim_ascii_start().starts_with('{') {
        serde_json::from_str(&body).map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))?
    } else {
        Scenario::from_toml(&body).map_err(|error| bad(&error))?
    };
    replace(&state, scenario).map_err(|error| bad(&error))?;
    Ok(StatusCode::NO_CONTENT)
}

async fn set_behaviour(
    State(state): State<Arc<ServerState>>,
    Json(new): Json<NewBehaviour>,
) -> ControlResult {
    set_key(&state, &new.key, new.behaviour).map_err(|error| bad(&error))?;
    Ok(StatusCode::NO_CONTENT)
}

async fn fail(State(state): State<Arc<ServerState>>, Json(failure): Json<Failure>) -> StatusCode {
    state.fail_next(failure);
    StatusCode::NO_CONTENT
}

async fn clock(State(state): State<Arc<ServerState>>) -> Json<ClockReading> {
    Json(ClockReading { unix_ms: state.clock.unix_ms() })
}

async fn move_clock(
    State(state): State<Arc<ServerState>>,
    Json(step): Json<ClockMove>,
) -> Json<ClockReading> {
    match step {
        ClockMove::AdvanceMs(by) => state.clock.advance(Duration::from_millis(by)),
        ClockMove::StopAtUnixMs(unix_ms) => state.clock.stop_at(unix_ms),
    }
    clock(State(state)).await
}

fn bad(error: &ScenarioError) -> (StatusCode, String) {
    (StatusCode::BAD_REQUEST, error.to_string())
}

/// Checks a scenario and uses it for the following requests.
pub(crate) fn replace(state: &ServerState, scenario: Scenario) -> Result<(), ScenarioError> {
    scenario.check()?;
    state.set_scenario(Indexed::new(scenario));
    Ok(())
}

/// Sets the treatment of one key, except for models with their own. Adds the key if it is new.
pub(crate) fn set_key(state: &ServerState, key: &str, treatment: Treatment) -> Result<(), ScenarioError> {
    let mut scenario = state.scenario().scenario.clone();
    match scenario.keys.iter_mut().find(|spec| spec.key == key) {
        Some(spec) => spec.behaviour = treatment,
        None => scenario.keys.push(crate::scenario::KeySpec::new(key, treatment)),
    }
    replace(state, scenario)
}
