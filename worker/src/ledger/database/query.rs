//! Queries: the counts of the pages plus those of the log.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use jiff::Timestamp;
use pool_shared::{PoolId, Rates, RequestRates, StatsWindow};

use super::super::{
    CounterRow, CounterTable, LedgerError, LedgerReply, Level, PoolActivity, RequestCounterRow, Summary,
};
use super::pages::{PoolCounters, SHARED, integer, parts_of, path_of};
use super::{LedgerDatabase, LedgerSql, unreadable};
use crate::sql::{SqlValue, Statement};

/// Selects the pages of a level between two pages, with the shared row and a range of parts.
macro_rules! pages {
    ($whose:literal) => {
        concat!(
            "FROM ledger_pages WHERE level = ?1 AND page BETWEEN ?2 AND ?3
            AND (part = 0 OR part BETWEEN ?4 AND ?5) AND ",
            $whose,
            " ORDER BY page, pool, part"
        )
    };
}

/// The pools of the pages, and in the same order their bodies. A body is read as it is: packed into
/// JSON again it could exceed the maximum size of a result.
const OWNERS: &str = concat!("SELECT json_quote(pool) AS row ", pages!("(?6 IS NULL OR pool = ?6)"));
const BODIES: &str = concat!("SELECT body AS row ", pages!("(?6 IS NULL OR pool = ?6)"));
/// One pool's share of the shared rows.
const SHARES: &str =
    concat!("SELECT json_extract(body, ?6) AS row ", pages!("pool = '' AND json_type(body, ?6) IS NOT NULL"));

/// All parts: a page of minutes has the most, 60 times 64.
const ALL_PARTS: RangeInclusive<i64> = 0..=1_000_000;

impl<S: LedgerSql> LedgerDatabase<S> {
    pub(super) fn pools(&mut self, now: Timestamp) -> Result<LedgerReply, LedgerError> {
        let mut pools: BTreeMap<PoolId, Summary> = BTreeMap::new();
        for (pool, counters) in self.window(Level::Total, 0, 1, None)? {
            let summary = pools.entry(pool).or_default();
            for (id, row) in &counters.attempts {
                summary.count(id.outcome, row);
            }
            for (id, row) in &counters.requests {
                summary.requests().count(id.outcome, row);
            }
        }
        self.rates(None, now, |pool, counters, span| {
            let summary = pools.entry(pool.clone()).or_default();
            for (_, row) in &counters.attempts {
                summary.rate(&span.rates(row));
            }
            for (_, row) in &counters.requests {
                summary.requests().rate(&span.request_rates(row));
            }
        })?;
        Ok(LedgerReply::Pools { pools: pools.into_iter().collect(), lost: self.live_log()?.state.lost() })
    }

    pub(super) fn pool(
        &mut self,
        pool: &PoolId,
        window: Option<&StatsWindow>,
        now: Timestamp,
    ) -> Result<PoolActivity, LedgerError> {
        let (level, since, until) = window.map_or((Level::Total, 0, 1), |window| {
            (window.step.into(), window.since.as_second(), window.until.as_second())
        });
        let mut activity = PoolActivity::default();
        for (_, counters) in self.window(level, since, until, Some(pool))? {
            activity.count(&counters, window.is_some());
        }
        self.rates(Some(pool), now, |_, counters, span| {
            activity.rate(counters, |row| span.rates(row), |row| span.request_rates(row));
        })?;
        Ok(activity)
    }

    pub(super) fn events(
        &mut self,
        pool: Option<&PoolId>,
        after: Option<u64>,
        limit: usize,
    ) -> Result<LedgerReply, LedgerError> {
        let (events, last) = self.live_log()?.events(pool, after, limit);
        Ok(LedgerReply::Events { events, last })
    }

    /// Passes on the counters of the current minute, of the previous one, and of today.
    fn rates(
        &mut self,
        pool: Option<&PoolId>,
        now: Timestamp,
        mut add: impl FnMut(&PoolId, &CounterTable, Span),
    ) -> Result<(), LedgerError> {
        let now = now.as_second();
        let minute = Level::Minute.bucket(now);
        for (span, level, start) in [
            (Span::ThisMinute, Level::Minute, minute),
            (Span::LastMinute, Level::Minute, minute - 60),
            (Span::Today, Level::Day, Level::Day.bucket(now)),
        ] {
            for (pool, counters) in self.bucket(level, start, pool)? {
                add(&pool, &counters, span);
            }
        }
        Ok(())
    }

    /// Returns the counters of a level between two buckets, the second excluded.
    fn window(
        &mut self,
        level: Level,
        since: i64,
        until: i64,
        pool: Option<&PoolId>,
    ) -> Result<Vec<(PoolId, CounterTable)>, LedgerError> {
        let pages = level.page(since)..=level.page(until);
        self.counters(level, &pages, &ALL_PARTS, pool, |start| since <= start && start < until)
    }

    /// Returns the counters of one bucket.
    fn bucket(
        &mut self,
        level: Level,
        start: i64,
        pool: Option<&PoolId>,
    ) -> Result<Vec<(PoolId, CounterTable)>, LedgerError> {
        let page = level.page(start);
        self.counters(level, &(page..=page), &parts_of(level.slot(start)), pool, |other| other == start)
    }

    /// Returns the counters of pages, and those that the log adds.
    fn counters(
        &mut self,
        level: Level,
        pages: &RangeInclusive<i64>,
        parts: &RangeInclusive<i64>,
        pool: Option<&PoolId>,
        wanted: impl Fn(i64) -> bool,
    ) -> Result<Vec<(PoolId, CounterTable)>, LedgerError> {
        let query = |sql, last: SqlValue| {
            let [from, to, first_part, last_part] =
                [pages.start(), pages.end(), parts.start(), parts.end()].map(|number| integer(*number));
            Statement::new(sql, [level.number().into(), from, to, first_part, last_part, last])
        };
        let owner = || pool.map(PoolId::as_str).into();
        let mut statements = vec![query(OWNERS, owner()), query(BODIES, owner())];
        // Rows of totals are never shared.
        let shares = pool.filter(|_| level != Level::Total).map(|pool| query(SHARES, path_of(pool)));
        statements.extend(shares);
        let outcomes = self.sql.run(statements)?;
        let mut found = Vec::new();
        let mut take = |pool: PoolId, counters: CounterTable| {
            found.push((pool, counters.filtered(&wanted)));
        };
        let [owners, bodies, shares @ ..] = outcomes.as_slice() else { return Ok(Vec::new()) };
        for (owner, body) in owners.read::<PoolId>().map_err(unreadable)?.into_iter().zip(&bodies.rows) {
            if owner.as_str() == SHARED {
                let shares: PoolCounters = serde_json::from_str(body).map_err(unreadable)?;
                for (pool, counters) in shares {
                    take(pool, counters);
                }
            } else {
                take(owner, serde_json::from_str(body).map_err(unreadable)?);
            }
        }
        for (pool, share) in pool
            .into_iter()
            .flat_map(|pool| shares.iter().flat_map(|shares| &shares.rows).map(move |share| (pool, share)))
        {
            take(pool.clone(), serde_json::from_str(share).map_err(unreadable)?);
        }
        let log =
            self.live_log()?.counters.iter().filter(|(other, _)| pool.is_none_or(|pool| pool == *other));
        for (pool, counters) in log {
            found.push((pool.clone(), counters.at_level(level).filtered(&wanted)));
        }
        Ok(found)
    }
}

/// The span of a rate.
#[derive(Clone, Copy)]
enum Span {
    ThisMinute,
    LastMinute,
    Today,
}

impl Span {
    fn rates(self, row: &CounterRow) -> Rates {
        let (attempts, tokens) = (row.attempts, row.prompt_tokens);
        match self {
            Self::ThisMinute => Rates { rpm_now: attempts, tpm_now: tokens, ..Rates::default() },
            Self::LastMinute => Rates { rpm: attempts, tpm: tokens, ..Rates::default() },
            Self::Today => Rates { rpd: attempts, tpd: tokens, ..Rates::default() },
        }
    }

    fn request_rates(self, row: &RequestCounterRow) -> RequestRates {
        let requests = row.requests();
        match self {
            Self::ThisMinute => RequestRates { rpm_now: requests, ..RequestRates::default() },
            Self::LastMinute => RequestRates { rpm: requests, ..RequestRates::default() },
            Self::Today => RequestRates { rpd: requests, ..RequestRates::default() },
        }
    }
}
