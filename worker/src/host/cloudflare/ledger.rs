//! The ledger on Cloudflare: a SQLite Durable Object, and the stub that calls it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use wasm_bindgen::prelude::Closure;
use worker::js_sys::{Function, Reflect};
use worker::wasm_bindgen::{JsCast, JsValue};
use worker::{
    DurableObject, Env, Method, ObjectNamespace, Request, RequestInit, Response, SqlStorage, SqlStorageValue,
    State, Storage, durable_object,
};

use super::{WorkerClock, bindings};
use crate::ledger::database::{LedgerDatabase, LedgerSql};
use crate::ledger::{Ledger as AskLedger, LedgerError, LedgerReply, LedgerRequest, Shard};
use crate::platform::Clock;
use crate::setup::SetupError;
use crate::sql::{Outcome, SqlError, SqlValue, Statement};

/// Location hint: the region in which `wrangler.toml.example` places the Worker.
pub(super) const LOCATION: &str = "enam";
/// Delay of a rollup after the report that made it due, so that the report is answered first.
const ALARM_AFTER: Duration = Duration::from_secs(1);

/// The ledger's Durable Object. It only computes and writes: no request waits in it for I/O. A borrow
/// of a cell ends before anything is awaited.
#[durable_object]
pub struct Ledger {
    state: State,
    database: RefCell<Option<LedgerDatabase<DurableSql>>>,
    /// Whether an alarm is set that compacts the log.
    alarm: Cell<bool>,
}

impl DurableObject for Ledger {
    fn new(state: State, _env: Env) -> Self {
        Self { state, database: RefCell::default(), alarm: Cell::new(false) }
    }

    async fn fetch(&self, mut request: Request) -> worker::Result<Response> {
        let request: LedgerRequest = serde_json::from_str(&request.text().await?)?;
        match self.with_database(|database| database.handle(&request, now())) {
            Ok(reply) => {
                if matches!(request, LedgerRequest::Report(_)) {
                    self.set_alarm().await;
                }
                Response::ok(serde_json::to_string(&reply)?)
            }
            Err(error) => Response::error(error.0, 500),
        }
    }

    /// Compacts the log. If this fails, the runtime calls it again with exponential backoff.
    async fn alarm(&self) -> worker::Result<Response> {
        self.alarm.set(false);
        match self.with_database(|database| database.maintain(now())) {
            Ok(_) => Response::empty(),
            Err(error) => Err(error.0.into()),
        }
    }
}

impl Ledger {
    fn with_database<T>(
        &self,
        work: impl FnOnce(&mut LedgerDatabase<DurableSql>) -> Result<T, LedgerError>,
    ) -> Result<T, LedgerError> {
        let mut cell = self.database.borrow_mut();
        let database = if let Some(database) = cell.take() {
            database
        } else {
            LedgerDatabase::open(DurableSql::new(self.state.storage()))?
        };
        work(cell.insert(database))
    }

    /// Sets the alarm when a rollup is due. If that fails, the next report sets it: the report at hand
    /// is counted either way.
    async fn set_alarm(&self) {
        let due = !self.alarm.get() && self.with_database(|database| database.is_due(now())).unwrap_or(false);
        if due {
            self.alarm.set(true);
            let set = self.state.storage().set_alarm(ALARM_AFTER).await;
            self.alarm.set(set.is_ok());
        }
    }
}

fn now() -> Timestamp {
    WorkerClock.now()
}

/// The SQLite inside a Durable Object.
pub(super) struct DurableSql {
    storage: Storage,
    sql: SqlStorage,
}

impl DurableSql {
    pub(super) fn new(storage: Storage) -> Self {
        Self { sql: storage.sql(), storage }
    }
}

#[derive(Deserialize)]
struct Row {
    row: String,
}

impl LedgerSql for DurableSql {
    /// Runs inside the runtime's `transactionSync`, which rolls back when a statement fails. The `worker` crate does not wrap that call.
    fn run(&self, statements: Vec<Statement>) -> Result<Vec<Outcome>, SqlError> {
        let outcomes = Rc::new(RefCell::new(Vec::with_capacity(statements.len())));
        let (sql, written) = (self.sql.clone(), Rc::clone(&outcomes));
        let body = Closure::once(move || -> Result<JsValue, JsValue> {
            for statement in &statements {
                let outcome =
                    run_statement(&sql, statement).map_err(|error| JsValue::from_str(&error.to_string()))?;
                written.borrow_mut().push(outcome);
            }
            Ok(JsValue::UNDEFINED)
        });
        let storage: &JsValue = self.storage.as_raw();
        let transaction: Function = Reflect::get(storage, &JsValue::from_str("transactionSync"))
            .and_then(JsCast::dyn_into)
            .map_err(|error| sql_error(&error))?;
        transaction.call1(storage, body.as_ref()).map_err(|error| sql_error(&error))?;
        Ok(outcomes.take())
    }
}

fn run_statement(sql: &SqlStorage, statement: &Statement) -> worker::Result<Outcome> {
    let parameters: Vec<SqlStorageValue> = statement.parameters.iter().map(sql_value).collect();
    let cursor = sql.exec(statement.sql, parameters)?;
    let rows: Vec<Row> = cursor.to_array()?;
    Ok(Outcome { rows: rows.into_iter().map(|row| row.row).collect(), changes: cursor.rows_written() as u64 })
}

fn sql_value(value: &SqlValue) -> SqlStorageValue {
    match value {
        SqlValue::Null => SqlStorageValue::Null,
        SqlValue::Integer(value) => SqlStorageValue::Integer(value.cast_signed()),
        SqlValue::Text(text) => SqlStorageValue::String(text.clone()),
    }
}

fn sql_error(error: &JsValue) -> SqlError {
    let message =
        error.as_string().or_else(|| Reflect::get(error, &JsValue::from_str("message")).ok()?.as_string());
    SqlError(message.unwrap_or_else(|| "unknown error".to_owned()))
}

/// Calls the ledger's Durable Objects.
pub struct LedgerStub(ObjectNamespace);

impl LedgerStub {
    pub(super) fn new(env: &Env) -> Result<Self, SetupError> {
        bindings::namespace(env, "LEDGER", "LEDGER (the Durable Object class Ledger)").map(Self)
    }

    async fn send(
        &self,
        shard: Shard,
        request: &LedgerRequest,
    ) -> worker::Result<Result<LedgerReply, LedgerError>> {
        let name = match shard.number() {
            0 => "ledger".to_owned(),
            number => format!("ledger-{number}"),
        };
        let stub = self.0.get_by_name_with_location_hint(&name, LOCATION)?;
        let mut init = RequestInit::new();
        init.with_method(Method::Post).with_body(Some(JsValue::from_str(&serde_json::to_string(request)?)));
        let mut response = stub.fetch_with_request(Request::new_with_init("https://ledger/", &init)?).await?;
        if response.status_code() == 200 {
            return Ok(Ok(serde_json::from_str(&response.text().await?)?));
        }
        Ok(Err(LedgerError(response.text().await?)))
    }
}

impl AskLedger for LedgerStub {
    fn kind(&self) -> &'static str {
        "durable object"
    }

    async fn ask(&self, shard: Shard, request: LedgerRequest) -> Result<LedgerReply, LedgerError> {
        self.send(shard, &request).await.unwrap_or_else(|error| Err(LedgerError(error.to_string())))
    }
}
