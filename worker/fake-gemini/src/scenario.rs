//! What the stand-in plays: models, keys, limits, delays, scripted answers.
//!
//! In: a TOML or JSON document, or values built by a test. Out: the same, checked and indexed. Never here: anything
//! that changes while requests run, except the uses left of a script.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::behaviour::{Behaviour, Treatment};

mod indexed;

pub(crate) use indexed::Indexed;

/// A whole scenario. Every field has a default; [`Scenario::default`] offers the models and knows no key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scenario {
    /// Model ids without `models/`, in the order of the listing. One with `embedding` in it embeds, the others chat.
    pub models: Vec<String>,
    /// How a key is treated that is not in `keys`.
    pub unknown_keys: Treatment,
    /// Wait before the headers of an answer, in milliseconds.
    pub before_headers_ms: u64,
    /// Wait between the frames of a stream, in milliseconds.
    pub between_frames_ms: u64,
    /// How many requests are kept for inspection; 0 keeps none.
    pub record: usize,
    /// Whether answers to embedding calls carry `usageMetadata`; Gemini does not always send it.
    pub embedding_usage: bool,
    /// The answer to a chat that no script answers.
    pub answer: Answer,
    /// Models that treat every key in some way, by id.
    pub model_behaviour: BTreeMap<String, Treatment>,
    /// Models that answer under the name of another one, by that name. They name themselves as `modelVersion`, and refuse
    /// what their own family does not take.
    pub routes: BTreeMap<String, String>,
    /// Whether Google's OpenAI endpoint takes auth keys (`AQ.…`) as bearers. Otherwise it says that it got several
    /// credentials, and takes them in `x-goog-api-key`.
    pub auth_keys_as_bearer: bool,
    /// The keys.
    pub keys: Vec<KeySpec>,
    /// Billing accounts.
    pub accounts: Vec<Account>,
    /// Quotas. The first entry that fits a project and a model holds; those that name the project are tried first.
    pub limits: Vec<Limits>,
    /// Exact answers.
    pub scripts: Vec<Script>,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            models: [
                "gemini-3.8-flash",
                "gemini-3.6-flash",
                "gemini-3.5-flash",
                "gemini-3.5-flash-lite",
                "gemini-3.1-flash-lite",
                "gemini-3.1-pro-preview",
                "gemini-4-hydrogen",
                "gemini-4-neon",
                "gemini-4-argon",
                "gemini-4-carbon",
                "gemini-2.5-pro",
                "gemini-2.5-flash",
                "gemini-2.5-flash-lite",
                "gemini-3.1-flash-image",
                "gemini-3-pro-image",
                "gemini-3.1-flash-lite-image",
                "gemini-3.8-flash-tts",
                "gemini-3.8-flash-lite-tts",
                "gemini-embedding-2",
                "gemini-embedding-001",
            ]
            .map(str::to_owned)
            .to_vec(),
            unknown_keys: Behaviour::Invalid.into(),
            before_headers_ms: 0,
            between_frames_ms: 0,
            record: 100,
            embedding_usage: true,
            answer: Answer::default(),
            model_behaviour: BTreeMap::new(),
            routes: BTreeMap::new(),
            auth_keys_as_bearer: false,
            keys: Vec::new(),
            accounts: Vec::new(),
            limits: Vec::new(),
            scripts: Vec::new(),
        }
    }
}

impl Scenario {
    /// Reads a scenario file.
    pub fn from_toml(text: &str) -> Result<Self, ScenarioError> {
        let scenario: Self = toml::from_str(text)?;
        scenario.check()?;
        Ok(scenario)
    }

    /// The default scenario with `keys` that work.
    #[must_use]
    pub fn with_keys<K: Into<String>>(keys: impl IntoIterator<Item = K>) -> Self {
        Self {
            keys: keys.into_iter().map(|key| KeySpec::new(key, Behaviour::Ok)).collect(),
            ..Self::default()
        }
    }

    /// Adds a key.
    #[must_use]
    pub fn key(mut self, key: KeySpec) -> Self {
        self.keys.push(key);
        self
    }

    /// Adds limits.
    #[must_use]
    pub fn limit(mut self, limits: Limits) -> Self {
        self.limits.push(limits);
        self
    }

    /// Adds a scripted answer.
    #[must_use]
    pub fn script(mut self, script: Script) -> Self {
        self.scripts.push(script);
        self
    }

    /// Makes a model treat every key like this.
    #[must_use]
    pub fn model(mut self, model: &str, treatment: impl Into<Treatment>) -> Self {
        self.model_behaviour.insert(model.to_owned(), treatment.into());
        self
    }

    /// Lets another model answer under a name.
    #[must_use]
    pub fn route(mut self, name: &str, answering: &str) -> Self {
        self.routes.insert(name.to_owned(), answering.to_owned());
        self
    }

    /// Adds a billing account.
    #[must_use]
    pub fn account(mut self, account: Account) -> Self {
        self.accounts.push(account);
        self
    }

    /// Refuses what could only be a mistake of the writer.
    pub(crate) fn check(&self) -> Result<(), ScenarioError> {
        let mut seen = std::collections::HashSet::new();
        for spec in &self.keys {
            if spec.key.is_empty() || spec.key.contains(|c: char| c.is_whitespace() || c.is_control()) {
                return Err(ScenarioError::Key(spec.key.clone()));
            }
            if !seen.insert(&spec.key) {
                return Err(ScenarioError::Twice(spec.key.clone()));
            }
        }
        let named = self
            .keys
            .iter()
            .flat_map(|spec| spec.model_behaviour.keys())
            .chain(self.model_behaviour.keys())
            .chain(self.routes.keys())
            .chain(self.limits.iter().filter_map(|limits| limits.model.as_ref()))
            .chain(self.scripts.iter().filter_map(|script| script.model.as_ref()));
        for model in named {
            if !self.models.contains(model) {
                return Err(ScenarioError::Model(model.clone()));
            }
        }
        Ok(())
    }
}

/// Why a scenario cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// Not TOML, or a name that is not known.
    #[error(transparent)]
    Toml(#[from] toml::de::Error),
    /// A key that no header could carry.
    #[error("a key is empty or has a blank in it: {0:?}")]
    Key(String),
    /// The same key in two entries.
    #[error("the key {0:?} stands there twice")]
    Twice(String),
    /// A model that `models` does not offer.
    #[error("the model {0:?} is not among `models`")]
    Model(String),
}

/// One API key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeySpec {
    /// The key, compared exactly.
    pub key: String,
    /// The number of its Google Cloud project; keys of one project share its quotas. Without it the key has a
    /// project of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// How the key is treated.
    #[serde(default)]
    pub behaviour: Treatment,
    /// How it is treated for some models, by id, instead.
    #[serde(default)]
    pub model_behaviour: BTreeMap<String, Treatment>,
}

impl KeySpec {
    /// A key of a project of its own.
    pub fn new(key: impl Into<String>, treatment: impl Into<Treatment>) -> Self {
        Self { key: key.into(), project: None, behaviour: treatment.into(), model_behaviour: BTreeMap::new() }
    }

    /// Puts the key into a project.
    #[must_use]
    pub fn project(mut self, number: impl Into<String>) -> Self {
        self.project = Some(number.into());
        self
    }

    /// Treats requests for one model in another way.
    #[must_use]
    pub fn model(mut self, model: &str, treatment: impl Into<Treatment>) -> Self {
        self.model_behaviour.insert(model.to_owned(), treatment.into());
        self
    }
}

/// A billing account, above several projects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// The numbers of its projects.
    pub projects: Vec<String>,
    /// What all of them together may spend in a rolling ten minutes, in input tokens: money is not played. Once that much
    /// is spent, whatever is asked for is refused until some of it is ten minutes old.
    pub input_tokens_per_ten_minutes: u64,
}

/// Quotas of the projects and models that it names; a missing name fits all, a missing number is no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// The project's number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// The model's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Which tier's quota ids the refusals name.
    pub tier: Tier,
    /// Requests in a minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<u64>,
    /// Requests in a day of California.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_day: Option<u64>,
    /// Input tokens in a minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_tokens_per_minute: Option<u64>,
}

/// A project's tier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// Quota ids end in `-FreeTier`.
    #[default]
    Free,
    /// The paid tiers' quota ids.
    Paid,
}

/// The usual answer to a chat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Answer {
    /// Frames of text in a stream, before the frame with the finish reason.
    pub frames: usize,
    /// The text; without it `You said: <the last text of the user>`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Tokens of thought to report.
    pub thought_tokens: u64,
}

impl Default for Answer {
    fn default() -> Self {
        Self { frames: 3, text: None, thought_tokens: 0 }
    }
}

/// An exact answer, given to requests that a key may make and that fit all conditions named here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Script {
    /// Only for this model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Only when the request's body has this text in it, as it stands on the wire.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub marker: Option<String>,
    /// Only when the request has a header `x-fake-script` with this value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// How often it may be used; without it always.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// HTTP status.
    pub status: u16,
    /// Without it `text/event-stream` for several `wire` strings or one that starts like an event, else JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// The body, byte for byte; each string is written to the connection by itself.
    pub wire: Vec<String>,
    /// Breaks the connection after the last string.
    pub cut: bool,
    /// Prompt tokens that the body reports, for the counts.
    pub prompt_tokens: u64,
    /// Completion tokens that the body reports, for the counts.
    pub completion_tokens: u64,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            model: None,
            marker: None,
            header: None,
            times: None,
            status: 200,
            content_type: None,
            wire: Vec::new(),
            cut: false,
            prompt_tokens: 0,
            completion_tokens: 0,
        }
    }
}

impl Script {
    /// The content type to send.
    pub(crate) fn content_type(&self) -> &str {
        let event = self.wire.len() > 1 || self.wire.first().is_some_and(|first| first.starts_with("data:"));
        match &self.content_type {
            Some(given) => given,
            None if event => "text/event-stream",
            None => "application/json; charset=UTF-8",
        }
    }
}

/// Whether the model embeds rather than chats.
pub(crate) fn embeds(model: &str) -> bool {
    model.contains("embedding")
}

#[cfg(test)]
mod tests;
