//! Streaming responses as `chat.completion.chunk` events.

use super::chunks::{ChunkWriter, HeldEvents, TextMember};
use super::parts;
use crate::answer::buffered::{as_declared, unfenced};
use crate::answer::calls::Call;
use crate::answer::candidate::Piece;
use crate::answer::failure::PromptBlock;
use crate::answer::ids::{Envelope, Ids};
use crate::answer::logprobs::TokenLogprob;
use crate::answer::speech;
use crate::answer::stream::{CandidateEnd, ResponseStream, StreamWriter};
use crate::answer::usage::Usage;
use crate::error::ApiError;
use crate::json::Fragment;
use crate::openai::{AudioAnswer, Delta, error_event};
use crate::request::call::{CallStyle, ResponseContext};
use crate::request::schema::Shape;

/// A streaming chat completion.
pub type ChatStream = ResponseStream<ChatWriter>;

/// Limit on blank text that is held back, in bytes of events. Beyond it the client receives the white
/// space that the model keeps sending, and can disconnect.
const MAX_HELD: usize = 64 * 1024;

/// Writes the events of one stream.
#[derive(Debug)]
pub struct ChatWriter {
    chunks: ChunkWriter,
    choices: Vec<ChoiceState>,
}

#[derive(Debug, Default)]
struct ChoiceState {
    index: u32,
    audio_id: Option<String>,
    /// Text so far, where it is delivered only as a whole: JSON that is converted to the declared form.
    held: String,
    /// Blank text at the beginning, sent when content follows.
    blank: HeldEvents,
}

fn call_delta<'a>(call: Call, context: &ResponseContext) -> Delta<'a> {
    let call = parts::call(call);
    if context.calls == CallStyle::Function {
        Delta { function_call: call.function, ..Delta::default() }
    } else {
        Delta { tool_calls: Some([call]), ..Delta::default() }
    }
}

impl StreamWriter for ChatWriter {
    const ID_PREFIX: &'static str = parts::ID_PREFIX;

    fn new(context: &ResponseContext) -> Self {
        Self { chunks: ChunkWriter::new(context.include_usage), choices: Vec::new() }
    }

    fn is_open(&self) -> bool {
        self.chunks.is_open()
    }

    fn open(&mut self, id: &str, created_s: u64, model: &str) {
        self.chunks.open(id, created_s, model);
    }

    fn begin(&mut self, index: u32, out: &mut Vec<u8>) {
        self.choices.push(ChoiceState { index, ..ChoiceState::default() });
        self.chunks.role(index, out);
    }

    fn piece<'a>(
        &mut self,
        index: u32,
        piece: Piece<'a>,
        has_content: bool,
        logprobs: &mut Option<Vec<TokenLogprob<'a>>>,
        context: &ResponseContext,
        ids: &mut Ids,
        out: &mut Vec<u8>,
    ) {
        let Self { chunks, choices } = self;
        let Some(choice) = choices.iter_mut().find(|choice| choice.index == index) else { return };
        if has_content && !matches!(piece, Piece::Thought(_)) {
            chunks.release(&mut choice.blank, out);
        }
        match piece {
            Piece::Text(text) if context.json_shape != Shape::Same => choice.held.push_str(&text.text()),
            Piece::Text(text) => {
                // They belong to the text of this frame.
                let logprobs = logprobs.take().map(parts::logprobs);
                if has_content {
                    chunks.text(index, TextMember::Content, &text, logprobs.as_ref(), out);
                    return;
                }
                chunks.hold_text(index, &text, logprobs.as_ref(), &mut choice.blank);
                if choice.blank.len() > MAX_HELD {
                    chunks.release(&mut choice.blank, out);
                }
            }
            Piece::Thought(text) => chunks.text(index, TextMember::Reasoning, &text, None, out),
            Piece::Call(call) => chunks.delta(index, &call_delta(call, context), out),
            Piece::Image(image) => {
                let images = Some([parts::image(image)]);
                chunks.delta(index, &Delta { images, ..Delta::default() }, out);
            }
            Piece::Audio(blob) => {
                let id = choice.audio_id.get_or_insert_with(|| ids.next("audio_"));
                let data = Some(blob.data.0);
                let audio = AudioAnswer { id: id.as_str().into(), data, expires_at: None, transcript: None };
                chunks.delta(index, &Delta { audio: Some(audio), ..Delta::default() }, out);
            }
        }
    }

    fn logprobs(&mut self, index: u32, logprobs: Vec<TokenLogprob<'_>>, out: &mut Vec<u8>) {
        self.chunks.delta_with(index, &Delta::default(), Some(&parts::logprobs(logprobs)), out);
    }

    fn end_candidate(
        &mut self,
        end: CandidateEnd,
        context: &ResponseContext,
        envelope: &Envelope,
        out: &mut Vec<u8>,
    ) {
        let CandidateEnd { index, call, extras, ending } = end;
        let Self { chunks, choices } = self;
        let Some(choice) = choices.iter_mut().find(|choice| choice.index == index) else { return };
        if !choice.held.is_empty() {
            let text = unfenced(Fragment::from(std::mem::take(&mut choice.held)));
            chunks.text(index, TextMember::Content, &as_declared(text, context), None, out);
        }
        chunks.release(&mut choice.blank, out);
        if let Some(call) = call {
            chunks.delta(index, &call_delta(call, context), out);
        }
        if let Some(refusal) = &ending.refusal {
            chunks.delta(index, &Delta { refusal: Some(refusal), ..Delta::default() }, out);
        }
        let (mut annotations, extra) = parts::extras(extras);
        for (place, annotation) in (0..).zip(&mut annotations) {
            annotation.index = Some(place);
        }
        let extra_content = extra.into_content();
        if extra_content.is_some() || !annotations.is_empty() {
            chunks.delta(index, &Delta { annotations, extra_content, ..Delta::default() }, out);
        }
        let reason = parts::finish_reason(ending.reason, context);
        chunks.finish(index, reason, ending.native.as_deref(), out);
        if let Some(id) = choice.audio_id.take() {
            let expires_at = Some(envelope.created_s + speech::LASTS_S);
            let audio = AudioAnswer { id: id.into(), data: None, expires_at, transcript: None };
            chunks.delta(index, &Delta { audio: Some(audio), ..Delta::default() }, out);
        }
    }

    fn block(&mut self, block: &PromptBlock, out: &mut Vec<u8>) {
        self.chunks.delta(0, &Delta { refusal: Some(&block.refusal), ..Delta::default() }, out);
        self.chunks.finish(0, "content_filter", Some(&block.reason), out);
    }

    fn end(&mut self, usage: Option<Usage>, out: &mut Vec<u8>) {
        self.chunks.end(usage.map(parts::usage), out);
    }

    fn restart(&mut self) {
        for choice in &mut self.choices {
            choice.held.clear();
            choice.blank = HeldEvents::default();
        }
    }

    fn events(&self) -> u64 {
        self.chunks.events()
    }

    fn deltas(&self) -> u64 {
        self.chunks.deltas()
    }

    fn error(error: &ApiError, out: &mut Vec<u8>) {
        error_event(error, out);
    }
}

#[cfg(test)]
mod tests;
