//! Which of the usable keys it is to be.

use std::time::Duration;

use jiff::Timestamp;
use pool_shared::Quota;

use super::{Block, Hold, Lane};
use crate::host::Random;
use crate::pool::budget::{Cost, Fit};
use crate::pool::learnt::CoolingReason;
use crate::pool::members::Members;
use crate::pool::standing::Condition;
use crate::pool::verdict::part_of;
use crate::pool::weight_tree::{below, mix};

/// Keys that are looked at for a request that sticks to one.
const STICKY_PROBES: u64 = 8;
/// Keys that are passed over for a request that is too large for what is left of their quota.
const MOST_TOO_LARGE: usize = 32;
/// A report and its answer take less than this.
const LONGEST_STAGGER: Duration = Duration::from_secs(3);

/// Why no key can be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pool) enum Exhausted {
    /// Those that are not lost rest, the first of them until `soonest`.
    Cooling { soonest: Timestamp, only_the_day_helps: bool },
    /// Some are usable, but were tried already.
    Tried,
    /// None is usable, and those that come back by themselves do not do so in the course of a cooldown: the first of
    /// them comes back then.
    Lost { returns: Option<Timestamp> },
}

/// What to choose for.
#[derive(Clone, Copy, Debug)]
pub(in crate::pool) struct Choice<'a> {
    pub(in crate::pool) tried: &'a [usize],
    pub(in crate::pool) affinity: Option<u64>,
    pub(in crate::pool) cost: Cost,
    /// Random bits of this isolate.
    pub(in crate::pool) salt: u64,
    pub(in crate::pool) now: Timestamp,
}

/// How much later than the others an isolate takes up what is free again. If all came at once, they would
/// use it up before they hear of each other.
pub(in crate::pool) fn stagger(salt: u64, until: Timestamp) -> Duration {
    part_of(LONGEST_STAGGER, mix(salt ^ until.as_millisecond().unsigned_abs()))
}

impl Lane {
    /// Chooses a key.
    pub(in crate::pool) fn choose(
        &mut self,
        members: &Members,
        choice: &Choice,
        random: &impl Random,
    ) -> Result<usize, Exhausted> {
        for key in choice.tried {
            self.set_aside(*key);
        }
        let mut too_large = Vec::new();
        let chosen = self.search(members, choice, &mut too_large, random);
        for key in choice.tried.iter().chain(&too_large) {
            self.place(members, *key, choice.now);
        }
        match chosen.or_else(|| self.counted_out_key(members, choice)) {
            Some(key) => Ok(key),
            None if self.regular.total() + self.reserve.total() > 0 => Err(Exhausted::Tried),
            None => Err(self.exhausted(members, choice.now)),
        }
    }

    fn search(
        &mut self,
        members: &Members,
        choice: &Choice,
        too_large: &mut Vec<usize>,
        random: &impl Random,
    ) -> Option<usize> {
        let mut sticky = choice.affinity.map(|affinity| (affinity, 0..STICKY_PROBES));
        loop {
            let stuck = sticky.as_mut().and_then(|(affinity, probes)| {
                probes.find_map(|probe| self.sticky_key(members, *affinity, probe))
            });
            // Every round takes a key out of the trees, so there are only so many.
            let Some(key) = stuck.or_else(|| self.draw(members, random)) else {
                return too_large.first().copied();
            };
            match self.fit(members, key, choice) {
                Fit::Yes => return Some(key),
                Fit::Full(until, quota) => {
                    let until = until + stagger(choice.salt, until);
                    self.hold_by_count(members, key, until, quota, choice.now);
                }
                Fit::TooLarge => {
                    too_large.push(key);
                    self.set_aside(key);
                    if too_large.len() >= MOST_TOO_LARGE {
                        return Some(key);
                    }
                }
            }
        }
    }

    fn fit(&mut self, members: &Members, key: usize, choice: &Choice) -> Fit {
        let Some(project) = members.project_of(key) else { return Fit::Yes };
        self.budget(members, project, false, choice.now)
            .map_or(Fit::Yes, |budget| budget.fit(choice.cost, choice.now))
    }

    fn hold_by_count(
        &mut self,
        members: &Members,
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
        if let Some(project) = members.project_of(key) {
            self.hold_project(
                members,
                project,
                Hold { at: now, until, reason, counted: true, strikes: 0 },
                now,
            );
        }
    }

    /// A draw by weight. A key that already carries more than twice its share of the running attempts
    /// stands against a second draw, so that a slow key does not gather ever more of them.
    fn draw(&self, members: &Members, random: &impl Random) -> Option<usize> {
        let tree = if self.regular.total() > 0 { &self.regular } else { &self.reserve };
        let load = |key: usize| (u64::from(members.running(key)), u64::from(tree.weight(key)));
        let first = tree.draw(random)?;
        let (running, weight) = load(first);
        let total = u64::from(tree.total());
        if running * total <= 2 * weight * u64::from(members.in_flight) + 2 * total {
            return Some(first);
        }
        let second = tree.draw(random)?;
        let (other_running, other_weight) = load(second);
        Some(if other_running * weight < running * other_weight { second } else { first })
    }

    /// The key that a sticky request prefers in the given place, if it is usable. The same request
    /// prefers the same keys in the same order as long as the pool's keys stay the same.
    fn sticky_key(&self, members: &Members, affinity: u64, probe: u64) -> Option<usize> {
        let bits = mix(affinity.wrapping_add(probe.wrapping_mul(0x9E37_79B9_7F4A_7C15)));
        let key = members.shares.at(below(bits, members.shares.total()))?;
        (self.regular.weight(key) > 0).then_some(key)
    }

    fn set_aside(&mut self, key: usize) {
        self.regular.set(key, 0);
        self.reserve.set(key, 0);
    }

    /// When nothing else is left: a key that rests by our own count only. The count may be too strict,
    /// so each project is tried now and then.
    fn counted_out_key(&mut self, members: &Members, choice: &Choice) -> Option<usize> {
        while let Some(project) = self.counted_out.pop_first() {
            let hold = self.project_holds.get(&project);
            let counted = hold.is_some_and(|hold| hold.counted && hold.until > choice.now);
            let usable = |key: &usize| {
                !choice.tried.contains(key)
                    && members.blocked(*key, choice.now).is_none()
                    && self.key_holds.get(key).is_none_or(|hold| hold.until <= choice.now)
            };
            let key = members.members_of(project).find(usable).filter(|_| counted);
            if let Some(key) = key
                && self.budgets.get_mut(&project).is_some_and(|budget| budget.probe(choice.now))
            {
                return Some(key);
            }
        }
        None
    }

    /// Looks at every key, and remembers what came of it until the first of them returns.
    pub(in crate::pool) fn exhausted(&mut self, members: &Members, now: Timestamp) -> Exhausted {
        if let Some((until, exhausted)) = self.exhausted
            && until > now
        {
            return exhausted;
        }
        let mut found: Option<(Timestamp, bool)> = None;
        let mut returns: Option<Timestamp> = None;
        for (until, block) in (0..members.len()).filter_map(|key| self.blocked(members, key, now)) {
            match block {
                Block::Hold(hold)
                    if !matches!(hold.reason, CoolingReason::NewUsers | CoolingReason::NoAccess) =>
                {
                    let (soonest, only_the_day) = found.unwrap_or((until, true));
                    found = Some((soonest.min(until), only_the_day && hold.reason.lasts_the_day()));
                }
                Block::Standing(Condition::SpendWindow) => {
                    let (soonest, _) = found.unwrap_or((until, true));
                    found = Some((soonest.min(until), false));
                }
                _ if until < Timestamp::MAX => {
                    returns = Some(returns.map_or(until, |returns| returns.min(until)));
                }
                _ => {}
            }
        }
        let exhausted = found.map_or(Exhausted::Lost { returns }, |(soonest, only_the_day_helps)| {
            Exhausted::Cooling { soonest, only_the_day_helps }
        });
        self.exhausted = Some((self.returns.peek().map_or(Timestamp::MAX, |next| next.0.0), exhausted));
        exhausted
    }
}
