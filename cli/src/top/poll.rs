//! Selection of the fetches that the current view needs. Pure: nothing is sent.

use super::{
    list::Tab,
    message::Fetch,
    model::{ConnectionState, Model},
};

/// Returns the fetches that are due, and marks them as running.
pub fn due(model: &mut Model) -> Vec<Fetch> {
    let clock = model.clock;
    let mut wanted = vec![model.confined_to().map_or(Fetch::Overview, Fetch::OverviewOf)];
    // While the service is unreachable, only the overview is retried.
    if model.connection == ConnectionState::Up {
        wanted.extend([Fetch::Events(model.live.cursor.clone()), Fetch::Health]);
        wanted.extend(of_focus(model));
        wanted.extend(next_of_sweep(model));
    }
    wanted.retain(|fetch| model.schedule.start(fetch, clock));
    wanted
}

fn of_focus(model: &mut Model) -> Vec<Fetch> {
    let Some(pool) = model.focus() else { return Vec::new() };
    let keys = model.tab == Tab::Keys;
    let mut wanted = vec![Fetch::Focus { pool: pool.clone(), step: model.span, keys }];
    if model.tab == Tab::ClientKeys {
        wanted.push(Fetch::ClientKeys(pool.clone()));
    }
    // Events show the masked key.
    if keys || (model.tab == Tab::Events && model.pool.is_some()) {
        let version = model.live.pool(&pool).map_or(0, |pool| pool.version);
        model.schedule.keys_changed(&pool, version, model.clock);
        wanted.push(Fetch::Keys { pool, version });
    }
    wanted
}

/// Returns the next fetch of the sweep, which gets trends and latencies of the other pools one by
/// one.
fn next_of_sweep(model: &Model) -> Option<Fetch> {
    if model.tab != Tab::Pools {
        return None;
    }
    let focus = model.focus();
    let mut others: Vec<_> = model.live.pools().iter().map(|pool| &pool.id).collect();
    others.retain(|id| Some(*id) != focus.as_ref());
    others.sort_unstable();
    let after = model.schedule.swept();
    let next = others.iter().find(|id| after.is_none_or(|after| **id > after)).or_else(|| others.first());
    next.map(|pool| Fetch::Sweep { pool: (*pool).clone(), step: model.span })
}
