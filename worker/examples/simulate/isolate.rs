//! A simulated isolate: pool state and unreported observations.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use pool_engine::{CoolingReason, HealthState, KeyState, Observation, ObservationKind, PoolState, Subject};

use crate::gemini::Gemini;
use crate::ledger::Reporter;
use crate::scene::{Fate, Scene, model_name, project_name};

pub struct Isolate {
    pub runtime: PoolState,
    pub reporter: Reporter,
}

impl Isolate {
    pub fn new(number: usize) -> Self {
        Self { runtime: PoolState::default(), reporter: Reporter::new(number) }
    }
}

/// Checks for keys that are marked without cause.
pub struct Judge {
    places: HashMap<String, usize>,
    models: HashMap<String, usize>,
    projects: HashMap<String, usize>,
    pub wronged: HashSet<String>,
}

impl Judge {
    pub fn new(scene: &Scene) -> Self {
        let named = |count: usize, name: fn(usize) -> String| (0..count).map(|at| (name(at), at)).collect();
        Self {
            places: scene.keys.iter().enumerate().map(|(at, key)| (key.id.as_str().to_owned(), at)).collect(),
            models: named(crate::scene::MODELS, model_name),
            projects: named(crate::scene::PROJECTS, project_name),
            wronged: HashSet::new(),
        }
    }

    /// Checks all observations that an isolate publishes.
    pub fn hear(&mut self, scene: &Scene, gemini: &Gemini, learnt: &[Observation]) {
        for learnt in learnt {
            if !self.is_just(scene, gemini, learnt).unwrap_or(false) {
                self.wronged.insert(format!("{learnt:?}"));
            }
        }
    }

    fn is_just(&self, scene: &Scene, gemini: &Gemini, learnt: &Observation) -> Option<bool> {
        let (key, project) = match &learnt.subject {
            Subject::Key(id) => {
                let place = *self.places.get(id.as_str())?;
                (Some(place), scene.keys.get(place)?.project)
            }
            Subject::Project(name) => (None, *self.projects.get(name)?),
            Subject::Account(_) | Subject::Caller(_) | Subject::ClientKey(_) => return None,
        };
        Some(match &learnt.fact {
            ObservationKind::Cooling { until, reason } => {
                let model = *self.models.get(learnt.model.as_deref()?)?;
                match reason {
                    CoolingReason::Burst => gemini.bursts.contains(&(key?, model)),
                    _ => *until <= *gemini.cooldown_ends.get(&(project, model))?,
                }
            }
            ObservationKind::Health { state: condition, .. } => {
                let fate = match key {
                    Some(key) => scene.keys.get(key)?.fate,
                    None => scene.keys.iter().find(|key| key.project == project)?.fate,
                };
                agrees(*condition, fate)
            }
            ObservationKind::Member { project: name } => project_name(project) == *name,
            ObservationKind::Limit { .. }
            | ObservationKind::Spent { .. }
            | ObservationKind::Used
            | ObservationKind::Cleared
            | ObservationKind::BillingAccount { .. } => true,
        })
    }

    /// Checks the final health of every key.
    pub fn inspect(&mut self, scene: &Scene, runtime: &PoolState, now: Timestamp) {
        for key in &scene.keys {
            if let Some(KeyState::Unhealthy(condition)) = runtime.state(&key.id, now)
                && !agrees(condition, key.fate)
            {
                self.wronged.insert(format!("{} {condition:?}", key.id));
            }
        }
    }
}

fn agrees(condition: HealthState, fate: Fate) -> bool {
    match condition {
        HealthState::Healthy => true,
        // A classification by text alone only makes a key suspect at first.
        HealthState::Suspect => matches!(fate, Fate::Invalid | Fate::Leaked),
        HealthState::Invalid => fate == Fate::Invalid,
        HealthState::Leaked => fate == Fate::Leaked,
        HealthState::Suspended => fate == Fate::Suspended,
        HealthState::Blocked(_) => fate == Fate::Blocked,
        HealthState::Billing | HealthState::SpendWindow => false,
    }
}
