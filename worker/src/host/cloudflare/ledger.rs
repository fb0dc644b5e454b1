//! The ledger on Cloudflare: a Durable Object with SQLite inside, and the stub that asks it.

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;

use serde::Deserialize;
use wasm_bindgen::prelude::Closure;
use worker::js_sys::{Function, Reflect};
use worker::wasm_bindgen::{JsCast, JsValue};
use worker::{
    DurableObject, Env, Method, ObjectNamespace, Request, RequestInit, Response, SqlStorage, SqlStorageValue,
    State, Storage, durable_object,
};

use super::config_object::{self, ConfigObject};
use crate::ledger::database::{LedgerDatabase, LedgerSql};
use crate::ledger::{Ledger as AskLedger, LedgerError, LedgerReply, LedgerRequest};
use crate::service::SetupError;
use crate::sql::{Outcome, SqlError, SqlValue, Statement};

/// Where the object is made: the region that `wrangler.toml.example` places the Worker in.
pub(super) const LOCATION: &str = "enam";

/// The ledger's object. It only ever computes and writes: no request waits in it for anything else.
/// An object of this class that is asked what belongs to the config is the config object instead.
#[durable_object]
pub struct Ledger {
    state: State,
    env: Env,
    database: OnceCell<LedgerDatabase<DurableSql>>,
    config: OnceCell<Rc<ConfigObject>>,
}

impl DurableObject for Ledger {
    fn new(state: State, env: Env) -> Self {
        Self { state, env, database: OnceCell::new(), config: OnceCell::new() }
    }

    async fn fetch(&self, mut request: Request) -> worker::Result<Response> {
        if config_object::is_for_config(&request.path()) {
            return match self.config() {
                Ok(config) => config.fetch(request).await,
                Err(error) => Response::error(error.to_string(), 503),
            };
        }
        let request: LedgerRequest = request.json().await?;
        match self.handle(&request) {
            Ok(reply) => Response::from_json(&reply),
            Err(error) => Response::error(error.to_string(), 500),
        }
    }

    async fn alarm(&self) -> worker::Result<Response> {
        if config_object::is_config(&self.state)
            && let Ok(config) = self.config()
        {
            config.alarm().await?;
        }
        Response::empty()
    }
}

impl Ledger {
    fn config(&self) -> Result<Rc<ConfigObject>, SetupError> {
        if let Some(config) = self.config.get() {
            return Ok(Rc::clone(config));
        }
        let config = Rc::new(ConfigObject::new(&self.state, &self.env)?);
        Ok(Rc::clone(self.config.get_or_init(|| config)))
    }

    fn handle(&self, request: &LedgerRequest) -> Result<LedgerReply, LedgerError> {
        if let Some(database) = self.database.get() {
            return database.handle(request);
        }
        let database = LedgerDatabase::open(DurableSql::new(self.state.storage()))?;
        self.database.get_or_init(|| database).handle(request)
    }
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
    /// Runs inside the runtime's `transactionSync`, which takes everything back when a statement
    /// fails. The `worker` crate does not wrap that call.
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

/// The way to the ledger's object.
pub struct LedgerStub(ObjectNamespace);

impl LedgerStub {
    pub(super) const fn new(namespace: ObjectNamespace) -> Self {
        Self(namespace)
    }

    async fn send(&self, request: &LedgerRequest) -> worker::Result<Result<LedgerReply, LedgerError>> {
        let stub = self.0.get_by_name_with_location_hint("ledger", LOCATION)?;
        let mut init = RequestInit::new();
        init.with_method(Method::Post).with_body(Some(JsValue::from_str(&serde_json::to_string(request)?)));
        let mut response = stub.fetch_with_request(Request::new_with_init("https://ledger/", &init)?).await?;
        if response.status_code() == 200 {
            return Ok(Ok(response.json().await?));
        }
        Ok(Err(LedgerError(response.text().await?)))
    }
}

impl AskLedger for LedgerStub {
    fn kind(&self) -> &'static str {
        "durable object"
    }

    async fn ask(&self, request: LedgerRequest) -> Result<LedgerReply, LedgerError> {
        self.send(&request).await.unwrap_or_else(|error| Err(LedgerError(error.to_string())))
    }
}
