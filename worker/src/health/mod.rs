//! Key health: probes of keys, and scheduled rechecks of unhealthy ones.

mod probe;
mod recheck;

pub(crate) use probe::{Probe, ProbeModels, probe, probe_member};
pub(crate) use recheck::recheck;
