//! Tools: declarations, the choice between them, and the calls of an assistant's message.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::lenient::{text_or_nothing, text_or_number};
use crate::json::Text;

/// One entry of `tools`: OpenAI's forms, or one of Gemini's own tools as Gemini names it.
#[derive(Debug, Deserialize)]
pub struct Tool<'a> {
    /// `function`, `custom`, `web_search` and so on; Gemini's own form has none.
    #[serde(borrow, default)]
    pub r#type: Option<Text<'a>>,
    /// For `function`.
    #[serde(borrow, default)]
    pub function: Option<FunctionDefinition<'a>>,
    /// For `custom`.
    #[serde(borrow, default)]
    pub custom: Option<CustomDefinition<'a>>,
    /// The name in the flat form, whose definition is in the tool itself.
    #[serde(borrow, default, deserialize_with = "text_or_nothing")]
    pub name: Option<Text<'a>>,
    /// The flat form's description.
    #[serde(borrow, default, deserialize_with = "text_or_nothing")]
    pub description: Option<Text<'a>>,
    /// The flat form's JSON schema.
    #[serde(borrow, default)]
    pub parameters: Option<&'a RawValue>,
    /// Anthropic's name of the flat form's schema.
    #[serde(borrow, default, alias = "inputSchema")]
    pub input_schema: Option<&'a RawValue>,
    /// The flat form's `strict`.
    #[serde(borrow, default)]
    pub strict: Option<&'a RawValue>,
    /// The flat form's grammar, for `custom`.
    #[serde(borrow, default)]
    pub format: Option<&'a RawValue>,
    /// Gemini's search.
    #[serde(borrow, default, rename = "googleSearch", alias = "google_search")]
    pub google_search: Option<&'a RawValue>,
    /// Gemini reads URLs in the prompt.
    #[serde(borrow, default, rename = "urlContext", alias = "url_context")]
    pub url_context: Option<&'a RawValue>,
    /// Gemini runs Python.
    #[serde(borrow, default, rename = "codeExecution", alias = "code_execution")]
    pub code_execution: Option<&'a RawValue>,
    /// Gemini asks Google Maps.
    #[serde(borrow, default, rename = "googleMaps", alias = "google_maps")]
    pub google_maps: Option<&'a RawValue>,
    /// Gemini searches stored files.
    #[serde(borrow, default, rename = "fileSearch", alias = "file_search")]
    pub file_search: Option<&'a RawValue>,
    /// Gemini works a browser.
    #[serde(borrow, default, rename = "computerUse", alias = "computer_use")]
    pub computer_use: Option<&'a RawValue>,
}

/// A function that the model may call.
#[derive(Debug, Deserialize)]
pub struct FunctionDefinition<'a> {
    /// Its name.
    #[serde(borrow)]
    pub name: Text<'a>,
    /// What it does.
    #[serde(borrow, default)]
    pub description: Option<Text<'a>>,
    /// JSON schema of its arguments.
    #[serde(borrow, default)]
    pub parameters: Option<&'a RawValue>,
    /// Anthropic's name of it, under which it counts where the other one is absent.
    #[serde(borrow, default, alias = "inputSchema")]
    pub input_schema: Option<&'a RawValue>,
    /// Whether the arguments must follow the schema exactly.
    #[serde(default)]
    pub strict: Option<bool>,
}

/// A tool that takes free text.
#[derive(Debug, Deserialize)]
pub struct CustomDefinition<'a> {
    /// Its name.
    #[serde(borrow)]
    pub name: Text<'a>,
    /// What it does.
    #[serde(borrow, default)]
    pub description: Option<Text<'a>>,
    /// The grammar of its input.
    #[serde(borrow, default)]
    pub format: Option<&'a RawValue>,
}

/// `tool_choice` as an object.
#[derive(Debug, Deserialize)]
pub struct ToolChoice<'a> {
    /// `function`, `custom` or `allowed_tools`.
    #[serde(borrow)]
    pub r#type: Text<'a>,
    /// For `function`.
    #[serde(borrow, default)]
    pub function: Option<NamedTool<'a>>,
    /// For `custom`.
    #[serde(borrow, default)]
    pub custom: Option<NamedTool<'a>>,
    /// The flat form of `function`.
    #[serde(borrow, default)]
    pub name: Option<Text<'a>>,
    /// For `allowed_tools`.
    #[serde(borrow, default)]
    pub allowed_tools: Option<AllowedTools<'a>>,
    /// The flat form of `allowed_tools`.
    #[serde(borrow, default)]
    pub mode: Option<Text<'a>>,
    /// The flat form of `allowed_tools`.
    #[serde(borrow, default)]
    pub tools: Option<Vec<ToolChoice<'a>>>,
}

/// `{"name": …}`.
#[derive(Debug, Deserialize)]
pub struct NamedTool<'a> {
    /// The tool's name.
    #[serde(borrow)]
    pub name: Text<'a>,
}

/// `tool_choice.allowed_tools`.
#[derive(Debug, Deserialize)]
pub struct AllowedTools<'a> {
    /// `auto` or `required`.
    #[serde(borrow)]
    pub mode: Text<'a>,
    /// The tools, as in `tool_choice`.
    #[serde(borrow)]
    pub tools: Vec<ToolChoice<'a>>,
}

/// A call in an assistant's message, with the places where clients keep its thought signature.
#[derive(Debug, Deserialize)]
pub struct ToolCall<'a> {
    /// What the tool's message refers to.
    #[serde(borrow, default, deserialize_with = "text_or_number")]
    pub id: Option<Text<'a>>,
    /// `function` or `custom`.
    #[serde(borrow, default)]
    pub r#type: Option<Text<'a>>,
    /// For `function`.
    #[serde(borrow, default)]
    pub function: Option<CalledFunction<'a>>,
    /// For `custom`.
    #[serde(borrow, default)]
    pub custom: Option<CalledCustom<'a>>,
    /// The name in the flat form.
    #[serde(borrow, default, deserialize_with = "text_or_nothing")]
    pub name: Option<Text<'a>>,
    /// The arguments in the flat form.
    #[serde(borrow, default)]
    pub arguments: Option<&'a RawValue>,
    /// Google's place.
    #[serde(borrow, default)]
    pub extra_content: Option<&'a RawValue>,
    /// `LiteLLM`'s place.
    #[serde(borrow, default)]
    pub provider_specific_fields: Option<&'a RawValue>,
    /// Other clients' place.
    #[serde(borrow, default, alias = "thoughtSignature")]
    pub thought_signature: Option<&'a RawValue>,
}

/// The function that was called.
#[derive(Debug, Deserialize)]
pub struct CalledFunction<'a> {
    /// Its name.
    #[serde(borrow)]
    pub name: Text<'a>,
    /// JSON as text; some clients send the object itself.
    #[serde(borrow, default)]
    pub arguments: Option<&'a RawValue>,
    /// Other clients' place of the thought signature.
    #[serde(borrow, default, alias = "thoughtSignature")]
    pub thought_signature: Option<&'a RawValue>,
}

/// The custom tool that was called.
#[derive(Debug, Deserialize)]
pub struct CalledCustom<'a> {
    /// Its name.
    #[serde(borrow)]
    pub name: Text<'a>,
    /// Its input, free text.
    #[serde(borrow, default)]
    pub input: Option<Text<'a>>,
}
