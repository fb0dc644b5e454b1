//! Log probabilities of tokens.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::json::Text;

/// OpenAI's value for a token of probability 0, which Gemini sends as `-Infinity`.
const NEVER: f64 = -9999.0;

/// A token and its alternatives.
#[derive(Debug)]
pub(crate) struct TokenLogprob<'a> {
    pub(crate) token: Cow<'a, str>,
    /// Natural logarithm.
    pub(crate) logprob: f64,
    /// The most likely tokens in its place.
    pub(crate) top: Vec<(Cow<'a, str>, f64)>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Found<'a> {
    #[serde(borrow)]
    chosen_candidates: Vec<Token<'a>>,
    #[serde(borrow)]
    top_candidates: Vec<Top<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Top<'a> {
    #[serde(borrow)]
    candidates: Vec<Token<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Token<'a> {
    #[serde(borrow)]
    token: Text<'a>,
    /// A number, or the string `-Infinity`.
    #[serde(borrow)]
    log_probability: Option<&'a RawValue>,
}

impl Token<'_> {
    fn logprob(&self) -> f64 {
        let number = self.log_probability.and_then(|raw| raw.get().parse::<f64>().ok());
        number.filter(|number| number.is_finite()).unwrap_or(NEVER)
    }
}

/// Reads `logprobsResult`; returns `None` if it is empty.
pub(crate) fn logprobs(raw: Option<&RawValue>) -> Option<Vec<TokenLogprob<'_>>> {
    let result: Found = serde_json::from_str(raw?.get()).ok()?;
    let mut tops = result.top_candidates.into_iter();
    let tokens = result.chosen_candidates.into_iter().map(|chosen| {
        let top = tops.next().unwrap_or_default().candidates.into_iter();
        TokenLogprob {
            logprob: chosen.logprob(),
            token: chosen.token.0,
            top: top
                .map(|token| {
                    let logprob = token.logprob();
                    (token.token.0, logprob)
                })
                .collect(),
        }
    });
    let tokens: Vec<_> = tokens.collect();
    (!tokens.is_empty()).then_some(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_impossible_token_has_a_finite_logprob() {
        let raw: &RawValue = serde_json::from_str(
            r#"{"chosenCandidates":[{"token":"é","logProbability":-0.5},{"token":"x","logProbability":"-Infinity"},{"token":"y"}],
                "topCandidates":[{"candidates":[{"token":"é","logProbability":-0.5}]}]}"#,
        )
        .unwrap();
        let found = logprobs(Some(raw)).unwrap();
        let numbers: Vec<f64> = found.iter().map(|token| token.logprob).collect();
        assert_eq!(numbers, [-0.5, NEVER, NEVER]);
        assert_eq!(found.iter().map(|token| token.top.len()).collect::<Vec<_>>(), [1, 0, 0]);
        assert!(logprobs(None).is_none());
    }
}
