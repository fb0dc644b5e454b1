//! Markdown fences: around JSON, against the instructions, and around code that Gemini ran.

use serde::Deserialize;
use serde_json::value::RawValue;

/// Returns what is inside, if the whole text is one fence; otherwise the text.
pub(crate) fn without_fence(text: &str) -> &str {
    let trimmed = text.trim();
    let inside = trimmed
        .strip_prefix("```json")
        .or_else(|| trimmed.strip_prefix("```JSON"))
        .or_else(|| trimmed.strip_prefix("```"));
    let inside = inside.and_then(|inside| inside.strip_suffix("```"));
    match inside {
        Some(inside) if inside.starts_with(['\n', '\r']) && !inside.contains("\n```") => inside.trim(),
        _ => text,
    }
}

/// Code that Gemini ran, as Markdown.
pub(crate) fn code_fence(raw: &RawValue) -> String {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Code {
        language: String,
        code: String,
    }
    let code: Code = serde_json::from_str(raw.get()).unwrap_or_default();
    let language = match code.language.as_str() {
        "" | "LANGUAGE_UNSPECIFIED" => "python".to_owned(),
        language => language.to_ascii_lowercase(),
    };
    format!("\n```{language}\n{}\n```\n", without_newline(&code.code))
}

/// Returns what came out of it, as Markdown.
pub(crate) fn output_fence(raw: &RawValue) -> String {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Output {
        outcome: String,
        output: String,
    }
    let result: Output = serde_json::from_str(raw.get()).unwrap_or_default();
    let outcome = match result.outcome.as_str() {
        "OUTCOME_FAILED" => "FAILED\n",
        "OUTCOME_DEADLINE_EXCEEDED" => "DEADLINE_EXCEEDED\n",
        _ => "",
    };
    format!("\n```output\n{outcome}{}\n```\n", without_newline(&result.output))
}

fn without_newline(text: &str) -> &str {
    text.strip_suffix('\n').unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_fence_around_everything_goes() {
        assert_eq!(without_fence("```json\n{\"a\":1}\n```\n"), "{\"a\":1}");
        assert_eq!(without_fence("```\n[1]\n```"), "[1]");
        for text in [
            "{\"a\":1}",
            "Here:\n```json\n{}\n```",
            "```json\n{}\n```\nand\n```json\n{}\n```",
            "```json",
            "``````",
        ] {
            assert_eq!(without_fence(text), text);
        }
    }

    #[test]
    fn code_and_its_output_lose_one_newline() {
        let fence = |fence: fn(&RawValue) -> String, json: &str| fence(serde_json::from_str(json).unwrap());
        assert_eq!(fence(code_fence, r#"{"language":"PYTHON","code":"a\n\n"}"#), "\n```python\na\n\n```\n");
        assert_eq!(fence(code_fence, r#"{"code":"a"}"#), "\n```python\na\n```\n");
        let failed = r#"{"outcome":"OUTCOME_FAILED","output":"no\n"}"#;
        assert_eq!(fence(output_fence, failed), "\n```output\nFAILED\nno\n```\n");
    }
}
