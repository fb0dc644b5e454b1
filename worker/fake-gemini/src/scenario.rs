//! Scenario of the mock server: models, keys, limits, delays and scripted responses.
//!
//! It comes from TOML, JSON or code and is checked and indexed before use. Only the remaining uses
//! of scripts change while requests run.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::behaviour::{Behaviour, Treatment};

mod indexed;

pub(crate) use indexed::Indexed;

/// A scenario. Every field has a default; [`Scenario::default`] has models and no keys.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scenario {
    /// Model ids without `models/`, in the order of the list. Ids that contain `embedding` embed,
    /// the others chat.
    pub models: Vec<String>,
    /// Behaviour of keys that are not in `keys`.
    pub unknown_keys: Treatment,
    /// Delay before the response headers, in milliseconds.
    pub before_headers_ms: u64,
    /// Delay between the frames of a stream, in milliseconds.
    pub between_frames_ms: u64,
    /// Number of requests that are recorded; 0 records none.
    pub record: usize,
    /// Whether embedding responses have `usageMetadata`; Gemini does not always send it.
    pub embedding_usage: bool,
    /// Response to a chat that no script matches.
    pub answer: Answer,
    /// Behaviour of models for all keys, by id.
    pub model_behaviour: BTreeMap<String, Treatment>,
    /// Models that serve another model's name, by that name. They report themselves as
    /// `modelVersion` and reject what their own family does not support.
    pub routes: BTreeMap<String, String>,
    /// Whether Google's OpenAI-compatible endpoint accepts auth keys (`AQ.…`) as bearer tokens.
    /// Otherwise it reports several credentials, and accepts them in `x-goog-api-key`.
    pub auth_keys_as_bearer: bool,
    /// The keys.
    pub keys: Vec<KeySpec>,
    /// Billing accounts.
    pub accounts: Vec<Account>,
    /// Quotas. The first entry that matches project and model applies; entries with a project come
    /// first.
    pub limits: Vec<Limits>,
    /// Scripted responses.
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
    /// Parses a scenario file.
    pub fn from_toml(text: &str) -> Result<Self, ScenarioError> {
        let scenario: Self = toml::from_str(text)?;
        scenario.check()?;
        Ok(scenario)
    }

    /// Returns the default scenario with working keys.
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

    /// Adds a scripted response.
    #[must_use]
    pub fn script(mut self, script: Script) -> Self {
        self.scripts.push(script);
        self
    }

    /// Sets the behaviour of a model for all keys.
    #[must_use]
    pub fn model(mut self, model: &str, treatment: impl Into<Treatment>) -> Self {
        self.model_behaviour.insert(model.to_owned(), treatment.into());
        self
    }

    /// Makes another model serve a name.
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

    /// Rejects contradictions and unknown names.
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

/// Error of an invalid scenario.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// Invalid TOML, or an unknown name.
    #[error(transparent)]
    Toml(#[from] toml::de::Error),
    /// A key that is invalid in a header.
    #[error("invalid key {0:?}: empty, or contains whitespace")]
    Key(String),
    /// A duplicate key.
    #[error("duplicate key {0:?}")]
    Twice(String),
    /// A model that is not in `models`.
    #[error("model {0:?} is not in `models`")]
    Model(String),
}

/// One API key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeySpec {
    /// The key, compared exactly.
    pub key: String,
    /// Number of its Google Cloud project. Keys of one project share its quotas; a key without one
    /// has its own project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// Behaviour of the key.
    #[serde(default)]
    pub behaviour: Treatment,
    /// Behaviour for some models, by id.
    #[serde(default)]
    pub model_behaviour: BTreeMap<String, Treatment>,
}

impl KeySpec {
    /// Creates a key in its own project.
    pub fn new(key: impl Into<String>, treatment: impl Into<Treatment>) -> Self {
        Self { key: key.into(), project: None, behaviour: treatment.into(), model_behaviour: BTreeMap::new() }
    }

    /// Sets the key's project.
    #[must_use]
    pub fn project(mut self, number: impl Into<String>) -> Self {
        self.project = Some(number.into());
        self
    }

    /// Sets the behaviour for one model.
    #[must_use]
    pub fn model(mut self, model: &str, treatment: impl Into<Treatment>) -> Self {
        self.model_behaviour.insert(model.to_owned(), treatment.into());
        self
    }
}

/// A billing account of several projects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// Numbers of its projects.
    pub projects: Vec<String>,
    /// Spending limit of a rolling ten minutes for all its projects, in input tokens. Once it is
    /// reached, all requests are rejected until some of the spending is ten minutes old.
    pub input_tokens_per_ten_minutes: u64,
}

/// Quotas of projects and models. A missing name matches all, a missing number is no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// The project's number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// The model's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Tier of the quota ids in errors.
    pub tier: Tier,
    /// Requests per minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<u64>,
    /// Requests per quota day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_day: Option<u64>,
    /// Input tokens per minute.
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

/// The default response to a chat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Answer {
    /// Text frames of a stream, before the frame with the finish reason.
    pub frames: usize,
    /// The text; default `You said: <the last text of the user>`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Reported thought tokens.
    pub thought_tokens: u64,
}

impl Default for Answer {
    fn default() -> Self {
        Self { frames: 3, text: None, thought_tokens: 0 }
    }
}

/// A scripted response to requests with a working key that meet all conditions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Script {
    /// Only for this model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Only if the request's body contains this text verbatim.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub marker: Option<String>,
    /// Only if the request has a header `x-fake-script` with this value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// Maximum number of uses; default unlimited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// HTTP status.
    pub status: u16,
    /// Content type. Default: `text/event-stream` for several `wire` strings or one that starts
    /// like an event, else JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// The body, byte for byte. Each string is written to the connection separately.
    pub wire: Vec<String>,
    /// Closes the connection after the last string.
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
    /// Returns the content type.
    pub(crate) fn content_type(&self) -> &str {
        let event = self.wire.len() > 1 || self.wire.first().is_some_and(|first| first.starts_with("data:"));
        match &self.content_type {
            Some(given) => given,
            None if event => "text/event-stream",
            None => "application/json; charset=UTF-8",
        }
    }
}

/// Returns `true` for embedding models.
pub(crate) fn embeds(model: &str) -> bool {
    model.contains("embedding")
}

#[cfg(test)]
mod tests;
