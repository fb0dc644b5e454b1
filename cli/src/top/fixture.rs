//! Test data: responses of a service with two pools, at a fixed time.

use std::{collections::BTreeMap, time::Duration};

use jiff::{SignedDuration, Timestamp};
use pool_shared::{
    Activity, AttemptOutcome, ClientKey, ClientKeyId, Counters, Event, EventList, EventQuota, Key,
    KeyCondition, KeyId, KeyState, KeyStats, Latency, Limits, ModelStats, Pool, PoolStats, PoolStatsRow,
    Quantiles, Rates, RequestOutcome, RequestRates, RequestStats, RestingModel, SeriesPoint, Stats,
    StatsStep, StatsWindow, Weight,
};
use ratatui::layout::Size;
use serde_json::json;

use super::{
    data::Overview,
    message::{Command, Fetch, FetchedData, Message},
    model::{Model, Options},
    theme::Theme,
    update::update,
};

/// The fixed time.
pub fn now() -> Timestamp {
    "2026-11-03T12:00:30Z".parse().unwrap()
}

/// Returns a time in seconds from the fixed time.
pub fn at(seconds: i64) -> Timestamp {
    now() + SignedDuration::from_secs(seconds)
}

pub fn pool(name: &str) -> Pool {
    let pool = json!({
        "id": format!("pool-{name}"), "name": name, "enabled": true, "aliases": {}, "fallbacks": {}, "sticky": false,
        "keys": 6, "enabled_keys": 5, "states": {"healthy": 3, "cooling": 1, "invalid": 1, "disabled": 1},
        "version": 7, "created_at": at(-90_000), "updated_at": at(-90_000),
    });
    serde_json::from_value(pool).unwrap()
}

pub fn key(number: u64) -> Key {
    Key {
        id: KeyId::from_random(number),
        masked: format!("AIza…{number:04}"),
        fingerprint: "0badcafe".to_owned(),
        name: format!("key {number}"),
        tag: "team-a".to_owned(),
        project: String::new(),
        billing_account: String::new(),
        limits: Limits { requests_per_minute: Some(15), ..Limits::default() },
        weight: Weight::default(),
        enabled: true,
        condition: KeyCondition::of(KeyState::Healthy),
        created_at: at(-90_000),
        updated_at: at(-90_000),
    }
}

/// Returns six keys in different states.
pub fn keys() -> Vec<Key> {
    let mut keys: Vec<_> = (1..=6).map(key).collect();
    keys[1].condition = KeyCondition {
        state: KeyState::Cooling,
        until: Some(at(42)),
        reason: Some("requests".to_owned()),
        message: None,
        models: vec![RestingModel {
            model: "gemini-3.8-flash".to_owned(),
            until: at(42),
            reason: "requests".to_owned(),
        }],
        failing: None,
    };
    keys[2].condition = KeyCondition {
        message: Some("API key not valid. Please pass a valid API key.".to_owned()),
        ..KeyCondition::of(KeyState::Invalid)
    };
    keys[3].enabled = false;
    keys[3].name = "old".to_owned();
    keys[4].weight = Weight::try_from(3).unwrap();
    keys[4].tag = "team-b".to_owned();
    keys[5].condition = KeyCondition { until: Some(at(40_000)), ..KeyCondition::of(KeyState::Limited) };
    keys
}

pub fn counters(requests: u64) -> Counters {
    let failures = requests / 20;
    Counters {
        attempts: requests,
        successes: requests - failures,
        failures,
        prompt_tokens: requests * 900,
        completion_tokens: requests * 250,
        ..Counters::default()
    }
}

/// Returns request statistics with 2% failures.
pub fn request_stats(total: u64) -> RequestStats {
    let failed = total / 50;
    RequestStats {
        total,
        succeeded: total - failed,
        failed,
        outcomes: BTreeMap::from([
            (RequestOutcome::Ok, total - failed),
            (RequestOutcome::ServerError, failed),
        ]),
        attempts: BTreeMap::from([(0, failed), (1, total - failed)]),
        latency: Some(Quantiles { count: total - failed, p50_ms: 905.0, p95_ms: 2_300.0, p99_ms: 4_100.0 }),
        rates: request_rates(total),
    }
}

/// Returns a time series of one hour.
fn request_rates(total: u64) -> RequestRates {
    RequestRates { rpm: total / 60, rpm_now: total / 120, rpd: total * 9 }
}

pub fn activity(requests: u64) -> Activity {
    let quantiles = |scale: f64| Quantiles {
        count: requests,
        p50_ms: 812.0 * scale,
        p95_ms: 2_140.0 * scale,
        p99_ms: 3_300.0 * scale,
    };
    Activity {
        outcomes: BTreeMap::from([(AttemptOutcome::Ok, requests)]),
        latency: Latency { first_byte: Some(quantiles(0.25)), total: Some(quantiles(1.0)) },
        rates: Rates {
            rpm: requests / 60,
            rpm_now: requests / 120,
            tpm: requests * 15,
            tpm_now: requests * 7,
            rpd: requests * 9,
            tpd: requests * 8_100,
        },
    }
}

pub fn overview(pools: &[&str]) -> Overview {
    let row = |(name, requests): (&&str, u64)| PoolStatsRow {
        pool: pool(name).id,
        name: Some((*name).to_owned()),
        requests: RequestStats { rates: request_rates(requests * 3 / 4), ..request_stats(requests * 75) },
        counters: counters(requests * 100),
        activity: activity(requests),
    };
    let stats = Stats {
        requests: RequestStats { rates: request_rates(1_125), ..request_stats(75_000) },
        total: counters(100_000),
        activity: activity(1_500),
        pools: pools.iter().zip([1_200, 300]).map(row).collect(),
        lost: 0,
        lost_requests: 0,
    };
    Overview { stats, pools: pools.iter().map(|name| pool(name)).collect() }
}

pub fn pool_stats(name: &str, keys: &[Key]) -> PoolStats {
    let window = StatsWindow {
        since: "2026-11-03T11:01:00Z".parse().unwrap(),
        until: "2026-11-03T12:01:00Z".parse().unwrap(),
        step: StatsStep::Minute,
    };
    let series = (0..60).filter(|minute| minute % 11 != 3).map(|minute| SeriesPoint {
        at: window.since + SignedDuration::from_mins(minute),
        requests: request_stats(4 + u64::try_from(minute * 5 % 30).unwrap()),
        counters: counters(5 + u64::try_from(minute * 7 % 40).unwrap()),
        outcomes: BTreeMap::new(),
        latency: Latency::default(),
    });
    let key_row = |(number, key): (usize, &Key)| KeyStats {
        key: key.id.clone(),
        masked: Some(key.masked.clone()),
        name: key.name.clone(),
        condition: KeyCondition::default(),
        counters: counters(600 >> number.min(9)),
        activity: activity(600 >> number.min(9)),
        last_used: Some(at(-5 * i64::try_from(number).unwrap())),
    };
    let model = |(name, requests): (&str, u64)| ModelStats {
        model: name.to_owned(),
        requests: request_stats(requests * 3 / 4),
        counters: counters(requests),
        activity: activity(requests),
    };
    PoolStats {
        pool: pool(name).id,
        name: name.to_owned(),
        window: Some(window),
        requests: request_stats(900),
        total: counters(1_200),
        activity: activity(1_200),
        outcomes: Vec::new(),
        keys: keys.iter().enumerate().map(key_row).collect(),
        models: [("gemini-3.8-flash", 900), ("gemini-2.5-pro", 300)].into_iter().map(model).collect(),
        client_keys: Vec::new(),
        series: series.collect(),
    }
}

pub fn events() -> EventList {
    let event = |(seconds, number, verdict, message): (i64, u64, AttemptOutcome, &str)| Event {
        at: at(seconds),
        pool: pool("prod").id,
        key: key(number).id,
        model: "gemini-3.8-flash".to_owned(),
        verdict,
        message: message.to_owned(),
        count: 2,
        quota: (verdict == AttemptOutcome::Quota).then(|| EventQuota {
            metric: Some("generativelanguage.googleapis.com/generate_content_free_tier_requests".to_owned()),
            limit: Some("GenerateRequestsPerDayPerProjectPerModel-FreeTier".to_owned()),
            value: Some("250".to_owned()),
            model: None,
            retry_after_ms: Some(31_000),
        }),
        unknown_text: false,
        client_key: None,
    };
    let events = [
        (-200, 3, AttemptOutcome::Key, "API key not valid. Please pass a valid API key."),
        (-18, 2, AttemptOutcome::Quota, "You exceeded your current quota \u{1b}[2J for requests."),
        (-2, 1, AttemptOutcome::Network, "connection reset"),
    ];
    EventList { events: events.into_iter().map(event).collect(), cursor: "3".to_owned() }
}

pub fn client_keys() -> Vec<ClientKey> {
    let key = |(number, name): (u64, &str)| ClientKey {
        last_used_at: None,
        id: ClientKeyId::from_random(number),
        name: name.to_owned(),
        hint: "x7Qz".to_owned(),
        created_at: at(-86_400 * i64::try_from(number).unwrap()),
        expires_at: (number == 2).then(|| at(200_000)),
        weak: false,
        rules: pool_shared::ClientKeyRules::default(),
    };
    [(9, "laptop"), (2, "ci")].map(key).into()
}

/// Returns a model without data.
pub fn fresh(width: u16, height: u16) -> Model {
    let options = Options {
        service: "http://127.0.0.1:8787".to_owned(),
        pool: None,
        only: None,
        tab: None,
        read_only: false,
        theme: Theme::Mono,
        ascii: false,
    };
    Model::new(options, Duration::from_secs(1), Size { width, height }, now())
}

/// Returns a model with the data of two pools.
pub fn model(width: u16, height: u16) -> Model {
    let mut model = fresh(width, height);
    tell(&mut model, Fetch::Overview, FetchedData::Overview(Box::new(overview(&["prod", "test"]))));
    for name in ["prod", "test"] {
        tell_recent(&mut model, name, &keys());
    }
    tell(&mut model, Fetch::Events(None), FetchedData::Events(events()));
    model
}

pub fn tell_recent(model: &mut Model, name: &str, keys: &[Key]) -> Vec<Command> {
    let fetch = Fetch::Focus { pool: pool(name).id, step: StatsStep::Minute, keys: true };
    tell(model, fetch, FetchedData::Recent(Box::new(pool_stats(name, keys))))
}

pub fn tell_keys(model: &mut Model, keys: Vec<Key>) -> Vec<Command> {
    let fetch = Fetch::Keys { pool: pool("prod").id, version: 7 };
    tell_recent(model, "prod", &keys);
    tell(model, fetch, FetchedData::Keys(keys))
}

pub fn tell(model: &mut Model, fetch: Fetch, answer: FetchedData) -> Vec<Command> {
    update(model, Message::Fetched { fetch, took: Duration::from_millis(3), result: Ok(answer) })
}
