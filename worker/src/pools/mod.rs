//! The pools as the data plane sees them: immutable in-memory snapshots of their config.

mod snapshot;

pub use snapshot::{Snapshot, SnapshotKey};
