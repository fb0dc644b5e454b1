//! The config object: the Durable Object that holds the config of a deployment on KV.
//!
//! The Worker forwards every request of the admin API unchanged, and here the same admin code runs over
//! the object's own SQLite. One object runs all of them, so no change is lost. Changes go to KV before
//! the response, or by alarm while KV rejects writes.

use std::cell::{Cell, OnceCell};
use std::rc::Rc;
use std::time::Duration;

use http::HeaderMap;
use url::Url;
use worker::wasm_bindgen::JsValue;
use worker::{
    DurableObject, Env, Method, ObjectNamespace, Request, RequestInit, Response, State, Storage,
    durable_object,
};

use super::kv::WorkersKv;
use super::ledger::{DurableSql, LOCATION};
use super::store::{self, CloudflareSql};
use super::{WorkerClock, bindings, entry};
use crate::ledger::database::LedgerSql;
use crate::setup::SetupError;
use crate::sql::{Outcome, SqlError, Statement};
use crate::store::StoreError;
use crate::store::copy::{CopyReply, CopyRequest, Replica};
use crate::store::kv::Publisher;
use crate::store::sql::{SqlDatabase, SqlStore};

/// The object's name.
const NAME: &str = "config";
/// The path of a step of a copy. No path of the admin API is like it, and the Worker hands on no other.
const COPY_PATH: &str = "/copy";
/// The route by which the object tells whether it knows a client.
const WHO_AM_I: &str = "/admin/v1/whoami";
/// Time that a request waits for KV. Writes that are pending then are published by alarm.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(5);
/// Delay of the alarm after a change: long after the request itself has published the change, which is
/// the normal case. While writes are pending, the delay doubles up to the maximum: a KV whose daily quota
/// is used up rejects writes until midnight UTC, and each alarm costs written rows.
const ALARM_DELAY: Duration = Duration::from_secs(30);
const MAX_ALARM_BACKOFF: Duration = Duration::from_mins(30);

/// Calls the object.
pub struct ConfigStub(ObjectNamespace);

impl ConfigStub {
    pub(super) fn new(env: &Env) -> Result<Self, SetupError> {
        bindings::namespace(env, "CONFIG", "CONFIG (the Durable Object class Config)").map(Self)
    }

    /// Hands over a request as it is.
    pub(super) async fn fetch(&self, request: Request) -> worker::Result<Response> {
        let stub = self.0.get_by_name_with_location_hint(NAME, LOCATION)?;
        stub.fetch_with_request(request).await
    }

    /// Whether the object knows the client who sends these headers to `url`.
    pub(super) async fn knows(&self, url: &Url, headers: &HeaderMap) -> worker::Result<bool> {
        let mut url = url.clone();
        url.set_path(WHO_AM_I);
        url.set_query(None);
        let mut init = RequestInit::new();
        init.with_method(Method::Get).with_headers(entry::outgoing_headers(headers)?);
        let answer = self.fetch(Request::new_with_init(url.as_str(), &init)?).await?;
        Ok(answer.status_code() == 200)
    }

    async fn send(&self, request: &CopyRequest) -> worker::Result<Result<CopyReply, StoreError>> {
        let mut init = RequestInit::new();
        init.with_method(Method::Post).with_body(Some(JsValue::from_str(&serde_json::to_string(request)?)));
        let request = Request::new_with_init(&format!("https://config{COPY_PATH}"), &init)?;
        let mut response = self.fetch(request).await?;
        if response.status_code() == 200 {
            return Ok(Ok(serde_json::from_str(&response.text().await?)?));
        }
        Ok(Err(StoreError::Unavailable(response.text().await?)))
    }
}

impl Replica for ConfigStub {
    fn kind(&self) -> &'static str {
        "kv"
    }

    async fn ask(&self, request: &CopyRequest) -> Result<CopyReply, StoreError> {
        self.send(request).await.unwrap_or_else(|error| Err(StoreError::Unavailable(error.to_string())))
    }
}

/// The Durable Object class. Its state is created by the first request, because a binding may be missing.
#[durable_object]
pub struct Config {
    state: State,
    env: Env,
    object: OnceCell<Rc<ConfigObject>>,
}

impl DurableObject for Config {
    fn new(state: State, env: Env) -> Self {
        Self { state, env, object: OnceCell::new() }
    }

    async fn fetch(&self, request: Request) -> worker::Result<Response> {
        match self.object() {
            Ok(object) => object.fetch(&self.state, request).await,
            Err(error) => Response::error(error.to_string(), 503),
        }
    }

    async fn alarm(&self) -> worker::Result<Response> {
        if let Ok(object) = self.object() {
            object.alarm().await?;
        }
        Response::empty()
    }
}

impl Config {
    fn object(&self) -> Result<Rc<ConfigObject>, SetupError> {
        if let Some(object) = self.object.get() {
            return Ok(Rc::clone(object));
        }
        let object = Rc::new(ConfigObject::new(&self.state, &self.env)?);
        Ok(Rc::clone(self.object.get_or_init(|| object)))
    }
}

/// The object's state.
struct ConfigObject {
    storage: Storage,
    env: Env,
    database: Rc<ObjectDatabase>,
    /// Consecutive alarms that could not publish everything.
    failed_alarms: Cell<u32>,
}

impl ConfigObject {
    fn new(state: &State, env: &Env) -> Result<Self, SetupError> {
        let sql = || ObjectSql(DurableSql::new(state.storage()));
        let publisher = Publisher::new(sql(), store::kv(env)?);
        let database = Rc::new(ObjectDatabase { sql: sql(), publisher });
        Ok(Self { storage: state.storage(), env: env.clone(), database, failed_alarms: Cell::new(0) })
    }

    async fn fetch(&self, state: &State, mut request: Request) -> worker::Result<Response> {
        let path = request.path();
        if let Err(error) = self.database.publisher.prepare(&WorkerClock).await {
            return if path == COPY_PATH {
                Response::error(error.to_string(), 503)
            } else {
                entry::refused(error.into())
            };
        }
        let store = SqlStore::new(CloudflareSql::Object(Rc::clone(&self.database), store::d1(&self.env)));
        if path == COPY_PATH {
            let request: CopyRequest = serde_json::from_str(&request.text().await?)?;
            return match store.ask(&request).await {
                Ok(reply) => Response::ok(serde_json::to_string(&reply)?),
                Err(error) => Response::error(error.to_string(), 503),
            };
        }
        let changes = request.method() != Method::Get;
        if changes {
            self.set_alarm().await?;
        }
        let answer = entry::administer(&self.env, store, request, |work| state.wait_until(work)).await;
        // The first request of all stores the keys of the hashes, whatever it asks for.
        if changes || self.database.publisher.waiting().await != Ok(0) {
            // What KV did not take goes there by alarm, and health tells until then.
            let _ = self.database.publisher.publish(&WorkerClock, PUBLISH_TIMEOUT).await;
        }
        answer
    }

    /// Publishes what is left from a request that did not come to it.
    async fn alarm(&self) -> worker::Result<()> {
        let publisher = &self.database.publisher;
        let result = match publisher.prepare(&WorkerClock).await {
            Ok(()) => publisher.publish(&WorkerClock, PUBLISH_TIMEOUT).await,
            Err(error) => Err(error),
        };
        self.failed_alarms.set(if result.is_err() { self.failed_alarms.get() + 1 } else { 0 });
        if result.is_err() { self.set_alarm().await } else { Ok(()) }
    }

    /// Set before a change is made, so that even a crash right after it leaves nothing unpublished.
    async fn set_alarm(&self) -> worker::Result<()> {
        if self.storage.get_alarm().await?.is_some() {
            return Ok(());
        }
        let longer = ALARM_DELAY.saturating_mul(1 << self.failed_alarms.get().min(10));
        self.storage.set_alarm(longer.min(MAX_ALARM_BACKOFF)).await
    }
}

/// The object's database, and what carries its rows to KV.
pub struct ObjectDatabase {
    sql: ObjectSql,
    publisher: Publisher<ObjectSql, WorkersKv>,
}

impl ObjectDatabase {
    pub(super) async fn batch(&self, statements: Vec<Statement>) -> Result<Vec<Outcome>, SqlError> {
        self.sql.batch(statements).await
    }

    pub(super) async fn publish(&self, everything: bool) -> Result<u64, StoreError> {
        if everything {
            self.publisher.note_everything().await?;
        }
        let before = self.publisher.waiting().await?;
        let published = self.publisher.publish(&WorkerClock, PUBLISH_TIMEOUT).await;
        let left = self.publisher.waiting().await?;
        // A step that came no further than the one before is a failure, not progress.
        if left < before { Ok(left) } else { published.map(|()| left) }
    }

    pub(super) async fn lag(&self) -> Option<String> {
        self.publisher.trouble().await
    }
}

/// The SQLite inside the object.
struct ObjectSql(DurableSql);

impl SqlDatabase for ObjectSql {
    fn kind(&self) -> &'static str {
        "kv"
    }

    /// Returns the runtime counts the rows that a statement wrote with those of its indexes and triggers, so
    /// SQLite itself is asked for the changes.
    async fn batch(&self, statements: Vec<Statement>) -> Result<Vec<Outcome>, SqlError> {
        let changes = || Statement::new("SELECT json_quote(changes()) AS row", []);
        let statements = statements.into_iter().flat_map(|statement| [statement, changes()]).collect();
        let mut outcomes = self.0.run(statements)?.into_iter();
        let mut counted = Vec::new();
        while let (Some(outcome), Some(changes)) = (outcomes.next(), outcomes.next()) {
            let changes = changes.rows.first().and_then(|count| count.parse().ok()).unwrap_or_default();
            counted.push(Outcome { rows: outcome.rows, changes });
        }
        Ok(counted)
    }
}
