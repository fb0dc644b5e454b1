//! What the end of an attempt teaches.

use jiff::Timestamp;
use pool_shared::KeyId;

use super::{AttemptEnd, Lease, Runtime, lane_of};
use crate::pool::circuit::OpenReason;
use crate::pool::lane::Hold;
use crate::pool::learnt::{CoolingReason, Fact, Subject};
use crate::pool::members::{Joined, Scope};
use crate::pool::standing::{Condition, SUSPICION, Standing};
use crate::pool::verdict::{Cause, NamedLimit, Verdict};

/// Projects that fall by a spend limit within this share a billing account.
const SAME_SPEND_LIMIT: std::time::Duration = std::time::Duration::from_mins(1);
/// Projects that are remembered for it.
const MAX_SPENT_OUT: usize = 64;

impl Runtime {
    /// Takes a lease back and learns from how its attempt ended. Returns `true` if an error changed the health of the key
    /// or of its project.
    pub fn finish(&mut self, lease: &Lease, end: &AttemptEnd, now: Timestamp) -> bool {
        // One that was taken for lost is looked for by its id.
        let Some(key) = self.take_back(lease).or_else(|| self.members.find(&lease.key)) else { return false };
        match end {
            AttemptEnd::Success { tokens, generated } => {
                if let Some(lane) = self.lanes.get_mut(&lease.model).filter(|_| *generated) {
                    lane.access.served(key, now);
                }
                self.succeeded(key, lease, *tokens, now);
                false
            }
            AttemptEnd::Refused(verdict) => self.refused(key, lease, verdict, now),
        }
    }

    fn succeeded(&mut self, key: usize, lease: &Lease, tokens: Option<u64>, now: Timestamp) {
        let project = self.members.project_of(key);
        if let Some(lane) = self.lanes.get_mut(&lease.model) {
            lane.circuit.success(lease.began, now);
            lane.accepted(key);
            if let (Some(tokens), Some(project)) = (tokens, project)
                && let Some(budget) = lane.budgets.get_mut(&project)
            {
                budget.correct(lease.cost.tokens, tokens);
            }
        }
        for scope in self.members.accepted(key, lease.began, now) {
            self.standing_changed(&scope, now);
        }
    }

    fn refused(&mut self, key: usize, lease: &Lease, verdict: &Verdict, now: Timestamp) -> bool {
        if let Some(name) = &verdict.project {
            self.joins(key, name, now);
        }
        self.learn_limits(key, lease, verdict, now);
        if let Some(condition) = Condition::from_cause(verdict.cause) {
            return self.stands(key, condition, lease, verdict, now);
        }
        match verdict.cause {
            Cause::RequestQuota => self.project_rests(key, lease, verdict, CoolingReason::Requests, now),
            // A prompt that fits no minute says nothing about the project's other requests.
            Cause::TokenQuota if never_fits(lease, verdict) => {}
            Cause::TokenQuota => self.project_rests(key, lease, verdict, CoolingReason::Tokens, now),
            Cause::DayQuota => self.project_rests(key, lease, verdict, CoolingReason::Day, now),
            Cause::NoQuota => self.project_rests(key, lease, verdict, CoolingReason::NoQuota, now),
            Cause::NewUsers | Cause::NoAccess => self.key_rests(key, lease, verdict, now),
            Cause::Burst => self.bursts(key, lease, verdict, now),
            Cause::Overloaded => {
                lane_of(&mut self.lanes, &self.members, &lease.model, now).circuit.failure(lease.began, now);
            }
            _ => {}
        }
        false
    }

    /// Notes that Gemini named the key's project.
    pub(super) fn joins(&mut self, key: usize, name: &str, now: Timestamp) {
        let Some(Joined { left, joined }) = self.members.join(key, name) else { return };
        let alone = self.members.members_of(left).next().is_none();
        for lane in self.lanes.values_mut() {
            if alone && let Some(hold) = lane.project_holds.remove(&left) {
                lane.hold_project(&self.members, joined, hold, now);
            }
            if alone && let Some(budget) = lane.budgets.remove(&left) {
                lane.budgets.entry(joined).or_insert(budget);
            }
            lane.set_limits(&self.members, joined);
            lane.settle(&self.members, key, now);
        }
        if let Some(id) = self.members.id(key) {
            self.note(Subject::Key(id), None, Fact::Member { project: name.to_owned() }, now);
        }
    }

    fn learn_limits(&mut self, key: usize, lease: &Lease, verdict: &Verdict, now: Timestamp) {
        let Some(project) = self.members.project_of(key) else { return };
        for NamedLimit { quota, value, metric, limit } in verdict.named_limits() {
            let lane = lane_of(&mut self.lanes, &self.members, &lease.model, now);
            let budget = lane.budget(&self.members, project, true, now);
            if budget.is_some_and(|budget| budget.learn(quota, value, now)) {
                let subject = self.project_subject(key);
                let fact = Fact::Limit { quota, value, metric, limit };
                self.note(subject, Some(&lease.model), fact, now);
            }
        }
    }

    /// Gemini spoke about the key or project as such. Returns `true` if that changed something.
    fn stands(
        &mut self,
        key: usize,
        condition: Condition,
        lease: &Lease,
        verdict: &Verdict,
        now: Timestamp,
    ) -> bool {
        if verdict.is_suspicion() {
            let standing = self.members.key_standing_mut(key);
            let changed = standing.suspect(&verdict.answer.message, lease.began, now);
            if changed {
                self.standing_changed(&Scope::Key(key), now);
            }
            return changed;
        }
        if condition == Condition::SpendWindow {
            self.learn_account(key, &verdict.answer.message, now);
        }
        let scope = self.members.scope(key, verdict.cause.fault());
        if scope != Scope::Key(key) {
            self.suspicion_ends(key, lease, now);
        }
        let standing = self.members.standing_mut(&scope);
        let changed = standing.refuse(condition, &verdict.answer.message, lease.began, now);
        if changed {
            if let Some(until) = verdict.until.filter(|_| condition == Condition::SpendWindow) {
                standing.next_check = Some(until);
            }
            // The request's own probe decides, unless its client leaves before or has seen a part of the response.
            if verdict.needs_probe() {
                standing.next_check = now.checked_add(SUSPICION).ok();
            }
            self.standing_changed(&scope, now);
        }
        changed
    }

    /// What was suspected of the key itself turned out to be its project's or its billing account's.
    fn suspicion_ends(&mut self, key: usize, lease: &Lease, now: Timestamp) {
        let standing = self.members.key_standing_mut(key);
        if standing.condition == Condition::Suspect && standing.accept(lease.began, now) {
            self.standing_changed(&Scope::Key(key), now);
        }
    }

    /// Two projects of which no billing account is known fall by the same spend limit within a minute: they share one.
    fn learn_account(&mut self, key: usize, message: &str, now: Timestamp) {
        let Some(project) = self.members.project_of(key) else { return };
        self.spent_out.retain(|(_, at, _)| now.duration_since(*at).unsigned_abs() < SAME_SPEND_LIMIT);
        let other = self.spent_out.iter().find(|(other, _, text)| *other != project && text == message);
        let other = other.map(|(other, ..)| *other);
        self.spent_out.retain(|(known, ..)| *known != project);
        if self.members.roster().keys.billing_account(key).is_some() || self.members.roster().separate_billing
        {
            return;
        }
        if self.spent_out.len() < MAX_SPENT_OUT {
            self.spent_out.push((project, now, message.to_owned()));
        }
        let other_key = other.and_then(|other| self.members.members_of(other).next());
        let Some((other, other_key)) = other.zip(other_key) else { return };
        let account = match self.members.account_of(other_key).or_else(|| self.members.account_of(key)) {
            Some(known) => std::sync::Arc::clone(known),
            None => match self.project_subject(other_key) {
                Subject::Project(name) => format!("learnt:{name}").into(),
                Subject::Key(id) => format!("learnt:{id}").into(),
                _ => return,
            },
        };
        for (project, key) in [(other, other_key), (project, key)] {
            if self.members.learn_account(project, &account, now) {
                let subject = self.project_subject(key);
                self.note(subject, None, Fact::BillingAccount { account: account.to_string() }, now);
            }
        }
        // What was taken for the other project's own limit is the account's, and ends with it.
        let standing = self.members.project_standing_mut(other);
        if standing.condition == Condition::SpendWindow {
            standing.recover(now);
            self.standing_changed(&Scope::Project(other), now);
        }
    }

    fn standing_changed(&mut self, scope: &Scope, now: Timestamp) {
        let Some(standing) = self.members.standing(scope).cloned() else { return };
        self.settle_all(scope, now);
        let subject = self.subject_of(scope);
        let Some(subject) = subject else { return };
        let Standing { condition, message, next_check, checks, .. } = standing;
        self.note(subject, None, Fact::Standing { condition, message, next_check, checks }, now);
    }

    /// Puts the keys of a scope where they belong for every model.
    pub(super) fn settle_all(&mut self, scope: &Scope, now: Timestamp) {
        let keys = self.members.keys_in(scope);
        for lane in self.lanes.values_mut() {
            for key in &keys {
                lane.settle(&self.members, *key, now);
            }
        }
    }

    fn project_rests(
        &mut self,
        key: usize,
        lease: &Lease,
        verdict: &Verdict,
        reason: CoolingReason,
        now: Timestamp,
    ) {
        let (Some(until), Some(project)) = (verdict.until, self.members.project_of(key)) else { return };
        let lane = lane_of(&mut self.lanes, &self.members, &lease.model, now);
        lane.hold_project(&self.members, project, Hold::told(now, until, reason), now);
        let subject = self.project_subject(key);
        self.note(subject, Some(&lease.model), Fact::Cooling { until, reason }, now);
    }

    fn key_rests(&mut self, key: usize, lease: &Lease, verdict: &Verdict, now: Timestamp) {
        let Some(until) = verdict.until else { return };
        let reason = match verdict.cause {
            Cause::NoAccess => CoolingReason::NoAccess,
            _ => CoolingReason::NewUsers,
        };
        let lane = lane_of(&mut self.lanes, &self.members, &lease.model, now);
        lane.hold_key(&self.members, key, Hold::told(now, until, reason), now);
        self.note(Subject::Key(lease.key.clone()), Some(&lease.model), Fact::Cooling { until, reason }, now);
    }

    fn bursts(&mut self, key: usize, lease: &Lease, verdict: &Verdict, now: Timestamp) {
        let lane = lane_of(&mut self.lanes, &self.members, &lease.model, now);
        let (hold, in_a_row) = lane.burst(&self.members, key, verdict.until, now);
        if in_a_row {
            lane.circuit.trip(OpenReason::Burst, now);
        }
        let fact = Fact::Cooling { until: hold.until, reason: hold.reason };
        self.note(Subject::Key(lease.key.clone()), Some(&lease.model), fact, now);
    }
}

/// A cooldown for a quota of a project.
#[derive(Clone, Copy, Debug)]
pub(in crate::pool) struct QuotaCooldown {
    at: Timestamp,
    pub(in crate::pool) until: Timestamp,
    reason: CoolingReason,
}

impl Runtime {
    /// Returns the cooldown that Gemini's quotas have put a key into for a model.
    pub(in crate::pool) fn quota_cooldown(
        &self,
        key: &KeyId,
        model: &str,
        now: Timestamp,
    ) -> Option<QuotaCooldown> {
        let key = self.members.find(key)?;
        let hold = self.lanes.get(model)?.quota_hold(&self.members, key, now)?;
        Some(QuotaCooldown { at: hold.at, until: hold.until, reason: hold.reason })
    }

    /// Takes over a cooldown that the same key has in another pool. Returns `false` if an operator has ended it here.
    pub(in crate::pool) fn adopt(
        &mut self,
        key: &KeyId,
        model: &str,
        cooldown: QuotaCooldown,
        now: Timestamp,
    ) -> bool {
        let QuotaCooldown { at, until, reason } = cooldown;
        let Some(place) = self.members.find(key) else { return false };
        let Some(project) = self.members.project_of(place) else { return false };
        let cleared_at = self.members.cleared_at(place, true).max(self.members.cleared_at(place, false));
        if at <= cleared_at {
            return false;
        }
        let lane = lane_of(&mut self.lanes, &self.members, model, now);
        lane.hold_project(&self.members, project, Hold::told(at, until, reason), now);
        let subject = self.project_subject(place);
        self.note(subject, Some(model), Fact::Cooling { until, reason }, now);
        true
    }
}

/// Whether a refusal for tokens names a limit that the request alone exceeds.
fn never_fits(lease: &Lease, verdict: &Verdict) -> bool {
    verdict.limits.tokens_per_minute.is_some_and(|limit| lease.cost.tokens > limit)
}
