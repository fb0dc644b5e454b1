//! Health, and state across restarts.

use pool_fake_gemini::Behaviour;
use pool_shared::{Health, HealthStatus, PoolList, PoolStats, Rates};

use super::harness::Harness;
use crate::KINDS;

pub async fn the_health_of_a_healthy_service_is_ok(harness: &Harness) {
    let health: Health = harness.get("/health").await.json(200);
    assert_eq!([health.host.as_str(), &health.store.kind, &health.ledger.kind], KINDS);
    let states = [health.status, health.store.status, health.ledger.status];
    assert_eq!(states, [HealthStatus::Ok; 3]);
    assert_eq!((health.store.message, health.ledger.message, health.lost_attempts), (None, None, 0));
    assert_eq!(health.version, env!("CARGO_PKG_VERSION"));
}

pub async fn a_restart_keeps_everything(harness: &mut Harness) {
    let pool = harness.pool_with_reserve(Behaviour::Invalid, Behaviour::Ok).await;
    assert_eq!(harness.chat(&pool, "hello").await.status, 200);
    let before = (
        harness.get("/pools").await.json::<PoolList>(200),
        harness.keys(&pool).await,
        without_rates(harness.pool_stats(&pool).await),
    );
    assert_eq!(before.2.total.attempts, 2);
    harness.stop_host().await;
    harness.start_host().await;
    // Admin token, pool, keys, counts and client key are kept.
    let after = (
        harness.get("/pools").await.json::<PoolList>(200),
        harness.keys(&pool).await,
        without_rates(harness.pool_stats(&pool).await),
    );
    assert_eq!(after, before);
    assert_eq!(harness.chat(&pool, "hello").await.status, 200);
    assert_eq!(harness.pool_stats(&pool).await.total.attempts, harness.gemini.counts().total().requests);
}

/// Removes the fields that change from minute to minute.
fn without_rates(mut stats: PoolStats) -> PoolStats {
    let keys = stats.keys.iter_mut().map(|key| &mut key.activity);
    let models = stats.models.iter_mut().map(|model| &mut model.activity);
    for activity in keys.chain(models).chain([&mut stats.activity]) {
        activity.rates = Rates::default();
    }
    stats
}
