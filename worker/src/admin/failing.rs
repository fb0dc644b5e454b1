//! Detection of healthy keys whose attempts all fail, for operators.
//!
//! Only an error of Gemini about a key changes its health, so a key with nothing but other upstream
//! errors stays healthy. The ledger's counts of the last hours reveal such keys.

use std::collections::HashMap;

use jiff::Timestamp;
use pool_shared::{Failing, Key, KeyId, KeyState, PoolId, StatsStep, StatsWindow};

use super::{AdminError, Context};
use crate::ledger::{LedgerReply, LedgerRequest, Level, PoolActivity};
use crate::platform::Clock;
use crate::ports::AdminHost;

impl<H: AdminHost> Context<'_, H> {
    /// Marks which of a pool's healthy keys are failing. Without the ledger none is marked.
    pub(super) async fn note_failing(
        &self,
        pool: &PoolId,
        mut keys: Vec<&mut Key>,
    ) -> Result<(), AdminError> {
        keys.retain(|key| key.condition.state == KeyState::Healthy);
        let window = recent_hours(self.host.clock().now());
        if keys.is_empty() || window.is_none() {
            return Ok(());
        }
        let request = LedgerRequest::Pool { pool: pool.clone(), window };
        let replies = match self.ask_ledgers(&request).await {
            Err(AdminError::Ledger(_)) => return Ok(()),
            replies => replies?,
        };
        let mut activity = PoolActivity::default();
        for reply in replies {
            if let LedgerReply::Pool(part) = reply {
                activity.merge(&part);
            }
        }
        let failing = failing(&activity);
        for key in keys {
            key.condition.failing = failing.get(&key.id).copied();
        }
        Ok(())
    }
}

/// Returns the current hour and the previous one: pages of hours are small.
fn recent_hours(now: Timestamp) -> Option<StatsWindow> {
    let hour = Level::Hour.bucket(now.as_second());
    let since = Timestamp::from_second(hour - 3_600).ok()?;
    let until = Timestamp::from_second(hour + 3_600).ok()?;
    Some(StatsWindow { since, until, step: StatsStep::Hour })
}

fn failing(activity: &PoolActivity) -> HashMap<KeyId, Failing> {
    let keys = activity.keys.iter();
    keys.filter_map(|(id, summary)| Some((id.clone(), Failing::of(&summary.activity().outcomes)?))).collect()
}
