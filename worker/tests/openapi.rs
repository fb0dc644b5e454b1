//! Tests of the API's `OpenAPI` 3.1 document.
//!
//! It is generated from routes and types, compared with `docs/openapi.json`, and served by `GET
//! /admin/v1/openapi.json`. `UPDATE_DOCS=1 cargo test -p pool-worker --test openapi` updates it.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "clippy.toml allows them in tests, but not in a test's own helper functions"
)]

#[path = "openapi/admin.rs"]
mod admin;
#[path = "openapi/data.rs"]
mod data;
#[path = "openapi/describe.rs"]
mod describe;
#[path = "openapi/document.rs"]
mod document;
#[path = "openapi/schemas.rs"]
mod schemas;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use http::Method;
use pool_worker::{admin as admin_api, gateway};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

#[test]
fn the_committed_document_is_up_to_date() {
    let path = root().join("docs/openapi.json");
    let text = serde_json::to_string_pretty(&document::document()).unwrap() + "\n";
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap();
    assert!(
        kept == text,
        "the API changed: see how in `git diff` after UPDATE_DOCS=1 cargo test -p pool-worker --test openapi"
    );
}

#[test]
fn the_document_describes_exactly_the_routes() {
    let admin: BTreeSet<_> =
        admin_api::ROUTES.iter().map(|route| (route.path.to_owned(), route.method.to_string())).collect();
    let data: BTreeSet<_> = gateway::ROUTES.iter().map(|path| (*path).to_owned()).collect();
    let described = |operations: Vec<document::Operation>| -> BTreeSet<_> {
        operations.into_iter().map(|operation| (operation.path, operation.method.to_string())).collect()
    };
    assert_eq!(described(admin::operations()), admin);
    let described: BTreeSet<_> =
        data::operations().into_iter().map(|operation| pattern_of(&operation.path)).collect();
    assert_eq!(described, data);
}

/// Returns the route pattern of a path; methods of a model share one.
fn pattern_of(path: &str) -> String {
    path.split(':').next().unwrap_or_default().replace("{id}", "{*id}")
}

#[test]
fn every_operation_has_a_unique_id_and_a_summary() {
    let operations = || admin::operations().into_iter().chain(data::operations()).chain(admin::probes());
    let names: BTreeSet<_> = operations().map(|operation| operation.id).collect();
    assert_eq!(names.len(), operations().count());
    assert!(operations().all(|operation| !operation.summary.is_empty()));
    let bodies = operations().filter(|operation| operation.body.is_some());
    assert!(bodies.into_iter().all(|operation| operation.method != Method::GET));
}
