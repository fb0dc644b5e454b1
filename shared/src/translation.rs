//! How a pool translates between OpenAI's and Gemini's API, where it may be told to.

use std::collections::BTreeMap;

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::bounds;
use crate::object;
use crate::{FetchMedia, Pacing};

/// A pool's translation settings. Every default is what a client of OpenAI's API expects.
///
/// Stored settings are read leniently, so that an older service can read what a newer one wrote; what
/// an operator sends is checked by [`TranslationUpdate`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
// Answers to questions that have nothing to do with each other.
#[allow(clippy::struct_excessive_bools)]
pub struct TranslationSettings {
    /// Gemini's `safetySettings` for requests that bring none; empty means Gemini's own defaults.
    #[cfg_attr(feature = "schema", schemars(transform = crate::schema::safety_settings))]
    #[serde(deserialize_with = "object::list")]
    pub safety_settings: Vec<SafetySetting>,
    /// What a client gets whose prompt Gemini blocked.
    pub prompt_block: PromptBlock,
    /// Whether a parameter that Gemini has no counterpart for is rejected with 400; otherwise it has no
    /// effect and the header `x-pool-ignored-params` names it.
    pub strict_params: bool,
    /// Whether a history of calls with missing or stray results is rejected with 400, as OpenAI does;
    /// otherwise it is mended.
    pub strict_history: bool,
    /// Where a system message goes that is in the middle of a conversation.
    pub system_messages: SystemMessages,
    /// Whether the `name` of a user's message is put before its text, which Gemini has no field for.
    pub prefix_names: bool,
    /// How generated images are delivered.
    pub image_output: ImageOutput,
    /// Whether a model's name may end in `:online` or `:search` (search the web), `-nothinking`, or
    /// `-thinking-` and a budget of tokens or a level.
    pub model_suffixes: bool,
    /// Whether answers show the model's thoughts (`reasoning_content`) where the request does not say.
    pub thoughts: Thoughts,
    /// Whether a call's thought signature is appended to its id, for clients that send nothing else back and
    /// services of several machines. Ids then take kilobytes, which some clients reject.
    pub signature_in_id: bool,
    /// Whether a function called `googleSearch`, `codeExecution` or `urlContext` that takes nothing is
    /// for Gemini's own tool, for clients that can declare functions only.
    pub builtin_names: bool,
    /// Whether `verbosity` is told to the model in words; otherwise it has no effect.
    pub verbosity_hint: bool,
    /// Whether `extra_content.google` tells Gemini's `safety_ratings` and `avg_logprobs`.
    pub native_details: bool,
    /// The least number of output tokens that is asked of Gemini: a client's smaller `max_tokens` is raised to it,
    /// since models that think may spend that on thoughts alone. `null` means that the client's value holds.
    pub min_output_tokens: Option<NonZeroU32>,
    /// Whether a stream to which there is nothing to send is kept open.
    pub keep_alive: KeepAlive,
    /// How streamed text is paced; `null` means that it goes out as Gemini sends it.
    #[serde(deserialize_with = "object::optional")]
    pub pacing: Option<Pacing>,
    /// Whether images and other media that a request names by URL are fetched for Gemini or by Gemini itself, and from
    /// which hosts; otherwise such requests are rejected with 400.
    pub fetch_media: FetchMedia,
    /// Which model answers under a name, where the service should not rely on what it knows and learns:
    /// `gemini-2.5-pro` by `gemini-3.8-flash`. Requests with that name are translated for the model's family.
    #[cfg_attr(feature = "schema", schemars(transform = crate::schema::families))]
    pub families: BTreeMap<String, String>,
}

/// One of Gemini's `safetySettings`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SafetySetting {
    /// What is filtered.
    pub category: HarmCategory,
    /// From where on.
    pub threshold: HarmBlockThreshold,
}

/// Gemini's `HarmCategory`, without those of models that are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum HarmCategory {
    /// Negative or harmful comments about identity.
    #[serde(rename = "HARM_CATEGORY_HARASSMENT")]
    Harassment,
    /// Rude, disrespectful or profane.
    #[serde(rename = "HARM_CATEGORY_HATE_SPEECH")]
    HateSpeech,
    /// Sexual acts, lewd.
    #[serde(rename = "HARM_CATEGORY_SEXUALLY_EXPLICIT")]
    SexuallyExplicit,
    /// Promotes harmful acts.
    #[serde(rename = "HARM_CATEGORY_DANGEROUS_CONTENT")]
    DangerousContent,
    /// May harm elections; models up to 2.5 only.
    #[serde(rename = "HARM_CATEGORY_CIVIC_INTEGRITY")]
    CivicIntegrity,
}

impl HarmCategory {
    /// All of them.
    #[cfg(feature = "schema")]
    pub(crate) const ALL: [Self; 5] = [
        Self::Harassment,
        Self::HateSpeech,
        Self::SexuallyExplicit,
        Self::DangerousContent,
        Self::CivicIntegrity,
    ];
}

/// Gemini's `HarmBlockThreshold`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum HarmBlockThreshold {
    /// Block from a low probability on.
    BlockLowAndAbove,
    /// Block from a medium probability on.
    BlockMediumAndAbove,
    /// Block a high probability only.
    BlockOnlyHigh,
    /// Block nothing, and still rate it.
    BlockNone,
    /// No filter at all.
    Off,
}

/// What a client gets whose prompt Gemini blocked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum PromptBlock {
    /// A choice with an error, finished by `content_filter`.
    #[default]
    Answer,
    /// 400 with the code `content_policy_violation`.
    Error,
}

/// Whether a stream to which there is nothing to send is kept open. Proxies close a connection that is silent for a
/// minute, and models may think for several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum KeepAlive {
    /// By a comment (`: keep-alive`) every 15 s. If the first event takes longer than that, the status is 200 before it
    /// is known whether there will be a response, and an error is an event of the stream.
    #[default]
    Comments,
    /// Not at all, for clients that read no comments. The status comes with the first event.
    Off,
}

/// Where a system message goes that is in the middle of a conversation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum SystemMessages {
    /// Where it is, as the user's words.
    #[default]
    Inline,
    /// To the system instruction.
    Hoist,
}

/// How generated images are delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ImageOutput {
    /// In `images` of the message.
    #[default]
    Native,
    /// In the text, as a Markdown image, for clients that know nothing else.
    Markdown,
}

/// Whether answers show the model's thoughts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Thoughts {
    /// Where the request asks for a certain effort.
    #[default]
    Auto,
    /// Always, unless the request asks for no thinking.
    Show,
    /// Never.
    Hide,
}

/// Changes of [`TranslationSettings`], as a JSON merge patch (RFC 7396): a field left out stays as it
/// is, `null` returns one to its default. Whoever holds one knows that its fields exist and that their
/// values are possible.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Map<String, Value>")]
pub struct TranslationUpdate(Map<String, Value>);

/// Why changes of the translation are rejected.
#[derive(Debug, thiserror::Error)]
pub enum TranslationUpdateError {
    /// There is no such field.
    #[error("unknown field `{0}` in `translation`")]
    UnknownField(String),
    /// A value is not possible.
    #[error("translation: {0}")]
    Value(#[from] serde_json::Error),
    /// Two thresholds for one category.
    #[error("translation: safety_settings names a category twice")]
    RepeatedCategory,
    /// Text would crawl.
    #[error("translation: the delays of pacing are from 1 to 200 ms")]
    Pacing,
    /// An entry is no host, or there are too many.
    #[error(
        "translation: fetch_media is true, false, \"gemini\", a list of at most 100 hosts such as 'example.com' or '*.example.com', or such lists as {{\"gemini\": [...], \"own\": [...]}}"
    )]
    FetchMedia,
    /// A name or a family is none, or there are too many.
    #[error(
        "translation: families maps at most 200 model names to Gemini or Gemma models such as 'gemini-3.8-flash'"
    )]
    Families,
}

impl TryFrom<Map<String, Value>> for TranslationUpdate {
    type Error = TranslationUpdateError;

    fn try_from(patch: Map<String, Value>) -> Result<Self, Self::Error> {
        let known = serde_json::to_value(TranslationSettings::default())?;
        if let Some(name) = patch.keys().find(|name| known.get(name).is_none()) {
            return Err(TranslationUpdateError::UnknownField(name.clone()));
        }
        let update = Self(patch);
        let settings = TranslationSettings::default().patched(&update)?;
        let categories = || settings.safety_settings.iter().map(|setting| setting.category);
        if categories().enumerate().any(|(at, category)| categories().take(at).any(|other| other == category))
        {
            return Err(TranslationUpdateError::RepeatedCategory);
        }
        if !settings.pacing.is_none_or(Pacing::is_possible) {
            return Err(TranslationUpdateError::Pacing);
        }
        if !settings.fetch_media.is_possible() {
            return Err(TranslationUpdateError::FetchMedia);
        }
        let is_model = |name: &String| {
            let id = name.strip_prefix("tunedModels/").unwrap_or(name);
            id.len() <= bounds::MODEL
                && id.starts_with(|first: char| first.is_ascii_alphanumeric())
                && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        };
        let is_family = |name: &String| name.starts_with("gemini-") || name.starts_with("gemma-");
        let families = &settings.families;
        let possible =
            families.iter().all(|(name, family)| is_model(name) && is_model(family) && is_family(family));
        if families.len() > bounds::MODELS || !possible {
            return Err(TranslationUpdateError::Families);
        }
        Ok(update)
    }
}

impl TranslationUpdate {
    /// Returns `true` if it changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the settings of a pool that begins with these.
    #[must_use]
    pub fn into_settings(self) -> TranslationSettings {
        // It was checked when it came in.
        TranslationSettings::default().patched(&self).unwrap_or_default()
    }
}

impl TranslationSettings {
    /// Returns `true` if an update would change something.
    #[must_use]
    pub fn changes_with(&self, update: &TranslationUpdate) -> bool {
        self.patched(update).is_ok_and(|patched| patched != *self)
    }

    /// Returns the update that makes these of the defaults: the fields that differ from them.
    #[must_use]
    pub fn changes_from_defaults(&self) -> TranslationUpdate {
        let fields = |settings: &Self| match serde_json::to_value(settings) {
            Ok(Value::Object(fields)) => fields,
            _ => Map::new(),
        };
        let (mut fields, usual) = (fields(self), fields(&Self::default()));
        fields.retain(|name, value| usual.get(name) != Some(value));
        TranslationUpdate(fields)
    }

    /// Returns the update that makes `wanted` of these, whatever they are: what `wanted` has at its default is in it too.
    #[must_use]
    pub fn changes_to(&self, wanted: &Self) -> TranslationUpdate {
        match (serde_json::to_value(self), serde_json::to_value(wanted)) {
            (Ok(Value::Object(present)), Ok(Value::Object(wanted))) => {
                TranslationUpdate(merge_patch(&present, &wanted))
            }
            _ => TranslationUpdate::default(),
        }
    }

    fn patched(&self, update: &TranslationUpdate) -> Result<Self, serde_json::Error> {
        let mut settings = serde_json::to_value(self)?;
        merge(&mut settings, &update.0);
        serde_json::from_value(settings)
    }
}

/// RFC 7396, as `SQLite`'s `json_patch` does it in the store.
fn merge(target: &mut Value, patch: &Map<String, Value>) {
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(fields) = target else { return };
    for (name, change) in patch {
        match change {
            Value::Null => drop(fields.shift_remove(name)),
            Value::Object(change) => merge(fields.entry(name.clone()).or_insert(Value::Null), change),
            value => drop(fields.insert(name.clone(), value.clone())),
        }
    }
}

/// Returns the JSON merge patch (RFC 7396) that makes one object of another: `null` for what is to be gone.
fn merge_patch(present: &Map<String, Value>, wanted: &Map<String, Value>) -> Map<String, Value> {
    let mut patch = Map::new();
    for (name, value) in wanted {
        match (present.get(name), value) {
            (Some(present), value) if present == value => {}
            (Some(Value::Object(present)), Value::Object(wanted)) => {
                patch.insert(name.clone(), Value::Object(merge_patch(present, wanted)));
            }
            (_, value) => {
                patch.insert(name.clone(), value.clone());
            }
        }
    }
    for name in present.keys().filter(|name| !wanted.contains_key(*name)) {
        patch.insert(name.clone(), Value::Null);
    }
    patch
}

#[cfg(test)]
mod tests;
