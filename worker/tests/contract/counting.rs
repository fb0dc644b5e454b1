//! The ledger: exact, whatever happened.

use std::collections::BTreeMap;

use futures_util::{StreamExt, stream};
use pool_fake_gemini::{Behaviour, Counts, KeyModelCount, KeySpec, Scenario, Tokens};
use pool_shared::{Counters, PoolStats, Stats};
use serde_json::json;

use super::world::{EMBEDDING_MODEL, MODEL, Pool, World, eventually, gemini_key, prompt, send};

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

pub async fn the_ledger_equals_what_gemini_counted(world: &mut World) {
    let pool = world.pool(&KEYS).await;
    // Only a stream is cut short by the lack of a finish reason: a whole answer without one is whole.
    let truncated = KeySpec::new(gemini_key("truncated"), Behaviour::Ok).model(MODEL, Behaviour::Truncated);
    let others = KEYS.iter().filter(|(name, _)| *name != "truncated");
    let others = others.map(|(name, behaviour)| KeySpec::new(gemini_key(name), *behaviour));
    let scenario = Scenario { keys: others.chain([truncated]).collect(), ..Scenario::default() };
    world.gemini.set_scenario(scenario).unwrap();

    let requests = stream::iter(0..REQUESTS).map(|number| one_request(world, &pool, number));
    let answered: Vec<bool> = requests.buffer_unordered(AT_ONCE).collect().await;
    assert!(answered.contains(&true) && answered.contains(&false), "a storm with all kinds of weather");

    let counts = world.gemini.counts();
    let attempts = counts.total().requests;
    assert!(attempts > REQUESTS as u64);
    eventually("as many attempts as Gemini counted", async || {
        (world.pool_stats(&pool).await.total.requests >= attempts).then_some(())
    })
    .await;
    compare(&world.pool_stats(&pool).await, &counts);
    // And nothing comes after it: no report is on its way a second time.
    world.stop_host().await;
    world.start_host().await;
    compare(&world.pool_stats(&pool).await, &counts);
    assert_eq!(world.get("/stats").await.json::<Stats>(200).lost, 0);
}

/// One of the storm's requests; whether it was answered in full.
async fn one_request(world: &World, pool: &Pool, number: usize) -> bool {
    let mut body = prompt(&format!("request {number}"));
    let path = match number % 4 {
        0 => {
            body = json!({"model": EMBEDDING_MODEL, "input": ["one", "two three"], "dimensions": 2});
            "/v1/embeddings"
        }
        1 => {
            body["model"] = json!("gemini-2.5-flash");
            "/v1/chat/completions"
        }
        _ => {
            body["stream"] = json!(true);
            "/v1/chat/completions"
        }
    };
    let answer = send(world.call(pool, path, &body)).await;
    answer.status == 200 && !answer.body.contains("\"error\"")
}

fn compare(stats: &PoolStats, counts: &Counts) {
    let keys: BTreeMap<_, _> = stats.keys.iter().map(|row| (gemini_key(&row.name), row.counters)).collect();
    assert_eq!(keys, sums(counts, |line| &line.key), "by key: the ledger, and Gemini");
    let models: BTreeMap<_, _> = stats.models.iter().map(|row| (row.model.clone(), row.counters)).collect();
    assert_eq!(models, sums(counts, |line| &line.model), "by model: the ledger, and Gemini");
    assert_eq!((keys.len(), models.len()), (KEYS.len(), 3));
}

/// What the ledger should hold, added up by what `of` names.
fn sums(counts: &Counts, of: impl Fn(&KeyModelCount) -> &String) -> BTreeMap<String, Counters> {
    let mut sums: BTreeMap<String, Counters> = BTreeMap::new();
    for line in &counts.served {
        let Tokens { prompt, completion } = line.tally.tokens;
        sums.entry(of(line).clone()).or_default().add(&Counters {
            requests: line.tally.requests,
            successes: line.tally.ok,
            failures: line.tally.requests - line.tally.ok,
            prompt_tokens: prompt + line.tally.tokens_cut.prompt,
            completion_tokens: completion + line.tally.tokens_cut.completion,
        });
    }
    sums
}

pub async fn statistics_are_kept_by_pool(world: &World) {
    let busy = world.weighted_pool("busy", &[("a", Behaviour::Ok, 1)]).await;
    let calm = world.weighted_pool("calm", &[("b", Behaviour::Ok, 1)]).await;
    let idle = world.weighted_pool("idle", &[("c", Behaviour::Ok, 1)]).await;
    for pool in [&calm, &busy, &busy] {
        assert_eq!(world.chat(pool, "hello there").await.status, 200);
    }
    let one = Counters { requests: 1, successes: 1, failures: 0, prompt_tokens: 2, completion_tokens: 4 };
    let mut two = one;
    two.add(&one);
    let mut three = two;
    three.add(&one);

    let stats: PoolStats = world.pool_stats(&busy).await;
    assert_eq!((stats.pool.as_str(), stats.name.as_str(), stats.total), (busy.id.as_str(), "busy", two));
    assert_eq!((stats.keys.len(), stats.keys[0].counters, stats.keys[0].name.as_str()), (1, two, "a"));
    assert!(stats.keys[0].masked.as_deref().unwrap().starts_with("AIza…"));
    assert_eq!((stats.models.len(), stats.models[0].counters), (1, two));
    assert!(world.pool_stats(&idle).await.total.is_zero());

    // What a deleted pool did was done all the same.
    world.delete(&format!("/pools/{}", calm.id)).await.no_content();
    let stats: Stats = world.get("/stats").await.json(200);
    assert_eq!((stats.total, stats.lost), (three, 0));
    let rows: Vec<_> = stats.pools.iter().map(|row| (row.name.as_deref(), row.counters)).collect();
    assert_eq!(rows, [(Some("busy"), two), (None, one)]);
}
