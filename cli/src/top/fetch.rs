//! Requests to the service: the fetches of [`poll`](super::poll), and the confirmed changes.

use pool_shared::{KeyChange, KeyCheck, KeyId, PoolId, PoolStatsRow, PoolUpdate, Stats, StatsStep};

use super::{
    change::{Change, Target},
    data::Overview,
    format::counted,
    message::{Fetch, FetchedData},
};
use crate::{
    client::{Client, KeyFilter},
    error::CliError,
    key_check::{Checked, summary},
    output::Progress,
};

/// Maximum number of events per fetch.
const MAX_EVENTS: u64 = 200;

/// Runs one fetch.
pub async fn fetch(client: &Client, fetch: &Fetch) -> Result<FetchedData, CliError> {
    Ok(match fetch {
        Fetch::Overview => FetchedData::Overview(Box::new(overview(client).await?)),
        Fetch::OverviewOf(pool) => FetchedData::Overview(Box::new(overview_of(client, pool).await?)),
        Fetch::Focus { pool, step, .. } | Fetch::Sweep { pool, step } => {
            FetchedData::Recent(Box::new(client.pool_stats(pool.as_str(), &window(*step)).await?))
        }
        Fetch::Keys { pool, .. } => {
            FetchedData::Keys(client.keys(pool.as_str(), &KeyFilter::default(), None).await?.keys)
        }
        Fetch::Events(after) => FetchedData::Events(client.events(None, after.as_deref(), MAX_EVENTS).await?),
        Fetch::ClientKeys(pool) => {
            FetchedData::ClientKeys(client.client_keys(pool.as_str()).await?.client_keys)
        }
        Fetch::Health => FetchedData::Health(Box::new(client.health().await?)),
    })
}

/// Returns the query for the service's default window of a step: the last hour by minute, day by
/// hour, or 30 days by day.
fn window(step: StatsStep) -> [(&'static str, String); 1] {
    [("step", step.name().to_owned())]
}

async fn overview(client: &Client) -> Result<Overview, CliError> {
    let (stats, list) = futures_util::future::try_join(client.stats(), client.pools()).await?;
    Ok(Overview { stats, pools: list.pools })
}

/// Makes a change and returns the text about its result.
pub async fn act(client: &Client, target: &Target, change: Change) -> Result<String, CliError> {
    match target {
        Target::Pools(ids) => {
            let mut switched = 0;
            for id in ids {
                let update = PoolUpdate { enabled: Some(change == Change::Enable), ..PoolUpdate::default() };
                let changed = client.update_pool(id.as_str(), &update).await?.changed;
                switched += usize::from(changed.is_none_or(|fields| !fields.is_empty()));
            }
            let done = done(change);
            let already = match ids.len() - switched {
                0 => String::new(),
                unchanged => format!(", {} already {done}", counted(unchanged, "pool")),
            };
            Ok(format!("{done} {}{already}", counted(switched, "pool")))
        }
        Target::Keys { pool, ids } => {
            let set = match change {
                Change::Enable => KeyChange { enabled: Some(true), ..KeyChange::default() },
                Change::Disable => KeyChange { enabled: Some(false), ..KeyChange::default() },
                Change::Weight(weight) => KeyChange { weight: Some(weight), ..KeyChange::default() },
                Change::Check => return check(client, pool, ids).await,
                Change::Reset => {
                    let result = client.reset_keys(pool, ids).await?;
                    let reset = counted(result.changed, "key");
                    return Ok(format!("reset {reset}{}", gone(&result.missing)));
                }
            };
            let result = client.update_keys(pool, ids, &set).await?;
            let already = match result.unchanged {
                0 => String::new(),
                unchanged => format!(", {} unchanged", counted(unchanged, "key")),
            };
            let done = done(change);
            Ok(format!("{done} {}{already}{}", counted(result.changed, "key"), gone(&result.missing)))
        }
    }
}

/// Returns the words for a change that was made, before the number of what was changed.
const fn done(change: Change) -> &'static str {
    match change {
        Change::Enable => "enabled",
        Change::Disable => "disabled",
        Change::Weight(_) => "set the weight of",
        Change::Check => "checked",
        Change::Reset => "reset",
    }
}

/// Checks keys and returns a summary: `checked: 3 valid, 1 limited`.
async fn check(client: &Client, pool: &PoolId, ids: &[KeyId]) -> Result<String, CliError> {
    let checks =
        ids.chunks(KeyCheck::MAX_KEYS).map(|ids| KeyCheck { ids: ids.to_vec(), ..KeyCheck::default() });
    let (report, ended) = client.check(pool, checks.collect(), &Progress::silent()).await;
    ended?;
    let checked = Checked::from(report);
    Ok(format!("checked: {}{}", summary(&checked.verdicts), gone(&checked.missing)))
}

fn gone(missing: &[KeyId]) -> String {
    match missing.len() {
        0 => String::new(),
        count => format!(", {} not found", counted(count, "key")),
    }
}

/// Fetches one pool as an overview.
async fn overview_of(client: &Client, pool: &str) -> Result<Overview, CliError> {
    let (pool, stats) =
        futures_util::future::try_join(client.pool(pool), client.pool_stats(pool, &[])).await?;
    let row = PoolStatsRow {
        pool: stats.pool,
        name: Some(stats.name),
        requests: stats.requests.clone(),
        counters: stats.total,
        activity: stats.activity.clone(),
    };
    // Lost counts exist only for all pools together.
    let stats = Stats {
        requests: stats.requests,
        total: stats.total,
        activity: stats.activity,
        pools: vec![row],
        lost: 0,
        lost_requests: 0,
    };
    Ok(Overview { stats, pools: vec![pool] })
}
