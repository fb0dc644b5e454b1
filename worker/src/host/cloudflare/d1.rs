//! The config store's database on Cloudflare: D1.

use std::rc::Rc;

use serde::Deserialize;
use worker::wasm_bindgen::JsValue;
use worker::{D1Database, D1PreparedStatement};

use crate::sql::{Outcome, SqlError, SqlValue, Statement};
use crate::store::sql::SqlDatabase;

/// A D1 database.
#[derive(Clone)]
pub struct D1(Rc<D1Database>);

#[derive(Deserialize)]
struct Row {
    row: String,
}

impl D1 {
    pub(super) fn new(database: D1Database) -> Self {
        Self(Rc::new(database))
    }

    fn prepare(&self, statement: &Statement) -> worker::Result<D1PreparedStatement> {
        let values: Vec<JsValue> = statement.parameters.iter().map(js_value).collect();
        self.0.prepare(statement.sql).bind(&values)
    }

    async fn run(&self, statements: &[Statement]) -> worker::Result<Vec<Outcome>> {
        let prepared =
            statements.iter().map(|statement| self.prepare(statement)).collect::<Result<_, _>>()?;
        let results = self.0.batch(prepared).await?;
        let outcome = |result: worker::D1Result| {
            let changes = result.meta()?.and_then(|meta| meta.changes).unwrap_or_default();
            let rows: Vec<Row> = result.results()?;
            Ok(Outcome { rows: rows.into_iter().map(|row| row.row).collect(), changes: changes as u64 })
        };
        results.into_iter().map(outcome).collect()
    }
}

/// D1 takes no `BigInt`: whole numbers go as floating-point ones, exact up to 2^53.
#[allow(clippy::cast_precision_loss)]
fn js_value(value: &SqlValue) -> JsValue {
    match value {
        SqlValue::Null => JsValue::NULL,
        SqlValue::Integer(value) => JsValue::from_f64(*value as f64),
        SqlValue::Text(text) => JsValue::from_str(text),
    }
}

impl SqlDatabase for D1 {
    fn kind(&self) -> &'static str {
        "d1"
    }

    async fn batch(&self, statements: Vec<Statement>) -> Result<Vec<Outcome>, SqlError> {
        self.run(&statements).await.map_err(|error| SqlError(error.to_string()))
    }
}
