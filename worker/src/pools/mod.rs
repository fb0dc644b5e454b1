//! The pool directory: the pools that an isolate or process has in memory, with everything that is
//! observed about them at runtime.

mod directory;
mod hash_keys;
mod model_lists;
mod model_pages;
mod snapshot;
mod snapshot_cache;

pub use directory::{PoolDirectory, PoolError};
pub use hash_keys::HashKeyError;
pub(crate) use model_lists::{Known, ModelCache};
pub(crate) use model_pages::{ModelPageText, ModelPages};
pub use snapshot::{Snapshot, SnapshotKey};
pub(crate) use snapshot_cache::{Lookup, SnapshotCache};
