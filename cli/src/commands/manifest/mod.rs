//! Manifest `pools.toml`: the desired pools, in a file that can be committed.
//!
//! `diff` shows the changes that make the service match the file, `apply` makes them, and `export`
//! writes the file. The file never contains a secret: keys are named by files or environment
//! variables. Fields that a pool's entry does not have are unchanged.

mod apply;
mod export;
mod plan;
mod spec;

pub use self::{
    apply::{ApplyArgs, DiffArgs, apply, diff, make},
    export::{ExportArgs, export},
    plan::{Absent, Action, Change, FirstClientKeys, Present, Step, changes, new_pool, old_pool},
    spec::{Manifest, PoolSpec},
};
