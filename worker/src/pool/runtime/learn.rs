//! What the end of an attempt teaches.

use jiff::Timestamp;

use super::{AttemptEnd, Lease, Runtime, lane_of};
use crate::pool::circuit::OpenReason;
use crate::pool::lane::Hold;
use crate::pool::learnt::{CoolingReason, Fact, Subject};
use crate::pool::members::Joined;
use crate::pool::standing::{Condition, Standing};
use crate::pool::verdict::{Cause, Fault, Verdict};

impl Runtime {
    /// Takes a lease back and learns from how its attempt ended. Returns `true` if an error changed the health of the key
    /// or of its project.
    pub fn finish(&mut self, lease: &Lease, end: &AttemptEnd, now: Timestamp) -> bool {
        // One that was taken for lost is looked for by its id.
        let Some(key) = self.take_back(lease).or_else(|| self.members.find(&lease.key)) else { return false };
        match end {
            AttemptEnd::Success { tokens } => {
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
            lane.access.served(key, now);
            if let (Some(tokens), Some(project)) = (tokens, project)
                && let Some(budget) = lane.budgets.get_mut(&project)
            {
                budget.correct(lease.cost.tokens, tokens);
            }
        }
        let (key_healed, project_healed) = self.members.accepted(key, lease.began, now);
        if key_healed {
            self.standing_changed(key, Fault::Key, now);
        }
        if project_healed {
            self.standing_changed(key, Fault::Project, now);
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
            lane.settle(&self.members, key, now);
        }
        if let Some(id) = self.members.id(key) {
            self.note(Subject::Key(id), None, Fact::Member { project: name.to_owned() }, now);
        }
    }

    fn learn_limits(&mut self, key: usize, lease: &Lease, verdict: &Verdict, now: Timestamp) {
        let Some(project) = self.members.project_of(key) else { return };
        for (quota, value) in verdict.limits.known() {
            let lane = lane_of(&mut self.lanes, &self.members, &lease.model, now);
            let budget = lane.budget(&self.members, project, true, now);
            if budget.is_some_and(|budget| budget.learn(quota, value, now)) {
                let subject = self.project_subject(key);
                self.note(subject, Some(&lease.model), Fact::Limit { quota, value }, now);
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
                self.standing_changed(key, Fault::Key, now);
            }
            return changed;
        }
        let fault = verdict.cause.fault();
        let standing = match self.members.project_of(key) {
            Some(project) if fault == Fault::Project => self.members.project_standing_mut(project),
            _ => self.members.key_standing_mut(key),
        };
        let changed = standing.refuse(condition, &verdict.answer.message, lease.began, now);
        if changed {
            self.standing_changed(key, fault, now);
        }
        changed
    }

    fn standing_changed(&mut self, key: usize, fault: Fault, now: Timestamp) {
        let standing = match self.members.project_of(key) {
            Some(project) if fault == Fault::Project => self.members.project_standing(project),
            _ => self.members.key_standing(key),
        };
        let Some(standing) = standing.cloned() else { return };
        self.settle_all(key, fault, now);
        let subject = match (fault, self.members.id(key)) {
            (Fault::Key, Some(id)) => Subject::Key(id),
            _ => self.project_subject(key),
        };
        let Standing { condition, message, next_check, checks, .. } = standing;
        self.note(subject, None, Fact::Standing { condition, message, next_check, checks }, now);
    }

    /// Puts a key, or all keys of its project, where they belong for every model.
    pub(super) fn settle_all(&mut self, key: usize, fault: Fault, now: Timestamp) {
        let project = self.members.project_of(key).filter(|_| fault == Fault::Project);
        for lane in self.lanes.values_mut() {
            match project {
                Some(project) => lane.settle_project(&self.members, project, now),
                None => lane.settle(&self.members, key, now),
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

/// Whether a refusal for tokens names a limit that the request alone exceeds.
fn never_fits(lease: &Lease, verdict: &Verdict) -> bool {
    verdict.limits.tokens_per_minute.is_some_and(|limit| lease.cost.tokens > limit)
}
