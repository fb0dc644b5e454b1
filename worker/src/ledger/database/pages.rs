//! Which rows of `ledger_pages` hold which cells.
//!
//! In: the log's cells, pool by pool and by minute. Out: the rows of a level that they are added to. A
//! pool with much to count has rows of its own; those with little share theirs, or a thousand quiet
//! pools would write some thousand rows for as many attempts. The rows of a page only ever add up, so it
//! never matters to an answer where a cell was put: it decides how many rows are written, and how large.

use std::collections::BTreeMap;

use pool_shared::PoolId;

use super::super::shard::hash;
use super::super::{CounterTable, LedgerError, Level};
use super::{LedgerSql, read};
use crate::sql::{SqlValue, Statement};

/// Stands for all the pools that share a row: its body has the cells of each by its id.
pub(super) const SHARED: &str = "";
/// A pool that adds so few cells to a page that has no row of the pool's own shares a row with others.
const FEW: usize = 16;

/// The bytes that a cell takes, roughly.
const CELL_SIZE: usize = 160;
/// The most rows for one bucket: 64 of them hold some 150,000 cells where rows are largest.
const MAX_PARTS: i64 = 64;

/// In bytes: to count characters SQLite would read the rows.
const SIZES: &str = "SELECT json_array(pool, part, octet_length(body)) AS row FROM ledger_pages
    WHERE level = ?1 AND page = ?2 AND pool IN (SELECT value FROM json_each(?3))";

/// Cells of several pools.
pub(super) type PoolCounters = BTreeMap<PoolId, CounterTable>;

/// Rows, with what is added to each.
pub(super) type Parts = BTreeMap<PartId, PoolCounters>;

/// One row of `ledger_pages`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PartId {
    level: Level,
    page: i64,
    pool: PoolId,
    part: i64,
}

impl PartId {
    /// Its primary key.
    pub(super) fn parameters(&self) -> [SqlValue; 4] {
        [
            self.level.number().into(),
            integer(self.page),
            self.pool.as_str().into(),
            SqlValue::Integer(self.part.unsigned_abs()),
        ]
    }

    /// Whether several pools share it.
    pub(super) fn is_shared(&self) -> bool {
        self.pool.as_str() == SHARED
    }
}

/// Finds the row of a level for every cell, without reading what the rows hold. Pages before the oldest
/// one are left out.
pub(super) fn place<S: LedgerSql>(
    sql: &S,
    parts: &mut Parts,
    level: Level,
    oldest_page: i64,
    log: &PoolCounters,
) -> Result<(), LedgerError> {
    let mut by_page: BTreeMap<i64, PoolCounters> = BTreeMap::new();
    for (pool, counters) in log {
        for (page, counters) in pages(level, counters).into_iter().filter(|(page, _)| *page >= oldest_page) {
            by_page.entry(page).or_default().insert(pool.clone(), counters);
        }
    }
    for (page, pools) in by_page {
        let mut sizes = sizes(sql, level, page, pools.keys())?;
        let mut put = |pool: PoolId, counters, sizes: &[(i64, usize)]| {
            spread::<S>(parts, &PartId { level, page, pool, part: 0 }, sizes, counters);
        };
        let mut shared = PoolCounters::new();
        for (pool, counters) in pools {
            let sizes = sizes.remove(&pool).unwrap_or_default();
            // Totals are asked for more often than anything else: reading one takes one row.
            if level != Level::Total && sizes.is_empty() && counters.len() <= FEW {
                shared.insert(pool, counters);
            } else {
                put(pool.clone(), PoolCounters::from([(pool, counters)]), &sizes);
            }
        }
        if !shared.is_empty() {
            let pool = PoolId::new(SHARED);
            let sizes = sizes.remove(&pool).unwrap_or_default();
            put(pool, shared, &sizes);
        }
    }
    Ok(())
}

/// The rows of a page that these pools have already, and the one that pools share, by their parts, and how large they
/// are. One question for all: there may be thousands.
fn sizes<'a>(
    sql: &impl LedgerSql,
    level: Level,
    page: i64,
    pools: impl Iterator<Item = &'a PoolId>,
) -> Result<BTreeMap<PoolId, Vec<(i64, usize)>>, LedgerError> {
    let pools: Vec<&str> = pools.map(PoolId::as_str).chain([SHARED]).collect();
    let statement = Statement::new(SIZES, [level.number().into(), integer(page), SqlValue::json(&pools)?]);
    let mut sizes: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (pool, part, size) in read(sql, statement)? {
        sizes.entry(pool).or_default().push((part, size));
    }
    Ok(sizes)
}

/// Puts the cells of one page to its parts.
fn spread<S: LedgerSql>(parts: &mut Parts, id: &PartId, sizes: &[(i64, usize)], counters: PoolCounters) {
    let size: usize = sizes.iter().map(|(_, size)| size).sum();
    let added: usize = counters.values().map(CounterTable::len).sum();
    if sizes.iter().all(|(part, _)| *part == 0) && size + added * CELL_SIZE <= S::WHOLE_PAGE {
        parts.insert(id.clone(), counters);
        return;
    }
    let mut incoming: BTreeMap<i64, usize> = BTreeMap::new();
    for start in counters.values().flat_map(CounterTable::starts) {
        *incoming.entry(id.level.slot(start)).or_default() += CELL_SIZE;
    }
    for (pool, counters) in counters {
        let part_of = |start, key: Option<&str>| {
            let slot = id.level.slot(start);
            let range = parts_of(slot);
            let present: usize =
                sizes.iter().filter(|(part, _)| range.contains(part)).map(|(_, size)| size).sum();
            let size = present + incoming.get(&slot).copied().unwrap_or_default();
            let count = (1 + size / S::PART).min(usize::try_from(MAX_PARTS).unwrap_or(1)) as u64;
            let which = if id.is_shared() { hash(&pool) } else { hash(&key) } % count;
            range.start() + i64::try_from(which).unwrap_or_default()
        };
        for (part, counters) in counters.share_out(part_of) {
            let row = parts.entry(PartId { part, ..id.clone() }).or_default();
            row.entry(pool.clone()).or_default().merge(counters);
        }
    }
}

/// The rows of one bucket in a page that is too large for one row. Where a cell is put in them only
/// decides how often it is repeated.
pub(super) const fn parts_of(slot: i64) -> std::ops::RangeInclusive<i64> {
    let first = 1 + slot * MAX_PARTS;
    first..=first + MAX_PARTS - 1
}

/// Where a shared row's body has a pool's cells, as SQLite writes paths.
pub(super) fn path_of(pool: &PoolId) -> SqlValue {
    SqlValue::Text(format!("$.\"{pool}\""))
}

/// Cells by minute as cells of a level, page by page.
fn pages(level: Level, counters: &CounterTable) -> BTreeMap<i64, CounterTable> {
    counters.at_level(level).share_out(|start, _| level.page(start))
}

/// A time or number that is never negative.
pub(super) fn integer(value: i64) -> SqlValue {
    SqlValue::Integer(value.try_into().unwrap_or_default())
}
