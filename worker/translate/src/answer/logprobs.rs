//! Log probabilities.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::json::Text;
use crate::openai::{LogProb, LogProbs, TopLogProb};

/// What OpenAI puts for a token that cannot be.
const NEVER: f64 = -9999.0;

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

/// `logprobsResult` into `logprobs`; `None` if it holds nothing.
pub(crate) fn logprobs(raw: Option<&RawValue>) -> Option<LogProbs<'_>> {
    let result: Found = serde_json::from_str(raw?.get()).ok()?;
    let mut tops = result.top_candidates.into_iter();
    let mut content = Vec::with_capacity(result.chosen_candidates.len());
    for chosen in result.chosen_candidates {
        let logprob = chosen.logprob();
        let top = tops.next().unwrap_or_default().candidates.into_iter();
        let top_logprobs = top.map(|token| {
            let logprob = token.logprob();
            TopLogProb { bytes: token.token.as_bytes().to_vec(), token: token.token.0, logprob }
        });
        content.push(LogProb {
            bytes: chosen.token.as_bytes().to_vec(),
            token: chosen.token.0,
            logprob,
            top_logprobs: top_logprobs.collect(),
        });
    }
    (!content.is_empty()).then_some(LogProbs { content, refusal: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_is_a_number_all_the_same() {
        let raw: &RawValue = serde_json::from_str(
            r#"{"chosenCandidates":[{"token":"é","logProbability":-0.5},{"token":"x","logProbability":"-Infinity"},{"token":"y"}],
                "topCandidates":[{"candidates":[{"token":"é","logProbability":-0.5}]}]}"#,
        )
        .unwrap();
        let found = logprobs(Some(raw)).unwrap();
        let numbers: Vec<f64> = found.content.iter().map(|token| token.logprob).collect();
        assert_eq!(numbers, [-0.5, NEVER, NEVER]);
        assert_eq!(found.content[0].bytes, [195, 169]);
        assert_eq!(found.content.iter().map(|token| token.top_logprobs.len()).collect::<Vec<_>>(), [1, 0, 0]);
        assert!(logprobs(None).is_none());
    }
}
