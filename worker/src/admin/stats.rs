//! Statistics from the ledger, and the service's health.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use futures_util::future::try_join_all;
use jiff::Timestamp;
use pool_shared::{
    ClientKeyId, ClientKeyStats, ComponentHealth, Health, HealthStatus, Key, KeyCondition, KeyId, KeyState,
    KeyStats, LedgerLoad, ModelStats, Pool, PoolId, PoolModelNotice, PoolStats, PoolStatsRow, SeriesPoint,
    Stats, StatsStep, StatsWindow, model_notices,
};

use super::{AdminError, Context, HandlerResult, NO_CONTENT, Query, ok};
use crate::ledger::{
    Counted, Ledger, LedgerError, LedgerReply, LedgerRequest, Level, PoolActivity, RequestSummary, Summary,
};
use crate::platform::Clock;
use crate::ports::AdminHost;
use crate::store::copy::Replica;
use crate::store::{ConfigStore, KeyFilter, Page, StoreError};

/// Maximum number of model warnings in a response.
const MAX_MODEL_NOTICES: usize = 100;

impl<H: AdminHost> Context<'_, H> {
    pub(super) async fn stats(&self) -> HandlerResult {
        let names: HashMap<_, _> =
            self.host.store().pools().await?.into_iter().map(|pool| (pool.id, pool.name)).collect();
        let (mut total, mut lost) = (Summary::default(), Counted::default());
        let mut pools: BTreeMap<PoolId, Summary> = BTreeMap::new();
        for reply in self.ask_ledgers(&LedgerRequest::Pools).await? {
            let LedgerReply::Pools { pools: counted, lost: more_lost } = reply else {
                return Err(unexpected());
            };
            lost += more_lost;
            for (pool, summary) in counted {
                total.merge(&summary);
                pools.entry(pool).or_default().merge(&summary);
            }
        }
        let row = |(pool, summary): (PoolId, Summary)| PoolStatsRow {
            name: names.get(&pool).cloned(),
            requests: summary.request_stats(),
            counters: summary.counters(),
            activity: summary.activity(),
            pool,
        };
        let mut rows: Vec<_> = pools.into_iter().map(row).collect();
        rows.sort_by_key(|row| Reverse((row.requests.total, row.counters.attempts)));
        ok(&Stats {
            requests: total.request_stats(),
            total: total.counters(),
            activity: total.activity(),
            pools: rows,
            lost: lost.attempts,
            lost_requests: lost.requests,
        })
    }

    pub(super) async fn pool_stats(&self, reference: &str, query: &Query) -> HandlerResult {
        let window = window(query, self.host.clock().now())?;
        let pool = self.pool(reference).await?;
        let mut activity = PoolActivity::default();
        for reply in self.ask_ledgers(&LedgerRequest::Pool { pool: pool.id.clone(), window }).await? {
            let LedgerReply::Pool(part) = reply else { return Err(unexpected()) };
            activity.merge(&part);
        }
        let mut keys = self.all_keys(&pool).await?;
        let unhealthy = self.unhealthy(Some(&pool.id)).await?;
        for key in keys.values_mut() {
            unhealthy.complete(&pool.id, key);
        }
        self.note_failing(&pool.id, keys.values_mut().collect()).await?;
        let client_keys = self.host.store().client_keys(&pool.id).await?;
        let client_keys =
            client_keys.into_iter().map(|stored| (stored.client_key.id, stored.client_key.name));
        ok(&shown(pool, window, activity, &keys, &client_keys.collect()))
    }

    pub(super) async fn reset_stats(&self, reference: Option<&str>) -> HandlerResult {
        let pool = match reference {
            Some(reference) => Some(self.pool(reference).await?.id),
            None => None,
        };
        let change = self.change("stats.reset", pool.as_ref(), None)?;
        self.host.store().note(change, 1).await?;
        for reply in self.ask_ledgers(&LedgerRequest::Reset { pool }).await? {
            let LedgerReply::Done = reply else { return Err(unexpected()) };
        }
        NO_CONTENT
    }

    pub(super) async fn health(&self) -> HandlerResult {
        let store = match (self.host.store().ping().await, self.admin.state.pools.last_store_error()) {
            (Err(error @ StoreError::Lagging(_)), _) => (HealthStatus::Degraded, Some(error.to_string())),
            (Err(error), _) => (HealthStatus::Failing, Some(error.to_string())),
            (Ok(()), Some((since, message))) => {
                (HealthStatus::Degraded, Some(format!("failed at {since}: {message}")))
            }
            (Ok(()), None) => (HealthStatus::Ok, None),
        };
        let load = self.ledger_load().await;
        let lost = self.admin.state.reporter.lost();
        let waiting = self.admin.state.reporter.waiting();
        let Counted { attempts, requests } = waiting;
        let pending = format!("{requests} requests and {attempts} attempts are pending in memory");
        let ledger = match (&load, self.admin.state.reporter.report_error()) {
            (Err(error), _) if waiting.is_zero() => (HealthStatus::Failing, Some(error.to_string())),
            (Err(error), _) => (HealthStatus::Failing, Some(format!("{error}; {pending}"))),
            // It responds but accepts no reports, as on a full disk.
            (Ok(_), Some((since, message))) if !waiting.is_zero() => {
                let message = format!("accepts no reports since {since}: {message}; {pending}");
                (HealthStatus::Degraded, Some(message))
            }
            (Ok(_), _) if !lost.is_zero() => {
                let Counted { attempts, requests } = lost;
                let message = format!("{requests} requests and {attempts} attempts were not counted");
                (HealthStatus::Degraded, Some(message))
            }
            (Ok(_), _) => (HealthStatus::Ok, None),
        };
        let encryption = self.verify_encryption().await;
        let (encryption, unreadable, rows) = match encryption {
            Ok(found) => (Some(found.health), found.unreadable, Some(found.rows)),
            // The store's own health says why.
            Err(_) => (None, Vec::new(), None),
        };
        let parts = [store.0, ledger.0].into_iter().chain(encryption.as_ref().map(|part| part.status));
        ok(&Health {
            status: parts.fold(HealthStatus::Ok, worst),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            host: self.host.name().to_owned(),
            store: component(self.host.store().kind(), store),
            ledger: component(self.host.ledger().kind(), ledger),
            encryption,
            unreadable,
            lost_attempts: lost.attempts,
            lost_requests: lost.requests,
            ledger_load: load.ok(),
            master_key: rows.filter(|_| self.admin.state.pools.vault.is_rotating()),
            own_zone_reachable: self.host.own_zone_is_reachable(),
            gemini: self.host.gemini_route(),
            untrusted_proxy: self.host.untrusted_proxy().filter(|_| self.own_pool().is_none()),
            audit_lost: self.audit_lost().await,
            models: self.model_notices().await,
        })
    }

    /// Returns announcements about models that enabled pools name, as far as the token may see the
    /// pools. Health does not depend on them.
    async fn model_notices(&self) -> Vec<PoolModelNotice> {
        let Ok(pools) = self.host.store().pools().await else { return Vec::new() };
        let visible =
            pools.iter().filter(|pool| pool.enabled && self.own_pool().is_none_or(|own| pool.id == *own));
        let notices = visible.flat_map(|pool| {
            let notices = model_notices(&pool.allowed_models, &pool.settings).into_iter();
            notices.map(|notice| PoolModelNotice { pool: pool.name.clone(), notice })
        });
        notices.take(MAX_MODEL_NOTICES).collect()
    }

    async fn ledger_load(&self) -> Result<LedgerLoad, AdminError> {
        let mut sum = LedgerLoad::default();
        for reply in self.ask_ledgers(&LedgerRequest::Load).await? {
            let LedgerReply::Load(load) = reply else { return Err(unexpected()) };
            sum.reports += load.reports;
            sum.rows_written += load.rows_written;
        }
        Ok(sum)
    }

    /// Queries every shard of the ledger.
    pub(super) async fn ask_ledgers(&self, request: &LedgerRequest) -> Result<Vec<LedgerReply>, AdminError> {
        self.ask_ledgers_of(None, request).await
    }

    /// Queries the shard of a pool, or every shard.
    pub(super) async fn ask_ledgers_of(
        &self,
        pool: Option<&PoolId>,
        request: &LedgerRequest,
    ) -> Result<Vec<LedgerReply>, AdminError> {
        // Counts in this instance's memory belong to the response.
        self.admin.state.reporter.flush_once(self.host).await;
        let shards = self.admin.state.reporter.ledger_shards();
        let shards = pool.map_or_else(|| shards.all().collect(), |pool| vec![shards.of(pool)]);
        let asked = shards
            .into_iter()
            .map(|shard| self.admin.state.reporter.ask_ledger(self.host, shard, request.clone()));
        Ok(try_join_all(asked).await?)
    }

    async fn all_keys(&self, pool: &Pool) -> Result<HashMap<KeyId, Key>, AdminError> {
        let mut keys = HashMap::new();
        let mut after = Some(0);
        while let Some(position) = after {
            let page = Page { after: position, limit: 1_000 };
            let page = self.host.store().keys(&pool.id, &KeyFilter::default(), page).await?;
            keys.extend(page.keys.into_iter().map(|key| (key.id.clone(), key)));
            after = page.next;
        }
        Ok(keys)
    }
}

/// Returns the requested time window; `None` if there is none. It is extended to whole steps, and
/// starts no earlier than counts are kept.
fn window(query: &Query, now: Timestamp) -> Result<Option<StatsWindow>, AdminError> {
    const HOUR: Duration = Duration::from_hours(1);
    let since: Option<Timestamp> = query.parsed("since")?;
    let until: Option<Timestamp> = query.parsed("until")?;
    let step = query.get("step").map(parse_step).transpose()?;
    if since.is_none() && until.is_none() && step.is_none() {
        return Ok(None);
    }
    // Default: the end of the current step.
    let until = until.map_or(now.as_second() + 1, Timestamp::as_second);
    let default_length = step.map_or(HOUR, |step| match step {
        StatsStep::Minute => HOUR,
        StatsStep::Hour => 24 * HOUR,
        StatsStep::Day => 30 * 24 * HOUR,
    });
    let length = i64::try_from(default_length.as_secs()).unwrap_or_default();
    let since = since.map_or(until - length, Timestamp::as_second);
    // Default: the finest step that reaches back far enough.
    let reaches = |step: &StatsStep| Level::from(*step).kept_since(now.as_second()) <= since;
    let step = step.unwrap_or_else(|| {
        [StatsStep::Minute, StatsStep::Hour].into_iter().find(reaches).unwrap_or(StatsStep::Day)
    });
    let level = Level::from(step);
    let since = level.bucket(since.max(level.kept_since(now.as_second())));
    let last = level.bucket(until);
    let until = if last == until { until } else { level.next(last) };
    let time = |seconds| Timestamp::from_second(seconds).map_err(|_| invalid("the window is out of range"));
    if since >= until {
        return Err(invalid(
            "the window is empty: 'since' must be before 'until' and within the retention time",
        ));
    }
    Ok(Some(StatsWindow { since: time(since)?, until: time(until)?, step }))
}

fn parse_step(text: &str) -> Result<StatsStep, AdminError> {
    [StatsStep::Minute, StatsStep::Hour, StatsStep::Day]
        .into_iter()
        .find(|step| step.name() == text)
        .ok_or_else(|| invalid("the query parameter 'step' is minute, hour or day"))
}

fn invalid(message: &str) -> AdminError {
    AdminError::Invalid(message.to_owned())
}

fn shown(
    pool: Pool,
    window: Option<StatsWindow>,
    activity: PoolActivity,
    keys: &HashMap<KeyId, Key>,
    client_keys: &HashMap<ClientKeyId, String>,
) -> PoolStats {
    let key_row = |(id, summary): (KeyId, Summary)| {
        let key = keys.get(&id);
        KeyStats {
            key: id,
            masked: key.map(|key| key.masked.clone()),
            name: key.map(|key| key.name.clone()).unwrap_or_default(),
            condition: key.map_or_else(|| KeyCondition::of(KeyState::Removed), |key| key.condition.clone()),
            counters: summary.counters(),
            activity: summary.activity(),
            last_used: summary.last_used(),
        }
    };
    let mut key_rows: Vec<_> = activity.keys.into_iter().map(key_row).collect();
    key_rows.sort_by_key(|row| Reverse(row.counters.attempts));
    let model_row = |(model, summary): (String, Summary)| ModelStats {
        model,
        requests: summary.request_stats(),
        counters: summary.counters(),
        activity: summary.activity(),
    };
    let mut model_rows: Vec<_> = activity.models.into_iter().map(model_row).collect();
    model_rows.sort_by_key(|row| Reverse((row.requests.total, row.counters.attempts)));
    let client_key_row = |(id, summary): (ClientKeyId, RequestSummary)| ClientKeyStats {
        name: client_keys.get(&id).cloned(),
        client_key: id,
        requests: summary.stats(),
    };
    let mut client_key_rows: Vec<_> = activity.client_keys.into_iter().map(client_key_row).collect();
    client_key_rows.sort_by_key(|row| Reverse(row.requests.total));
    let point = |(start, summary): (i64, Summary)| {
        let activity = summary.activity();
        Some(SeriesPoint {
            at: Timestamp::from_second(start).ok()?,
            requests: summary.request_stats(),
            counters: summary.counters(),
            outcomes: activity.outcomes,
            latency: activity.latency,
        })
    };
    PoolStats {
        pool: pool.id,
        name: pool.name,
        window,
        requests: activity.total.request_stats(),
        total: activity.total.counters(),
        activity: activity.total.activity(),
        outcomes: activity.total.by_outcome(),
        keys: key_rows,
        models: model_rows,
        client_keys: client_key_rows,
        series: activity.series.into_iter().filter_map(point).collect(),
    }
}

fn worst(left: HealthStatus, right: HealthStatus) -> HealthStatus {
    let rank = |status| match status {
        HealthStatus::Ok => 0,
        HealthStatus::Unknown => 1,
        HealthStatus::Degraded => 2,
        HealthStatus::Failing => 3,
    };
    if rank(left) >= rank(right) { left } else { right }
}

fn component(kind: &str, (status, message): (HealthStatus, Option<String>)) -> ComponentHealth {
    ComponentHealth { status, kind: kind.to_owned(), message }
}

pub(super) fn unexpected() -> AdminError {
    AdminError::Ledger(LedgerError::unexpected())
}
