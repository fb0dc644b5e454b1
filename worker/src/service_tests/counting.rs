//! Counts are exact: through failures of the ledger, interruptions and several shards.

use std::sync::atomic::Ordering;

use pool_shared::{AttemptOutcome, EventList, PoolStats, StatsStep};

use super::*;
use crate::ledger::Counted;
use crate::platform::Clock;

#[tokio::test]
async fn counts_survive_a_ledger_that_fails_before_and_after_its_write() {
    let world = World::new().await;
    for mode in [Mode::Fails, Mode::FailsAfterwards] {
        world.host.parts.ledger.switch.set(mode);
        world.chat().await;
        // The ledger fails; the backoff never ends on this clock.
        let flush = world.service.flush(&world.host);
        assert!(futures_util::poll!(std::pin::pin!(flush)).is_pending());
    }
    world.host.parts.ledger.switch.set(Mode::Works);
    world.wait(1);
    world.service.flush(&world.host).await;
    assert!(world.service.is_flushed());
    assert_eq!(world.stats().await.total.attempts, 2);
}

#[tokio::test]
async fn a_ledger_that_never_answers_is_given_five_seconds_and_asked_again() {
    let world = World::new().await;
    world.service.flush(&world.host).await;
    world.chat().await;
    let ledger = &world.host.parts.ledger;
    ledger.switch.set(Mode::Silent);
    {
        let mut flush = std::pin::pin!(world.service.flush(&world.host));
        assert!(futures_util::poll!(&mut flush).is_pending());
        assert_eq!(world.chat().await, StatusCode::OK, "nobody waits for the ledger");
        world.wait(5);
        ledger.switch.set(Mode::Works);
        assert!(futures_util::poll!(&mut flush).is_pending(), "it rests after a failure");
        assert_eq!(world.service.state.reporter.waiting(), Counted { attempts: 2, requests: 2 });
        world.wait(1);
        assert!(futures_util::poll!(&mut flush).is_ready());
    }
    let stats = world.stats().await;
    assert_eq!(
        (world.service.state.reporter.waiting(), stats.total.attempts, stats.requests.total),
        (Counted::default(), 2, 2)
    );
}

#[tokio::test]
async fn several_ledgers_share_the_pools_and_their_answers_add_up() {
    let world = World::new().await;
    world.service.flush(&world.host).await;
    let sharded = world.host.service_with_ledger_shards("3");
    let mut client_keys = vec![world.pool.client_key.clone()];
    for name in ["two", "three", "four", "five", "six"] {
        let create = format!(
            r#"{{"name":"{name}","import":{{"keys":[{{"key":"AIzaSyA-{name}aaaaaaaaaaaaaaaaaaaaaaaa"}}]}}}}"#
        );
        let (_, body) =
            world.host.send(&sharded, Method::POST, "/admin/v1/pools", &world.admin, &create).await;
        client_keys.push(serde_json::from_str::<PoolCreated>(&body).unwrap().client_key);
    }
    for key in &client_keys {
        world.host.send(&sharded, Method::POST, "/v1/chat/completions", key, CHAT).await;
    }
    world.host.parts.upstream.answer(400, BAD_KEY);
    for _ in 0..2 {
        world.host.send(&sharded, Method::POST, "/v1/chat/completions", &client_keys[0], CHAT).await;
    }
    let get = async |path: &str| world.host.send(&sharded, Method::GET, path, &world.admin, "").await.1;
    let stats: Stats = serde_json::from_str(&get("/admin/v1/stats").await).unwrap();
    assert_eq!((stats.pools.len(), stats.total.attempts >= 7), (6, true));
    assert_eq!(stats.activity.rates.rpm_now, stats.total.attempts);
    assert!(world.host.parts.ledger.shards_used() > 1);
    let events: EventList = serde_json::from_str(&get("/admin/v1/events").await).unwrap();
    assert!(!events.events.is_empty(), "a refused key is an event");
    assert_eq!(events.cursor.split('-').count(), 3);
    let next = get(&format!("/admin/v1/events?after={}", events.cursor)).await;
    assert_eq!(serde_json::from_str::<EventList>(&next).unwrap().events, []);
    world.host.send(&sharded, Method::POST, "/admin/v1/stats/reset", &world.admin, "").await;
    let stats: Stats = serde_json::from_str(&get("/admin/v1/stats").await).unwrap();
    assert_eq!(stats.total.attempts, 0);
}

#[tokio::test]
async fn a_pool_s_statistics_are_shown_by_outcome_and_step_and_can_be_reset() {
    let world = World::new().await;
    let upstream = &world.host.parts.upstream;
    upstream.answer(400, BAD_KEY);
    upstream.answer(200, ANSWER);
    for _ in 0..2 {
        world.chat().await;
    }
    let path = format!("/admin/v1/pools/{}/stats", world.pool.pool.id);
    let get = async |query: &str| {
        let (reply, body) =
            world.host.send(&world.service, Method::GET, &format!("{path}{query}"), &world.admin, "").await;
        assert_eq!(reply.status, StatusCode::OK, "{body}");
        serde_json::from_str::<PoolStats>(&body).unwrap()
    };
    let ever = get("").await;
    assert_eq!((ever.window, ever.series.len()), (None, 0));
    assert_eq!(ever.activity.outcomes, [(AttemptOutcome::Ok, 2), (AttemptOutcome::Key, 1)].into());
    assert_eq!(ever.outcomes[0].counters.prompt_tokens, 6);
    assert_eq!(ever.activity.latency.total.unwrap().count, 2);
    assert!(ever.keys.iter().all(|key| key.last_used == Some(world.host.parts.clock.now())));
    for (query, points, requests) in [
        ("?step=minute", 1, 3),
        ("?step=hour", 1, 3),
        ("?step=day", 1, 3),
        ("?since=2026-11-23T11:00:00Z", 1, 3),
        ("?since=2026-11-23T11:00:00Z&until=2026-11-23T12:00:00Z", 0, 0),
        ("?since=2026-01-01T00:00:00Z", 1, 3),
    ] {
        let stats = get(query).await;
        assert_eq!((stats.series.len(), stats.total.attempts), (points, requests), "{query}");
    }
    let window = get("?since=2026-11-01T12:00:00Z").await.window.unwrap();
    assert_eq!(window.step, StatsStep::Hour, "the finest step that goes back so far");
    for query in ["?step=week", "?since=yesterday", "?since=2026-11-23T11:00:00Z&until=2026-11-23T10:00:00Z"]
    {
        let path = format!("{path}{query}");
        let (reply, _) = world.host.send(&world.service, Method::GET, &path, &world.admin, "").await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{query}");
    }

    let (reply, _) =
        world.host.send(&world.service, Method::POST, &format!("{path}/reset"), &world.admin, "").await;
    assert_eq!((reply.status, get("").await.total.attempts), (StatusCode::NO_CONTENT, 0));
    assert_eq!(world.chat().await, StatusCode::OK, "nothing else was touched");
}

/// Reports are interrupted at any await, the ledger fails in every way, time passes: whatever is
/// counted or lost at the end is what was attempted.
mod cut_off {
    use std::task::{Context, Waker};

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Chat,
        /// A sender that is ended after a number of polls.
        Flush(usize),
        Ledger(Mode),
        Wait(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        let mode = prop_oneof![
            3 => Just(Mode::Works),
            1 => Just(Mode::Fails),
            1 => Just(Mode::FailsAfterwards),
            1 => Just(Mode::Silent),
        ];
        prop_oneof![
            4 => Just(Step::Chat),
            4 => (1_usize..8).prop_map(Step::Flush),
            2 => mode.prop_map(Step::Ledger),
            2 => (0_u64..7).prop_map(Step::Wait),
        ]
    }

    fn poll_so_often(future: impl Future, polls: usize) {
        let mut future = std::pin::pin!(future);
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..polls {
            if future.as_mut().poll(&mut context).is_ready() {
                return;
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn no_attempt_vanishes(steps in proptest::collection::vec(step(), 1..60)) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let world = runtime.block_on(World::new());
            world.host.parts.ledger.pauses.store(true, Ordering::SeqCst);
            let mut chats = 0;
            for step in steps {
                match step {
                    Step::Chat => {
                        runtime.block_on(world.chat());
                        chats += 1;
                    }
                    Step::Flush(polls) => poll_so_often(world.service.flush(&world.host), polls),
                    Step::Ledger(mode) => world.host.parts.ledger.switch.set(mode),
                    Step::Wait(seconds) => world.wait(seconds),
                }
            }
            world.host.parts.ledger.switch.set(Mode::Works);
            for _ in 0..10 {
                world.wait(5);
                poll_so_often(world.service.flush(&world.host), 1_000);
            }
            prop_assert!(world.service.is_flushed());
            world.host.parts.ledger.pauses.store(false, Ordering::SeqCst);
            let stats = runtime.block_on(world.stats());
            // Reports that were given up may have been applied, including their lost counts.
            let lost = world.service.state.reporter.lost();
            prop_assert!(stats.lost >= lost.attempts && stats.lost_requests >= lost.requests);
            prop_assert!(stats.total.attempts <= chats && chats <= stats.total.attempts + stats.lost);
            let requests = stats.requests.total;
            prop_assert!(requests <= chats && chats <= requests + stats.lost_requests);
        }
    }
}

#[tokio::test]
async fn what_cannot_be_reported_in_time_is_counted_as_lost() {
    let world = World::new().await;
    world.host.parts.ledger.switch.set(Mode::Fails);
    world.chat().await;
    assert!(futures_util::poll!(std::pin::pin!(world.service.flush(&world.host))).is_pending());
    world.wait(25);
    world.host.parts.ledger.switch.set(Mode::Works);
    let stats = world.stats().await;
    assert_eq!((stats.total.attempts, stats.lost), (0, 1));
    assert_eq!((stats.requests.total, stats.lost_requests), (0, 1));
    assert_eq!(world.service.state.reporter.lost(), Counted { attempts: 1, requests: 1 });
}
