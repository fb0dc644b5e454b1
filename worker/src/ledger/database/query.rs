//! Answers: what the pages hold, and what the log adds to it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use pool_shared::{PoolId, Rates, StatsWindow};

use super::super::{CellId, Cells, LedgerError, LedgerReply, Level, PoolActivity, Summary, Tally};
use super::fold::{at_level, integer, parts_of};
use super::{LedgerDatabase, LedgerSql, unreadable};
use crate::sql::{SqlValue, Statement};

/// The bodies of pages, and in the same order whose they are. The body is read as it is: packed into
/// JSON once more it could outgrow what a result may have.
macro_rules! pages_where {
    ($condition:literal) => {
        [
            concat!(
                "SELECT json_quote(pool) AS row FROM ledger_pages WHERE ",
                $condition,
                " ORDER BY page, pool, part"
            ),
            concat!("SELECT body AS row FROM ledger_pages WHERE ", $condition, " ORDER BY page, pool, part"),
        ]
    };
}

const PAGES: [&str; 2] = pages_where!("level = ?1 AND page BETWEEN ?2 AND ?3 AND (?4 IS NULL OR pool = ?4)");
const BUCKET: [&str; 2] = pages_where!(
    "level = ?1 AND page = ?2 AND (?3 IS NULL OR pool = ?3) AND (part = 0 OR part BETWEEN ?4 AND ?5)"
);

impl<S: LedgerSql> LedgerDatabase<S> {
    pub(super) fn pools(&mut self, now: Timestamp) -> Result<LedgerReply, LedgerError> {
        let mut pools: BTreeMap<PoolId, Summary> = BTreeMap::new();
        for (pool, cells) in self.window(Level::Total, 0, 1, None)? {
            let summary = pools.entry(pool).or_default();
            for (id, tally) in cells.iter() {
                summary.count(id.outcome, tally);
            }
        }
        self.rates(None, now, |pool, _, rates| pools.entry(pool.clone()).or_default().rate(rates))?;
        Ok(LedgerReply::Pools { pools: pools.into_iter().collect(), lost: self.tail()?.state.lost })
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
        for (_, cells) in self.window(level, since, until, Some(pool))? {
            for (id, tally) in cells.iter() {
                activity.count(id, tally);
                if window.is_some() {
                    activity.series.entry(id.start).or_default().count(id.outcome, tally);
                }
            }
        }
        self.rates(Some(pool), now, |_, id, rates| activity.rate(id, rates))?;
        Ok(activity)
    }

    pub(super) fn events(
        &mut self,
        pool: Option<&PoolId>,
        after: Option<u64>,
        limit: usize,
    ) -> Result<LedgerReply, LedgerError> {
        let (events, last) = self.tail()?.events(pool, after, limit);
        Ok(LedgerReply::Events { events, last })
    }

    /// Adds up what goes through now, and today.
    fn rates(
        &mut self,
        pool: Option<&PoolId>,
        now: Timestamp,
        mut add: impl FnMut(&PoolId, &CellId, &Rates),
    ) -> Result<(), LedgerError> {
        let now = now.as_second();
        let minute = Level::Minute.bucket(now);
        let mut each = |cells: Vec<(PoolId, Cells)>, rates: fn(&Tally) -> Rates| {
            for (pool, cells) in cells {
                for (id, tally) in cells.iter() {
                    add(&pool, id, &rates(tally));
                }
            }
        };
        each(self.bucket(Level::Minute, minute, pool)?, |tally| Rates {
            rpm_now: tally.requests,
            tpm_now: tally.prompt_tokens,
            ..Rates::default()
        });
        each(self.bucket(Level::Minute, minute - 60, pool)?, |tally| Rates {
            rpm: tally.requests,
            tpm: tally.prompt_tokens,
            ..Rates::default()
        });
        each(self.bucket(Level::Day, Level::Day.bucket(now), pool)?, |tally| Rates {
            rpd: tally.requests,
            tpd: tally.prompt_tokens,
            ..Rates::default()
        });
        Ok(())
    }

    /// The cells of a level from one bucket to before another.
    fn window(
        &mut self,
        level: Level,
        since: i64,
        until: i64,
        pool: Option<&PoolId>,
    ) -> Result<Vec<(PoolId, Cells)>, LedgerError> {
        let parameters = [
            level.number().into(),
            integer(level.page(since)),
            integer(level.page(until)),
            pool.map(PoolId::as_str).into(),
        ];
        self.cells(&PAGES, &parameters, level, pool, |start| since <= start && start < until)
    }

    /// The cells of one bucket.
    fn bucket(
        &mut self,
        level: Level,
        start: i64,
        pool: Option<&PoolId>,
    ) -> Result<Vec<(PoolId, Cells)>, LedgerError> {
        let parts = parts_of(level.slot(start));
        let parameters = [
            level.number().into(),
            integer(level.page(start)),
            pool.map(PoolId::as_str).into(),
            integer(*parts.start()),
            integer(*parts.end()),
        ];
        self.cells(&BUCKET, &parameters, level, pool, |other| other == start)
    }

    /// The cells of pages, and those that the log adds.
    fn cells(
        &mut self,
        queries: &[&'static str; 2],
        parameters: &[SqlValue],
        level: Level,
        pool: Option<&PoolId>,
        wanted: impl Fn(i64) -> bool,
    ) -> Result<Vec<(PoolId, Cells)>, LedgerError> {
        let statements = queries.map(|sql| Statement::new(sql, parameters));
        let outcomes = self.sql.run(statements.into())?;
        let [pools, bodies] = outcomes.as_slice() else { return Ok(Vec::new()) };
        let mut found = Vec::with_capacity(pools.rows.len());
        for (pool, cells) in pools.read().map_err(unreadable)?.into_iter().zip(&bodies.rows) {
            let cells: Cells = serde_json::from_str(cells).map_err(unreadable)?;
            found.push((pool, cells.into_iter().filter(|(id, _)| wanted(id.start)).collect()));
        }
        let log = self.tail()?.cells.iter().filter(|(other, _)| pool.is_none_or(|pool| pool == *other));
        for (pool, cells) in log {
            let cells = at_level(level, cells).into_iter().filter(|(id, _)| wanted(id.start));
            found.push((pool.clone(), cells.collect()));
        }
        Ok(found)
    }
}
