//! Copies between two databases: complete, repeated, interrupted, over other rows, during changes.

use std::path::Path;

use pool_shared::{
    ClientKeyId, ClientKeyRules, KeyId, Limits, PoolId, PoolSettings, PoolUpdate, TranslationSettings, Weight,
};

use super::*;
use crate::host::native::Sqlite;
use crate::sql::Statement;
use crate::store::sql::{SqlDatabase, SqlStore};
use crate::store::{Change, ConfigStore, NewClientKey, NewKey, NewPool, StoredAdminToken};

fn text<T: serde::de::DeserializeOwned>(text: String) -> T {
    serde_json::from_value(text.into()).unwrap()
}

fn now() -> Change {
    Change::of_a_test(jiff::Timestamp::from_millisecond(1_800_000_000_000).unwrap())
}

fn empty() -> SqlStore<Sqlite> {
    SqlStore::new(Sqlite::open(Path::new(":memory:")).unwrap())
}

async fn create(store: &SqlStore<Sqlite>, id: &str, name: &str, keys: usize) {
    let key = |number: usize| NewKey {
        id: KeyId::new(format!("key-{number}")),
        digest: text(format!("digest {number}")),
        encrypted: text(format!("sealed {number} \"\\\n")),
        masked: "AIza…1234".to_owned(),
        name: "名".to_owned(),
        tag: String::new(),
        weight: Weight::default(),
        project: "projects/1".to_owned(),
        billing_account: String::new(),
        limits: Limits::default(),
        enabled: true,
    };
    let pool = NewPool {
        id: PoolId::new(id),
        name: name.to_owned(),
        name_key: name.to_owned(),
        description: String::new(),
        allowed_models: vec!["gemini-*".to_owned()],
        settings: PoolSettings {
            translation: TranslationSettings { strict_params: true, ..TranslationSettings::default() },
            ..PoolSettings::default()
        },
        data_key: text("data key".to_owned()),
        client_key: NewClientKey {
            id: ClientKeyId::new("ck-1"),
            hash: text(format!("hash of {id}")),
            name: "first".to_owned(),
            hint: "1234".to_owned(),
            expires_at: None,
            rules: ClientKeyRules::default(),
            weak: false,
        },
        keys: (0..keys).map(key).collect(),
    };
    store.create_pool(&pool, now()).await.unwrap();
}

/// Returns a store of three pools, one of them with more keys than two steps take, an admin token
/// and a secret.
async fn full() -> SqlStore<Sqlite> {
    let store = empty();
    create(&store, "pool-a", "first", 3).await;
    create(&store, "pool-b", "second", 1_203).await;
    create(&store, "pool-c", "third", 0).await;
    let token = StoredAdminToken {
        id: pool_shared::AdminTokenId::new("tok-1"),
        name: "laptop".to_owned(),
        created_at: now().at,
        expires_at: now().at,
        scopes: None,
        pool: None,
        parent: Some(pool_shared::AdminTokenId::new("tok-maker")),
        budget: Some(pool_shared::AdminTokenId::new("tok-budget")),
        last_used_at: None,
    };
    store.create_admin_token(&text("token".to_owned()), &token, now()).await.unwrap();
    store.put_hash_keys(None, &text("sealed".to_owned())).await.unwrap();
    store
}

/// The source of a copy, which must only be read.
struct ReadOnly<'a>(&'a SqlStore<Sqlite>);

impl Replica for ReadOnly<'_> {
    fn kind(&self) -> &'static str {
        self.0.kind()
    }

    async fn ask(&self, request: &CopyRequest) -> Result<CopyReply, StoreError> {
        assert!(matches!(request, CopyRequest::Read { .. }), "{request:?}");
        self.0.ask(request).await
    }
}

/// Copies to the end, passing the progress as JSON as a client does.
async fn run(source: &SqlStore<Sqlite>, target: &SqlStore<Sqlite>, dry_run: bool) -> Copy {
    let mut copy = Copy::new(dry_run);
    while copy.phase != Phase::Done {
        copy.step(&ReadOnly(source), target).await.unwrap();
        copy = serde_json::from_str(&serde_json::to_string(&copy).unwrap()).unwrap();
    }
    copy
}

fn counts(copy: &Copy, count: fn(&TableCopy) -> u64) -> [u64; 5] {
    Table::ALL.map(|table| count(&copy.tables[&table]))
}

#[tokio::test]
async fn everything_arrives_and_a_second_copy_writes_nothing() {
    let (source, target) = (full().await, empty());
    let copy = run(&source, &target, false).await;
    assert!(copy.is_verified());
    assert_eq!(counts(&copy, |table| table.source_rows), [3, 3, 1_206, 1, 1]);
    assert_eq!(counts(&copy, |table| table.target_rows), [3, 3, 1_206, 1, 1]);
    assert_eq!(counts(&copy, |table| table.written), [3, 3, 1_206, 1, 1]);
    assert_eq!(source.pools().await, target.pools().await);
    let hash = text("hash of pool-b".to_owned());
    let (before, after) = (
        crate::store::PoolReader::load_by_client_key(&source, &hash).await.unwrap(),
        crate::store::PoolReader::load_by_client_key(&target, &hash).await.unwrap(),
    );
    assert_eq!(before.as_ref().map(|pool| pool.keys.list.len()), Some(1_203));
    assert_eq!(before, after);

    let again = run(&source, &target, false).await;
    assert_eq!(counts(&again, |table| table.written), [0; 5]);
    assert!(again.is_verified());
    assert_eq!(again.source_digest, copy.source_digest);
}

#[tokio::test]
async fn a_dry_run_says_what_a_copy_would_do_and_does_nothing() {
    let (source, target) = (full().await, empty());
    create(&target, "pool-x", "of another time", 2).await;
    let copy = run(&source, &target, true).await;
    assert!(!copy.is_verified());
    assert_eq!(counts(&copy, |table| table.written), [3, 3, 1_206, 1, 1]);
    assert_eq!(counts(&copy, |table| table.removed), [1, 1, 2, 0, 0]);
    assert_eq!(target.pools().await.unwrap().len(), 1);
    let real = run(&source, &target, false).await;
    assert_eq!(counts(&real, |table| table.removed), [1, 1, 2, 0, 0]);
    assert!(real.is_verified());
}

#[tokio::test]
async fn a_copy_that_was_broken_off_anywhere_is_begun_again() {
    let source = full().await;
    for steps in 1..8 {
        let target = empty();
        let mut broken_off = Copy::new(false);
        for _ in 0..steps {
            broken_off.step(&ReadOnly(&source), &target).await.unwrap();
        }
        let copy = run(&source, &target, false).await;
        assert!(copy.is_verified(), "after {steps} steps");
        let written: u64 = counts(&copy, |table| table.written).iter().sum();
        let before: u64 = counts(&broken_off, |table| table.written).iter().sum();
        assert_eq!(written + before, 1_214, "nothing is written twice");
    }
}

#[tokio::test]
async fn rows_that_the_target_has_otherwise_are_made_alike() {
    let (source, target) = (full().await, empty());
    // The same pools with exchanged names, and a third one under a name of the source.
    create(&target, "pool-a", "second", 700).await;
    create(&target, "pool-b", "first", 1).await;
    create(&target, "pool-0", "third", 1).await;
    assert!(run(&source, &target, false).await.is_verified());
    assert_eq!(source.pools().await, target.pools().await);
}

#[tokio::test]
async fn an_edit_in_the_middle_of_a_copy_is_noticed_and_taken_along_by_the_next() {
    let (source, target) = (full().await, empty());
    let mut copy = Copy::new(false);
    while copy.phase != Phase::Verify {
        copy.step(&ReadOnly(&source), &target).await.unwrap();
    }
    let change = PoolUpdate { description: Some("new".to_owned()), ..PoolUpdate::default() };
    source.update_pool(&PoolId::new("pool-a"), &change, change.name.as_deref(), now()).await.unwrap();
    while copy.phase != Phase::Done {
        copy.step(&ReadOnly(&source), &target).await.unwrap();
    }
    assert!(!copy.is_verified());
    let next = run(&source, &target, false).await;
    assert!(next.is_verified());
    assert_eq!(counts(&next, |table| table.written), [1, 0, 0, 0, 0]);
}

#[tokio::test]
async fn a_copy_takes_every_column_of_every_table() {
    let sqlite = Sqlite::open(Path::new(":memory:")).unwrap();
    SqlStore::new(sqlite.clone()).ping().await.unwrap();
    for table in Table::ALL {
        let name = serde_json::to_value(table).unwrap();
        let columns = Statement::new(
            "SELECT json_quote(name) AS row FROM pragma_table_info(?1)",
            [name.as_str().unwrap().into()],
        );
        let columns = sqlite.batch(vec![columns]).await.unwrap().remove(0).rows;
        let copied = crate::store::sql::copying::columns(table);
        assert_eq!(copied.len(), columns.len(), "{table:?}");
        for column in columns {
            let column: String = serde_json::from_str(&column).unwrap();
            assert!(copied.contains(&column.as_str()), "{table:?}: {column}");
        }
    }
    let tables = "SELECT json_quote(count(*)) AS row FROM sqlite_master WHERE type = 'table'";
    let tables = sqlite.batch(vec![Statement::new(tables, [])]).await.unwrap().remove(0).rows;
    assert_eq!(
        tables,
        [(Table::ALL.len() + 5).to_string()],
        "all but the audit and what it dropped, uses, login tries and schema_version are copied"
    );
}
