//! Scheduled rechecks of keys that Gemini refused, so that those that recover come back by themselves and no state is
//! permanent by mistake: final states are rechecked daily, after all others.
//!
//! In: the runtimes, which know when a key is due. Out: what Gemini said, learnt as from any attempt.

use std::sync::Arc;

use pool_shared::KeyId;

use super::authenticate::snapshot_of;
use super::probe::{ProbeModels, probe_member};
use crate::host::{Clock, Host};
use crate::pool::Snapshot;
use crate::service::{Service, lock};

/// Tries the keys again that are due: of all pools, those that may have recovered before those in a final state.
pub(crate) async fn recheck<H: Host>(service: &Arc<Service>, host: &H) {
    let mut left = H::CHECKS_AT_A_TIME;
    let pools = lock(&service.runtimes).due(host.clock().now());
    let mut known = Vec::new();
    for pool in pools {
        // A store that does not answer leaves the keys due.
        let Ok(Some(snapshot)) = snapshot_of(service, host, &pool).await else { continue };
        known.push((ProbeModels::of(&snapshot), snapshot));
    }
    for in_final_state in [false, true] {
        for (models, snapshot) in &known {
            for id in due(service, host, snapshot, in_final_state) {
                if left == 0 {
                    return;
                }
                left -= 1;
                let Some(Ok(key)) = snapshot.find_key(&id).map(|key| snapshot.open(&key)) else { continue };
                probe_member(service, host, snapshot, &id, &key, models).await;
            }
        }
    }
}

fn due<H: Host>(service: &Service, host: &H, snapshot: &Snapshot, in_final_state: bool) -> Vec<KeyId> {
    let now = host.clock().now();
    let mut runtimes = lock(&service.runtimes);
    let runtime = runtimes.of(&snapshot.id, now);
    runtime.meet(snapshot.roster(), now);
    runtime.due_rechecks_of(in_final_state, now)
}
