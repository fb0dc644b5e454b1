//! The config object: the Durable Object that holds the config of a deployment on KV.
//!
//! The Worker hands it every request of the admin API whole, and here the same admin code runs over the
//! object's own SQLite. One object runs all of them, so no edit is lost; what it changed goes to KV
//! before it answers, or by alarm when KV does not take it. It is an object of the ledger's class with a
//! name of its own: another database, another alarm, and no further binding to set up.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use http::HeaderMap;
use url::Url;
use worker::wasm_bindgen::JsValue;
use worker::{Env, Method, ObjectNamespace, Request, RequestInit, Response, State, Storage};

use super::kv::WorkersKv;
use super::ledger::{DurableSql, LOCATION};
use super::store::{self, CloudflareSql};
use super::{WorkerClock, entry};
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
/// The route by which the object tells whether it knows a caller.
const WHO_AM_I: &str = "/admin/v1/whoami";
/// How long a request waits for KV. What KV has not taken by then goes there by alarm.
const PATIENCE: Duration = Duration::from_secs(5);
/// When the alarm rings after a change: long after the request has published its own change, which is
/// the rule. While something waits it rings again, each time after twice as long: a KV whose daily quota
/// is used up is asked again and again until midnight UTC, and each ring takes written rows.
const ALARM: Duration = Duration::from_secs(30);
const LONGEST_ALARM: Duration = Duration::from_mins(30);

/// The way to the object.
pub struct ConfigStub(ObjectNamespace);

impl ConfigStub {
    pub(super) fn new(env: &Env) -> Result<Self, SetupError> {
        entry::ledger_namespace(env).map(Self)
    }

    /// Hands over a request as it is.
    pub(super) async fn fetch(&self, request: Request) -> worker::Result<Response> {
        let stub = self.0.get_by_name_with_location_hint(NAME, LOCATION)?;
        stub.fetch_with_request(request).await
    }

    /// Whether the object knows the caller who sends these headers to `url`.
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

/// Whether a request to an object of the class is one for the config object.
pub(super) fn is_for_config(path: &str) -> bool {
    path == COPY_PATH || crate::router::is_admin_path(path)
}

/// The object's own half.
pub(super) struct ConfigObject {
    storage: Storage,
    env: Env,
    database: Rc<ObjectDatabase>,
    /// How often the alarm rang in vain.
    in_vain: Cell<u32>,
}

impl ConfigObject {
    pub(super) fn new(state: &State, env: &Env) -> Result<Self, SetupError> {
        let sql = || ObjectSql(DurableSql::new(state.storage()));
        let publisher = Publisher::new(sql(), store::kv(env)?);
        let database = Rc::new(ObjectDatabase { sql: sql(), publisher });
        Ok(Self { storage: state.storage(), env: env.clone(), database, in_vain: Cell::new(0) })
    }

    pub(super) async fn fetch(&self, state: &State, mut request: Request) -> worker::Result<Response> {
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
            let _ = self.database.publisher.publish(&WorkerClock, PATIENCE).await;
        }
        answer
    }

    /// Publishes what is left from a request that did not come to it.
    pub(super) async fn alarm(&self) -> worker::Result<()> {
        let publisher = &self.database.publisher;
        let result = match publisher.prepare(&WorkerClock).await {
            Ok(()) => publisher.publish(&WorkerClock, PATIENCE).await,
            Err(error) => Err(error),
        };
        self.in_vain.set(if result.is_err() { self.in_vain.get() + 1 } else { 0 });
        if result.is_err() { self.set_alarm().await } else { Ok(()) }
    }

    /// Set before a change is made, so that even a crash right after it leaves nothing unpublished.
    async fn set_alarm(&self) -> worker::Result<()> {
        if self.storage.get_alarm().await?.is_some() {
            return Ok(());
        }
        let longer = ALARM.saturating_mul(1 << self.in_vain.get().min(10));
        self.storage.set_alarm(longer.min(LONGEST_ALARM)).await
    }
}

/// Whether an object of the class has a config's tables: an alarm does not say whose it is.
pub(super) fn is_config(state: &State) -> bool {
    let tables = Statement::new("SELECT name AS row FROM sqlite_master WHERE name = 'kv_state'", []);
    let found = DurableSql::new(state.storage()).run(vec![tables]);
    found.is_ok_and(|outcomes| outcomes.iter().any(|outcome| !outcome.rows.is_empty()))
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
        let published = self.publisher.publish(&WorkerClock, PATIENCE).await;
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

    /// The runtime counts the rows that a statement wrote with those of its indexes and triggers, so
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
