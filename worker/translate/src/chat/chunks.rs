//! Writer of `chat.completion.chunk` events.
//!
//! The common part of all events is written once and copied, because this runs for every few words of a
//! response.

use std::io::Write;

use crate::json::Fragment;
use crate::json::escape;
use crate::openai::{Delta, LogProbs, UsageBody};

/// Which member of a delta a text is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum TextMember {
    Content,
    Reasoning,
}

/// Events that are written and not sent yet. They count when they are.
#[derive(Debug, Default)]
pub(crate) struct HeldEvents {
    bytes: Vec<u8>,
    events: u64,
}

impl HeldEvents {
    /// Returns how many bytes they take.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }
}

/// Room for a delta of some words and what is around it, in bytes.
const USUAL_DELTA: usize = 256;

/// The writer of one stream.
#[derive(Debug)]
pub(crate) struct ChunkWriter {
    /// `data: {"id":…,"choices":[`
    head: Vec<u8>,
    /// Whether the client wants the token counts: then every chunk has a `usage`, and only the last one's is not `null`.
    with_usage: bool,
    events: u64,
    deltas: u64,
}

impl ChunkWriter {
    pub(crate) fn new(with_usage: bool) -> Self {
        Self { head: Vec::new(), with_usage, events: 0, deltas: 0 }
    }

    /// Returns `true` if the common part is known.
    pub(crate) fn is_open(&self) -> bool {
        !self.head.is_empty()
    }

    pub(crate) fn open(&mut self, id: &str, created_s: u64, model: &str) {
        self.head.extend_from_slice(b"data: {\"id\":");
        json(&mut self.head, id);
        self.head.extend_from_slice(b",\"object\":\"chat.completion.chunk\",\"created\":");
        json(&mut self.head, &created_s);
        self.head.extend_from_slice(b",\"model\":");
        json(&mut self.head, model);
        self.head.extend_from_slice(b",\"choices\":[");
    }

    /// Returns how many events have been written.
    pub(crate) fn events(&self) -> u64 {
        self.events
    }

    /// Returns how many of them were more than a role.
    pub(crate) fn deltas(&self) -> u64 {
        self.deltas
    }

    pub(crate) fn role(&mut self, index: u32, out: &mut Vec<u8>) {
        self.begin(index, out);
        out.extend_from_slice(br#"{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]"#);
        self.close(out);
    }

    /// A delta of nothing but text, as nearly all are: `content` or `reasoning_content`.
    pub(crate) fn text(
        &mut self,
        index: u32,
        member: TextMember,
        text: &Fragment<'_>,
        logprobs: Option<&LogProbs<'_>>,
        out: &mut Vec<u8>,
    ) {
        self.begin(index, out);
        out.extend_from_slice(match member {
            TextMember::Content => b"{\"content\":".as_slice(),
            TextMember::Reasoning => b"{\"reasoning_content\":",
        });
        match text {
            Fragment::Raw(raw) => out.extend_from_slice(raw.get().as_bytes()),
            Fragment::Text(text) => escape::write(out, text),
        }
        out.push(b'}');
        self.end_delta(logprobs, out);
    }

    /// Writes a text for which the time to be sent may never come.
    pub(crate) fn hold_text(
        &mut self,
        index: u32,
        text: &Fragment<'_>,
        logprobs: Option<&LogProbs<'_>>,
        held: &mut HeldEvents,
    ) {
        let before = (self.events, self.deltas);
        self.text(index, TextMember::Content, text, logprobs, &mut held.bytes);
        (self.events, self.deltas) = before;
        held.events += 1;
    }

    /// Sends what was held.
    pub(crate) fn release(&mut self, held: &mut HeldEvents, out: &mut Vec<u8>) {
        let HeldEvents { mut bytes, events } = std::mem::take(held);
        out.append(&mut bytes);
        self.events += events;
        self.deltas += events;
    }

    pub(crate) fn delta(&mut self, index: u32, delta: &Delta<'_>, out: &mut Vec<u8>) {
        self.delta_with(index, delta, None, out);
    }

    pub(crate) fn delta_with(
        &mut self,
        index: u32,
        delta: &Delta<'_>,
        logprobs: Option<&LogProbs<'_>>,
        out: &mut Vec<u8>,
    ) {
        self.begin(index, out);
        json(out, delta);
        self.end_delta(logprobs, out);
    }

    fn end_delta(&mut self, logprobs: Option<&LogProbs<'_>>, out: &mut Vec<u8>) {
        match logprobs {
            None => out.extend_from_slice(br#","logprobs":null,"finish_reason":null}]"#),
            Some(logprobs) => {
                out.extend_from_slice(b",\"logprobs\":");
                json(out, logprobs);
                out.extend_from_slice(b",\"finish_reason\":null}]");
            }
        }
        self.close(out);
        self.deltas += 1;
    }

    pub(crate) fn finish(&mut self, index: u32, reason: &str, native: Option<&str>, out: &mut Vec<u8>) {
        self.begin(index, out);
        out.extend_from_slice(br#"{},"logprobs":null,"finish_reason":"#);
        json(out, reason);
        if let Some(native) = native {
            out.extend_from_slice(b",\"native_finish_reason\":");
            json(out, native);
        }
        out.extend_from_slice(b"}]");
        self.close(out);
        self.deltas += 1;
    }

    /// The token counts, if they are wanted and known, and `[DONE]`.
    pub(crate) fn end(&mut self, usage: Option<UsageBody>, out: &mut Vec<u8>) {
        if let Some(usage) = usage.filter(|_| self.with_usage) {
            out.extend_from_slice(&self.head);
            out.extend_from_slice(b"],\"usage\":");
            json(out, &usage);
            out.extend_from_slice(b"}\n\n");
            self.events += 1;
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }

    fn begin(&self, index: u32, out: &mut Vec<u8>) {
        // At once, not by doubling.
        out.reserve(self.head.len() + USUAL_DELTA);
        out.extend_from_slice(&self.head);
        out.extend_from_slice(b"{\"index\":");
        json(out, &index);
        out.extend_from_slice(b",\"delta\":");
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(if self.with_usage { b",\"usage\":null}\n\n".as_slice() } else { b"}\n\n" });
        self.events += 1;
    }
}

fn json<T: serde::Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    // Writing our own types into memory cannot fail.
    serde_json::to_writer(out.by_ref(), value).unwrap_or_default();
}
