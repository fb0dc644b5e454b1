//! A store that hangs, one whose replies are lost, and one that fails in the middle of a batch.

use futures_util::poll;
use pool_shared::KeyImportReport;

use super::*;
use crate::sql::{SqlValue, Statement};
use crate::store::sql::SqlDatabase;

#[tokio::test]
async fn a_hanging_store_delays_a_cached_pool_once_and_never_fails_it() {
    let world = World::new().await;
    world.chat().await;
    world.store(Mode::Silent);
    world.wait(30);
    {
        let mut chat = std::pin::pin!(world.chat());
        assert!(poll!(&mut chat).is_pending());
        world.wait(5);
        assert_eq!(poll!(&mut chat), std::task::Poll::Ready(StatusCode::OK));
    }
    let before = world.host.store_calls();
    for _ in 0..10 {
        assert_eq!(world.chat().await, StatusCode::OK, "at once");
    }
    assert_eq!(world.host.store_calls(), before);
    let cold = world.host.service();
    let mut chat = std::pin::pin!(world.chat_on(&cold));
    assert!(poll!(&mut chat).is_pending());
    world.wait(5);
    let std::task::Poll::Ready((reply, body)) = poll!(&mut chat) else { panic!("it waits for ever") };
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE, "503, never 401");
    assert!(body.contains("store_unavailable"), "{body}");
    world.store(Mode::Works);
    assert_eq!(world.chat_on(&cold).await.0.status, StatusCode::OK);
}

#[tokio::test]
async fn a_change_whose_answer_was_lost_may_be_made_again() {
    let world = World::new().await;
    world.chat().await;
    let path = format!("/admin/v1/pools/{}/keys/import", world.pool.pool.id);
    let import = async || {
        let body = r#"{"keys":[{"key":"AIzaSyA-cccccccccccccccccccccccc"}]}"#;
        world.host.send(&world.service, Method::POST, &path, &world.admin, body).await
    };
    // The fourth call to the store is the one that writes.
    world.host.parts.database.switch.set_once(3, Mode::FailsAfterwards);
    assert_eq!(import().await.0.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(world.chat().await, StatusCode::OK);
    let report: KeyImportReport = serde_json::from_str(&import().await.1).unwrap();
    assert_eq!((report.added, report.duplicate), (0, 1), "it was there already");
    assert_eq!(world.chat().await, StatusCode::OK);
}

#[tokio::test]
async fn a_batch_that_fails_half_way_changes_nothing() {
    let world = World::new().await;
    let rename = |name: &str| {
        let set = "UPDATE pools SET name = ?1, version = version + 1";
        Statement::new(set, [SqlValue::from(name)])
    };
    let database = &world.host.parts.database;
    let broken = database.batch(vec![rename("changed"), Statement::new("SELECT no_such(1)", [])]).await;
    assert!(broken.is_err());
    let names = Statement::new("SELECT json_quote(name) AS row FROM pools", []);
    assert_eq!(database.batch(vec![names]).await.unwrap()[0].rows, [r#""prod""#]);
}
