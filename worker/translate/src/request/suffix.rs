//! Options in a model's name, such as `-thinking-low` or `:online`.
//!
//! A name that only resembles one stays unchanged: some models are called `…-thinking-exp`.

use super::thinking::ThinkingRequest;

/// Wishes appended to a model's name, for clients that can set nothing else.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ModelSuffix {
    /// `:online`, `:search`: search the web.
    pub(crate) search: bool,
    /// `-nothinking`, `-thinking-1024`, `-thinking-low`.
    pub(crate) thinking: Option<ThinkingRequest>,
}

impl ModelSuffix {
    /// Takes the wishes off a name.
    #[must_use]
    pub fn split(name: &str) -> (&str, Self) {
        let searching = name.strip_suffix(":online").or_else(|| name.strip_suffix(":search"));
        let bare = searching.unwrap_or(name);
        let thinking = match bare.strip_suffix("-nothinking") {
            Some(model) => Some((model, ThinkingRequest::NOTHING)),
            None => bare
                .rsplit_once("-thinking-")
                .and_then(|(model, wish)| Some((model, ThinkingRequest::parse(wish)?))),
        };
        let (model, thinking) = thinking.map_or((bare, None), |(model, wish)| (model, Some(wish)));
        (model, Self { search: searching.is_some(), thinking })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::gemini::ModelId;
    use crate::openai::ChatRequest;
    use crate::{TranslateOptions, to_gemini};

    fn sent(name: &str, extra: &Value) -> Value {
        let mut body = json!({"model": name, "messages": [{"role": "user", "content": "x"}]});
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let body = body.to_string();
        let request = ChatRequest::parse(body.as_bytes()).unwrap();
        let (model, suffix) = ModelSuffix::split(request.model());
        let options = TranslateOptions { suffix, ..TranslateOptions::default() };
        let call = to_gemini(&request, &ModelId::parse(model).unwrap(), &options).unwrap();
        serde_json::from_slice(&call.body).unwrap()
    }

    #[test]
    fn wishes_are_taken_off_and_what_is_a_name_stays() {
        for (name, model, wished) in [
            ("gemini-2.5-flash", "gemini-2.5-flash", false),
            ("gemini-2.5-flash:online", "gemini-2.5-flash", true),
            ("gemini-2.5-flash:search", "gemini-2.5-flash", true),
            ("gemini-2.5-flash-nothinking", "gemini-2.5-flash", true),
            ("gemini-2.5-flash-thinking-512:online", "gemini-2.5-flash", true),
            ("gemini-3.8-flash-thinking-high", "gemini-3.8-flash", true),
            ("gemini-2.0-flash-thinking-exp", "gemini-2.0-flash-thinking-exp", false),
            ("gemini-2.0-flash-thinking-exp-1219", "gemini-2.0-flash-thinking-exp-1219", false),
            ("gemini-2.0-flash-thinking-", "gemini-2.0-flash-thinking-", false),
        ] {
            let (bare, suffix) = ModelSuffix::split(name);
            assert_eq!((bare, suffix != ModelSuffix::default()), (model, wished), "{name}");
        }
    }

    #[test]
    fn they_are_heeded_unless_the_request_says_otherwise() {
        let thinking =
            |name: &str, extra: &Value| sent(name, extra)["generationConfig"]["thinkingConfig"].clone();
        let none = json!({});
        assert_eq!(thinking("gemini-2.5-flash-thinking-512", &none)["thinkingBudget"], 512);
        assert_eq!(thinking("gemini-2.5-flash-nothinking", &none)["thinkingBudget"], 0);
        assert_eq!(thinking("gemini-3.8-flash-thinking-low", &none)["thinkingLevel"], "low");
        let effort = json!({"reasoning_effort": "high"});
        assert_eq!(thinking("gemini-2.5-flash-nothinking", &effort)["thinkingBudget"], 24_576);
        assert_eq!(sent("gemini-3.8-flash:online", &none)["tools"], json!([{"googleSearch": {}}]));
        assert_eq!(sent("gemini-3.8-flash", &none).get("tools"), None);
    }
}
