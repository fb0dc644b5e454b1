//! The parts of an answer, one by one: what both the whole and the streamed answer are made of.
//!
//! In: a part as Gemini sent it. Out: what it adds to OpenAI's message, if anything. The state counts calls and pictures
//! across frames; a part of an unknown kind adds nothing and harms nothing.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::answer::code_fence::{code_fence, output_fence};
use crate::answer::finish::{self, Finish, Said, is_blank};
use crate::answer::grounding::{self, PartTexts};
use crate::answer::ids::Ids;
use crate::gemini::{AnswerPart, AnsweredBlob, AnsweredCall, Candidate};
use crate::json::{Fragment, Text};
use crate::openai::{
    Annotation, CustomCallAnswer, FunctionCallAnswer, GoogleExtra, ImageAnswer, ImageUrlAnswer,
    ToolCallAnswer,
};
use crate::request::arguments;
use crate::request::call::{CallStyle, ResponseContext};
use crate::request::names::Kind;
use crate::request::signatures::CallSignature;
use crate::request::signatures::ID_SEPARATOR;

/// What a part adds to the message.
#[derive(Debug)]
pub(crate) enum Piece<'a> {
    Text(Fragment<'a>),
    Thought(Fragment<'a>),
    Call(ToolCallAnswer<'a>),
    Image(ImageAnswer<'a>),
    Audio(AnsweredBlob<'a>),
}

/// One choice in the making.
#[derive(Debug, Default)]
pub(crate) struct ChoiceState {
    pub(crate) index: u32,
    pub(crate) said: Said,
    /// Whether it may end with nothing said.
    pub(crate) may_be_empty: bool,
    /// Gemini's `finishReason`, the last one.
    pub(crate) native_finish: Option<String>,
    /// Of the calls, to be remembered.
    pub(crate) signatures: Vec<CallSignature>,
    finish_message: Option<String>,
    calls: u32,
    /// The last call, of which more may come.
    open_call: Option<OpenCall>,
    /// The last call is one too many for the caller.
    is_call_skipped: bool,
    /// A part of a call came that belongs to none.
    is_malformed: bool,
    call_ids: Vec<String>,
    images: u32,
    /// Of the text; the last one counts.
    signature: Option<String>,
    code_execution: Vec<Box<RawValue>>,
    server_tool_parts: Vec<Box<RawValue>>,
    continuation_token: Option<String>,
    grounding: Option<Box<RawValue>>,
    citations: Option<Box<RawValue>>,
    url_context: Option<Box<RawValue>>,
    safety_ratings: Option<Box<RawValue>>,
    avg_logprobs: Option<Box<RawValue>>,
    /// Kept only where sources may refer to them.
    texts: PartTexts,
}

/// A call of which more may come.
#[derive(Debug)]
struct OpenCall {
    index: u32,
    id: String,
    /// The caller's name of the function.
    name: String,
    kind: Kind,
    args: Option<Box<RawValue>>,
    signature: Option<String>,
}

/// How a choice is told to the caller.
#[derive(Debug)]
pub(crate) struct Ending {
    pub(crate) reason: &'static str,
    pub(crate) native: Option<String>,
    /// Why nothing was said.
    pub(crate) refusal: Option<String>,
}

impl ChoiceState {
    pub(crate) fn new(index: u32, context: &ResponseContext) -> Self {
        Self { index, may_be_empty: context.follows_results || context.accepts_empty, ..Self::default() }
    }

    /// Takes in what a candidate says besides its parts.
    pub(crate) fn note(&mut self, candidate: &Candidate<'_>, context: &ResponseContext) {
        let keep = |slot: &mut Option<String>, text: &Option<Text<'_>>| {
            if let Some(text) = text.as_deref().filter(|text| !text.is_empty()) {
                *slot = Some(text.to_owned());
            }
        };
        keep(&mut self.native_finish, &candidate.finish_reason);
        keep(&mut self.finish_message, &candidate.finish_message);
        keep(&mut self.continuation_token, &candidate.continuation_token);
        let keep = |slot: &mut Option<Box<RawValue>>, raw: Option<&RawValue>| {
            let compacted = raw.and_then(|raw| RawValue::from_string(compact(raw.get()).into_owned()).ok());
            *slot = compacted.or(slot.take());
        };
        keep(&mut self.grounding, candidate.grounding_metadata);
        keep(&mut self.citations, candidate.citation_metadata);
        keep(&mut self.url_context, candidate.url_context_metadata);
        if context.native_details {
            keep(&mut self.safety_ratings, candidate.safety_ratings);
            keep(&mut self.avg_logprobs, candidate.avg_logprobs);
        }
    }

    /// Takes in a part. In a stream (`streamed`) a text may go on where the last part ended.
    pub(crate) fn read<'a>(
        &mut self,
        part: AnswerPart<'a>,
        streamed: bool,
        context: &'a ResponseContext,
        ids: &mut Ids,
    ) -> Option<Piece<'a>> {
        let piece = self.piece(part, context, ids);
        if context.grounded || self.grounding.is_some() || self.citations.is_some() {
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
            return self.call(call, signature, context, ids).map(Piece::Call);
        }
        if let Some(blob) = part.inline_data {
            return if part.thought { None } else { self.blob(blob, signature, context) };
        }
        if let Some(raw) = part.tool_call.or(part.tool_response) {
            let key = if part.tool_call.is_some() { "toolCall" } else { "toolResponse" };
            self.server_tool_parts.extend(raw_part(key, raw, signature.as_deref()));
            return None;
        }
        if let Some(signature) = signature {
            self.signature = Some(signature.0.into_owned());
        }
        if let Some(raw) = part.executable_code {
            self.code_execution.extend(raw_part("executableCode", raw, None));
            return self.own_text(code_fence(raw));
        }
        if let Some(raw) = part.code_execution_result {
            self.code_execution.extend(raw_part("codeExecutionResult", raw, None));
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
        self.said.text = self.said.text || !is_blank(&fragment.text());
        Some(Piece::Text(fragment))
    }

    fn own_text<'a>(&mut self, text: String) -> Option<Piece<'a>> {
        if text.is_empty() {
            return None;
        }
        self.said.text = true;
        Some(Piece::Text(Fragment::Text(Cow::Owned(text))))
    }

    /// Takes in a call and hands out the one before it: of that no more can come. One without a name goes on with it.
    fn call<'a>(
        &mut self,
        call: AnsweredCall<'_>,
        signature: Option<Text<'_>>,
        context: &ResponseContext,
        ids: &mut Ids,
    ) -> Option<ToolCallAnswer<'a>> {
        if call.name.trim().is_empty() {
            self.go_on_with_call(call.args, signature);
            return None;
        }
        self.is_call_skipped = self.calls > 0 && context.calls != CallStyle::Tools;
        if self.is_call_skipped {
            return None;
        }
        let before = self.take_call(context);
        let index = self.calls;
        self.calls += 1;
        self.said.calls = true;
        let id = self.call_id(call.id, ids);
        let (name, kind) = context.names.to_client(&call.name);
        let open = OpenCall {
            index,
            id,
            name: name.to_owned(),
            kind,
            args: call.args.map(ToOwned::to_owned),
            signature: None,
        };
        self.open_call = Some(open);
        self.sign_call(signature);
        before
    }

    /// Gemini may tell a call's arguments in several parts, of which only the first one names the function. Without
    /// arguments, or with no call to go on with, nobody could make anything of such a part.
    fn go_on_with_call(&mut self, args: Option<&RawValue>, signature: Option<Text<'_>>) {
        if self.is_call_skipped {
            return;
        }
        let more = args.filter(|args| args.get() != "null");
        let (Some(open), Some(more)) = (self.open_call.as_mut(), more) else {
            self.is_malformed = true;
            return;
        };
        match arguments::merged(open.args.as_deref(), more) {
            Some(args) => open.args = Some(args),
            None => self.is_malformed = true,
        }
        if open.signature.is_none() {
            self.sign_call(signature);
        }
    }

    fn sign_call(&mut self, signature: Option<Text<'_>>) {
        let (Some(open), Some(signature)) = (self.open_call.as_mut(), signature) else { return };
        let signature = signature.0.into_owned();
        let (call_id, function) = (open.id.clone(), open.name.clone());
        self.signatures.push(CallSignature { call_id, function, signature: signature.clone() });
        open.signature = Some(signature);
    }

    /// The last call, once nothing more can come of it.
    pub(crate) fn take_call<'a>(&mut self, context: &ResponseContext) -> Option<ToolCallAnswer<'a>> {
        let OpenCall { index, id, name, kind, args, signature } = self.open_call.take()?;
        let name: Cow<'a, str> = Cow::Owned(name);
        let arguments = arguments::to_client(&context.names, &name, args.as_deref());
        let id = match &signature {
            Some(signature) if context.signature_in_id => format!("{id}{ID_SEPARATOR}{signature}"),
            _ => id,
        };
        let extra_content =
            signature.and_then(|signature| GoogleExtra::signed(Cow::Owned(signature)).into_content());
        let mut answer = ToolCallAnswer {
            index: Some(index),
            id: Cow::Owned(id),
            r#type: "function",
            function: None,
            custom: None,
            extra_content,
        };
        if kind == Kind::Custom {
            answer.r#type = "custom";
            let input = arguments::custom_input(args.as_deref(), arguments).into_owned();
            answer.custom = Some(CustomCallAnswer { name, input: Cow::Owned(input) });
        } else {
            let arguments = Cow::Owned(arguments.into_owned());
            answer.function = Some(FunctionCallAnswer { name, arguments });
        }
        Some(answer)
    }

    /// Gemini's `finishReason`, unless a call turned out to be none.
    pub(crate) fn finish_reason(&self) -> Option<&str> {
        match self.native_finish.as_deref() {
            None | Some("STOP") if self.is_malformed => Some("MALFORMED_FUNCTION_CALL"),
            native => native,
        }
    }

    /// Gemini's id, or one of ours; never one that this message has used.
    fn call_id(&mut self, given: Option<Text<'_>>, ids: &mut Ids) -> String {
        let mut id = match given.filter(|id| !id.is_empty()) {
            Some(id) => id.0.into_owned(),
            None => ids.next("call_"),
        };
        let most = self.call_ids.len() + 2;
        if self.call_ids.contains(&id) {
            let free = (2..=most)
                .map(|count| format!("{id}_{count}"))
                .find(|longer| !self.call_ids.contains(longer));
            id = free.unwrap_or_else(|| ids.next("call_"));
        }
        self.call_ids.push(id.clone());
        id
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
            self.said.media = true;
            return Some(Piece::Audio(blob));
        }
        let url = format!("data:{};base64,{}", &*blob.mime_type, &*blob.data);
        if !blob.mime_type.starts_with("image/") {
            return self.own_text(format!("[{}]({url})", &*blob.mime_type));
        }
        if context.images_in_text {
            // On its way back it is the last part of that text, where this signature goes.
            self.signature = signature.map(|signature| signature.0.into_owned()).or(self.signature.take());
            return self.own_text(format!("![image]({url})"));
        }
        let index = self.images;
        self.images += 1;
        self.said.media = true;
        let extra_content = signature.and_then(|signature| GoogleExtra::signed(signature.0).into_content());
        Some(Piece::Image(ImageAnswer {
            r#type: "image_url",
            index,
            image_url: ImageUrlAnswer { url },
            extra_content,
        }))
    }

    /// Whether the limit of output tokens was reached before anything was said.
    pub(crate) fn is_spent_on_thoughts(&self) -> bool {
        self.native_finish.as_deref() == Some("MAX_TOKENS") && !self.said.anything()
    }

    /// The token with which an answer goes on that was cut by the limit of one call.
    pub(crate) fn continuation(&self) -> Option<String> {
        let cut = self.native_finish.as_deref() == Some("CONTINUATION");
        self.continuation_token.clone().filter(|_| cut)
    }

    /// Makes ready for more of the same answer.
    pub(crate) fn resume(&mut self) {
        (self.native_finish, self.continuation_token) = (None, None);
    }

    /// How the choice ended; `None` when it holds nothing usable.
    pub(crate) fn ending(&self, context: &ResponseContext) -> Option<Ending> {
        match finish::finish(self.finish_reason(), self.said, context.calls, self.may_be_empty) {
            Finish::Unusable => None,
            Finish::Reason { reason, native } => {
                let told = self.finish_reason().map(ToOwned::to_owned).filter(|_| native);
                let silent = reason == "content_filter" && !self.said.anything();
                let refusal = silent.then(|| {
                    let reason = told.as_deref().unwrap_or_default();
                    self.finish_message
                        .clone()
                        .unwrap_or_else(|| format!("Response blocked by Gemini: {reason}"))
                });
                Some(Ending { reason, native: told, refusal })
            }
        }
    }

    /// The sources of the text, and what OpenAI's message has no place for. Emptied by this.
    pub(crate) fn take_rest<'a>(&mut self) -> (Vec<Annotation<'a>>, GoogleExtra<'a>) {
        let sources = grounding::sources(self.grounding.as_deref(), self.citations.as_deref(), &self.texts);
        let extra = GoogleExtra {
            grounding_metadata: self.grounding.take(),
            url_context_metadata: self.url_context.take(),
            safety_ratings: self.safety_ratings.take(),
            avg_logprobs: self.avg_logprobs.take(),
            web_search_requests: sources.searches,
            thought_signature: self.signature.take().map(Cow::Owned),
            code_execution: std::mem::take(&mut self.code_execution),
            server_tool_parts: std::mem::take(&mut self.server_tool_parts),
            continuation_token: self.continuation_token.take().map(Cow::Owned),
        };
        (sources.annotations, extra)
    }
}

/// `{"key": raw}` and its signature.
fn raw_part(key: &str, raw: &RawValue, signature: Option<&str>) -> Option<Box<RawValue>> {
    let signed = signature.and_then(|signature| serde_json::to_string(signature).ok());
    let signed = signed.map_or(String::new(), |signature| format!(",\"thoughtSignature\":{signature}"));
    RawValue::from_string(format!("{{\"{key}\":{}{signed}}}", compact(raw.get()))).ok()
}

/// The JSON without the white space between its tokens.
pub(crate) fn compact(json: &str) -> Cow<'_, str> {
    let mut in_string = false;
    let mut escaped = false;
    let mut keep = |byte: u8| {
        if in_string {
            in_string = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
            return true;
        }
        in_string = byte == b'"';
        !matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
    };
    let Some(first) = json.bytes().position(|byte| !keep(byte)) else { return Cow::Borrowed(json) };
    let (start, rest) = json.split_at(first);
    let mut compact = String::with_capacity(json.len());
    compact.push_str(start);
    // White space outside of strings is ASCII, so that what is kept stays whole characters.
    compact.extend(rest.char_indices().skip(1).filter_map(|(_, c)| {
        let kept = u8::try_from(c).map_or(true, &mut keep);
        kept.then_some(c)
    }));
    Cow::Owned(compact)
}

#[cfg(test)]
mod tests;
