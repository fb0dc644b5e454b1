//! `reasoning_effort` and its equivalents of other vendors as `thinkingConfig`: a budget or a level that
//! the model accepts, never both.

use pool_shared::Thoughts;

use crate::error::ApiError;
use crate::gemini::ThinkingConfig;
use crate::openai::ChatRequest;
use crate::request::capabilities::{Level, Thinking};
use crate::request::ignored_params::IgnoredParams;
use crate::request::options::TranslateOptions;
use crate::request::thinking::{Effort, ThinkingRequest};

/// Returns the request's `thinkingConfig`, if it asks for anything.
pub(crate) fn thinking_config(
    request: &ChatRequest<'_>,
    thinking: Thinking,
    options: &TranslateOptions<'_>,
    ignored: &mut IgnoredParams,
) -> Result<Option<ThinkingConfig>, ApiError> {
    // What the request itself says goes before its model's name.
    let Some((name, wish)) = wish(request)?.or(options.suffix.thinking.map(|wish| ("model", wish))) else {
        let shown = options.wishes(|pool| pool.thoughts == Thoughts::Show).then_some(true);
        return Ok(explicit_visibility(request)
            .or(shown)
            .filter(|_| thinking != Thinking::None)
            .map(|visible| ThinkingConfig { include_thoughts: Some(visible), ..ThinkingConfig::default() }));
    };
    let hidden = options.wishes(|pool| pool.thoughts == Thoughts::Hide);
    let visible = explicit_visibility(request).unwrap_or(wish.thinks() && !hidden);
    let include_thoughts = Some(visible);
    Ok(match thinking {
        Thinking::None => {
            ignored.add(name);
            None
        }
        Thinking::Budget { min, max, off } => {
            let thinking_budget = Some(wish.budget(min, max, off));
            Some(ThinkingConfig { thinking_budget, thinking_level: None, include_thoughts })
        }
        Thinking::Levels(levels) => {
            let thinking_level = wish.level(levels).map(Level::as_str);
            Some(ThinkingConfig { thinking_budget: None, thinking_level, include_thoughts })
        }
    })
}

/// Returns what the client wants, and under which name.
fn wish(request: &ChatRequest<'_>) -> Result<Option<(&'static str, ThinkingRequest)>, ApiError> {
    let configs = || request.google().filter_map(|google| google.thinking_config.as_ref());
    let level = configs().find_map(|config| config.thinking_level.as_deref());
    let budget = configs().find_map(|config| config.thinking_budget);
    if let Some(effort) = request.reasoning_effort.as_deref() {
        if level.is_some() || budget.is_some() {
            return Err(ApiError::invalid_value(
                "reasoning_effort",
                "reasoning_effort and extra_body.google.thinking_config cannot both set the thinking level.",
            ));
        }
        let effort = Effort::parse(effort, "reasoning_effort")?;
        return Ok(Some(("reasoning_effort", ThinkingRequest::Effort(effort))));
    }
    if let Some(level) = level {
        let effort = Effort::parse(level, "extra_body.google.thinking_config.thinking_level")?;
        return Ok(Some(("thinking_config", ThinkingRequest::Effort(effort))));
    }
    if let Some(budget) = budget {
        return Ok(Some(("thinking_config", ThinkingRequest::Budget(budget.0))));
    }
    other_vendors(request)
}

fn other_vendors(request: &ChatRequest<'_>) -> Result<Option<(&'static str, ThinkingRequest)>, ApiError> {
    if let Some(thinking) = &request.thinking {
        let wish = match (thinking.r#type.as_deref(), thinking.budget_tokens) {
            (Some("disabled"), _) => Some(ThinkingRequest::Effort(Effort::None)),
            (_, Some(budget)) => Some(ThinkingRequest::Budget(budget.0)),
            _ => None,
        };
        return Ok(wish.map(|wish| ("thinking", wish)));
    }
    if let Some(reasoning) = &request.reasoning {
        let wish = match (reasoning.enabled, reasoning.effort.as_deref(), reasoning.max_tokens) {
            (Some(false), _, _) => Some(ThinkingRequest::Effort(Effort::None)),
            (_, Some(effort), _) => Some(ThinkingRequest::Effort(Effort::parse(effort, "reasoning.effort")?)),
            (_, None, Some(budget)) => Some(ThinkingRequest::Budget(budget.0)),
            (Some(true), None, None) => Some(ThinkingRequest::Effort(Effort::Medium)),
            _ => None,
        };
        return Ok(wish.map(|wish| ("reasoning", wish)));
    }
    Ok(match (request.enable_thinking, request.thinking_budget) {
        (Some(false), _) => Some(("enable_thinking", ThinkingRequest::Effort(Effort::None))),
        (_, Some(budget)) => Some(("thinking_budget", ThinkingRequest::Budget(budget.0))),
        (Some(true), None) => Some(("enable_thinking", ThinkingRequest::Budget(-1))),
        (None, None) => None,
    })
}

/// Whether the client itself says if thoughts are to be shown.
fn explicit_visibility(request: &ChatRequest<'_>) -> Option<bool> {
    let mut google = request.google().filter_map(|google| google.thinking_config.as_ref());
    let hidden =
        request.reasoning.as_ref().and_then(|reasoning| reasoning.exclude).filter(|exclude| *exclude);
    google.find_map(|config| config.include_thoughts).or(hidden.map(|_| false))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Capabilities;

    fn config(model: &str, extra: &str) -> (Option<ThinkingConfig>, Vec<String>) {
        let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"x"}}],{extra}}}"#);
        let request = ChatRequest::parse(body.as_bytes()).unwrap();
        let mut ignored = IgnoredParams::default();
        let thinking = Capabilities::of_name(model).thinking;
        let config = thinking_config(&request, thinking, &TranslateOptions::default(), &mut ignored).unwrap();
        (config, ignored.into_names())
    }

    #[test]
    fn every_effort_on_every_family() {
        const EFFORTS: [&str; 7] = ["none", "minimal", "low", "medium", "high", "xhigh", "max"];
        for (model, expected) in [
            ("gemini-2.5-pro", ["128", "1024", "1024", "8192", "24576", "32768", "32768"]),
            ("gemini-2.5-flash", ["0", "1024", "1024", "8192", "24576", "24576", "24576"]),
            ("gemini-2.5-flash-lite", ["0", "1024", "1024", "8192", "24576", "24576", "24576"]),
            ("gemini-3-pro-preview", ["low", "low", "low", "high", "high", "high", "high"]),
            ("gemini-3-flash-preview", ["minimal", "minimal", "low", "medium", "high", "high", "high"]),
            ("gemini-3.1-pro-preview", ["low", "low", "low", "medium", "high", "high", "high"]),
            ("gemini-3.5-flash", ["minimal", "minimal", "low", "medium", "high", "high", "high"]),
            ("gemini-3.8-flash", ["low", "low", "low", "medium", "high", "high", "high"]),
            ("gemini-4-argon", ["low", "low", "low", "medium", "high", "high", "high"]),
            ("gemini-4-xenon", ["low", "low", "low", "medium", "high", "high", "high"]),
            ("gemini-4-hydrogen", ["low", "low", "low", "medium", "high", "xhigh", "xhigh"]),
            ("gemini-4-neon", ["low", "low", "low", "medium", "high", "xhigh", "xhigh"]),
            ("gemma-3-27b-it", ["-"; 7]),
        ] {
            for (effort, expected) in EFFORTS.into_iter().zip(expected) {
                let (config, ignored) = config(model, &format!(r#""reasoning_effort":"{effort}""#));
                let Some(config) = config else {
                    assert_eq!((expected, ignored), ("-", vec!["reasoning_effort".to_owned()]), "{model}");
                    continue;
                };
                let level = config.thinking_level.map(ToOwned::to_owned);
                let shown = config.thinking_budget.map(|budget| budget.to_string()).xor(level);
                assert_eq!(shown.as_deref(), Some(expected), "{model} {effort}");
                assert_eq!(config.include_thoughts, Some(effort != "none"), "{model} {effort}");
            }
        }
    }

    #[test]
    fn other_vendors_words() {
        let level =
            |extra: &str| config("gemini-3.5-flash", extra).0.and_then(|config| config.thinking_level);
        assert_eq!(level(r#""thinking":{"type":"enabled","budget_tokens":8000}"#), Some("medium"));
        assert_eq!(level(r#""thinking":{"type":"disabled"}"#), Some("minimal"));
        assert_eq!(level(r#""reasoning":{"effort":"low"}"#), Some("low"));
        assert_eq!(level(r#""enable_thinking":false"#), Some("minimal"));
        assert_eq!(level(r#""thinking_budget":30000"#), Some("high"));
        assert_eq!(level(r#""google":{"thinkingConfig":{"thinkingLevel":"HIGH"}}"#), Some("high"));
        let (config, _) = config(
            "gemini-2.5-pro",
            r#""extra_body":{"google":{"thinking_config":{"thinking_budget":-1,"include_thoughts":false}}}"#,
        );
        let config = config.unwrap();
        assert_eq!((config.thinking_budget, config.include_thoughts), (Some(-1), Some(false)));
    }
}
