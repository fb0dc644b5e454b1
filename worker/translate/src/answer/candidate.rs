//! One candidate of a response: its parts, read one by one, across frames and bodies.
//!
//! A part of an unknown kind is skipped.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::gemini::{AnswerPart, AnsweredBlob, Candidate};
use crate::json::compact::compact;
use crate::json::{Fragment, Text};
use crate::request::call::ResponseContext;

use super::calls::{Call, CallReader};
use super::code_fence::{code_fence, output_fence};
use super::finish::{self, Content, Finish, FinishReason, is_blank};
use super::grounding::{self, PartTexts, Source};
use super::ids::Ids;

/// What a part adds to the response.
#[derive(Debug)]
pub(crate) enum Piece<'a> {
    Text(Fragment<'a>),
    Thought(Fragment<'a>),
    Call(Call),
    Image(Image<'a>),
    Audio(AnsweredBlob<'a>),
}

/// An image that the model made.
#[derive(Debug)]
pub(crate) struct Image<'a> {
    /// Place among the candidate's images.
    pub(crate) index: u32,
    pub(crate) mime_type: Text<'a>,
    /// Base64.
    pub(crate) data: Text<'a>,
    /// Thought signature.
    pub(crate) signature: Option<Text<'a>>,
}

impl Image<'_> {
    /// Returns the image as a `data:` URL.
    pub(crate) fn url(&self) -> String {
        data_url(&self.mime_type, &self.data)
    }
}

fn data_url(mime_type: &str, data: &str) -> String {
    format!("data:{mime_type};base64,{data}")
}

/// How a candidate ended, for the client.
#[derive(Debug)]
pub(crate) struct Ending {
    pub(crate) reason: FinishReason,
    /// Gemini's `finishReason`, where it says more.
    pub(crate) native: Option<String>,
    /// Why there is no content.
    pub(crate) refusal: Option<String>,
}

impl Ending {
    /// Returns the ending of a candidate without content beside others with content.
    pub(crate) fn without_content(native: Option<String>) -> Self {
        let native = native.filter(|native| native != "STOP");
        Self { reason: FinishReason::Stop, native, refusal: None }
    }
}

/// What a candidate has besides its pieces.
#[derive(Debug, Default)]
pub(crate) struct Extras {
    pub(crate) sources: Vec<Source>,
    /// Distinct web searches.
    pub(crate) searches: Option<usize>,
    /// Thought signature of the text.
    pub(crate) signature: Option<String>,
    pub(crate) code_execution: Vec<Box<RawValue>>,
    pub(crate) server_tool_parts: Vec<Box<RawValue>>,
    pub(crate) grounding: Option<Box<RawValue>>,
    pub(crate) url_context: Option<Box<RawValue>>,
    pub(crate) safety_ratings: Option<Box<RawValue>>,
    pub(crate) avg_logprobs: Option<Box<RawValue>>,
    pub(crate) continuation_token: Option<String>,
}

/// State of one candidate.
#[derive(Debug, Default)]
pub(crate) struct CandidateState {
    pub(crate) index: u32,
    pub(crate) content: Content,
    /// Whether a candidate without content is a whole turn.
    pub(crate) may_be_empty: bool,
    /// Gemini's last `finishReason`.
    pub(crate) native_finish: Option<String>,
    pub(crate) calls: CallReader,
    finish_message: Option<String>,
    images: u32,
    citations: Option<Box<RawValue>>,
    /// Kept only where sources may refer to them.
    texts: PartTexts,
    extras: Extras,
}

impl CandidateState {
    pub(crate) fn new(index: u32, context: &ResponseContext) -> Self {
        Self { index, may_be_empty: context.follows_results || context.accepts_empty, ..Self::default() }
    }

    /// Reads what a candidate holds besides its parts.
    pub(crate) fn read_metadata(&mut self, candidate: &Candidate<'_>, context: &ResponseContext) {
        let keep = |slot: &mut Option<String>, text: &Option<Text<'_>>| {
            if let Some(text) = text.as_deref().filter(|text| !text.is_empty()) {
                *slot = Some(text.to_owned());
            }
        };
        keep(&mut self.native_finish, &candidate.finish_reason);
        keep(&mut self.finish_message, &candidate.finish_message);
        keep(&mut self.extras.continuation_token, &candidate.continuation_token);
        let keep = |slot: &mut Option<Box<RawValue>>, raw: Option<&RawValue>| {
            let compacted = raw.and_then(|raw| RawValue::from_string(compact(raw.get()).into_owned()).ok());
            *slot = compacted.or(slot.take());
        };
        keep(&mut self.extras.grounding, candidate.grounding_metadata);
        keep(&mut self.citations, candidate.citation_metadata);
        keep(&mut self.extras.url_context, candidate.url_context_metadata);
        if context.native_details {
            keep(&mut self.extras.safety_ratings, candidate.safety_ratings);
            keep(&mut self.extras.avg_logprobs, candidate.avg_logprobs);
        }
    }

    /// Reads a part. In a stream (`streamed`) a text may continue the text of the part before.
    pub(crate) fn read<'a>(
        &mut self,
        part: AnswerPart<'a>,
        streamed: bool,
        context: &'a ResponseContext,
        ids: &mut Ids,
    ) -> Option<Piece<'a>> {
        let piece = self.piece(part, context, ids);
        if context.grounded || self.extras.grounding.is_some() || self.citations.is_some() {
            let (text, shown) = match &piece {
                Some(Piece::Text(fragment)) => (fragment.text(), true),
                _ => (Cow::Borrowed(""), false),
            };
            if streamed {
                self.texts.extend(&text, shown);
            } else {
                self.texts.push(&text, shown);
            }
        }
        piece
    }

    fn piece<'a>(
        &mut self,
        part: AnswerPart<'a>,
        context: &'a ResponseContext,
        ids: &mut Ids,
    ) -> Option<Piece<'a>> {
        let signature = part.thought_signature.filter(|signature| !signature.is_empty());
        if let Some(call) = part.function_call {
            let before = self.calls.read(call, signature, context, ids);
            self.content.calls = self.calls.any();
            return before.map(Piece::Call);
        }
        if let Some(blob) = part.inline_data {
            return if part.thought { None } else { self.blob(blob, signature, context) };
        }
        if let Some(raw) = part.tool_call.or(part.tool_response) {
            let key = if part.tool_call.is_some() { "toolCall" } else { "toolResponse" };
            self.extras.server_tool_parts.extend(raw_part(key, raw, signature.as_deref()));
            return None;
        }
        if let Some(signature) = signature {
            self.extras.signature = Some(signature.0.into_owned());
        }
        if let Some(raw) = part.executable_code {
            self.extras.code_execution.extend(raw_part("executableCode", raw, None));
            return self.own_text(code_fence(raw));
        }
        if let Some(raw) = part.code_execution_result {
            self.extras.code_execution.extend(raw_part("codeExecutionResult", raw, None));
            return self.own_text(output_fence(raw));
        }
        if let Some(file) = part.file_data {
            return self.own_text(file.file_uri.0.into_owned());
        }
        let text = part.text.filter(|text| !text.is_empty())?;
        if part.thought {
            return Some(Piece::Thought(Fragment::Raw(text.raw())));
        }
        let fragment = Fragment::Raw(text.raw());
        self.content.text = self.content.text || !is_blank(&fragment.text());
        Some(Piece::Text(fragment))
    }

    fn own_text<'a>(&mut self, text: String) -> Option<Piece<'a>> {
        if text.is_empty() {
            return None;
        }
        self.content.text = true;
        Some(Piece::Text(Fragment::Text(Cow::Owned(text))))
    }

    fn blob<'a>(
        &mut self,
        blob: AnsweredBlob<'a>,
        signature: Option<Text<'a>>,
        context: &ResponseContext,
    ) -> Option<Piece<'a>> {
        if blob.data.is_empty() {
            return None;
        }
        if blob.mime_type.starts_with("audio/") {
            self.content.media = true;
            return Some(Piece::Audio(blob));
        }
        let AnsweredBlob { mime_type, data, .. } = blob;
        if !mime_type.starts_with("image/") {
            return self.own_text(format!("[{}]({})", &*mime_type, data_url(&mime_type, &data)));
        }
        if context.images_in_text {
            // When the client sends it back it is the last part of that text, which this signature signs.
            let signature = signature.map(|signature| signature.0.into_owned());
            self.extras.signature = signature.or(self.extras.signature.take());
            return self.own_text(format!("![image]({})", data_url(&mime_type, &data)));
        }
        let index = self.images;
        self.images += 1;
        self.content.media = true;
        Some(Piece::Image(Image { index, mime_type, data, signature }))
    }

    /// Returns Gemini's `finishReason`, or the one of a malformed call.
    pub(crate) fn finish_reason(&self) -> Option<&str> {
        match self.native_finish.as_deref() {
            None | Some("STOP") if self.calls.is_malformed() => Some("MALFORMED_FUNCTION_CALL"),
            native => native,
        }
    }

    /// Returns `true` if the output token limit was reached before any content.
    pub(crate) fn is_spent_on_thoughts(&self) -> bool {
        self.native_finish.as_deref() == Some("MAX_TOKENS") && !self.content.any()
    }

    /// Returns the token that continues a response truncated by the limit of one call.
    pub(crate) fn continuation(&self) -> Option<String> {
        let truncated = self.native_finish.as_deref() == Some("CONTINUATION");
        self.extras.continuation_token.clone().filter(|_| truncated)
    }

    /// Prepares for the next call of the same response.
    pub(crate) fn resume(&mut self) {
        (self.native_finish, self.extras.continuation_token) = (None, None);
    }

    /// Returns how the candidate ended, or `None` if it holds nothing usable.
    pub(crate) fn ending(&self) -> Option<Ending> {
        match finish::finish(self.finish_reason(), self.content, self.may_be_empty) {
            Finish::Unusable => None,
            Finish::Reason { reason, native } => {
                let native = self.finish_reason().map(ToOwned::to_owned).filter(|_| native);
                let is_silent = reason == FinishReason::ContentFilter && !self.content.any();
                let refusal = is_silent.then(|| {
                    let reason = native.as_deref().unwrap_or_default();
                    self.finish_message
                        .clone()
                        .unwrap_or_else(|| format!("Response blocked by Gemini: {reason}"))
                });
                Some(Ending { reason, native, refusal })
            }
        }
    }

    /// Takes the sources of the text and everything else besides the pieces.
    pub(crate) fn take_extras(&mut self) -> Extras {
        let found =
            grounding::sources(self.extras.grounding.as_deref(), self.citations.as_deref(), &self.texts);
        let extras = std::mem::take(&mut self.extras);
        Extras { sources: found.sources, searches: found.searches, ..extras }
    }
}

/// Returns `{"key": raw}` with its signature.
fn raw_part(key: &str, raw: &RawValue, signature: Option<&str>) -> Option<Box<RawValue>> {
    let signed = signature.and_then(|signature| serde_json::to_string(signature).ok());
    let signed = signed.map_or(String::new(), |signature| format!(",\"thoughtSignature\":{signature}"));
    RawValue::from_string(format!("{{\"{key}\":{}{signed}}}", compact(raw.get()))).ok()
}
