use std::path::Path;

use super::*;
use crate::host::native::Sqlite;
use crate::store::ConfigStore;
use crate::store::sql::{SqlDatabase, SqlStore};

fn start() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn store() -> (Sqlite, SqlStore<Sqlite>) {
    let sqlite = Sqlite::open(Path::new(":memory:")).unwrap();
    (sqlite.clone(), SqlStore::new(sqlite))
}

/// Returns a change of a pool by a token that is equal to no other one.
fn change(at: Timestamp, pool: &str, actor: &str, target: u64) -> Change {
    Change {
        pool: Some(PoolId::new(pool)),
        actor: AdminTokenId::new(actor),
        budget: AdminTokenId::new(actor),
        target: Some(target.to_string()),
        ..Change::of_a_test(at)
    }
}

async fn entries(store: &SqlStore<Sqlite>) -> Vec<AuditEntry> {
    let (since, from) = (Timestamp::from_second(0).unwrap(), AuditCursor::Before(1 << 40));
    let filter = AuditFilter { from, since, pool: None, actor: None, action: None, limit: 1_000 };
    store.audit(&filter).await.unwrap()
}

async fn targets(store: &SqlStore<Sqlite>) -> Vec<String> {
    entries(store).await.into_iter().map(|entry| entry.target.unwrap_or_default()).collect()
}

/// Adds many entries to a part, between the existing ones, so that the bounds show without ten
/// thousand changes.
async fn grow(sqlite: &Sqlite, pool: &str, actor: &str, to: u64) {
    let sql = "INSERT INTO audit (at, actor, actor_name, action, pool_id, target, request_id, count, part, place)
        SELECT max(at), actor, actor_name, action, pool_id, 'grown', request_id, count, part, ?2 FROM audit WHERE part = ?1";
    let part = format!("{pool} {actor}");
    sqlite.batch(vec![Statement::new(sql, [part.as_str().into(), to.into()])]).await.unwrap();
}

#[tokio::test]
async fn what_is_past_its_time_goes_where_the_audit_grows() {
    let (_, store) = store();
    for number in 0..25 {
        store.note(change(start(), "pool-a", "tok-a", number), 1).await.unwrap();
    }
    store.note(change(start(), "pool-a", "tok-a", 99), 0).await.unwrap();
    assert_eq!(entries(&store).await.len(), 25, "what changed nothing is not noted");
    let later = start() + RETENTION + Duration::from_secs(1);
    for (number, left) in [(100, 16), (101, 7), (102, 3), (103, 4)] {
        store.note(change(later, "pool-b", "tok-b", number), 1).await.unwrap();
        assert_eq!(entries(&store).await.len(), left, "each takes ten old ones along");
    }
    assert_eq!(store.audit_losses(start()).await, Ok(Vec::new()), "all of that was due");
}

#[tokio::test]
async fn nobody_pushes_out_what_others_did() {
    let (sqlite, store) = store();
    for (pool, actor) in [("pool-a", "tok-a"), ("pool-a", "tok-b"), ("pool-b", "tok-a")] {
        store.note(change(start(), pool, actor, 1), 1).await.unwrap();
    }
    store.note(change(start(), "pool-a", "tok-a", 0), 1).await.unwrap();
    let later = start() + Duration::from_hours(1);
    grow(&sqlite, "pool-a", "tok-a", u64::from(MAX_ENTRIES) - 1).await;
    store.note(change(later, "pool-a", "tok-a", 2), 1).await.unwrap();
    assert_eq!(targets(&store).await, ["2", "grown", "0", "1", "1", "1"], "as many as there may be");
    store.note(change(later, "pool-a", "tok-a", 3), 1).await.unwrap();
    let left = entries(&store).await;
    let ones: Vec<_> = left.iter().filter(|entry| entry.target.as_deref() == Some("1")).collect();
    let of = |entry: &&AuditEntry| (entry.pool.clone().unwrap().to_string(), entry.actor.to_string());
    assert_eq!(
        ones.iter().map(of).collect::<Vec<_>>(),
        [("pool-b".to_owned(), "tok-a".to_owned()), ("pool-a".to_owned(), "tok-b".to_owned())],
        "one of its own made room"
    );
    let losses = store.audit_losses(later - RETENTION).await.unwrap();
    let loss = AuditLoss {
        pool: Some(PoolId::new("pool-a")),
        actor: AdminTokenId::new("tok-a"),
        actor_name: "test".to_owned(),
        entries: 1,
        until: start(),
    };
    assert_eq!(losses, [loss]);
    let long_after = start() + RETENTION + Duration::from_secs(1);
    assert_eq!(store.audit_losses(oldest(long_after)).await, Ok(Vec::new()), "it would be gone anyway");
    // Changes of a created token count as those of its creator.
    let child = Change { actor: AdminTokenId::new("tok-child"), ..change(later, "pool-a", "tok-a", 4) };
    store.note(child, 1).await.unwrap();
    assert_eq!(store.audit_losses(later - RETENTION).await.unwrap()[0].entries, 2);
}

#[tokio::test]
async fn equal_actions_within_a_minute_are_one_entry() {
    let (_, store) = store();
    let after = |seconds| start() + Duration::from_secs(seconds);
    for (seconds, count) in [(0, 2), (10, 3), (59, 1), (60, 1), (61, 0)] {
        store.note(change(after(seconds), "pool-a", "tok-a", 1), count).await.unwrap();
    }
    let told = |entry: &AuditEntry| (entry.at, entry.last_at, entry.times, entry.count);
    let [second, first] = &entries(&store).await[..] else { panic!("two entries") };
    assert_eq!(told(first), (start(), Some(after(59)), 3, 6));
    assert_eq!(told(second), (after(60), None, 1, 1));
    // An instance whose clock is slow is merged, too.
    store.note(change(after(55), "pool-a", "tok-a", 1), 1).await.unwrap();
    assert_eq!(told(&entries(&store).await[0]), (after(60), Some(after(60)), 2, 2));
    // Any difference makes another action, whatever came between.
    let one = change(after(62), "pool-a", "tok-a", 1);
    for other in [
        change(after(62), "pool-b", "tok-a", 1),
        change(after(62), "pool-a", "tok-b", 1),
        change(after(62), "pool-a", "tok-a", 2),
        Change { action: "other", ..one.clone() },
        Change { actor: AdminTokenId::new("tok-child"), ..one.clone() },
        Change { before: Some(Map::new()), ..one.clone() },
        Change { after: Some(Map::new()), ..one.clone() },
    ] {
        store.note(other, 1).await.unwrap();
    }
    assert_eq!(entries(&store).await.len(), 9);
    store.note(one, 1).await.unwrap();
    assert_eq!(entries(&store).await.len(), 9);
}

#[tokio::test]
async fn a_part_gets_no_more_than_600_entries_a_minute() {
    let (_, store) = store();
    let after = |milliseconds: u64| start() + Duration::from_millis(milliseconds);
    for number in 0..600 {
        store.note(change(after(number), "pool-a", "tok-a", number), 1).await.unwrap();
    }
    let refused = store.note(change(after(59_999), "pool-a", "tok-a", 600), 1).await;
    assert_eq!(refused, Err(StoreError::TooManyChanges));
    for (milliseconds, pool, actor) in
        [(59_999, "pool-b", "tok-a"), (59_999, "pool-a", "tok-b"), (60_000, "pool-a", "tok-a")]
    {
        store.note(change(after(milliseconds), pool, actor, 600), 1).await.unwrap();
    }
}

#[tokio::test]
async fn the_audit_is_only_ever_appended_to() {
    let (sqlite, store) = store();
    for number in 0..3 {
        store.note(change(start(), "pool-a", "tok-a", number), 1).await.unwrap();
    }
    for sql in [
        "UPDATE audit SET actor = 'nobody'",
        "UPDATE audit SET id = id + 10",
        "UPDATE audit SET place = place + 1",
        "UPDATE audit SET count = count + 1",
        "UPDATE audit SET count = count + 1, times = times + 1",
        "UPDATE audit SET count = count + 1, times = times + 2, last_at = at",
        "UPDATE audit SET count = count - 1, times = times + 1, last_at = at",
        "UPDATE audit SET count = count + 1, times = times + 1, last_at = at - 1",
        "UPDATE audit SET count = count + 1, times = times + 1, last_at = at + 60000",
        "UPDATE audit SET count = count + 1, times = times + 1, last_at = at, target = 'other'",
        "DELETE FROM audit",
        "DELETE FROM audit WHERE id = 1",
    ] {
        let error = sqlite.batch(vec![Statement::new(sql, [])]).await.expect_err(sql);
        assert!(error.0.contains("the audit is append-only"), "{error}");
    }
    assert_eq!(entries(&store).await.len(), 3);
    // A part older than a minute gets no further count.
    store.note(change(start() + Duration::from_mins(1), "pool-a", "tok-a", 9), 1).await.unwrap();
    let sql = "UPDATE audit SET count = count + 1, times = times + 1, last_at = at WHERE id = 1";
    assert!(sqlite.batch(vec![Statement::new(sql, [])]).await.is_err());
}

#[tokio::test]
async fn wrong_passwords_cannot_fill_the_audit() {
    let (_, store) = store();
    let mut now = start();
    // Each round is half an hour and a minute after the previous one.
    for left in [10, 10, 20] {
        for number in 0..50 {
            store.note_failed_login(change(now, "", "nobody", number)).await.unwrap();
        }
        assert_eq!(entries(&store).await.len(), left);
        now += Duration::from_mins(31);
    }
    // From one source they are one entry, and changes by admins make no space for more.
    now += Duration::from_hours(1);
    for number in 0..50 {
        store.note_failed_login(change(now, "", "nobody", 1)).await.unwrap();
        store.note(change(now, "pool-a", "tok-a", number), 1).await.unwrap();
    }
    let wrong: Vec<_> =
        entries(&store).await.into_iter().filter(|entry| entry.actor.as_str() == "nobody").collect();
    assert_eq!((wrong.len(), wrong[0].times), (21, 50));
}

#[tokio::test]
async fn entries_of_an_earlier_version_stay_until_their_time() {
    let sqlite = Sqlite::open(Path::new(":memory:")).unwrap();
    let earlier = [
        "CREATE TABLE audit (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, actor TEXT NOT NULL, actor_name TEXT NOT NULL,
            action TEXT NOT NULL, pool_id TEXT, target TEXT, request_id TEXT NOT NULL, count INTEGER NOT NULL, before TEXT,
            after TEXT)",
        "CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit BEGIN
            SELECT raise(ABORT, 'the audit is append-only');
        END",
        "INSERT INTO audit VALUES (7, 1800000000000, 'tok-a', 'test', 'test', NULL, '0', 'req_test', 1, NULL, NULL)",
    ];
    sqlite.batch(earlier.iter().map(|sql| Statement::new(sql, [])).collect()).await.unwrap();
    let store = SqlStore::new(sqlite.clone());
    for number in [1, 1, 2] {
        store.note(change(start(), "pool-a", "tok-a", number), 1).await.unwrap();
    }
    assert_eq!(targets(&store).await, ["2", "1", "0"]);
    let error = sqlite.batch(vec![Statement::new("DELETE FROM audit WHERE id = 7", [])]).await.unwrap_err();
    assert!(error.0.contains("the audit is append-only"), "{error}");
    store.note(change(start() + RETENTION + Duration::from_secs(1), "pool-a", "tok-a", 3), 1).await.unwrap();
    assert_eq!(targets(&store).await, ["3"]);
}
