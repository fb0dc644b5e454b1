//! Tools of a request, and which of them may be called.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

/// One entry of `tools`: all functions, or one of Gemini's own tools.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Tool<'a> {
    /// All of the client's functions.
    FunctionDeclarations(Vec<FunctionDeclaration<'a>>),
    /// Search the web.
    GoogleSearch(Cow<'a, RawValue>),
    /// Read URLs of the prompt.
    UrlContext(Cow<'a, RawValue>),
    /// Run Python.
    CodeExecution(Cow<'a, RawValue>),
    /// Ask Google Maps.
    GoogleMaps(Cow<'a, RawValue>),
    /// Search stored files.
    FileSearch(Cow<'a, RawValue>),
    /// Work a browser.
    ComputerUse(Cow<'a, RawValue>),
    /// As the client wrote it.
    #[serde(untagged)]
    Raw(&'a RawValue),
}

/// A function of the client's.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FunctionDeclaration<'a> {
    /// Its name.
    pub name: Cow<'a, str>,
    /// What it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<Cow<'a, str>>,
    /// JSON schema.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameters_json_schema: Option<Box<RawValue>>,
    /// The older `OpenAPI` subset; never beside the JSON schema.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Box<RawValue>>,
}

/// `toolConfig`.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum ToolConfig<'a> {
    /// As the client wrote it.
    Raw(&'a RawValue),
    /// Made from `tool_choice`.
    #[serde(rename_all = "camelCase")]
    Made {
        /// Which functions.
        #[serde(skip_serializing_if = "Option::is_none")]
        function_calling_config: Option<CallingConfig<'a>>,
        /// Must be `true` when functions and Gemini's own tools are together.
        #[serde(skip_serializing_if = "Option::is_none")]
        include_server_side_tool_invocations: Option<bool>,
    },
}

/// `functionCallingConfig`.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CallingConfig<'a> {
    /// Whether to call.
    pub mode: CallingMode,
    /// Which functions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allowed_function_names: Vec<Cow<'a, str>>,
}

/// Whether the model calls functions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum CallingMode {
    /// As it thinks best.
    #[default]
    Auto,
    /// It must.
    Any,
    /// It must not.
    None,
    /// As it thinks best, and by the schema.
    Validated,
}
