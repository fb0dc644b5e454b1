//! `tool_choice` and `function_call` in any form, checked against the declared tools.

use crate::error::ApiError;
use crate::json::NameOr;
use crate::openai::{ChatRequest, NamedTool, ToolChoice};
use crate::request::call::ResponseContext;

/// What the client wants to be called.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Choice<'r> {
    Auto,
    None,
    Any,
    /// One of these, or (`required`) text instead.
    Only {
        names: Vec<&'r str>,
        required: bool,
    },
}

/// Returns the client's choice, if it makes one.
pub(super) fn choice<'r>(request: &'r ChatRequest<'_>) -> Result<Option<Choice<'r>>, ApiError> {
    let by_word = |param: &str, word: &str| match word {
        "auto" => Ok(Some(Choice::Auto)),
        "none" => Ok(Some(Choice::None)),
        "required" | "any" => Ok(Some(Choice::Any)),
        _ => {
            let message =
                format!("Invalid value for '{param}'. Supported values are: 'none', 'auto' and 'required'.");
            Err(ApiError::invalid_value(param, message))
        }
    };
    match (&request.tool_choice, &request.function_call) {
        (Some(NameOr::Name(word)), _) => by_word("tool_choice", word),
        (Some(NameOr::Object(choice)), _) => choice_object(choice).map(Some),
        (None, Some(NameOr::Name(word))) => by_word("function_call", word),
        (None, Some(NameOr::Object(named))) => {
            Ok(Some(Choice::Only { names: vec![&named.name], required: true }))
        }
        (None, None) => Ok(None),
    }
}

fn choice_object<'r>(choice: &'r ToolChoice<'_>) -> Result<Choice<'r>, ApiError> {
    if &*choice.r#type == "allowed_tools" {
        let allowed =
            choice.allowed_tools.as_ref().ok_or_else(|| ApiError::missing("tool_choice.allowed_tools"))?;
        let names = allowed.tools.iter().map(named).collect::<Result<_, _>>()?;
        return match &*allowed.mode {
            "auto" => Ok(Choice::Only { names, required: false }),
            "required" => Ok(Choice::Only { names, required: true }),
            _ => Err(ApiError::invalid_value(
                "tool_choice.allowed_tools.mode",
                "Invalid value for 'tool_choice.allowed_tools.mode'. Supported values are: 'auto' and 'required'.",
            )),
        };
    }
    named(choice).map(|name| Choice::Only { names: vec![name], required: true })
}

fn named<'r>(choice: &'r ToolChoice<'_>) -> Result<&'r str, ApiError> {
    let by = |tool: &'r Option<NamedTool<'_>>| tool.as_ref().map(|tool| &*tool.name);
    match &*choice.r#type {
        "function" => by(&choice.function).or(choice.name.as_deref()),
        "custom" => by(&choice.custom).or(choice.name.as_deref()),
        _ => {
            return Err(ApiError::invalid_value(
                "tool_choice.type",
                "Invalid value for 'tool_choice.type'. Supported values are: 'function', 'custom' and 'allowed_tools'.",
            ));
        }
    }
    .ok_or_else(|| ApiError::missing("tool_choice.function.name"))
}

pub(super) fn check_choice(
    choice: Option<&Choice<'_>>,
    any_tool: bool,
    request: &ChatRequest<'_>,
    context: &ResponseContext,
) -> Result<(), ApiError> {
    let param = if request.tool_choice.is_some() { "tool_choice" } else { "function_call" };
    let tools = if request.tool_choice.is_some() { "tools" } else { "functions" };
    let Some(choice) = choice else { return Ok(()) };
    // An empty list with a choice that asks for nothing is how some frameworks say "no tools".
    let harmless = matches!(choice, Choice::Auto | Choice::None)
        && (request.tools.is_some() || request.functions.is_some());
    if !any_tool && !harmless {
        let message =
            format!("Invalid value for '{param}': '{param}' is only allowed when '{tools}' are specified.");
        return Err(ApiError::invalid_value(param, message));
    }
    if let Choice::Only { names, .. } = choice {
        if names.is_empty() {
            return Err(ApiError::invalid_value(
                param,
                format!("Invalid value for '{param}': no tool is allowed."),
            ));
        }
        if let Some(name) = names.iter().find(|name| !context.names.is_declared(name)) {
            let shown: String = name.chars().take(64).collect();
            let message = format!("Invalid value for '{param}': '{shown}' is not among the '{tools}'.");
            return Err(ApiError::invalid_value(param, message));
        }
    }
    Ok(())
}
