//! Token counts.

use crate::gemini::{ModalityCount, UsageMetadata};

/// What a request took, in OpenAI's way of counting: thoughts are part of `completion`, cached tokens of `prompt`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens in, those of Gemini's own tools included.
    pub prompt: u64,
    /// Tokens out, thoughts included.
    pub completion: u64,
    /// Tokens in that were read from a cache.
    pub cached: u64,
    /// Tokens out that were thoughts.
    pub thoughts: u64,
    /// All, as Gemini sums them up.
    pub total: u64,
    /// Kinds of tokens in, if told.
    pub prompt_kinds: Option<Kinds>,
    /// Kinds of tokens out, if told.
    pub completion_kinds: Option<Kinds>,
}

/// Tokens by kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Kinds {
    /// Text.
    pub text: u32,
    /// Images.
    pub image: u32,
    /// Audio.
    pub audio: u32,
}

impl Kinds {
    fn of(counts: &[ModalityCount<'_>]) -> Self {
        let mut kinds = Self::default();
        for count in counts {
            let tokens = u32::try_from(count.token_count.unwrap_or(0)).unwrap_or(u32::MAX);
            match &*count.modality {
                "TEXT" => kinds.text = kinds.text.saturating_add(tokens),
                "IMAGE" => kinds.image = kinds.image.saturating_add(tokens),
                "AUDIO" => kinds.audio = kinds.audio.saturating_add(tokens),
                _ => {}
            }
        }
        kinds
    }
}

impl From<&UsageMetadata<'_>> for Usage {
    fn from(metadata: &UsageMetadata<'_>) -> Self {
        let own_tools = metadata.tool_use_prompt_token_count.unwrap_or(0);
        let prompt = metadata.prompt_token_count.unwrap_or(0).saturating_add(own_tools);
        let thoughts = metadata.thoughts_token_count.unwrap_or(0);
        let candidates = metadata.candidates_token_count.unwrap_or(0);
        // Some models count thoughts among the candidates' tokens already; the total gives it away.
        let included = thoughts > 0
            && candidates > 0
            && metadata.total_token_count == Some(prompt.saturating_add(candidates));
        let completion = if included { candidates } else { candidates.saturating_add(thoughts) };
        Self {
            prompt,
            completion,
            cached: metadata.cached_content_token_count.unwrap_or(0),
            thoughts,
            total: metadata.total_token_count.unwrap_or(prompt.saturating_add(completion)),
            prompt_kinds: metadata.prompt_tokens_details.as_deref().map(Kinds::of),
            completion_kinds: metadata.candidates_tokens_details.as_deref().map(Kinds::of),
        }
    }
}

impl Kinds {
    fn plus(self, other: Self) -> Self {
        Self {
            text: self.text.saturating_add(other.text),
            image: self.image.saturating_add(other.image),
            audio: self.audio.saturating_add(other.audio),
        }
    }
}

fn both(one: Option<Kinds>, other: Option<Kinds>) -> Option<Kinds> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.plus(other)),
        (one, other) => one.or(other),
    }
}

impl Usage {
    /// Returns what two calls took.
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            prompt: self.prompt.saturating_add(other.prompt),
            completion: self.completion.saturating_add(other.completion),
            cached: self.cached.saturating_add(other.cached),
            thoughts: self.thoughts.saturating_add(other.thoughts),
            total: self.total.saturating_add(other.total),
            prompt_kinds: both(self.prompt_kinds, other.prompt_kinds),
            completion_kinds: both(self.completion_kinds, other.completion_kinds),
        }
    }

    /// Returns what a response took with which another call has gone on: that call's prompt is this one's answer, which counts
    /// once.
    pub(crate) fn resumed_by(self, next: Self) -> Self {
        let completion = self.completion.saturating_add(next.completion);
        Self {
            completion,
            thoughts: self.thoughts.saturating_add(next.thoughts),
            total: self.prompt.saturating_add(completion),
            completion_kinds: both(self.completion_kinds, next.completion_kinds),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(json: &str) -> (u64, u64, u64) {
        let metadata: UsageMetadata = serde_json::from_str(json).unwrap();
        let usage = Usage::from(&metadata);
        (usage.prompt, usage.completion, usage.total)
    }

    #[test]
    fn thoughts_are_counted_once() {
        assert_eq!(
            usage(
                r#"{"promptTokenCount":10,"candidatesTokenCount":5,"thoughtsTokenCount":7,"totalTokenCount":22}"#
            ),
            (10, 12, 22)
        );
        assert_eq!(
            usage(
                r#"{"promptTokenCount":10,"candidatesTokenCount":12,"thoughtsTokenCount":7,"totalTokenCount":22}"#
            ),
            (10, 12, 22)
        );
        assert_eq!(usage(r#"{"promptTokenCount":10,"thoughtsTokenCount":7}"#), (10, 7, 17));
        assert_eq!(
            usage(
                r#"{"promptTokenCount":10,"toolUsePromptTokenCount":4,"candidatesTokenCount":1,"totalTokenCount":15}"#
            ),
            (14, 1, 15)
        );
        assert_eq!(usage("{}"), (0, 0, 0));
    }
}
