//! Body of a model's response, whole or in frames
//! (<https://ai.google.dev/api/generate-content#generatecontentresponse>).
//!
//! Delays and the framing on the wire are in [`crate::playback`].

use serde::Serialize;

use crate::compat::{self, Piece};
use crate::counts::Tokens;
use crate::family::Family;
use crate::request::{Generate, count_words};
use crate::scenario::Answer;

/// Content of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speech {
    /// Text and a finish reason.
    Text,
    /// Only the finish reason `STOP`.
    Empty,
    /// Only the finish reason `MALFORMED_FUNCTION_CALL`.
    MalformedFunctionCall,
    /// No candidate, because the prompt is blocked.
    PromptBlocked,
    /// Only the finish reason `MAX_TOKENS`: thoughts used all tokens.
    Spent,
}

/// Format of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// One `GenerateContentResponse`.
    Whole,
    /// Several `GenerateContentResponse`s.
    Frames,
    /// OpenAI's `chat.completion`.
    Completion,
    /// OpenAI's `chat.completion.chunk`s.
    Chunk,
}

/// A response before serialisation.
#[derive(Debug)]
pub(crate) struct Chat {
    id: String,
    model: String,
    speech: Speech,
    text: String,
    finish_reason: &'static str,
    prompt_tokens: u64,
    thought_tokens: u64,
    frames: usize,
    shape: Shape,
}

impl Chat {
    /// Creates a response of `model`, which may differ from the requested model.
    pub(crate) fn new(id: String, model: &str, request: &Generate, wanted: &Answer, speech: Speech) -> Self {
        let most = request.max_output_tokens();
        let thoughts = wanted.thought_tokens.max(Family::of(model).first_thoughts());
        let thought_tokens =
            if speech == Speech::Text { most.map_or(thoughts, |most| thoughts.min(most)) } else { 0 };
        let left = most.map(|most| most - thought_tokens.min(most));
        let speech = if thought_tokens > 0 && left == Some(0) { Speech::Spent } else { speech };
        let mut finish_reason = if speech == Speech::Spent { "MAX_TOKENS" } else { "STOP" };
        let mut text = match (speech, &wanted.text) {
            (Speech::Text, Some(text)) => text.clone(),
            (Speech::Text, None) => format!("You said: {}", request.last_user_text()),
            _ => String::new(),
        };
        if speech == Speech::MalformedFunctionCall {
            finish_reason = "MALFORMED_FUNCTION_CALL";
        }
        if let Some(left) = left.filter(|left| *left < count_words(&text)) {
            let left = usize::try_from(left).unwrap_or(usize::MAX);
            text = text.split_whitespace().take(left).collect::<Vec<_>>().join(" ");
            finish_reason = "MAX_TOKENS";
        }
        Self {
            id,
            model: model.to_owned(),
            speech,
            text,
            finish_reason,
            prompt_tokens: request.prompt_tokens(),
            thought_tokens,
            frames: wanted.frames.max(1),
            shape: Shape::Whole,
        }
    }

    /// Sets the format.
    pub(crate) fn shaped(self, shape: Shape) -> Self {
        Self { shape, ..self }
    }

    /// Returns the whole response; without `finished` it has no finish reason.
    pub(crate) fn whole(&self, finished: bool) -> Written {
        self.write(&self.text, count_words(&self.text), finished, true)
    }

    /// Returns the response as frames.
    pub(crate) fn into_frames(self) -> Frames {
        let characters = self.text.chars().count();
        let texts = if self.speech == Speech::Text { self.frames.min(characters) } else { 0 };
        Frames {
            chat: self,
            characters,
            texts,
            index: 0,
            at_byte: 0,
            at_character: 0,
            words: 0,
            in_word: false,
        }
    }

    /// Returns one `GenerateContentResponse` with `text` and the usage after `words` words.
    fn write(&self, text: &str, words: u64, finished: bool, last: bool) -> Written {
        let completion = words + self.thought_tokens;
        let tokens = Tokens { prompt: self.prompt_tokens, completion };
        if matches!(self.shape, Shape::Completion | Shape::Chunk) {
            let json = compat::completion(&Piece {
                id: &self.id,
                model: &self.model,
                text,
                finish_reason: finished.then_some(self.finish_reason),
                prompt_tokens: tokens.prompt,
                completion_tokens: tokens.completion,
                chunk: self.shape == Shape::Chunk,
            });
            return Written { json, tokens, last };
        }
        let parts = [Part { text }];
        let content = Content { parts: (self.speech == Speech::Text).then_some(&parts[..]), role: "model" };
        let malformed = self.speech == Speech::MalformedFunctionCall;
        let candidate = [Candidate {
            content,
            finish_reason: finished.then_some(self.finish_reason),
            finish_message: malformed
                .then_some("Malformed function call: print(default_api.get_weather(city='"),
            index: 0,
        }];
        let blocked = self.speech == Speech::PromptBlocked;
        let response = Generated {
            candidates: (!blocked).then_some(&candidate[..]),
            prompt_feedback: blocked.then_some(PromptFeedback { block_reason: "PROHIBITED_CONTENT" }),
            usage_metadata: Usage {
                prompt_token_count: self.prompt_tokens,
                candidates_token_count: (words > 0).then_some(words),
                total_token_count: self.prompt_tokens + completion,
                prompt_tokens_details: [TokensDetail { modality: "TEXT", token_count: self.prompt_tokens }],
                thoughts_token_count: (self.thought_tokens > 0).then_some(self.thought_tokens),
            },
            model_version: &self.model,
            response_id: &self.id,
        };
        Written {
            // Writing strings and numbers into memory cannot fail.
            json: serde_json::to_vec(&response).unwrap_or_default(),
            tokens,
            last,
        }
    }
}

/// JSON of a response or of one frame.
#[derive(Debug)]
pub(crate) struct Written {
    pub json: Vec<u8>,
    /// The cumulative usage that it reports.
    pub tokens: Tokens,
    /// Whether it completes the response.
    pub last: bool,
}

/// Frames of a response: chunks of text of equal length, then an empty one with the finish reason.
#[derive(Debug)]
pub(crate) struct Frames {
    chat: Chat,
    characters: usize,
    texts: usize,
    index: usize,
    at_byte: usize,
    at_character: usize,
    words: u64,
    in_word: bool,
}

impl Iterator for Frames {
    type Item = Written;

    fn next(&mut self) -> Option<Written> {
        let index = self.index;
        self.index += 1;
        if index > self.texts {
            return None;
        }
        if index == self.texts {
            return Some(self.chat.write("", self.words, true, true));
        }
        let until = self.characters * (index + 1) / self.texts;
        let rest = self.chat.text.get(self.at_byte..).unwrap_or_default();
        let piece = rest.char_indices().nth(until - self.at_character);
        let piece = piece.and_then(|(end, _)| rest.get(..end)).unwrap_or(rest);
        for character in piece.chars() {
            let starts = !character.is_whitespace() && !self.in_word;
            self.words += u64::from(starts);
            self.in_word = !character.is_whitespace();
        }
        self.at_character = until;
        self.at_byte += piece.len();
        Some(self.chat.write(piece, self.words, false, false))
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Generated<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    candidates: Option<&'a [Candidate<'a>]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_feedback: Option<PromptFeedback>,
    usage_metadata: Usage,
    model_version: &'a str,
    response_id: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Candidate<'a> {
    content: Content<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    finish_reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    finish_message: Option<&'a str>,
    index: u32,
}

#[derive(Serialize)]
struct Content<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    parts: Option<&'a [Part<'a>]>,
    role: &'a str,
}

#[derive(Serialize)]
struct Part<'a> {
    text: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PromptFeedback {
    block_reason: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Usage {
    prompt_token_count: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    candidates_token_count: Option<u64>,
    total_token_count: u64,
    prompt_tokens_details: [TokensDetail; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    thoughts_token_count: Option<u64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TokensDetail {
    modality: &'static str,
    token_count: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn chat(prompt: &str, wanted: &Answer, speech: Speech) -> Chat {
        let body = serde_json::json!({"contents": [{"parts": [{"text": prompt}]}],
            "generationConfig": {"maxOutputTokens": 6}})
        .to_string();
        let request: Generate = crate::request::parse(&body).unwrap();
        Chat::new("r1".into(), "gemini-3.8-flash", &request, wanted, speech)
    }

    fn json(written: &Written) -> Value {
        serde_json::from_slice(&written.json).unwrap()
    }

    #[test]
    fn frames_make_up_the_whole() {
        let wanted = Answer { frames: 4, thought_tokens: 1, ..Answer::default() };
        let whole = json(&chat("héllo 🌍 now", &wanted, Speech::Text).whole(true));
        let frames: Vec<Value> =
            chat("héllo 🌍 now", &wanted, Speech::Text).into_frames().map(|f| json(&f)).collect();
        assert_eq!(frames.len(), 5);
        let text = |frame: &Value| {
            frame["candidates"][0]["content"]["parts"][0]["text"].as_str().unwrap().to_owned()
        };
        let joined: String = frames.iter().map(text).collect();
        assert_eq!(joined, "You said: héllo 🌍 now");
        assert_eq!(text(&whole), joined);
        assert!(frames[..4].iter().all(|frame| frame["candidates"][0].get("finishReason").is_none()));
        assert_eq!(frames[4]["candidates"][0]["finishReason"], "STOP");
        assert_eq!(frames[4]["usageMetadata"], whole["usageMetadata"]);
        assert_eq!(whole["usageMetadata"]["promptTokenCount"], 3);
        assert_eq!(whole["usageMetadata"]["candidatesTokenCount"], 5);
        assert_eq!(whole["usageMetadata"]["totalTokenCount"], 9);
        let counts: Vec<u64> =
            frames.iter().map(|f| f["usageMetadata"]["candidatesTokenCount"].as_u64().unwrap()).collect();
        assert_eq!(counts, [2, 2, 3, 5, 5], "words begun so far");
    }

    #[test]
    fn the_most_tokens_are_kept_to() {
        let written = chat("one two three four five six", &Answer::default(), Speech::Text).whole(true);
        assert_eq!(json(&written)["candidates"][0]["finishReason"], "MAX_TOKENS");
        assert_eq!(written.tokens, Tokens { prompt: 6, completion: 6 });
    }

    #[test]
    fn thoughts_count_among_the_most_tokens_and_may_take_them_all() {
        let wanted = |thought_tokens| Answer { thought_tokens, ..Answer::default() };
        let some = chat("one two three four five six", &wanted(4), Speech::Text).whole(true);
        assert_eq!(json(&some)["candidates"][0]["content"]["parts"][0]["text"], "You said:");
        assert_eq!(some.tokens, Tokens { prompt: 6, completion: 6 });
        for spent in [
            chat("hi", &wanted(9), Speech::Text).whole(true),
            chat("hi", &wanted(9), Speech::Text).into_frames().next().unwrap(),
        ] {
            let (tokens, spent) = (spent.tokens, json(&spent));
            assert_eq!(tokens, Tokens { prompt: 1, completion: 6 });
            assert_eq!(spent["candidates"][0]["finishReason"], "MAX_TOKENS");
            assert!(spent["candidates"][0]["content"].get("parts").is_none());
            assert_eq!(spent["usageMetadata"]["thoughtsTokenCount"], 6);
        }
    }

    #[test]
    fn answers_without_text() {
        let one = |speech| {
            let mut frames = chat("hi", &Answer::default(), speech).into_frames();
            let frame = frames.next().unwrap();
            assert!(frame.last && frames.next().is_none());
            json(&frame)
        };
        let blocked = one(Speech::PromptBlocked);
        assert_eq!(blocked["promptFeedback"]["blockReason"], "PROHIBITED_CONTENT");
        assert!(blocked.get("candidates").is_none());
        let malformed = one(Speech::MalformedFunctionCall);
        assert_eq!(malformed["candidates"][0]["finishReason"], "MALFORMED_FUNCTION_CALL");
        let empty = one(Speech::Empty);
        assert_eq!(empty["candidates"][0]["finishReason"], "STOP");
        assert!(empty["candidates"][0]["content"].get("parts").is_none());
    }
}
