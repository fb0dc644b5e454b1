//! Input of a run, generated from the seed: keys, projects, models and incidents.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::{SignedDuration, Timestamp};
use pool_engine::{KeySet, KeySetEntry, Limits};
use pool_shared::KeyId;
use pool_worker::platform::Random;

pub const KEYS: usize = 1_000;
pub const PROJECTS: usize = 300;
pub const MODELS: usize = 10;
pub const ISOLATES: usize = 4;
/// Keys on which every attempt fails.
const DEAD: usize = KEYS / 10;
/// Mean requests per second.
pub const RATE: f64 = 20.0;

/// Deterministic random numbers (`SplitMix64`).
pub struct Seeded(AtomicU64);

impl Random for Seeded {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let bits = self.next().to_le_bytes();
            for (byte, bit) in chunk.iter_mut().zip(bits) {
                *byte = bit;
            }
        }
    }
}

impl Seeded {
    pub const fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    fn next(&self) -> u64 {
        const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
        let state = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        let state = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let state = (state ^ (state >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        state ^ (state >> 31)
    }

    /// Returns a number from 0 to `bound`, exclusive.
    pub fn below(&self, bound: usize) -> usize {
        let product = u128::from(self.next()) * (bound as u128);
        usize::try_from(product >> 64).unwrap_or_default()
    }

    /// Returns a number from 0 to 1, exclusive.
    #[allow(clippy::cast_precision_loss)]
    pub fn unit(&self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub fn chance(&self, probability: f64) -> bool {
        self.unit() < probability
    }
}

/// Permanent fault of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Alive,
    Invalid,
    Leaked,
    Blocked,
    Suspended,
}

pub struct Key {
    pub id: KeyId,
    pub project: usize,
    pub fate: Fate,
}

/// An incident of one model, one isolate, or all.
#[derive(Clone, Copy, Debug)]
pub enum Storm {
    /// The model returns 503 with this probability.
    Overload(f64),
    /// Two requests of five are for this model.
    Surge,
    /// The model's quotas per minute shrink to a third.
    Drought,
    /// The model returns 429 without a reason.
    Burst,
    /// The isolate cannot reach Gemini.
    Cut,
}

pub struct Interval {
    pub storm: Storm,
    /// The model; the isolate for [`Storm::Cut`].
    pub whom: usize,
    pub from_ms: i64,
    pub to_ms: i64,
}

pub struct Scene {
    pub start: Timestamp,
    pub keys: Vec<Key>,
    pub roster: Arc<KeySet>,
    /// By project and model.
    pub limits: Vec<Vec<Limits>>,
    pub storms: Vec<Interval>,
}

impl Scene {
    pub fn new(random: &Seeded, requests: u64) -> Self {
        // The evening before a clock change in Pacific Time.
        let start: Timestamp = "2026-11-01T05:30:00Z".parse().unwrap_or_default();
        let keys = keys(random);
        let roster_key = |key: &Key| KeySetEntry {
            id: key.id.clone(),
            weight: u32::try_from(random.below(6))
                .ok()
                .and_then(|weight| weight.try_into().ok())
                .unwrap_or_default(),
            // Projects of some keys are configured; the others count as separate.
            project: key.project.is_multiple_of(2).then(|| project_name(key.project)),
            billing_account: None,
            limits: Limits::default(),
        };
        let roster = Arc::new(KeySet::of(1, keys.iter().map(roster_key)));
        let limits = (0..PROJECTS).map(|_| (0..MODELS).map(|_| project_limits(random)).collect()).collect();
        #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
        let length_ms = (requests as f64 / RATE * 1_000.0) as i64;
        Self { start, roster, keys, limits, storms: storms(random, length_ms) }
    }

    pub fn at(&self, ms: i64) -> Timestamp {
        self.start.saturating_add(SignedDuration::from_millis(ms)).unwrap_or(Timestamp::MAX)
    }

    pub fn blowing(&self, whom: usize, ms: i64) -> impl Iterator<Item = Storm> {
        let blows = move |interval: &&Interval| {
            interval.whom == whom && interval.from_ms <= ms && ms < interval.to_ms
        };
        self.storms.iter().filter(blows).map(|interval| interval.storm)
    }
}

pub fn project_name(project: usize) -> String {
    format!("projects/{project}")
}

pub fn model_name(model: usize) -> String {
    format!("gemini-{model}")
}

/// Returns the models that can serve a request for `model`.
pub fn models_to_ask(model: usize) -> Vec<usize> {
    vec![model, (model + 1) % MODELS, (model + 2) % MODELS]
}

fn keys(random: &Seeded) -> Vec<Key> {
    let mut keys: Vec<Key> = (0..KEYS)
        .map(|number| Key {
            id: KeyId::from_random(number as u64),
            project: if number < PROJECTS { number } else { random.below(PROJECTS) },
            fate: Fate::Alive,
        })
        .collect();
    let dead = |keys: &[Key]| keys.iter().filter(|key| key.fate != Fate::Alive).count();
    while dead(&keys) < DEAD / 4 {
        let project = random.below(PROJECTS);
        keys.iter_mut().filter(|key| key.project == project).for_each(|key| key.fate = Fate::Suspended);
    }
    while dead(&keys) < DEAD {
        let fates = [Fate::Invalid, Fate::Invalid, Fate::Leaked, Fate::Blocked];
        let fate = fates.get(random.below(fates.len())).copied().unwrap_or(Fate::Invalid);
        if let Some(key) = keys.get_mut(random.below(KEYS)).filter(|key| key.fate == Fate::Alive) {
            key.fate = fate;
        }
    }
    keys
}

fn project_limits(random: &Seeded) -> Limits {
    Limits {
        requests_per_minute: Some(4 + random.below(7) as u64),
        requests_per_day: Some(30 + random.below(120) as u64),
        tokens_per_minute: Some(20_000 + random.below(50_000) as u64),
        tokens_per_day: None,
    }
}

fn storms(random: &Seeded, length_ms: i64) -> Vec<Interval> {
    let mut storms = Vec::new();
    let mut add = |storm, whom, every_ms: usize, shortest_ms: usize, longest_ms: usize| {
        let mut from_ms = 0;
        loop {
            from_ms += i64::try_from(every_ms / 2 + random.below(every_ms)).unwrap_or(i64::MAX);
            if from_ms >= length_ms {
                return;
            }
            let lasts = shortest_ms + random.below(longest_ms - shortest_ms);
            storms.push(Interval {
                storm,
                whom,
                from_ms,
                to_ms: from_ms + i64::try_from(lasts).unwrap_or(0),
            });
        }
    };
    for model in 0..MODELS {
        add(Storm::Overload(1.0), model, 1_500_000, 5_000, 40_000);
        add(Storm::Overload(0.3), model, 1_800_000, 10_000, 60_000);
        add(Storm::Surge, model, 2_400_000, 60_000, 180_000);
        add(Storm::Drought, model, 6_000_000, 60_000, 240_000);
        add(Storm::Burst, model, 1_500_000, 1_000, 5_000);
    }
    for isolate in 0..ISOLATES {
        add(Storm::Cut, isolate, 900_000, 200, 2_500);
    }
    storms
}
