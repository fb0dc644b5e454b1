//! Undocumented forms that clients send, read as what they mean.

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::{AllowedTools, ChatRequest, CustomDefinition, FunctionDefinition, Tool, ToolChoice};
use crate::json::{NameOr, Text, read_inside};

/// Returns a text where there is one; what is no string counts as absent. For members that mean something in some objects only,
/// and that others use in ways of their own.
pub(super) fn text_or_nothing<'de: 'a, 'a, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Text<'a>>, D::Error> {
    let raw = <&RawValue>::deserialize(deserializer)?;
    Ok(serde_json::from_str(raw.get()).ok())
}

/// Returns an id, which some clients write as a number.
pub(super) fn text_or_number<'de: 'a, 'a, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Text<'a>>, D::Error> {
    let raw = Option::<&RawValue>::deserialize(deserializer)?;
    let Some(raw) = raw else { return Ok(None) };
    if raw.get().starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
        return Ok(Some(Text(raw.get().into())));
    }
    read_inside(raw)
}

/// Returns the text, unless it says nothing: some clients send `""` where others send `null`.
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
        let reasoning = self.reasoning.iter_mut().map(|reasoning| &mut reasoning.effort);
        let thinking = self.thinking.iter_mut().map(|thinking| &mut thinking.r#type);
        let levels = google.thinking_config.iter_mut().map(|thinking| &mut thinking.thinking_level);
        let audio = self.audio.iter_mut().flat_map(|audio| [&mut audio.voice, &mut audio.format]);
        let images = self.image_config.iter_mut().chain(&mut google.image_config);
        let images = images.flat_map(|image| [&mut image.aspect_ratio, &mut image.image_size]);
        for text in reasoning.chain(thinking).chain(levels).chain(audio).chain(images) {
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
        if let Some(function) = &mut self.function {
            function.parameters = function.parameters.or(function.input_schema);
        }
        let kind = self.r#type.as_deref();
        let Some(name) = &self.name else { return };
        if matches!(kind, Some("function") | None) && self.function.is_none() && self.custom.is_none() {
            self.function = Some(FunctionDefinition {
                name: name.clone(),
                description: self.description.clone(),
                parameters: self.parameters.or(self.input_schema),
                input_schema: None,
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
        for tool in [
            r#"{"name":"f","input_schema":{"type":"object"}}"#,
            r#"{"type":"function","name":"f","inputSchema":{"type":"object"}}"#,
            r#"{"type":"function","function":{"name":"f","input_schema":{"type":"object"}}}"#,
        ] {
            parse(&format!(r#""tools":[{tool}]"#), |request| {
                let tools = request.tools.unwrap();
                let parameters = tools[0].function.as_ref().unwrap().parameters;
                assert_eq!(parameters.unwrap().get(), r#"{"type":"object"}"#, "{tool}");
            });
        }
        // What is in the nested form wins, and a search with a name stays one.
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
        parse(
            r#""reasoning":{"effort":""},"thinking":{"type":" "},"audio":{"voice":"","format":""},"image_config":{"aspect_ratio":""},"google":{"thinking_config":{"thinking_level":""},"image_config":{"image_size":" "}}"#,
            |request| {
                assert!(request.reasoning.as_ref().unwrap().effort.is_none());
                assert!(request.thinking.as_ref().unwrap().r#type.is_none());
                let audio = request.audio.as_ref().unwrap();
                assert!(audio.voice.is_none() && audio.format.is_none());
                assert!(request.image_config.as_ref().unwrap().aspect_ratio.is_none());
                let google = request.google.as_ref().unwrap();
                assert!(google.thinking_config.as_ref().unwrap().thinking_level.is_none());
                assert!(google.image_config.as_ref().unwrap().image_size.is_none());
            },
        );
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
