//! SQL statements about Gemini keys, for the admin API. Lists are passed as one JSON text, because
//! D1 takes at most 100 parameters per statement.

use jiff::Timestamp;
use pool_shared::{Key, KeyChange, KeyId, PoolId};

use super::rows::KeyRow;
use super::{json_text, read_rows};
use crate::crypto::{Encrypted, KeyDigest};
use crate::sql::{Outcome, SqlValue, Statement};
use crate::store::{
    BatchOutcome, EnabledKey, KeyFilter, KeyPage, KeysWanted, NewKey, Page, Reencrypted, StoreError,
};

/// The selection of a [`KeyFilter`]: pool `?1`, enabled `?2`, search text `?3`, tag `?4`, states
/// `?5`.
macro_rules! select_filtered {
    ($columns:literal, $rest:literal) => {
        concat!(
            "SELECT ",
            $columns,
            " AS row FROM keys WHERE pool_id = ?1 AND (?2 IS NULL OR enabled = ?2)
                AND (?3 IS NULL OR instr(lower(
                    id || ' ' || masked || ' ' || substr(digest, 1, 8) || ' ' || name || ' ' || tag || ' ' || project
                        || ' ' || coalesce(billing_account, '')
                ), ?3) > 0)
                AND (?4 IS NULL OR tag = ?4)
                AND (?5 IS NULL OR CASE WHEN enabled = 0 THEN ?5 ->> '$.disabled' ELSE
                    id IN (SELECT value FROM json_each(?5, '$.chosen'))
                    OR (?5 ->> '$.healthy' AND id NOT IN (SELECT value FROM json_each(?5, '$.unwell'))) END) ",
            $rest
        )
    };
}

const LIST: &str = select_filtered!(
    "json_object(
        'id', id, 'masked', masked, 'fingerprint', substr(digest, 1, 8), 'name', name, 'tag', tag,
        'project', project, 'billing_account', coalesce(billing_account, ''), 'limits', json(limits), 'weight', weight,
        'enabled', enabled, 'position', position,
        'created_at', created_at, 'updated_at', updated_at
    )",
    "AND position > ?6 ORDER BY position LIMIT ?7"
);

const COUNT: &str = select_filtered!("json_quote(count(*))", "");

/// `position` keeps the order of the input: milliseconds since 1970 times 1,000, plus the position
/// in the chunk. It stays below 2^53 until the year 2255.
const INSERT: &str = "INSERT INTO keys
        (pool_id, digest, id, sealed, masked, name, tag, project, billing_account, limits, weight, enabled, position,
         created_at, updated_at)
    SELECT ?1, value ->> 'digest', value ->> 'id', value ->> 'sealed', value ->> 'masked', value ->> 'name',
        value ->> 'tag', value ->> 'project', value ->> 'billing_account', value ->> 'limits',
        value ->> 'weight', value ->> 'enabled', ?3 * 1000 + key, ?3, ?3
    FROM json_each(?2)
    WHERE EXISTS (SELECT 1 FROM pools WHERE id = ?1 AND data_key = coalesce(?4, data_key))
    ON CONFLICT DO NOTHING";

/// Adds keys, if the pool has the data key that encrypts them.
pub(super) fn insert(
    pool: &PoolId,
    data_key: Option<&Encrypted>,
    keys: &[NewKey],
    now: Timestamp,
) -> Result<Statement, StoreError> {
    let data_key = data_key.map(Encrypted::as_str).into();
    Ok(Statement::new(INSERT, [pool.as_str().into(), json_text(&keys)?, now.into(), data_key]))
}

/// Returns keys in the order of the primary key, which is unique.
pub(super) fn after(pool: &PoolId, after: &str, limit: u32) -> Statement {
    Statement::new(
        "SELECT json_object('digest', digest, 'id', id, 'sealed', sealed) AS row FROM keys
         WHERE pool_id = ?1 AND digest > ?2 ORDER BY digest LIMIT ?3",
        [pool.as_str().into(), after.into(), u64::from(limit).into()],
    )
}

/// Returns keys of all pools, the same number of each as far as it has them.
pub(super) fn sample(limit: u32) -> Statement {
    Statement::new(
        "SELECT json_array(pool_id, id, sealed) AS row FROM (
            SELECT keys.pool_id, keys.id, keys.sealed FROM pools, keys
            WHERE keys.pool_id = pools.id AND keys.digest IN (
                SELECT digest FROM keys WHERE pool_id = pools.id ORDER BY digest
                LIMIT max(1, ?1 / (SELECT count(*) FROM pools)))
            LIMIT ?1)",
        [u64::from(limit).into()],
    )
}

pub(super) fn reencrypt(pool: &PoolId, reencrypted: &[Reencrypted]) -> Result<Statement, StoreError> {
    Ok(Statement::new(
        "UPDATE keys SET sealed = new FROM (
            SELECT value ->> '$.digest' AS place, value ->> '$.old' AS old, value ->> '$.new' AS new FROM json_each(?2)
         ) WHERE pool_id = ?1 AND digest = place AND sealed = old",
        [pool.as_str().into(), json_text(&reencrypted)?],
    ))
}

pub(super) fn list(pool: &PoolId, filter: &KeyFilter, page: Page) -> Result<Vec<Statement>, StoreError> {
    let search = filter.search.as_deref().map(str::to_lowercase);
    let states = filter.states.as_ref().map(json_text).transpose()?.unwrap_or(SqlValue::Null);
    let filter = [
        pool.as_str().into(),
        filter.enabled.into(),
        search.as_deref().into(),
        filter.tag.as_deref().into(),
        states,
    ];
    let mut paged = filter.to_vec();
    // One more than the limit shows whether there is a next page.
    paged.extend([page.after.into(), SqlValue::Integer(u64::from(page.limit) + 1)]);
    Ok(vec![Statement::new(LIST, paged), Statement::new(COUNT, filter)])
}

/// Returns a page of whole rows, each with its position.
pub(super) fn encrypted(pool: &PoolId, ids: Option<&[KeyId]>, page: Page) -> Result<Statement, StoreError> {
    Ok(Statement::new(
        "SELECT json_array(position, json_object(
            'id', id, 'digest', digest, 'sealed', sealed, 'masked', masked, 'name', name, 'tag', tag,
            'weight', weight, 'project', project, 'billing_account', coalesce(billing_account, ''),
            'limits', json(limits), 'enabled', json(CASE enabled WHEN 0 THEN 'false' ELSE 'true' END)
        )) AS row FROM keys
         WHERE pool_id = ?1 AND (?2 IS NULL OR id IN (SELECT value FROM json_each(?2))) AND position > ?3
         ORDER BY position LIMIT ?4",
        [
            pool.as_str().into(),
            ids.map(|ids| json_text(&ids)).transpose()?.unwrap_or(SqlValue::Null),
            page.after.into(),
            SqlValue::Integer(u64::from(page.limit) + 1),
        ],
    ))
}

pub(super) fn read_encrypted(
    outcome: &Outcome,
    page: Page,
) -> Result<(Vec<NewKey>, Option<u64>), StoreError> {
    let mut rows: Vec<(u64, NewKey)> = read_rows(outcome)?;
    let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(|(position, _)| *position);
    Ok((rows.into_iter().map(|(_, key)| key).collect(), next))
}

pub(super) fn enabled(pools: &[PoolId], wanted: &KeysWanted) -> Result<Statement, StoreError> {
    Ok(Statement::new(
        "SELECT json_array(pool_id, id, project, coalesce(billing_account, '')) AS row FROM keys
         WHERE enabled = 1 AND pool_id IN (SELECT value FROM json_each(?1))
            AND (id IN (SELECT value FROM json_each(?2)) OR project IN (SELECT value FROM json_each(?3))
                OR billing_account IN (SELECT value FROM json_each(?4)))",
        [
            json_text(&pools)?,
            json_text(&wanted.ids)?,
            json_text(&wanted.projects)?,
            json_text(&wanted.accounts)?,
        ],
    ))
}

pub(super) fn read_enabled(outcome: &Outcome) -> Result<Vec<EnabledKey>, StoreError> {
    let rows: Vec<(PoolId, KeyId, String, String)> = read_rows(outcome)?;
    let key = |(pool, id, project, billing_account)| EnabledKey { pool, id, project, billing_account };
    Ok(rows.into_iter().map(key).collect())
}

pub(super) fn read_page(outcomes: &[Outcome], page: Page) -> Result<KeyPage, StoreError> {
    let [list, count] = outcomes else {
        return Err(StoreError::Corrupt("a statement gave no outcome".to_owned()));
    };
    let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
    let mut rows: Vec<KeyRow> = read_rows(list)?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(|row| row.position);
    let total = read_rows(count)?.pop().unwrap_or_default();
    let keys = rows.into_iter().map(Key::try_from).collect::<Result<_, _>>()?;
    Ok(KeyPage { keys, total, next })
}

/// Counts keys by the other pools that have them. Each is found by the primary key.
pub(super) fn elsewhere(pool: &PoolId, digests: &[&KeyDigest]) -> Result<Statement, StoreError> {
    Ok(Statement::new(
        "SELECT json_array(pools.name, count(*)) AS row FROM pools
         JOIN keys ON keys.pool_id = pools.id AND keys.digest IN (SELECT value FROM json_each(?2))
         WHERE pools.id <> ?1 GROUP BY pools.id ORDER BY pools.name",
        [pool.as_str().into(), json_text(&digests)?],
    ))
}

/// Returns the ids that the pool does not have.
pub(super) fn missing(pool: &PoolId, ids: &[KeyId]) -> Result<Statement, StoreError> {
    Ok(Statement::new(
        "SELECT json_quote(value) AS row FROM json_each(?2)
         WHERE value NOT IN (SELECT id FROM keys WHERE pool_id = ?1)",
        [pool.as_str().into(), json_text(&ids)?],
    ))
}

/// Changes the keys whose values differ.
pub(super) fn update(
    pool: &PoolId,
    ids: &[KeyId],
    change: &KeyChange,
    now: Timestamp,
) -> Result<Statement, StoreError> {
    let limits = change.limits.as_ref().map(json_text).transpose()?;
    Ok(Statement::new(
        "UPDATE keys SET
            enabled = coalesce(?3, enabled), weight = coalesce(?4, weight),
            name = coalesce(?5, name), tag = coalesce(?6, tag), project = coalesce(?7, project),
            limits = coalesce(?8, limits), billing_account = coalesce(?10, billing_account), updated_at = ?9
         WHERE pool_id = ?1 AND id IN (SELECT value FROM json_each(?2))
            AND (enabled, weight, name, tag, project, json(limits), coalesce(billing_account, '')) IS NOT
                (coalesce(?3, enabled), coalesce(?4, weight), coalesce(?5, name), coalesce(?6, tag),
                 coalesce(?7, project), json(coalesce(?8, limits)), coalesce(?10, billing_account, ''))",
        [
            pool.as_str().into(),
            json_text(&ids)?,
            change.enabled.into(),
            change.weight.map(|weight| u64::from(weight.get())).into(),
            change.name.as_deref().into(),
            change.tag.as_deref().into(),
            change.project.as_deref().into(),
            limits.unwrap_or(SqlValue::Null),
            now.into(),
            change.billing_account.as_deref().into(),
        ],
    ))
}

pub(super) fn delete(pool: &PoolId, ids: &[KeyId]) -> Result<Statement, StoreError> {
    Ok(Statement::new(
        "DELETE FROM keys WHERE pool_id = ?1 AND id IN (SELECT value FROM json_each(?2))",
        [pool.as_str().into(), json_text(&ids)?],
    ))
}

/// Reads the results of [`missing`] and of the change after it.
pub(super) fn read_batch(outcomes: &[Outcome]) -> Result<BatchOutcome, StoreError> {
    let [missing, change, ..] = outcomes else {
        return Err(StoreError::Corrupt("a statement gave no outcome".to_owned()));
    };
    Ok(BatchOutcome { changed: change.changes, missing: read_rows(missing)? })
}
