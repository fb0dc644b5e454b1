//! What the ledger counted, and how the service is doing.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use pool_shared::{
    ComponentHealth, Counters, Health, HealthStatus, Key, KeyId, KeyStats, ModelStats, Pool, PoolStats,
    PoolStatsRow, Stats,
};

use super::{AdminError, Answer, Context, ok};
use crate::host::AdminHost;
use crate::ledger::{Ledger, LedgerError, LedgerReply, LedgerRequest, ReportEntry};
use crate::store::copy::Replica;
use crate::store::{ConfigStore, KeyFilter, Page, StoreError};

impl<H: AdminHost> Context<'_, H> {
    pub(super) async fn stats(&self) -> Answer {
        let names: HashMap<_, _> =
            self.host.store().pools().await?.into_iter().map(|pool| (pool.id, pool.name)).collect();
        let (pools, lost) = self.pool_sums().await?;
        let mut total = Counters::default();
        let mut rows: Vec<PoolStatsRow> = Vec::new();
        for (pool, counters) in pools {
            total.add(&counters);
            rows.push(PoolStatsRow { name: names.get(&pool).cloned(), pool, counters });
        }
        rows.sort_by_key(|row| Reverse(row.counters.requests));
        ok(&Stats { total, pools: rows, lost })
    }

    pub(super) async fn pool_stats(&self, reference: &str) -> Answer {
        let pool = self.pool(reference).await?;
        let LedgerReply::Pool(entries) = self.ask(LedgerRequest::Pool(pool.id.clone())).await? else {
            return Err(unexpected());
        };
        let keys = self.all_keys(&pool).await?;
        ok(&summed(&pool, &entries, &keys))
    }

    pub(super) async fn health(&self) -> Answer {
        let store = match (self.host.store().ping().await, self.service.store_trouble()) {
            (Err(error @ StoreError::Lagging(_)), _) => (HealthStatus::Degraded, Some(error.to_string())),
            (Err(error), _) => (HealthStatus::Failing, Some(error.to_string())),
            (Ok(()), Some((since, message))) => {
                (HealthStatus::Degraded, Some(format!("failed at {since}: {message}")))
            }
            (Ok(()), None) => (HealthStatus::Ok, None),
        };
        let lost_attempts = self.service.lost_attempts();
        let ledger = match self.pool_sums().await {
            Err(error) => (HealthStatus::Failing, Some(error.to_string())),
            Ok(_) if lost_attempts > 0 => {
                (HealthStatus::Degraded, Some(format!("{lost_attempts} attempts were not counted")))
            }
            Ok(_) => (HealthStatus::Ok, None),
        };
        ok(&Health {
            status: worst(store.0, ledger.0),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            host: self.host.name().to_owned(),
            store: component(self.host.store().kind(), store),
            ledger: component(self.host.ledger().kind(), ledger),
            lost_attempts,
        })
    }

    async fn pool_sums(&self) -> Result<(Vec<(pool_shared::PoolId, Counters)>, u64), AdminError> {
        match self.ask(LedgerRequest::Pools).await? {
            LedgerReply::Pools { pools, lost } => Ok((pools, lost)),
            _ => Err(unexpected()),
        }
    }

    async fn ask(&self, request: LedgerRequest) -> Result<LedgerReply, AdminError> {
        // What is still in this isolate's memory belongs to the answer.
        self.service.flush(self.host).await;
        Ok(self.host.ledger().ask(request).await?)
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

fn summed(pool: &Pool, entries: &[ReportEntry], keys: &HashMap<KeyId, Key>) -> PoolStats {
    let mut total = Counters::default();
    let mut by_key: BTreeMap<&KeyId, Counters> = BTreeMap::new();
    let mut by_model: BTreeMap<&str, Counters> = BTreeMap::new();
    for entry in entries {
        total.add(&entry.counters);
        by_key.entry(&entry.account.key).or_default().add(&entry.counters);
        by_model.entry(&entry.account.model).or_default().add(&entry.counters);
    }
    let mut key_rows: Vec<KeyStats> = by_key
        .into_iter()
        .map(|(id, counters)| {
            let key = keys.get(id);
            KeyStats {
                key: id.clone(),
                masked: key.map(|key| key.masked.clone()),
                name: key.map(|key| key.name.clone()).unwrap_or_default(),
                counters,
            }
        })
        .collect();
    key_rows.sort_by_key(|row| Reverse(row.counters.requests));
    let mut model_rows: Vec<ModelStats> = by_model
        .into_iter()
        .map(|(model, counters)| ModelStats { model: model.to_owned(), counters })
        .collect();
    model_rows.sort_by_key(|row| Reverse(row.counters.requests));
    PoolStats { pool: pool.id.clone(), name: pool.name.clone(), total, keys: key_rows, models: model_rows }
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

fn unexpected() -> AdminError {
    AdminError::Ledger(LedgerError("it answered something else than was asked".to_owned()))
}
