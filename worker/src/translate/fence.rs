//! JSON that a model has put into a Markdown fence although it was told not to.

/// What is inside, if the whole text is one fence; otherwise the text.
pub(super) fn without_fence(text: &str) -> &str {
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
}
