//! Simulation loop: requests arrive, are tried, wait and end; isolates report.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::mem;
use std::time::Duration;

use pool_engine::{AttemptEnd, Cost, ExhaustionReason, Lease, OpenReason, RetryPlan, Step, Verdict};

use crate::gemini::{Call, Gemini};
use crate::isolate::{Isolate, Judge};
use crate::ledger::Ledger;
use crate::scene::{ISOLATES, MODELS, RATE, Scene, Seeded, Storm, model_name, models_to_ask};

const REPORT_EVERY_MS: i64 = 2_000;
/// Latency of reports to the other isolates.
const REPORT_TAKES_MS: i64 = 100;

/// Results of a run.
#[derive(Default)]
pub struct Figures {
    pub requests: u64,
    /// Requests that had a usable key on arrival, and how many of them succeeded.
    pub servable: u64,
    pub served: u64,
    pub by_fallback: u64,
    /// After the first quarter of the run.
    pub attempts: u64,
    pub successes: u64,
    /// Requests by number of attempts.
    pub attempts_taken: BTreeMap<usize, u64>,
    pub wronged: usize,
    pub count_error: u64,
    pub calls: u64,
    pub refusals: BTreeMap<&'static str, u64>,
    pub failures: BTreeMap<&'static str, u64>,
    pub hours: f64,
}

enum Event {
    Arrive,
    Ask(u64),
    Ended(u64, Result<(), Box<Verdict>>),
    Report(usize),
    Heard(usize, std::rc::Rc<Vec<pool_engine::Observation>>),
}

struct Request {
    isolate: usize,
    models: Vec<usize>,
    plan: RetryPlan,
    tokens: u64,
    servable: bool,
    attempts: usize,
    running: Option<(Lease, usize, usize)>,
}

struct Simulation {
    scene: Scene,
    random: Seeded,
    gemini: Gemini,
    isolates: Vec<Isolate>,
    ledger: Ledger,
    judge: Judge,
    events: BinaryHeap<Reverse<(i64, u64)>>,
    waiting: HashMap<u64, Event>,
    last_event: u64,
    requests: HashMap<u64, Request>,
    wanted: u64,
    figures: Figures,
}

pub fn run(seed: u64, requests: u64) -> Figures {
    let random = Seeded::new(seed);
    let scene = Scene::new(&random, requests);
    let mut simulation = Simulation {
        gemini: Gemini::new(&scene),
        judge: Judge::new(&scene),
        isolates: (0..ISOLATES).map(Isolate::new).collect(),
        scene,
        random,
        ledger: Ledger::default(),
        events: BinaryHeap::new(),
        waiting: HashMap::new(),
        last_event: 0,
        requests: HashMap::new(),
        wanted: requests,
        figures: Figures::default(),
    };
    simulation.schedule(0, Event::Arrive);
    for (isolate, offset_ms) in (0..ISOLATES).zip((100..).step_by(400)) {
        simulation.schedule(offset_ms, Event::Report(isolate));
    }
    let mut now = 0;
    while let Some(Reverse((ms, number))) = simulation.events.pop() {
        now = ms;
        if let Some(event) = simulation.waiting.remove(&number) {
            simulation.handle(event, ms);
        }
    }
    simulation.settle(now)
}

impl Simulation {
    fn schedule(&mut self, ms: i64, event: Event) {
        self.last_event += 1;
        self.waiting.insert(self.last_event, event);
        self.events.push(Reverse((ms, self.last_event)));
    }

    fn handle(&mut self, event: Event, ms: i64) {
        match event {
            Event::Arrive => self.arrive(ms),
            Event::Ask(number) => self.ask(number, ms),
            Event::Ended(number, end) => self.ended(number, end, ms),
            Event::Report(isolate) => self.report(isolate, ms),
            Event::Heard(isolate, learnt) => {
                let now = self.scene.at(ms);
                if let Some(isolate) = self.isolates.get_mut(isolate) {
                    isolate.runtime.merge(&learnt, now);
                }
            }
        }
    }

    #[allow(clippy::cast_possible_truncation)]
    fn arrive(&mut self, ms: i64) {
        // Some models are requested far more often than others.
        let usual = self.random.below(MODELS).min(self.random.below(MODELS));
        let surges =
            |model: &usize| self.scene.blowing(*model, ms).any(|storm| matches!(storm, Storm::Surge));
        let model = (0..MODELS).find(surges).filter(|_| self.random.chance(0.4)).unwrap_or(usual);
        let (models, isolate) = (models_to_ask(model), self.random.below(ISOLATES));
        let tokens = 50 + self.random.below(1_500) as u64 * if self.random.chance(0.05) { 10 } else { 1 };
        let servable = models.iter().any(|model| {
            let call = Call { isolate, key: 0, model: *model, tokens, ms };
            self.gemini.would_serve(&self.scene, call, &self.random)
        });
        let affinity = self.random.chance(0.2).then(|| self.random.below(500) as u64);
        let names = models.iter().copied().map(model_name).collect();
        let cost = Cost { requests: 1, tokens };
        let plan = RetryPlan::new(names, affinity, cost, self.scene.at(ms));
        self.figures.requests += 1;
        let number = self.figures.requests;
        self.requests
            .insert(number, Request { isolate, models, plan, tokens, servable, attempts: 0, running: None });
        self.schedule(ms, Event::Ask(number));
        if number < self.wanted {
            // Traffic doubles for two minutes of every ten.
            let rate = if ms % 600_000 < 120_000 { RATE * 5.0 / 3.0 } else { RATE * 5.0 / 6.0 };
            let gap = -(1.0 - self.random.unit()).ln() / rate * 1_000.0;
            self.schedule(ms + (gap.round() as i64).max(1), Event::Arrive);
        }
    }

    fn ask(&mut self, number: u64, ms: i64) {
        let now = self.scene.at(ms);
        let Some(request) = self.requests.get_mut(&number) else { return };
        let Some(isolate) = self.isolates.get_mut(request.isolate) else { return };
        let step = request.plan.next(&self.scene.roster, &mut isolate.runtime, now, &self.random);
        match step {
            // Observations of other isolates arrive when they are published.
            Step::Hear => self.schedule(ms, Event::Ask(number)),
            Step::Wait(time) => {
                let wait = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
                self.schedule(ms + wait, Event::Ask(number));
            }
            Step::GiveUp(exhausted) => self.end(number, Some(name_of(&exhausted.reason))),
            Step::Try { index, lease, model } => {
                request.attempts += 1;
                let asked = request.models.get(model).copied().unwrap_or_default();
                request.running = Some((lease, index, model));
                let call =
                    Call { isolate: request.isolate, key: index, model: asked, tokens: request.tokens, ms };
                let end = self.gemini.call(&self.scene, call, &self.random);
                let takes =
                    if end.is_ok() { 400 + self.random.below(6_000) } else { 80 + self.random.below(200) };
                self.schedule(ms + i64::try_from(takes).unwrap_or(0), Event::Ended(number, end));
            }
        }
    }

    fn ended(&mut self, number: u64, end: Result<(), Box<Verdict>>, ms: i64) {
        let now = self.scene.at(ms);
        let Some(request) = self.requests.get_mut(&number) else { return };
        let Some((lease, index, model)) = request.running.take() else { return };
        let Some(isolate) = self.isolates.get_mut(request.isolate) else { return };
        if let Some(key) = self.scene.keys.get(index) {
            let asked = request.models.get(model).copied().unwrap_or_default();
            isolate.reporter.count(&key.id, &model_name(asked), end.is_ok(), now);
        }
        match end {
            Ok(()) => {
                isolate.runtime.finish(
                    &lease,
                    &AttemptEnd::Success { tokens: Some(request.tokens), generated: true },
                    now,
                );
                self.figures.by_fallback += u64::from(model > 0);
                self.end(number, None);
            }
            Err(verdict) => {
                let changed = isolate.runtime.finish(&lease, &AttemptEnd::Refused(&verdict), now);
                if let Some(key) = self.scene.keys.get(index).filter(|_| changed && verdict.needs_probe()) {
                    // The probe that follows gets the same error, which only invalid keys get.
                    let later = now + Duration::from_millis(1);
                    let probe = verdict.as_ref().clone().of_own_words();
                    if let Some(lease) = isolate.runtime.check(&key.id, "", Cost::default(), now) {
                        isolate.runtime.finish(&lease, &AttemptEnd::Refused(&probe), later);
                    }
                }
                request.plan.refused(&verdict);
                self.ask(number, ms);
            }
        }
    }

    fn end(&mut self, number: u64, failure: Option<&'static str>) {
        let Some(request) = self.requests.remove(&number) else { return };
        let success = failure.is_none();
        let figures = &mut self.figures;
        if request.servable {
            figures.servable += 1;
            figures.served += u64::from(success);
            if let Some(code) = failure {
                *figures.failures.entry(code).or_default() += 1;
            }
        }
        if number > self.wanted / 4 {
            figures.attempts += request.attempts as u64;
            figures.successes += u64::from(success);
        }
        *figures.attempts_taken.entry(request.attempts).or_default() += 1;
    }

    fn report(&mut self, isolate: usize, ms: i64) {
        let now = self.scene.at(ms);
        let Some(reporting) = self.isolates.get_mut(isolate) else { return };
        reporting.reporter.send(&mut self.ledger, now, &self.random);
        let learnt = std::rc::Rc::new(reporting.runtime.drain_observations(now));
        self.judge.hear(&self.scene, &self.gemini, &learnt);
        for other in (0..ISOLATES).filter(|other| *other != isolate) {
            self.schedule(ms + REPORT_TAKES_MS, Event::Heard(other, std::rc::Rc::clone(&learnt)));
        }
        if self.figures.requests < self.wanted || !self.requests.is_empty() {
            self.schedule(ms + REPORT_EVERY_MS, Event::Report(isolate));
        }
    }

    /// Sends the last reports and sums up.
    #[allow(clippy::cast_precision_loss)]
    fn settle(mut self, ms: i64) -> Figures {
        let mut now = ms;
        for isolate in &mut self.isolates {
            while !isolate.reporter.is_empty() {
                now += 500;
                isolate.reporter.send(&mut self.ledger, self.scene.at(now), &self.random);
            }
            self.judge.inspect(&self.scene, &isolate.runtime, self.scene.at(ms));
        }
        let mut figures = mem::take(&mut self.figures);
        let lost: u64 = self.isolates.iter().map(|isolate| isolate.reporter.given_up()).sum();
        let differences = self.scene.keys.iter().zip(&self.gemini.calls).map(|(key, calls)| {
            calls.abs_diff(self.ledger.attempts.get(&key.id).copied().unwrap_or_default())
        });
        figures.count_error = lost + differences.sum::<u64>();
        figures.wronged = self.judge.wronged.len();
        figures.calls = self.gemini.calls.iter().sum();
        figures.refusals = self.gemini.refusals.into_iter().collect();
        figures.hours = ms as f64 / 3_600_000.0;
        figures
    }
}

/// Returns the name under which a failed request is counted.
fn name_of(reason: &ExhaustionReason) -> &'static str {
    match reason {
        ExhaustionReason::Failed { error, .. } => error.code.unwrap_or("other"),
        ExhaustionReason::ModelUnavailable { reason: OpenReason::Overload, .. } => "overloaded",
        ExhaustionReason::ModelUnavailable { reason: OpenReason::Burst, .. }
        | ExhaustionReason::AllCooling { all_until_reset: false, .. } => "rate_limit_exceeded",
        ExhaustionReason::AllCooling { all_until_reset: true, .. } => "insufficient_quota",
        ExhaustionReason::NoUsableKey { .. } | ExhaustionReason::KeysRefused { .. } => "no_usable_key",
        ExhaustionReason::Timeout => "timeout",
    }
}
