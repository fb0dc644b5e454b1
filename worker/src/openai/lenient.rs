//! Forms that clients send beside the documented ones, read as what they mean.

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::json::{NameOr, Text};
use super::{AllowedTools, ChatRequest, CustomDefinition, FunctionDefinition, Tool, ToolChoice};

/// A text where there is one; what is no string counts as absent. For members that mean something in some objects only,
/// and that others use in ways of their own.
pub(super) fn text_or_nothing<'de: 'a, 'a, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Text<'a>>, D::Error> {
    let raw = <&RawValue>::deserialize(deserializer)?;
    Ok(serde_json::from_str(raw.get()).ok())
}

/// The text, unless it says nothing: some clients send `""` where others send `null`.
#[must_use]
pub fn said<'t>(text: Option<&'t Text<'_>>) -> Option<&'t str> {
    text.map(|text| &**text).filter(|text| !text.trim().is_empty())
}

impl ChatRequest<'_> {
    /// Puts flat tools, as the Responses API has them, into the nested form.
    pub(super) fn nest_tools(&mut self) {
        self.tools.iter_mut().flatten().for_each(Tool::nest);
        if let Some(NameOr::Object(choice)) = &mut self.tool_choice {
            choice.nest();
        }
    }

    /// An optional text that says nothing is as good as absent.
    pub(super) fn forget_blanks(&mut self) {
        let google = self.google.get_or_insert_default();
        for text in [
            &mut self.reasoning_effort,
            &mut self.verbosity,
            &mut self.service_tier,
            &mut self.prompt_cache_key,
            &mut self.user,
            &mut google.cached_content,
            &mut google.media_resolution,
            &mut google.continuation_token,
        ] {
            text.take_if(|text| text.trim().is_empty());
        }
        self.tool_choice.take_if(|choice| matches!(choice, NameOr::Name(word) if word.trim().is_empty()));
        self.function_call.take_if(|choice| matches!(choice, NameOr::Name(word) if word.trim().is_empty()));
    }
}

impl Tool<'_> {
    /// Puts the flat form, as the Responses API has it, into the nested one.
    fn nest(&mut self) {
        self.r#type.take_if(|kind| kind.trim().is_empty());
        let kind = self.r#type.as_deref();
        let Some(name) = &self.name else { return };
        if matches!(kind, Some("function") | None) && self.function.is_none() && self.custom.is_none() {
            self.function = Some(FunctionDefinition {
                name: name.clone(),
                description: self.description.clone(),
                parameters: self.parameters,
                strict: self.strict.map(|strict| strict.get() == "true"),
            });
        } else if kind == Some("custom") && self.custom.is_none() {
            self.custom = Some(CustomDefinition {
                name: name.clone(),
                description: self.description.clone(),
                format: self.format,
            });
        }
    }
}

impl ToolChoice<'_> {
    /// Puts the flat form of `allowed_tools` into the nested one.
    fn nest(&mut self) {
        if self.allowed_tools.is_none()
            && let (Some(mode), Some(tools)) = (self.mode.take(), self.tools.take())
        {
            self.allowed_tools = Some(AllowedTools { mode, tools });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(extra: &str, then: impl Fn(ChatRequest<'_>)) {
        let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"x"}}],{extra}}}"#);
        then(ChatRequest::parse(body.as_bytes()).unwrap_or_else(|error| panic!("{error:?}: {body}")));
    }

    #[test]
    fn flat_tools_are_nested_ones() {
        for kind in [r#""type":"function","#, r#""type":"","#, ""] {
            let tool = format!(
                r#"{{{kind}"name":"f","description":"d","parameters":{{"type":"object"}},"strict":true}}"#
            );
            parse(&format!(r#""tools":[{tool}]"#), |request| {
                let tools = request.tools.unwrap();
                let function = tools[0].function.as_ref().unwrap();
                assert_eq!((&*function.name, function.strict), ("f", Some(true)));
                assert_eq!(function.description.as_deref(), Some("d"));
                assert_eq!(function.parameters.unwrap().get(), r#"{"type":"object"}"#);
            });
        }
        parse(r#""tools":[{"type":"custom","name":"c","format":{"type":"text"}}]"#, |request| {
            let tools = request.tools.unwrap();
            assert_eq!(&*tools[0].custom.as_ref().unwrap().name, "c");
        });
        // What stands in the nested form wins, and a search with a name stays one.
        parse(
            r#""tools":[{"type":"function","name":"x","function":{"name":"f"}},{"type":"web_search","name":5}]"#,
            |request| {
                let tools = request.tools.unwrap();
                assert_eq!(&*tools[0].function.as_ref().unwrap().name, "f");
                assert!(tools[1].function.is_none());
            },
        );
        parse(
            r#""tool_choice":{"type":"allowed_tools","mode":"auto","tools":[{"type":"function","name":"f"}]}"#,
            |request| {
                let Some(NameOr::Object(choice)) = request.tool_choice else { panic!("no object") };
                assert_eq!(choice.allowed_tools.unwrap().tools.len(), 1);
            },
        );
    }

    #[test]
    fn a_text_that_says_nothing_is_absent() {
        for blank in ["", " ", "\\n"] {
            let extra = format!(
                r#""user":"{blank}","prompt_cache_key":"{blank}","reasoning_effort":"{blank}","service_tier":"{blank}","tool_choice":"{blank}","verbosity":"{blank}""#
            );
            parse(&extra, |request| {
                assert!(request.user.is_none() && request.prompt_cache_key.is_none());
                assert!(request.reasoning_effort.is_none() && request.service_tier.is_none());
                assert!(request.tool_choice.is_none() && request.verbosity.is_none());
                assert_eq!(request.affinity(), None);
            });
        }
        parse(r#""prompt_cache_key":"","user":"u""#, |request| assert_eq!(request.affinity(), Some("u")));
    }

    #[test]
    fn a_request_of_the_responses_api_is_told_so() {
        let error = ChatRequest::parse(br#"{"model":"m","input":"hi"}"#).unwrap_err();
        assert_eq!(error.code, Some("missing_required_parameter"));
        assert!(error.message.contains("Responses API"), "{}", error.message);
    }

    #[test]
    fn limits_of_thinking_are_rounded_and_no_other_numbers() {
        parse(
            r#""thinking_budget":19660.8,"thinking":{"budget_tokens":1024.0},"reasoning":{"max_tokens":0.5},"max_tokens":1024.0"#,
            |request| {
                assert_eq!(request.thinking_budget.unwrap().0, 19_661);
                assert_eq!(request.thinking.unwrap().budget_tokens.unwrap().0, 1_024);
                assert_eq!(request.reasoning.unwrap().max_tokens.unwrap().0, 1);
                assert_eq!(request.max_tokens.unwrap().0, 1_024);
            },
        );
        let body = br#"{"model":"m","messages":[{"role":"user","content":"x"}],"max_tokens":1024.5}"#;
        assert_eq!(ChatRequest::parse(body).unwrap_err().code, Some("invalid_type"));
    }
}
