//! What other isolates have learnt.

use jiff::Timestamp;

use super::{Cost, MOST_LEARNT, Runtime, lane_of};
use crate::pool::lane::{Hold, stagger};
use crate::pool::learnt::{Fact, Learnt, Subject};
use crate::pool::members::Scope;
use crate::pool::standing::Standing;

impl Runtime {
    /// Takes in what others learnt. Nothing of it is passed on: they told the ledger themselves.
    /// Before the pool's keys are known it waits until they are.
    pub fn absorb(&mut self, learnt: &[Learnt], now: Timestamp) {
        let callers = &mut self.callers;
        let learnt = learnt.iter().filter(|fact| !callers.absorb(fact, now));
        if self.version.is_none() {
            let room = MOST_LEARNT.saturating_sub(self.unheard.len());
            self.unheard.extend(learnt.take(room).cloned());
            return;
        }
        let learnt: Vec<_> = learnt.collect();
        let waiting = std::mem::take(&mut self.learnt);
        for fact in learnt {
            self.absorb_one(&fact.as_of(now), now);
        }
        self.learnt = waiting;
    }

    fn absorb_one(&mut self, learnt: &Learnt, now: Timestamp) {
        if let Subject::Account(account) = &learnt.subject {
            self.absorb_of_account(account, learnt, now);
            return;
        }
        // A project that has no key here is nothing to this pool.
        let key = match &learnt.subject {
            Subject::Key(id) => self.members.find(id),
            Subject::Project(name) => {
                self.members.find_project(name).and_then(|project| self.members.members_of(project).next())
            }
            Subject::Account(_) | Subject::Caller(_) | Subject::ClientKey(_) => return,
        };
        let (Some(key), about_project) = (key, matches!(learnt.subject, Subject::Project(_))) else {
            return;
        };
        let is_cleared = learnt.at <= self.members.cleared_at(key, about_project);
        match (&learnt.fact, learnt.model.as_deref()) {
            (Fact::Cleared, _) => self.clear_one(key, about_project, learnt.at, now),
            (Fact::Cooling { .. } | Fact::Limit { .. } | Fact::BillingAccount { .. }, _) if is_cleared => {}
            (Fact::Member { project }, _) => self.joins(key, project, now),
            (Fact::BillingAccount { account }, _) => {
                let Some(project) = self.members.project_of(key) else { return };
                if self.members.learn_account(project, &account.as_str().into(), learnt.at) {
                    self.settle_all(&Scope::Project(project), now);
                }
            }
            (Fact::Standing { .. }, _) => {
                let scope = match self.members.project_of(key) {
                    Some(project) if about_project => Scope::Project(project),
                    _ => Scope::Key(key),
                };
                self.absorb_standing(&scope, learnt, now);
            }
            (Fact::Cooling { until, reason }, Some(model)) if *until > now => {
                let hold = Hold::told(learnt.at, *until + stagger(self.salt, *until), *reason);
                let lane = lane_of(&mut self.lanes, &self.members, model, now);
                match self.members.project_of(key) {
                    Some(project) if about_project => lane.hold_project(&self.members, project, hold, now),
                    _ => lane.hold_key(&self.members, key, hold, now),
                }
            }
            (Fact::Limit { quota, value, .. }, Some(model)) => {
                let Some(project) = self.members.project_of(key) else { return };
                let lane = lane_of(&mut self.lanes, &self.members, model, now);
                if let Some(budget) = lane.budget(&self.members, project, true, now) {
                    budget.learn(*quota, *value, learnt.at);
                }
            }
            (Fact::Spent { requests, tokens }, Some(model)) => {
                let Some(project) = self.members.project_of(key) else { return };
                let budget = self.lanes.get_mut(model).and_then(|lane| lane.budgets.get_mut(&project));
                if let Some(budget) = budget {
                    let cost = Cost { requests: *requests, tokens: *tokens };
                    budget.spend_elsewhere(cost, learnt.at, now);
                }
            }
            (Fact::Cooling { .. } | Fact::Limit { .. } | Fact::Spent { .. } | Fact::Used, _) => {}
        }
    }

    /// Ends what was learnt up to `at` of a key or of its project. A nameless project is its only key's.
    fn clear_one(&mut self, key: usize, about_project: bool, at: Timestamp, now: Timestamp) {
        let project = self.members.project_of(key);
        let project =
            project.filter(|project| about_project || self.members.project_name(*project).is_none());
        if !about_project {
            self.members.clear_key(key, at);
        }
        if let Some(project) = project {
            self.members.clear_project(project, at);
        }
        for lane in self.lanes.values_mut() {
            if !about_project {
                lane.clear_key(&self.members, key, at, now);
            }
            if let Some(project) = project {
                lane.clear_project(&self.members, project, at, now);
            }
        }
    }

    /// What others learnt of a billing account, of which keys may be known later only.
    fn absorb_of_account(&mut self, account: &str, learnt: &Learnt, now: Timestamp) {
        let scope = Scope::Account(account.into());
        match learnt.fact {
            Fact::Cleared => {
                let cleared = Standing { heard_at: learnt.at, ..Standing::default() };
                if self.members.standing_mut(&scope).absorb(cleared) {
                    self.settle_all(&scope, now);
                }
            }
            _ => self.absorb_standing(&scope, learnt, now),
        }
    }

    fn absorb_standing(&mut self, scope: &Scope, learnt: &Learnt, now: Timestamp) {
        let Fact::Standing { condition, message, next_check, checks } = &learnt.fact else { return };
        let standing = Standing {
            condition: *condition,
            message: message.clone(),
            heard_at: learnt.at,
            next_check: *next_check,
            checks: *checks,
        };
        if self.members.standing_mut(scope).absorb(standing) {
            self.settle_all(scope, now);
        }
    }
}
