//! Scheduled rechecks of keys that Gemini rejected, so that those that recover come back by themselves and no state is
//! permanent by mistake: final states are rechecked daily, after all others.
//!
//! In: the runtimes, which know when a key is due. Out: what Gemini said, learnt as from any attempt.

use std::sync::Arc;

use pool_shared::KeyId;

use super::probe::{ProbeModels, probe_member};
use crate::platform::Clock;
use crate::platform::lock;
use crate::pools::Snapshot;
use crate::ports::Host;
use crate::state::ServiceState;

/// Tries the keys again that are due: of all pools, those that may have recovered before those in a final state.
pub(crate) async fn recheck<H: Host>(state: &Arc<ServiceState>, host: &H) {
    let mut left = H::CHECKS_AT_A_TIME;
    let pools = lock(&state.pools.states).due(host.clock().now());
    let mut known = Vec::new();
    for pool in pools {
        // A store that does not answer leaves the keys due.
        let Ok(Some(snapshot)) = state.pools.get(host, &pool).await else { continue };
        known.push((ProbeModels::of(&snapshot), snapshot));
    }
    for in_final_state in [false, true] {
        for (models, snapshot) in &known {
            for id in due(state, host, snapshot, in_final_state) {
                if left == 0 {
                    return;
                }
                left -= 1;
                let Some(Ok(key)) = snapshot.find_key(&id).map(|key| snapshot.decrypt(&key)) else {
                    continue;
                };
                probe_member(state, host, snapshot, &id, &key, models).await;
            }
        }
    }
}

fn due<H: Host>(state: &ServiceState, host: &H, snapshot: &Snapshot, in_final_state: bool) -> Vec<KeyId> {
    let now = host.clock().now();
    let mut states = lock(&state.pools.states);
    let runtime = states.of(&snapshot.id, now);
    runtime.register_keys(snapshot.key_set(), now);
    runtime.due_rechecks_of(in_final_state, now)
}
