//! Parser of request bodies, as strict as Gemini.
//!
//! Unknown fields are rejected. Both spellings, camelCase and `snake_case`, are accepted.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::error::Category;

use crate::refusal::{self, Refusal};

/// Tokens of an image or file, as Gemini counts a small image.
const MEDIA_TOKENS: u64 = 258;

/// `GenerateContentRequest` (<https://ai.google.dev/api/generate-content>).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "some fields are there so that their names are known")]
pub(crate) struct Generate<'a> {
    #[serde(borrow, default)]
    contents: Vec<Content<'a>>,
    #[serde(borrow, alias = "system_instruction")]
    system_instruction: Option<Content<'a>>,
    #[serde(alias = "generation_config")]
    generation_config: Option<GenerationConfig>,
    model: Option<IgnoredAny>,
    tools: Option<IgnoredAny>,
    #[serde(alias = "tool_config")]
    tool_config: Option<IgnoredAny>,
    #[serde(alias = "safety_settings")]
    safety_settings: Option<IgnoredAny>,
    #[serde(alias = "cached_content")]
    cached_content: Option<IgnoredAny>,
    #[serde(alias = "service_tier")]
    service_tier: Option<IgnoredAny>,
    store: Option<IgnoredAny>,
    labels: Option<IgnoredAny>,
    #[serde(alias = "continuation_token")]
    continuation_token: Option<IgnoredAny>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "some fields are there so that their names are known")]
struct GenerationConfig {
    #[serde(alias = "max_output_tokens")]
    max_output_tokens: Option<u64>,
    temperature: Option<f64>,
    #[serde(alias = "top_p")]
    top_p: Option<f64>,
    #[serde(alias = "top_k")]
    top_k: Option<f64>,
    #[serde(alias = "candidate_count")]
    candidate_count: Option<u32>,
    #[serde(alias = "stop_sequences")]
    stop_sequences: Option<Vec<IgnoredAny>>,
    #[serde(alias = "presence_penalty")]
    presence_penalty: Option<f64>,
    #[serde(alias = "frequency_penalty")]
    frequency_penalty: Option<f64>,
    seed: Option<i32>,
    #[serde(alias = "response_logprobs")]
    response_logprobs: Option<bool>,
    logprobs: Option<u32>,
    #[serde(alias = "response_mime_type")]
    response_mime_type: Option<IgnoredAny>,
    #[serde(alias = "response_schema")]
    response_schema: Option<IgnoredAny>,
    #[serde(alias = "response_json_schema")]
    response_json_schema: Option<IgnoredAny>,
    #[serde(alias = "response_format")]
    response_format: Option<IgnoredAny>,
    #[serde(alias = "response_modalities")]
    response_modalities: Option<IgnoredAny>,
    #[serde(alias = "speech_config")]
    speech_config: Option<IgnoredAny>,
    #[serde(alias = "media_resolution")]
    media_resolution: Option<IgnoredAny>,
    #[serde(alias = "thinking_config")]
    thinking_config: Option<ThinkingConfig>,
    #[serde(alias = "image_config")]
    image_config: Option<IgnoredAny>,
    #[serde(alias = "enable_enhanced_civic_answers")]
    enable_enhanced_civic_answers: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "some fields are there so that their names are known")]
struct ThinkingConfig {
    #[serde(alias = "thinking_level")]
    thinking_level: Option<String>,
    #[serde(alias = "thinking_budget")]
    thinking_budget: Option<i64>,
    #[serde(alias = "include_thoughts")]
    include_thoughts: Option<bool>,
}

/// The checked fields of a function call.
#[derive(Deserialize)]
struct FunctionCall<'a> {
    id: Option<IgnoredAny>,
    #[serde(borrow, default)]
    name: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Content<'a> {
    #[serde(borrow)]
    role: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    parts: Vec<Part<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "some fields are there so that their names are known")]
struct Part<'a> {
    #[serde(borrow)]
    text: Option<Cow<'a, str>>,
    thought: Option<bool>,
    #[serde(alias = "thought_signature")]
    thought_signature: Option<IgnoredAny>,
    #[serde(alias = "inline_data")]
    inline_data: Option<IgnoredAny>,
    #[serde(alias = "file_data")]
    file_data: Option<IgnoredAny>,
    #[serde(borrow, alias = "function_call")]
    function_call: Option<FunctionCall<'a>>,
    #[serde(alias = "function_response")]
    function_response: Option<IgnoredAny>,
    #[serde(alias = "executable_code")]
    executable_code: Option<IgnoredAny>,
    #[serde(alias = "code_execution_result")]
    code_execution_result: Option<IgnoredAny>,
    #[serde(alias = "tool_call")]
    tool_call: Option<IgnoredAny>,
    #[serde(alias = "tool_response")]
    tool_response: Option<IgnoredAny>,
    #[serde(alias = "video_metadata")]
    video_metadata: Option<IgnoredAny>,
    #[serde(alias = "media_resolution")]
    media_resolution: Option<IgnoredAny>,
    #[serde(rename = "partMetadata", alias = "part_metadata")]
    metadata: Option<IgnoredAny>,
}

impl Content<'_> {
    /// Returns the words of text, plus a fixed number per image or file.
    pub(crate) fn tokens(&self) -> u64 {
        let tokens = |part: &Part| {
            let media = part.inline_data.is_some() || part.file_data.is_some();
            part.text.as_deref().map_or(0, count_words) + if media { MEDIA_TOKENS } else { 0 }
        };
        self.parts.iter().map(tokens).sum()
    }

    fn is_of_model(&self) -> bool {
        self.role.as_deref() == Some("model")
    }

    /// Returns all its text.
    pub(crate) fn text(&self) -> Cow<'_, str> {
        let mut texts = self.parts.iter().filter_map(|part| part.text.as_deref());
        let Some(first) = texts.next() else {
            return Cow::Borrowed("");
        };
        texts.fold(Cow::Borrowed(first), |all, text| all + text)
    }
}

impl Generate<'_> {
    /// Rejects a request without content, as Gemini does.
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        if self.contents.is_empty() {
            let message = "* GenerateContentRequest.contents: contents is not specified\n";
            return Err(Refusal::invalid_argument(message));
        }
        for (index, content) in self.contents.iter().enumerate() {
            if content.parts.is_empty() {
                return Err(Refusal::invalid_argument(&format!(
                    "* GenerateContentRequest.contents[{index}].parts: contents.parts must not be empty.\n"
                )));
            }
            if let Some(role) = content.role.as_deref().filter(|role| !["user", "model"].contains(role)) {
                return Err(Refusal::invalid_argument(&format!(
                    "Please use a valid role: user, model. Role {role:?} is not one."
                )));
            }
        }
        Ok(())
    }

    pub(crate) fn prompt_tokens(&self) -> u64 {
        self.contents.iter().chain(&self.system_instruction).map(Content::tokens).sum()
    }

    /// Returns the text of the last content that is not the model's.
    pub(crate) fn last_user_text(&self) -> Cow<'_, str> {
        let users = self.contents.iter().rev();
        let mut users = users.filter(|content| content.role.as_deref() != Some("model"));
        users.next().map_or(Cow::Borrowed(""), Content::text)
    }

    pub(crate) fn max_output_tokens(&self) -> Option<u64> {
        self.generation_config.as_ref().and_then(|config| config.max_output_tokens)
    }

    /// Returns the requested thinking level and budget.
    pub(crate) fn thinking(&self) -> (Option<&str>, Option<i64>) {
        let config = self.generation_config.as_ref().and_then(|config| config.thinking_config.as_ref());
        config.map_or((None, None), |config| (config.thinking_level.as_deref(), config.thinking_budget))
    }

    pub(crate) fn has_penalty(&self) -> bool {
        let config = self.generation_config.as_ref();
        config.is_some_and(|config| {
            [config.presence_penalty, config.frequency_penalty]
                .into_iter()
                .flatten()
                .any(|penalty| penalty != 0.0)
        })
    }

    pub(crate) const fn has_cached_content(&self) -> bool {
        self.cached_content.is_some()
    }

    pub(crate) fn ends_with_model(&self) -> bool {
        self.contents.last().is_some_and(Content::is_of_model)
    }

    /// Returns position (from 1) and name of a call of the current turn that lacks a required
    /// signature: the first one of each content of the model after the user's last text.
    pub(crate) fn unsigned_call(&self) -> Option<(usize, &str)> {
        let said = |content: &Content| {
            !content.is_of_model() && content.parts.iter().any(|part| part.text.is_some())
        };
        let turn = self.contents.iter().rposition(said)?;
        self.contents.iter().enumerate().skip(turn).filter(|(_, content)| content.is_of_model()).find_map(
            |(place, content)| {
                let part = content.parts.iter().find(|part| part.function_call.is_some())?;
                let call = part.function_call.as_ref().filter(|_| part.thought_signature.is_none())?;
                Some((place + 1, &*call.name))
            },
        )
    }

    /// Returns the content and part indices of a call that has an id.
    pub(crate) fn call_with_id(&self) -> Option<(usize, usize)> {
        let has_id = |part: &Part| part.function_call.as_ref().is_some_and(|call| call.id.is_some());
        let place =
            |(content, parts): (usize, &Content)| Some((content, parts.parts.iter().position(has_id)?));
        self.contents.iter().enumerate().find_map(place)
    }
}

/// `EmbedContentRequest` (<https://ai.google.dev/api/embeddings>).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "some fields are there so that their names are known")]
pub(crate) struct Embed<'a> {
    #[serde(borrow)]
    pub model: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub content: Option<Content<'a>>,
    #[serde(alias = "output_dimensionality")]
    pub output_dimensionality: Option<usize>,
    #[serde(alias = "task_type")]
    task_type: Option<IgnoredAny>,
    title: Option<IgnoredAny>,
}

/// `BatchEmbedContentsRequest`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BatchEmbed<'a> {
    #[serde(borrow, default)]
    pub requests: Vec<Embed<'a>>,
}

/// `CountTokensRequest`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct CountTokens<'a> {
    #[serde(borrow, default)]
    contents: Vec<Content<'a>>,
    #[serde(borrow, alias = "generate_content_request")]
    generate_content_request: Option<Generate<'a>>,
}

impl CountTokens<'_> {
    pub(crate) fn tokens(&self) -> u64 {
        let whole = self.generate_content_request.as_ref().map_or(0, Generate::prompt_tokens);
        whole + self.contents.iter().map(Content::tokens).sum::<u64>()
    }
}

/// Parses a body; an empty one counts as an empty object.
pub(crate) fn parse<'a, T: Deserialize<'a>>(body: &'a str) -> Result<T, Refusal> {
    let body = if body.trim_ascii().is_empty() { "{}" } else { body };
    serde_json::from_str(body).map_err(|error| explain(body, &error))
}

/// Returns the 400 error of an unparsable body.
fn explain(body: &str, error: &serde_json::Error) -> Refusal {
    if error.classify() != Category::Data {
        let what = if error.is_eof() { "Unexpected end of string." } else { "Unexpected token." };
        let line = body.lines().nth(error.line().saturating_sub(1)).unwrap_or_default();
        let before: Vec<char> = line.chars().take(error.column().saturating_sub(1)).collect();
        let shown: String = before.iter().skip(before.len().saturating_sub(20)).collect();
        let caret = " ".repeat(shown.chars().count());
        let rest: String = line.chars().skip(before.len()).take(20).collect();
        return Refusal::invalid_argument(&format!(
            "Invalid JSON payload received. {what}\n{shown}{rest}\n{caret}^"
        ));
    }
    let error = error.to_string();
    match error.strip_prefix("unknown field `").and_then(|rest| rest.split_once('`')) {
        Some((name, _)) => refusal::bad_request(&format!(
            "Invalid JSON payload received. Unknown name \"{name}\": Cannot find field."
        )),
        None => refusal::bad_request(&format!("Invalid value in the request: {error}")),
    }
}

/// Counts tokens as whitespace-separated words, so that tests can predict them.
pub(crate) fn count_words(text: &str) -> u64 {
    text.split_whitespace().map(|_| 1).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(refusal: &Refusal) -> String {
        let body: serde_json::Value = serde_json::from_str(&refusal.body(false)).unwrap();
        assert_eq!(body["error"]["status"], "INVALID_ARGUMENT");
        body["error"]["message"].as_str().unwrap().to_owned()
    }

    fn refused(body: &str) -> String {
        let result = parse::<Generate>(body).and_then(|request| request.check());
        message(&result.unwrap_err())
    }

    #[test]
    fn both_spellings_are_accepted() {
        let body = r#"{"system_instruction": {"parts": [{"text": "be kind"}]},
            "contents": [{"role": "user", "parts": [{"text": "h\u00e9 "}, {"text": "there"}, {"inlineData": {}}]},
                         {"role": "model", "parts": [{"text": "yes"}]}],
            "generationConfig": {"maxOutputTokens": 7}}"#;
        let request: Generate = parse(body).unwrap();
        assert!(request.check().is_ok());
        assert_eq!(request.last_user_text(), "hé there");
        assert_eq!(request.prompt_tokens(), 2 + 2 + 258 + 1);
        assert_eq!(request.max_output_tokens(), Some(7));
    }

    #[test]
    fn invalid_requests_get_googles_error_messages() {
        let message = refused("{\"contents\": oops}");
        assert_eq!(
            message,
            "Invalid JSON payload received. Unexpected token.\n{\"contents\": oops}\n             ^"
        );
        assert!(
            refused("{\"contents\": [")
                .starts_with("Invalid JSON payload received. Unexpected end of string.")
        );
        assert!(refused("").contains("contents is not specified"));
        assert!(refused(r#"{"contents": []}"#).contains("contents is not specified"));
        assert!(refused(r#"{"contents": [{"role": "user"}]}"#).contains("contents[0].parts"));
        assert!(refused(r#"{"messages": []}"#).contains("Unknown name \"messages\": Cannot find field."));
        assert!(
            refused(r#"{"contents": [{"role": "assistant", "parts": [{"text": ""}]}]}"#)
                .contains("valid role")
        );
    }
}
