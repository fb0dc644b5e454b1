//! `POST migration`: copying everything from the config store in use to the other one that is bound.
//!
//! Each request does a bounded step; the response's cursor goes into the next one, until there is none.

use serde::{Deserialize, Serialize};

/// A config store that a deployment on Workers can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum StoreKind {
    /// The D1 database bound as `DB`.
    D1,
    /// The KV namespace bound as `API_TOKENS`.
    Kv,
}

impl StoreKind {
    /// `d1` or `kv`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::D1 => "d1",
            Self::Kv => "kv",
        }
    }
}

/// `POST migration`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Migrate {
    /// Where to; it must not be the store in use.
    pub to: StoreKind,
    /// Only compare, and write nothing.
    #[serde(default)]
    pub dry_run: bool,
    /// The cursor of the response before; none to begin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// The answer to `POST migration`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MigrationStep {
    /// What goes into the next request; none when nothing is left to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// What was done so far.
    #[serde(flatten)]
    pub report: MigrationReport,
}

/// How far a migration has come, and in the end what it did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MigrationReport {
    /// The store in use: `d1`, `kv`.
    pub from: String,
    /// The other store.
    pub to: String,
    /// Nothing was written.
    pub dry_run: bool,
    /// What it is at: `copy`, `publish`, `verify` or `done`.
    pub phase: String,
    /// Both sides were read to the end and hold the same. False until then.
    pub verified: bool,
    /// Kind by kind.
    pub tables: Vec<MigratedTable>,
    /// A digest over every row that the store in use holds; complete when the phase is `done`.
    pub source_digest: String,
    /// The same over the other store.
    pub target_digest: String,
}

/// One kind of thing in a [`MigrationReport`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MigratedTable {
    /// What: `pools`, `client_keys`, `keys`, `admin_tokens`.
    pub table: String,
    /// How many the store in use has.
    pub source_rows: u64,
    /// How many the other store has.
    pub target_rows: u64,
    /// How many were added or changed there, or would be.
    pub written: u64,
    /// How many were removed there because the store in use does not have them, or would be.
    pub removed: u64,
}
