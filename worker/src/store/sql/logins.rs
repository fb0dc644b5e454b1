//! SQL statements of login throttling.
//!
//! The check of an attempt, and its count as a failure until the password was right, are one
//! transaction: no more concurrent attempts pass than sequential ones would.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{json_text, read_rows};
use crate::crypto::TokenHash;
use crate::sql::{Outcome, SqlValue, Statement};
use crate::store::{LoginAttempt, StoreError, ThrottleRule};

/// Maximum number of sources. Beyond it, attempts of further sources only count globally.
const MAX_SOURCES: u64 = 1_000;
/// The source that means all sources together.
const GLOBAL: &str = "*";

/// When the source `?1` may try again, at `?2`: after its own delay, and after the global one
/// unless it is trusted. An attempt in the future was made before the clock was set back, so its
/// delay is ignored.
macro_rules! free_at {
    () => {
        "max(
            coalesce((SELECT blocked_until FROM login_tries WHERE source = ?1 AND last_at <= ?2), 0),
            CASE WHEN EXISTS (SELECT 1 FROM login_tries WHERE source = ?1 AND known_until > ?2) THEN 0
            ELSE coalesce((SELECT blocked_until FROM login_tries WHERE source = '*' AND last_at <= ?2), 0) END
        )"
    };
}

pub(super) fn attempt(attempt: &LoginAttempt) -> Result<Vec<Statement>, StoreError> {
    let (source, now) = (SqlValue::from(attempt.source.as_str()), SqlValue::from(attempt.now));
    let [own, global] = attempt.rules;
    let rule = |source: &str, rule: ThrottleRule| {
        let milliseconds = |wait: Duration| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        json!([source, rule.free, milliseconds(rule.first), milliseconds(rule.longest)])
    };
    let rules = json_text(&[rule(attempt.source.as_str(), own), rule(GLOBAL, global)])?;
    Ok(vec![
        Statement::new(
            "DELETE FROM login_tries WHERE last_at < ?1 AND known_until < ?2",
            [attempt.forget_before.into(), now.clone()],
        ),
        Statement::new(
            concat!("SELECT json_quote(", free_at!(), ") AS row"),
            [source.clone(), now.clone()],
        ),
        Statement::new(
            concat!(
                "INSERT INTO login_tries (source, failures, last_at, blocked_until, known_until)
                SELECT source, failures, ?2,
                    CASE WHEN failures < free THEN 0
                    ELSE ?2 + min(longest, first << min(failures - free, 20)) END,
                    0
                FROM (
                    SELECT value ->> 0 AS source, value ->> 1 AS free, value ->> 2 AS first, value ->> 3 AS longest,
                        1 + coalesce((SELECT iif(last_at < ?5, 0, failures) FROM login_tries
                            WHERE source = value ->> 0), 0) AS failures
                    FROM json_each(?3)
                )
                WHERE ",
                free_at!(),
                " <= ?2 AND (source = '*' OR (SELECT count(*) FROM login_tries) < ?4
                    OR EXISTS (SELECT 1 FROM login_tries WHERE source = ?1))
                ON CONFLICT (source) DO UPDATE SET failures = excluded.failures, last_at = excluded.last_at,
                    blocked_until = excluded.blocked_until"
            ),
            [source, now, rules, MAX_SOURCES.into(), attempt.forget_before.into()],
        ),
    ])
}

/// Reads the result of [`attempt`]: the end of the delay, if there is one.
pub(super) fn read(outcomes: &[Outcome], now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
    let free_at = outcomes.get(1).map(read_rows::<i64>).transpose()?.and_then(|mut rows| rows.pop());
    let missing = || StoreError::Corrupt("a statement gave no outcome".to_owned());
    let free_at = super::rows::timestamp(free_at.ok_or_else(missing)?)?;
    Ok((free_at > now).then_some(free_at))
}

/// Moves the times of the attempts.
pub(super) fn shift(by: SignedDuration) -> Statement {
    let milliseconds = u64::try_from(by.unsigned_abs().as_millis()).unwrap_or(u64::MAX);
    let (later, earlier) = if by.is_negative() { (0, milliseconds) } else { (milliseconds, 0) };
    Statement::new(
        "UPDATE login_tries SET last_at = max(0, last_at + ?1 - ?2),
            blocked_until = CASE blocked_until WHEN 0 THEN 0 ELSE max(0, blocked_until + ?1 - ?2) END",
        [later.into(), earlier.into()],
    )
}

pub(super) fn succeeded(source: &TokenHash, known_until: Timestamp) -> [Statement; 2] {
    [
        Statement::new(
            "UPDATE login_tries SET failures = 0, blocked_until = 0, known_until = ?2 WHERE source = ?1",
            [source.as_str().into(), known_until.into()],
        ),
        Statement::new(
            "UPDATE login_tries SET failures = max(0, failures - 1), blocked_until = 0 WHERE source = ?1",
            [GLOBAL.into()],
        ),
    ]
}
