//! Simulated Gemini with quotas by project and model, and Gemini's error bodies.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use http::StatusCode;
use jiff::Timestamp;
use pool_engine::{Limits, Refusal, Sent, Verdict, classify, network_fault, next_quota_day};
use pool_translate::gemini::ErrorBody;
use pool_worker::platform::UpstreamError;
use serde_json::{Value, json};

use crate::scene::{Fate, KEYS, PROJECTS, Scene, Seeded, Storm, model_name, project_name};

const MINUTE_MS: i64 = 60_000;

/// Parameters of an attempt.
#[derive(Clone, Copy)]
pub struct Call {
    pub isolate: usize,
    pub key: usize,
    pub model: usize,
    pub tokens: u64,
    pub ms: i64,
}

#[derive(Default)]
struct Window {
    minute: i64,
    minute_requests: u64,
    minute_tokens: u64,
    day_requests: u64,
}

pub struct Gemini {
    windows: HashMap<(usize, usize), Window>,
    day_ends: Timestamp,
    /// Attempts by key, including those that did not arrive.
    pub calls: Vec<u64>,
    /// Latest permitted end of a project's cooldown for a model.
    pub cooldown_ends: HashMap<(usize, usize), Timestamp>,
    /// Keys with a burst error, by model.
    pub bursts: HashSet<(usize, usize)>,
    pub refusals: HashMap<&'static str, u64>,
}

impl Gemini {
    pub fn new(scene: &Scene) -> Self {
        Self {
            windows: HashMap::new(),
            day_ends: next_quota_day(scene.start),
            calls: vec![0; KEYS],
            cooldown_ends: HashMap::new(),
            bursts: HashSet::new(),
            refusals: HashMap::new(),
        }
    }

    /// Responds to an attempt. An error is returned as the verdict that the gateway would reach.
    pub fn call(&mut self, scene: &Scene, call: Call, random: &Seeded) -> Result<(), Box<Verdict>> {
        if let Some(calls) = self.calls.get_mut(call.key) {
            *calls += 1;
        }
        let verdict = self.judge(scene, call, random);
        if let Err(verdict) = &verdict {
            let name: &'static str = verdict.answer.code.unwrap_or("other");
            *self.refusals.entry(name).or_default() += 1;
        }
        verdict
    }

    fn judge(&mut self, scene: &Scene, call: Call, random: &Seeded) -> Result<(), Box<Verdict>> {
        if is_cut(scene, call.isolate, call.ms) || random.chance(0.000_5) {
            return Err(Box::new(network_fault(&UpstreamError::Connect("reset".to_owned()))));
        }
        let refuse = |status: u16, body: &Value| {
            // Some endpoints wrap errors in an array.
            let text = if random.chance(0.5) { json!([body]) } else { body.clone() }.to_string();
            let body = ErrorBody::parse(text.as_bytes());
            let status = StatusCode::from_u16(status).unwrap_or_default();
            let sent = Sent::default();
            let refusal = Refusal { status, retry_after: None, body: &body, sent: Some(&sent) };
            Err(Box::new(classify(
                &refusal,
                scene.at(call.ms),
                u64::MAX / 1_000 * random.below(1_000) as u64,
            )))
        };
        let Some(key) = scene.keys.get(call.key) else { return Ok(()) };
        if let Some((status, body)) = dead(key.fate, key.project) {
            return refuse(status, &body);
        }
        for storm in scene.blowing(call.model, call.ms) {
            match storm {
                Storm::Overload(probability) if random.chance(probability) => {
                    return refuse(503, &error("UNAVAILABLE", "The model is overloaded.", &[]));
                }
                Storm::Burst => {
                    self.bursts.insert((call.key, call.model));
                    let message = "Resource has been exhausted (e.g. check quota).";
                    return refuse(429, &error("RESOURCE_EXHAUSTED", message, &[]));
                }
                _ => {}
            }
        }
        if random.chance(0.000_5) {
            return refuse(500, &error("INTERNAL", "An internal error has occurred.", &[]));
        }
        match self.admit(scene, key.project, call) {
            Ok(()) => Ok(()),
            Err(violations) => {
                let body = self.exhausted(scene, key.project, call, &violations);
                refuse(429, &body)
            }
        }
    }

    /// Returns `true` if a valid key would succeed now.
    pub fn would_serve(&mut self, scene: &Scene, call: Call, random: &Seeded) -> bool {
        let down = |storm| matches!(storm, Storm::Overload(1.0) | Storm::Burst);
        if is_cut(scene, call.isolate, call.ms) || scene.blowing(call.model, call.ms).any(down) {
            return false;
        }
        let first = random.below(PROJECTS);
        (0..PROJECTS).map(|offset| (first + offset) % PROJECTS).any(|project| {
            let alive = scene.keys.iter().any(|key| key.project == project && key.fate == Fate::Alive);
            alive && self.violations(scene, project, call).is_empty()
        })
    }

    fn admit(&mut self, scene: &Scene, project: usize, call: Call) -> Result<(), Vec<(&'static str, u64)>> {
        let violations = self.violations(scene, project, call);
        if !violations.is_empty() {
            return Err(violations);
        }
        let window = self.windows.entry((project, call.model)).or_default();
        window.minute_requests += 1;
        window.minute_tokens += call.tokens;
        window.day_requests += 1;
        Ok(())
    }

    fn violations(&mut self, scene: &Scene, project: usize, call: Call) -> Vec<(&'static str, u64)> {
        let now = scene.at(call.ms);
        if now >= self.day_ends {
            self.day_ends = next_quota_day(now);
            self.windows.values_mut().for_each(|window| window.day_requests = 0);
        }
        let window = self.windows.entry((project, call.model)).or_default();
        let minute = (call.ms + phase(project)).div_euclid(MINUTE_MS);
        if window.minute != minute {
            *window = Window { minute, day_requests: window.day_requests, ..Window::default() };
        }
        let limits = limits_now(scene, project, call);
        let over = |limit: Option<u64>, used: u64| limit.filter(|limit| used > *limit);
        [
            (
                "GenerateRequestsPerMinutePerProjectPerModel-FreeTier",
                over(limits.requests_per_minute, window.minute_requests + 1),
            ),
            (
                "GenerateRequestsPerDayPerProjectPerModel-FreeTier",
                over(limits.requests_per_day, window.day_requests + 1),
            ),
            (
                "GenerateContentInputTokensPerModelPerMinute-FreeTier",
                over(limits.tokens_per_minute, window.minute_tokens + call.tokens),
            ),
        ]
        .into_iter()
        .filter_map(|(id, limit)| Some((id, limit?)))
        .collect()
    }

    fn exhausted(
        &mut self,
        scene: &Scene,
        project: usize,
        call: Call,
        violations: &[(&'static str, u64)],
    ) -> Value {
        let wait_ms = MINUTE_MS - (call.ms + phase(project)).rem_euclid(MINUTE_MS);
        let listed: Vec<Value> = violations
            .iter()
            .map(|(id, limit)| json!({"quotaId": id, "quotaValue": limit.to_string()}))
            .collect();
        let daily = violations.iter().any(|(id, _)| id.contains("PerDay"));
        let end = if daily { self.day_ends } else { scene.at(call.ms + wait_ms) };
        let slack = if daily { Duration::from_mins(1) } else { Duration::from_secs(1) };
        self.cooldown_ends.insert((project, call.model), end + slack);
        let message = format!(
            "You exceeded your current quota, please check your plan and billing details. Please retry in {}.{:03}s.",
            wait_ms / 1_000,
            wait_ms % 1_000
        );
        let details = [
            json!({"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": listed}),
            json!({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": format!("{}s", wait_ms / 1_000)}),
            info("RATE_LIMIT_EXCEEDED", project),
        ];
        error("RESOURCE_EXHAUSTED", &message, &details)
    }
}

/// Windows of projects start at different times.
fn phase(project: usize) -> i64 {
    i64::try_from(project).unwrap_or_default() * 997 % MINUTE_MS
}

fn limits_now(scene: &Scene, project: usize, call: Call) -> Limits {
    let limits = scene.limits.get(project).and_then(|models| models.get(call.model));
    let mut limits = limits.copied().unwrap_or_default();
    if scene.blowing(call.model, call.ms).any(|storm| matches!(storm, Storm::Drought)) {
        limits.requests_per_minute = limits.requests_per_minute.map(|limit| limit.div_ceil(3));
    }
    limits
}

fn is_cut(scene: &Scene, isolate: usize, ms: i64) -> bool {
    scene.blowing(isolate, ms).any(|storm| matches!(storm, Storm::Cut))
}

fn error(status: &str, message: &str, details: &[Value]) -> Value {
    json!({"error": {"code": 0, "message": message, "status": status, "details": details}})
}

fn info(reason: &str, project: usize) -> Value {
    json!({"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "googleapis.com",
           "metadata": {"consumer": project_name(project), "model": model_name(0)}})
}

fn dead(fate: Fate, project: usize) -> Option<(u16, Value)> {
    let denied = |message: &str, details: &[Value]| (403, error("PERMISSION_DENIED", message, details));
    Some(match fate {
        Fate::Alive => return None,
        Fate::Invalid => {
            let message = "API key not valid. Please pass a valid API key.";
            (400, error("INVALID_ARGUMENT", message, &[info("API_KEY_INVALID", project)]))
        }
        Fate::Leaked => denied("Your API key was reported as leaked. Please use another API key.", &[]),
        Fate::Blocked => denied("Requests are blocked.", &[info("API_KEY_SERVICE_BLOCKED", project)]),
        Fate::Suspended => {
            denied("Permission denied: Consumer has been suspended.", &[info("CONSUMER_SUSPENDED", project)])
        }
    })
}
