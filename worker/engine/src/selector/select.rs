//! Key selection: weighted random with session affinity, lowest tier first.

use std::time::Duration;

use jiff::Timestamp;
use pool_shared::Quota;

use super::{Block, Cooldown, ModelSelector};
use crate::health::HealthState;
use crate::key_table::KeyTable;
use crate::observation::CoolingReason;
use crate::quota::{Cost, Fit};
use crate::random::Random;
use crate::verdict::part_of;
use crate::weight_tree::{below, mix};

/// Keys that are tried in turn for a request with session affinity.
const MAX_AFFINITY_PROBES: u64 = 8;
/// Keys that are skipped for a request that exceeds what is left of their quota.
const MAX_TOO_LARGE: usize = 32;
/// Maximum recovery jitter: a report and its response take less.
const MAX_RECOVERY_JITTER: Duration = Duration::from_secs(3);

/// Why no key can be selected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exhausted {
    /// The usable keys are in cooldowns, the first of them until `soonest`.
    Cooling { soonest: Timestamp, all_until_reset: bool },
    /// Some are usable, but were tried already.
    Tried,
    /// None is usable, and those that come back by themselves do not do so in the course of a cooldown: the first of
    /// them comes back then.
    Lost { returns: Option<Timestamp> },
}

/// What a key is selected for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Selection<'a> {
    pub(crate) tried: &'a [usize],
    pub(crate) affinity: Option<u64>,
    pub(crate) cost: Cost,
    /// Random bits of this isolate.
    pub(crate) salt: u64,
    pub(crate) now: Timestamp,
}

/// Returns the jitter after which this instance uses a recovered quota. Without it all instances would
/// use up the quota before they receive each other's observations.
pub(crate) fn recovery_jitter(salt: u64, until: Timestamp) -> Duration {
    part_of(MAX_RECOVERY_JITTER, mix(salt ^ until.as_millisecond().unsigned_abs()))
}

impl ModelSelector {
    /// Selects a key.
    pub(crate) fn select(
        &mut self,
        table: &KeyTable,
        selection: &Selection,
        random: &impl Random,
    ) -> Result<usize, Exhausted> {
        for key in selection.tried {
            self.exclude(*key);
        }
        let mut too_large = Vec::new();
        let chosen = self.search(table, selection, &mut too_large, random);
        for key in selection.tried.iter().chain(&too_large) {
            self.place(table, *key, selection.now);
        }
        match chosen.or_else(|| self.counted_out_key(table, selection)) {
            Some(key) => Ok(key),
            None if self.regular.total() + self.reserve.total() > 0 => Err(Exhausted::Tried),
            None => Err(self.exhausted(table, selection.now)),
        }
    }

    fn search(
        &mut self,
        table: &KeyTable,
        selection: &Selection,
        too_large: &mut Vec<usize>,
        random: &impl Random,
    ) -> Option<usize> {
        let mut sticky = selection.affinity.map(|affinity| (affinity, 0..MAX_AFFINITY_PROBES));
        loop {
            let stuck = sticky.as_mut().and_then(|(affinity, probes)| {
                probes.find_map(|probe| self.affinity_key(table, *affinity, probe))
            });
            // Every round removes a key from the trees, so the loop ends.
            let Some(key) = stuck.or_else(|| self.draw(table, random)) else {
                return too_large.first().copied();
            };
            match self.fit(table, key, selection) {
                Fit::Yes => return Some(key),
                Fit::Full(until, quota) => {
                    let until = until + recovery_jitter(selection.salt, until);
                    self.cool_down_by_count(table, key, until, quota, selection.now);
                }
                Fit::TooLarge => {
                    too_large.push(key);
                    self.exclude(key);
                    if too_large.len() >= MAX_TOO_LARGE {
                        return Some(key);
                    }
                }
            }
        }
    }

    fn fit(&mut self, table: &KeyTable, key: usize, selection: &Selection) -> Fit {
        let Some(project) = table.project_of(key) else { return Fit::Yes };
        self.tracker(table, project, false, selection.now)
            .map_or(Fit::Yes, |tracker| tracker.fit(selection.cost, selection.now))
    }

    fn cool_down_by_count(
        &mut self,
        table: &KeyTable,
        key: usize,
        until: Timestamp,
        quota: Quota,
        now: Timestamp,
    ) {
        let reason = match quota {
            Quota::RequestsPerDay | Quota::TokensPerDay => CoolingReason::Day,
            Quota::RequestsPerMinute => CoolingReason::Requests,
            Quota::TokensPerMinute => CoolingReason::Tokens,
        };
        if let Some(project) = table.project_of(key) {
            self.cool_down_project(
                table,
                project,
                Cooldown { at: now, until, reason, counted: true, strikes: 0 },
                now,
            );
        }
    }

    /// Draws a key by weight. A key with more than twice its share of the running attempts is compared with
    /// a second draw, so that a slow key does not accumulate attempts.
    fn draw(&self, table: &KeyTable, random: &impl Random) -> Option<usize> {
        let tree = if self.regular.total() > 0 { &self.regular } else { &self.reserve };
        let load = |key: usize| (u64::from(table.running(key)), u64::from(tree.weight(key)));
        let first = tree.draw(random)?;
        let (running, weight) = load(first);
        let total = u64::from(tree.total());
        if running * total <= 2 * weight * u64::from(table.in_flight) + 2 * total {
            return Some(first);
        }
        let second = tree.draw(random)?;
        let (other_running, other_weight) = load(second);
        Some(if other_running * weight < running * other_weight { second } else { first })
    }

    /// Returns the key that a sticky request prefers in the given place, if it is usable. The same request
    /// prefers the same keys in the same order as long as the pool's keys stay the same.
    fn affinity_key(&self, table: &KeyTable, affinity: u64, probe: u64) -> Option<usize> {
        let bits = mix(affinity.wrapping_add(probe.wrapping_mul(0x9E37_79B9_7F4A_7C15)));
        let key = table.shares.at(below(bits, table.shares.total()))?;
        (self.regular.weight(key) > 0).then_some(key)
    }

    fn exclude(&mut self, key: usize) {
        self.regular.set(key, 0);
        self.reserve.set(key, 0);
    }

    /// Returns a key that is in a cooldown by our own count only, for when no other is available. The count may
    /// be too strict, so each project is tried from time to time.
    fn counted_out_key(&mut self, table: &KeyTable, selection: &Selection) -> Option<usize> {
        while let Some(project) = self.counted_out.pop_first() {
            let cooldown = self.project_cooldowns.get(&project);
            let counted = cooldown.is_some_and(|cooldown| cooldown.counted && cooldown.until > selection.now);
            let usable = |key: &usize| {
                !selection.tried.contains(key)
                    && table.blocked(*key, selection.now).is_none()
                    && self.key_cooldowns.get(key).is_none_or(|cooldown| cooldown.until <= selection.now)
            };
            let key = table.keys_of_project(project).find(usable).filter(|_| counted);
            if let Some(key) = key
                && self.trackers.get_mut(&project).is_some_and(|tracker| tracker.probe(selection.now))
            {
                return Some(key);
            }
        }
        None
    }

    /// Returns why no key is available. The result is cached until the first cooldown ends.
    pub(crate) fn exhausted(&mut self, table: &KeyTable, now: Timestamp) -> Exhausted {
        if let Some((until, exhausted)) = self.exhausted
            && until > now
        {
            return exhausted;
        }
        let mut found: Option<(Timestamp, bool)> = None;
        let mut returns: Option<Timestamp> = None;
        for (until, block) in (0..table.len()).filter_map(|key| self.blocked(table, key, now)) {
            match block {
                Block::Cooldown(cooldown)
                    if !matches!(cooldown.reason, CoolingReason::NewUsers | CoolingReason::NoAccess) =>
                {
                    let (soonest, all_daily) = found.unwrap_or((until, true));
                    found = Some((soonest.min(until), all_daily && cooldown.reason.lasts_until_reset()));
                }
                Block::Health(HealthState::SpendWindow) => {
                    let (soonest, _) = found.unwrap_or((until, true));
                    found = Some((soonest.min(until), false));
                }
                _ if until < Timestamp::MAX => {
                    returns = Some(returns.map_or(until, |returns| returns.min(until)));
                }
                _ => {}
            }
        }
        let exhausted = found.map_or(Exhausted::Lost { returns }, |(soonest, all_until_reset)| {
            Exhausted::Cooling { soonest, all_until_reset }
        });
        self.exhausted = Some((self.returns.peek().map_or(Timestamp::MAX, |next| next.0.0), exhausted));
        exhausted
    }
}
