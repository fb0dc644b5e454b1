//! Rules of model families: the 400 errors by which an aliased model can be identified.
//!
//! What Google does not document is a guess and marked so. Errors of keys and quotas are
//! elsewhere.

use crate::refusal::{self, Refusal};
use crate::request::Generate;

/// Thought tokens of Gemini 4 before its first word. A guess: documented is only that low limits
/// end during thinking.
const FIRST_THOUGHTS: u64 = 32;

/// A family of models.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Family {
    /// Thinking levels; empty if only a budget is supported.
    levels: &'static [&'static str],
    /// Older than 3.6: supports thinking budgets, and a last turn of the model.
    older: bool,
    /// Whether function calls have ids and require signatures.
    signs: bool,
    explicit_cache: bool,
    /// Thought tokens before the first word, unless a request disables thinking.
    first_thoughts: u64,
}

const OLD: Family =
    Family { levels: &[], older: true, signs: false, explicit_cache: true, first_thoughts: 0 };
const G3: Family = Family { levels: &["minimal", "low", "medium", "high"], signs: true, ..OLD };
const G3_6: Family = Family { older: false, ..G3 };
const G3_8: Family = Family { levels: &["low", "medium", "high"], ..G3_6 };
const G4: Family = Family { explicit_cache: false, first_thoughts: FIRST_THOUGHTS, ..G3_8 };
const G4_XHIGH: Family = Family { levels: &["low", "medium", "high", "xhigh"], ..G4 };

/// The first matching prefix decides.
const FAMILIES: [(&str, Family); 12] = [
    ("gemini-4-hydrogen", G4_XHIGH),
    ("gemini-4-neon", G4_XHIGH),
    ("gemini-4", G4),
    ("gemini-3.8-", G3_8),
    ("gemini-3.7-", G3_8),
    ("gemini-3.6-", G3_6),
    ("gemini-3.5-flash-lite", G3_6),
    ("gemini-3.1-pro", Family { levels: &["low", "medium", "high"], ..G3 }),
    ("gemini-3-pro-preview", Family { levels: &["low", "high"], ..G3 }),
    ("gemini-3", G3),
    ("gemini-2", OLD),
    ("gemma-", OLD),
];

impl Family {
    /// Returns the family of a model; an unknown one is treated as the oldest.
    pub(crate) fn of(model: &str) -> Self {
        let known = FAMILIES.iter().find(|(beginning, _)| model.starts_with(beginning));
        known.map_or(OLD, |(_, family)| *family)
    }

    /// Returns an error if the request has something that the family does not support.
    pub(crate) fn check(&self, model: &str, request: &Generate) -> Result<(), Refusal> {
        self.check_thinking(request)?;
        if request.has_penalty() {
            let message = format!("Penalty is not enabled for models/{model}");
            return Err(Refusal::invalid_argument(&message));
        }
        if !self.explicit_cache && request.has_cached_content() {
            let message = format!("Explicit caching is not supported for models/{model}.");
            return Err(Refusal::invalid_argument(&message));
        }
        if !self.older && request.ends_with_model() {
            return Err(Refusal::invalid_argument("Requests ending with a model turn are not supported."));
        }
        if self.signs {
            return request.unsigned_call().map_or(Ok(()), |(position, name)| {
                Err(Refusal::invalid_argument(&format!(
                    "Function call is missing a thought_signature in functionCall parts. This is required for tools to \
                     work correctly, and missing thought_signature may lead to degraded model performance. Additional \
                     data, function call `default_api:{name}` , position {position}."
                )))
            });
        }
        request.call_with_id().map_or(Ok(()), |(content, part)| {
            Err(refusal::bad_request(&format!(
                "Invalid JSON payload received. Unknown name \"id\" at 'contents[{content}].parts[{part}].function_call': \
                 Cannot find field."
            )))
        })
    }

    fn check_thinking(&self, request: &Generate) -> Result<(), Refusal> {
        let (level, budget) = request.thinking();
        let refused = |message: &str| Err(Refusal::invalid_argument(message));
        if let Some(level) = level {
            if budget.is_some() {
                return refused("You can only set only one of thinking budget and thinking level.");
            }
            if self.levels.is_empty() {
                return refused("Thinking level is not supported for this model.");
            }
            if !self.levels.iter().any(|known| known.eq_ignore_ascii_case(level)) {
                let level = level.to_ascii_uppercase();
                return refused(&format!(
                    "Thinking level {level} is not supported for this model. Please retry with other thinking level."
                ));
            }
        }
        if budget.is_some() && !self.older {
            return refused("Thinking budget is not supported for this model.");
        }
        Ok(())
    }

    /// Returns the thought tokens of a response before its first word.
    pub(crate) const fn first_thoughts(&self) -> u64 {
        self.first_thoughts
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn refused(model: &str, more: &Value) -> Option<String> {
        let mut body = json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let body = body.to_string();
        let request: Generate = crate::request::parse(&body).unwrap();
        let refusal = Family::of(model).check(model, &request).err()?;
        let body: Value = serde_json::from_str(&refusal.body(false)).unwrap();
        Some(body["error"]["message"].as_str().unwrap().to_owned())
    }

    #[test]
    fn each_family_accepts_its_own_thinking_parameters() {
        let by = |model: &str, config: Value| {
            refused(model, &json!({"generationConfig": {"thinkingConfig": config}}))
        };
        for (model, level, taken) in [
            ("gemini-4-hydrogen", "xhigh", true),
            ("gemini-4-neon", "XHIGH", true),
            ("gemini-4-argon", "xhigh", false),
            ("gemini-4-carbon", "high", true),
            ("gemini-4-argon", "minimal", false),
            ("gemini-3.8-flash", "minimal", false),
            ("gemini-3.6-flash", "minimal", true),
            ("gemini-3.5-flash-lite", "minimal", true),
            ("gemini-2.5-pro", "low", false),
        ] {
            let refusal = by(model, json!({"thinkingLevel": level}));
            assert_eq!(refusal.is_none(), taken, "{model} {level}: {refusal:?}");
        }
        for (model, taken) in [
            ("gemini-2.5-pro", true),
            ("gemini-3.5-flash", true),
            ("gemini-3.8-flash", false),
            ("gemini-4-neon", false),
        ] {
            assert_eq!(by(model, json!({"thinking_budget": 1024})).is_none(), taken, "{model}");
        }
        assert!(by("gemini-3.5-flash", json!({"thinkingLevel": "low", "thinkingBudget": 1})).is_some());
    }

    #[test]
    fn other_parameters_of_another_family_are_rejected() {
        let turns = json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]},
                                        {"role": "model", "parts": [{"text": "so"}]}]});
        assert_eq!(refused("gemini-2.5-pro", &turns), None);
        assert!(refused("gemini-3.8-flash", &turns).unwrap().contains("ending with a model turn"));
        let calls = |call: Value, signature: Option<&str>| {
            let mut part = json!({"functionCall": call});
            if let Some(signature) = signature {
                part["thoughtSignature"] = json!(signature);
            }
            json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}, {"role": "model", "parts": [part]},
                {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {}}}]}]})
        };
        let named = calls(json!({"name": "f", "args": {}}), None);
        assert_eq!(refused("gemini-2.5-flash", &named), None);
        assert!(refused("gemini-3.5-flash", &named).unwrap().contains("`default_api:f` , position 2"));
        let with_id = calls(json!({"id": "1", "name": "f"}), Some("c2lnbmVk"));
        assert_eq!(refused("gemini-4-neon", &with_id), None);
        assert!(refused("gemini-2.5-flash", &with_id).unwrap().contains("Unknown name \"id\""));
        let cached = json!({"cachedContent": "cachedContents/x"});
        assert_eq!(refused("gemini-3.8-flash", &cached), None);
        assert!(refused("gemini-4-argon", &cached).unwrap().contains("Explicit caching"));
        let penalty = json!({"generationConfig": {"presencePenalty": 0.5}});
        assert!(refused("gemini-2.5-flash", &penalty).unwrap().starts_with("Penalty is not enabled"));
    }
}
