//! Assignment of counters to the rows of `ledger_pages`.
//!
//! A pool with many counters has rows of its own; pools with few share rows. Otherwise a thousand
//! quiet pools would write about a thousand rows for as many attempts. All rows of a page are added
//! up, so the assignment never affects a result: it only decides how many rows are written, and how
//! large.

use std::collections::BTreeMap;

use pool_shared::PoolId;

use super::super::shard::hash;
use super::super::{CounterTable, LedgerError, Level};
use super::{LedgerSql, read};
use crate::sql::{SqlValue, Statement};

/// The pool of shared rows. Their bodies have the counters of each pool by its id.
pub(super) const SHARED: &str = "";
/// A pool with at most this many counters in a page shares a row, unless it has a row of its own.
const FEW: usize = 16;

/// Approximate size of a counter, in bytes.
const CELL_SIZE: usize = 160;
/// Maximum number of rows for one bucket: 64 hold about 150,000 counters in rows of the maximum
/// size.
const MAX_PARTS: i64 = 64;

/// In bytes: to count characters, SQLite would read the rows.
const SIZES: &str = "SELECT json_array(pool, part, octet_length(body)) AS row FROM ledger_pages
    WHERE level = ?1 AND page = ?2 AND pool IN (SELECT value FROM json_each(?3))";

/// Counters of several pools.
pub(super) type PoolCounters = BTreeMap<PoolId, CounterTable>;

/// Rows, with the counters to add to each.
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
    /// Returns its primary key.
    pub(super) fn parameters(&self) -> [SqlValue; 4] {
        [
            self.level.number().into(),
            integer(self.page),
            self.pool.as_str().into(),
            SqlValue::Integer(self.part.unsigned_abs()),
        ]
    }

    /// Returns `true` if several pools share it.
    pub(super) fn is_shared(&self) -> bool {
        self.pool.as_str() == SHARED
    }
}

/// Finds the row of each counter without reading the rows. Skips pages before the oldest one.
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
            // Totals are read most often: one that is not shared takes one row to read.
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

/// Returns the rows that these pools have in a page, and the shared row, with their sizes. One
/// query for all: there may be thousands.
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

/// Distributes the counters of one page over its parts.
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

/// Returns the rows of one bucket in a page that is too large for one row. The position of a
/// counter only decides how often it is repeated.
pub(super) const fn parts_of(slot: i64) -> std::ops::RangeInclusive<i64> {
    let first = 1 + slot * MAX_PARTS;
    first..=first + MAX_PARTS - 1
}

/// Returns the path of a pool's counters in a shared row's body, in SQLite's syntax.
pub(super) fn path_of(pool: &PoolId) -> SqlValue {
    SqlValue::Text(format!("$.\"{pool}\""))
}

/// Converts counters by minute to those of a level, by page.
fn pages(level: Level, counters: &CounterTable) -> BTreeMap<i64, CounterTable> {
    counters.at_level(level).share_out(|start, _| level.page(start))
}

/// Converts a time or number that is never negative.
pub(super) fn integer(value: i64) -> SqlValue {
    SqlValue::Integer(value.try_into().unwrap_or_default())
}
