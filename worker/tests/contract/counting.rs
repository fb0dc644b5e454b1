//! The ledger counts exactly.

use std::collections::BTreeMap;

use futures_util::{StreamExt, future::join_all, stream};
use pool_fake_gemini::{Behaviour, Counts, FakeGemini, KeyModelCount, KeySpec, Scenario, Tokens};
use pool_shared::{AttemptOutcome, Counters, ErrorCode, EventList, Health, PoolStats, Stats};
use reqwest::Method;
use serde_json::json;

use super::harness::{
    EMBEDDING_MODEL, Harness, MODEL, Pool, databases_with, eventually, gemini_key, prompt, send,
};

const REQUESTS: usize = 200;
const AT_ONCE: usize = 16;
const KEYS: [(&str, Behaviour); 10] = [
    ("good-1", Behaviour::Ok),
    ("good-2", Behaviour::Ok),
    ("good-3", Behaviour::Ok),
    ("invalid", Behaviour::Invalid),
    ("limited", Behaviour::ExhaustedMinute),
    ("overloaded", Behaviour::Overloaded),
    ("cut", Behaviour::Cut),
    ("error", Behaviour::ErrorMidStream),
    ("closing", Behaviour::Close),
    ("truncated", Behaviour::Ok),
];

pub async fn the_ledger_equals_what_gemini_counted(harness: &mut Harness) {
    let pool = harness.pool(&KEYS).await;
    // Only a stream is truncated without a finish reason; a whole response is complete.
    let truncated = KeySpec::new(gemini_key("truncated"), Behaviour::Ok).model(MODEL, Behaviour::Truncated);
    let others = KEYS.iter().filter(|(name, _)| *name != "truncated");
    let others = others.map(|(name, behaviour)| KeySpec::new(gemini_key(name), *behaviour));
    let scenario = Scenario { keys: others.chain([truncated]).collect(), ..Scenario::default() };
    harness.gemini.set_scenario(scenario).unwrap();

    let requests = stream::iter(0..REQUESTS).map(|number| one_request(harness, &pool, number));
    let answered: Vec<bool> = requests.buffer_unordered(AT_ONCE).collect().await;
    assert!(answered.contains(&true) && answered.contains(&false), "a storm with all kinds of weather");

    let counts = harness.gemini.counts();
    let attempts = counts.total().requests;
    assert!(attempts > REQUESTS as u64);
    eventually("as many attempts as Gemini counted", async || {
        (harness.pool_stats(&pool).await.total.attempts >= attempts).then_some(())
    })
    .await;
    compare(&harness.pool_stats(&pool).await, &counts);
    // No report arrives twice.
    harness.stop_host().await;
    harness.start_host().await;
    compare(&harness.pool_stats(&pool).await, &counts);
    assert_eq!(harness.get("/stats").await.json::<Stats>(200).lost, 0);
}

/// Sends one request of the load. Returns whether it succeeded completely.
async fn one_request(harness: &Harness, pool: &Pool, number: usize) -> bool {
    let mut body = prompt(&format!("request {number}"));
    let path = match number % 6 {
        0 => {
            body = json!({"model": EMBEDDING_MODEL, "input": ["one", "two three"], "dimensions": 2});
            "/v1/embeddings"
        }
        kind @ 1..=3 => {
            body["model"] = json!("gemini-2.5-flash");
            // The model returns one choice per request, so two choices need two.
            body["n"] = json!(if kind == 1 { 1 } else { 2 });
            body["stream"] = json!(kind == 3);
            "/v1/chat/completions"
        }
        _ => {
            body["stream"] = json!(true);
            "/v1/chat/completions"
        }
    };
    let answer = send(harness.call(pool, path, &body)).await;
    answer.status == 200 && !answer.body.contains("\"error\"")
}

fn compare(stats: &PoolStats, counts: &Counts) {
    let keys: BTreeMap<_, _> = stats.keys.iter().map(|row| (gemini_key(&row.name), row.counters)).collect();
    assert_eq!(keys, sums(counts, |line| &line.key), "by key: the ledger, and Gemini");
    let models: BTreeMap<_, _> = stats.models.iter().map(|row| (row.model.clone(), row.counters)).collect();
    assert_eq!(models, sums(counts, |line| &line.model), "by model: the ledger, and Gemini");
    assert_eq!((keys.len(), models.len()), (KEYS.len(), 3));
}

/// Returns the expected counts, summed by `of`.
fn sums(counts: &Counts, of: impl Fn(&KeyModelCount) -> &String) -> BTreeMap<String, Counters> {
    let mut sums: BTreeMap<String, Counters> = BTreeMap::new();
    for line in &counts.served {
        let Tokens { prompt, completion } = line.tally.tokens;
        sums.entry(of(line).clone()).or_default().add(&Counters {
            attempts: line.tally.requests,
            successes: line.tally.ok,
            failures: line.tally.requests - line.tally.ok,
            prompt_tokens: prompt + line.tally.tokens_cut.prompt,
            completion_tokens: completion + line.tally.tokens_cut.completion,
            ..Counters::default()
        });
    }
    sums
}

pub async fn statistics_are_kept_by_pool(harness: &Harness) {
    let busy = harness.weighted_pool("busy", &[("a", Behaviour::Ok, 1)]).await;
    let calm = harness.weighted_pool("calm", &[("b", Behaviour::Ok, 1)]).await;
    let idle = harness.weighted_pool("idle", &[("c", Behaviour::Ok, 1)]).await;
    for pool in [&calm, &busy, &busy] {
        assert_eq!(harness.chat(pool, "hello there").await.status, 200);
    }
    let one =
        Counters { attempts: 1, successes: 1, prompt_tokens: 2, completion_tokens: 4, ..Counters::default() };
    let mut two = one;
    two.add(&one);
    let mut three = two;
    three.add(&one);

    let stats: PoolStats = harness.pool_stats(&busy).await;
    assert_eq!((stats.pool.as_str(), stats.name.as_str(), stats.total), (busy.id.as_str(), "busy", two));
    assert_eq!((stats.keys.len(), stats.keys[0].counters, stats.keys[0].name.as_str()), (1, two, "a"));
    assert!(stats.keys[0].masked.as_deref().unwrap().starts_with("AIza…"));
    assert_eq!((stats.models.len(), stats.models[0].counters), (1, two));
    assert!(harness.pool_stats(&idle).await.total.is_zero());

    // Counts of deleted pools are kept in the total.
    harness.delete(&format!("/pools/{}", calm.id)).await.no_content();
    let stats: Stats = harness.get("/stats").await.json(200);
    assert_eq!((stats.total, stats.lost), (three, 0));
    let rows: Vec<_> = stats.pools.iter().map(|row| (row.name.as_deref(), row.counters)).collect();
    assert_eq!(rows, [(Some("busy"), two), (None, one)]);
}

pub async fn statistics_have_the_outcomes_of_attempts_by_time(harness: &Harness) {
    let pool = harness.pool_with_reserve(Behaviour::Invalid, Behaviour::Ok).await;
    assert_eq!(harness.chat(&pool, "hello").await.status, 200);

    let path = format!("/pools/{}/stats", pool.id);
    let ever = harness.pool_stats(&pool).await;
    assert_eq!(ever.activity.outcomes, BTreeMap::from([(AttemptOutcome::Ok, 1), (AttemptOutcome::Key, 1)]));
    assert_eq!(ever.activity.latency.total.unwrap().count, 1);
    assert!(ever.keys.iter().all(|key| key.last_used.is_some()));
    for step in ["minute", "hour", "day"] {
        let stats: PoolStats = harness.get(&format!("{path}?step={step}")).await.json(200);
        assert_eq!((stats.total, stats.keys.len()), (ever.total, 2), "{step}");
        let series: u64 = stats.series.iter().map(|point| point.counters.attempts).sum();
        assert_eq!((series, stats.window.unwrap().step.name()), (2, step));
    }
    harness.get(&format!("{path}?step=week")).await.admin_error(400, ErrorCode::InvalidRequest);

    let events: EventList = harness.get("/events?pool=prod&limit=5").await.json(200);
    assert_eq!(events.events.len(), 1);
    assert_eq!((events.events[0].verdict, events.events[0].count), (AttemptOutcome::Key, 1));
    assert!(events.events[0].message.contains("API key"), "{:?}", events.events[0]);
    let next: EventList = harness.get(&format!("/events?after={}", events.cursor)).await.json(200);
    assert_eq!(next, EventList { events: Vec::new(), cursor: events.cursor });

    send(harness.request(Method::POST, &format!("/admin/v1{path}/reset")))
        .await
        .admin_error(401, ErrorCode::Unauthorized);
    harness.post(&format!("{path}/reset"), &json!({})).await.no_content();
    assert!(harness.pool_stats(&pool).await.total.is_zero());
    harness.post("/stats/reset", &json!({})).await.no_content();
    assert_eq!(harness.chat(&pool, "hello").await.status, 200, "keys and pools are as they were");
}

pub async fn a_report_writes_at_most_two_rows(harness: &mut Harness) {
    const ROUNDS: usize = 15;
    const AT_ONCE: usize = 40;
    // Many long model names fill the log up to the size of a rollup.
    let models: Vec<String> =
        (0..AT_ONCE).map(|number| format!("gemini-{}-{number}", "x".repeat(60))).collect();
    harness.gemini =
        FakeGemini::start(Scenario { models: models.clone(), ..Scenario::default() }).await.unwrap();
    harness.stop_host().await;
    harness.start_host().await;
    let pool = harness.pool(&[("a", Behaviour::Ok), ("b", Behaviour::Ok)]).await;
    let chat = async |model: &str| {
        let mut body = prompt("hello");
        body["model"] = json!(model);
        send(harness.call(&pool, "/v1/chat/completions", &body)).await
    };
    for round in 1..=ROUNDS {
        let answers = join_all(models.iter().map(|model| chat(model))).await;
        assert!(answers.iter().all(|answer| answer.status == 200));
        // Reading statistics reports the pending counts.
        assert_eq!(harness.pool_stats(&pool).await.total.attempts, (round * AT_ONCE) as u64);
    }
    let load = eventually("the log is folded", async || {
        let health: Health = harness.get("/health").await.json(200);
        health.ledger_load.filter(|load| load.rows_written > load.reports)
    })
    .await;
    assert!(load.reports >= ROUNDS as u64 && load.rows_written <= 2 * load.reports, "{load:?}");
    let stats = harness.pool_stats(&pool).await;
    assert_eq!((stats.total.attempts, stats.models.len()), ((ROUNDS * AT_ONCE) as u64, AT_ONCE));
}

pub async fn attempts_for_unknown_models_are_counted_as_one_model(harness: &Harness) {
    let pool = harness.pool(&[("good", Behaviour::Ok)]).await;
    for number in 0..3 {
        let mut body = prompt("hello");
        body["model"] = json!(format!("gemini-{number}-thought-up"));
        send(harness.call(&pool, "/v1/chat/completions", &body))
            .await
            .openai_error(404, Some("model_not_found"));
    }
    let models = harness.pool_stats(&pool).await.models;
    let counted: Vec<_> = models.iter().map(|row| (row.model.as_str(), row.counters.attempts)).collect();
    assert_eq!(counted, [("(unknown)", 3)]);
}

pub async fn other_instances_get_a_change_without_another_request(harness: &Harness) {
    let pool = harness.pool(&[("good", Behaviour::Ok)]).await;
    harness.patch("/pools/prod", &json!({"description": "changed"})).await.json::<pool_shared::Pool>(200);
    let pattern = format!("%\"moved\":[\"{}\"]%", pool.id);
    let is_told = |database: &rusqlite::Connection| {
        let query = "SELECT count(*) FROM ledger_log WHERE lines LIKE ?1";
        database.query_row(query, [&pattern], |row| row.get::<_, i64>(0)).is_ok_and(|count| count > 0)
    };
    eventually("the change in the ledger's log", async || {
        databases_with(harness.data.path(), "ledger_log").iter().any(is_told).then_some(())
    })
    .await;
}
