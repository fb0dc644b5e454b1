//! `pools.toml`: what pools there are to be, in a file that can stand in a repository.
//!
//! In: the file, and what the service has. Out: the changes that lead from one to the other, shown by
//! `diff` and made by `apply`; `export` writes the file. Never in the file: a secret. Keys are named by
//! files or environment variables, and what a pool's entry does not name is left as it is.

mod apply;
mod export;
mod plan;
mod spec;

pub use self::{
    apply::{ApplyArgs, DiffArgs, apply, diff, make},
    export::{ExportArgs, export},
    plan::{Action, Change, FirstClientKeys, Present, Step, Unsaid, changes, new_pool, old_pool},
    spec::{Manifest, PoolSpec},
};
