//! Pacing: re-chunks the bursts that Gemini sends into text at an even rate.
//!
//! Takes whole events of a converted stream and the time since the event before. Returns the same events
//! one by one, those with text in several pieces, each with the delay after it. There is no clock here.
//! The pending text is spread over the time that Gemini recently took for its next burst: little text is
//! sent slowly, more text faster, and in larger pieces once the minimum delay is reached.
//!
//! # Invariants
//! - The client assembles the same response as without pacing.
//! - No grapheme is split.
//! - The delay does not grow from burst to burst.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use pool_shared::{Pacing, PacingUnit};
use serde::Deserialize;
use serde_json::value::RawValue;
use unicode_segmentation::UnicodeSegmentation;

/// What a burst is thought to take before one was seen.
const USUAL_GAP: Duration = Duration::from_millis(250);
/// Between these, what a burst took is taken for Gemini's pace. So no text waits longer than the second of them.
const MIN_GAP: Duration = Duration::from_millis(50);
const MAX_GAP: Duration = Duration::from_millis(1_500);
/// What is left when Gemini has ended goes out within this time.
const LAST_WORDS: Duration = Duration::from_millis(300);
/// With so many bytes waiting, no more are to be read.
const MAX_PENDING: usize = 64 * 1024;

/// Paces one stream; see the module.
#[derive(Debug)]
pub struct Pacer {
    pacing: Pacing,
    waiting: VecDeque<Item>,
    /// Bytes of the events that wait.
    bytes: usize,
    /// Graphemes of text that wait.
    graphemes: usize,
    /// How long a burst takes to come, on the average of the last ones.
    gap: Duration,
    ended: bool,
    /// How many graphemes a piece has, and how long to wait after it.
    size: usize,
    delay: Duration,
}

/// What to send now, and how long to wait before the next piece.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PacedPiece {
    /// Whole events.
    pub events: Bytes,
    /// Nothing after the last words.
    pub wait: Duration,
}

#[derive(Debug)]
enum Item {
    /// An event that goes out as it is.
    Whole(Bytes),
    Text(TextEvent),
}

/// An event of which nothing but the text is of interest.
#[derive(Debug)]
struct TextEvent {
    event: Bytes,
    /// Where its text is, in JSON and with quotes.
    place: Range<usize>,
    text: String,
    /// How many bytes of the text have been sent.
    sent: usize,
    /// Graphemes that have not.
    left: usize,
}

impl Pacer {
    /// Nothing waits yet.
    #[must_use]
    pub fn new(pacing: Pacing) -> Self {
        Self {
            pacing,
            waiting: VecDeque::new(),
            bytes: 0,
            graphemes: 0,
            gap: USUAL_GAP,
            ended: false,
            size: 1,
            delay: Duration::ZERO,
        }
    }

    /// Takes whole events that came `after` the ones before them.
    pub fn push(&mut self, events: &Bytes, after: Duration) {
        self.gap = (self.gap * 3 + after.clamp(MIN_GAP, MAX_GAP)) / 4;
        let mut start = 0;
        while start < events.len() {
            let rest = events.get(start..).unwrap_or_default();
            let length = memchr::memmem::find(rest, b"\n\n").map_or(rest.len(), |end| end + 2);
            self.bytes += length;
            let item = Item::of(events.slice(start..start + length));
            if let Item::Text(event) = &item {
                self.graphemes += event.left;
            }
            self.waiting.push_back(item);
            start += length;
        }
        self.plan();
    }

    /// No more will come.
    pub fn end(&mut self) {
        self.ended = true;
        self.plan();
    }

    /// Returns `true` if so much waits that no more is to be read.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.bytes >= MAX_PENDING
    }

    /// Returns what to send now; `None` when nothing waits. What holds no text to be paced goes along.
    pub fn next_piece(&mut self) -> Option<PacedPiece> {
        let mut events = Vec::new();
        let mut room = self.size;
        while room > 0
            && let Some(item) = self.waiting.front_mut()
        {
            let length = match item {
                Item::Whole(event) => {
                    events.extend_from_slice(event);
                    event.len()
                }
                Item::Text(event) => {
                    let taken = event.take(room, &mut events);
                    room -= taken;
                    self.graphemes -= taken;
                    if event.left > 0 {
                        break;
                    }
                    event.event.len()
                }
            };
            self.bytes -= length;
            self.waiting.pop_front();
        }
        let over = self.ended && self.graphemes == 0;
        let wait = if over || room == self.size { Duration::ZERO } else { self.delay };
        (!events.is_empty()).then(|| PacedPiece { events: events.into(), wait })
    }

    /// Decides how to send what waits, so that it is gone when the next burst is due.
    fn plan(&mut self) {
        let time = if self.ended { self.gap.min(LAST_WORDS) } else { self.gap };
        let millis = |delay: u16| Duration::from_millis(delay.into());
        let (shortest, longest) = (millis(self.pacing.min_delay_ms), millis(self.pacing.max_delay_ms));
        let wanted = wanted_size(self.pacing.by, self.graphemes);
        let pieces = self.graphemes.div_ceil(wanted).max(1);
        self.delay = (time / u32::try_from(pieces).unwrap_or(u32::MAX)).max(shortest).min(longest);
        let most = time.as_micros().checked_div(self.delay.as_micros()).unwrap_or_default();
        let most = usize::try_from(most).unwrap_or(usize::MAX).max(1);
        self.size = wanted.max(self.graphemes.div_ceil(most));
    }
}

/// Returns how many graphemes make a piece while there is time.
fn wanted_size(by: PacingUnit, waiting: usize) -> usize {
    match (by, waiting) {
        (PacingUnit::Characters, _) | (PacingUnit::Batches, 0) => 1,
        (PacingUnit::Batches, 1..=50) => 2,
        (PacingUnit::Batches, 51..=100) => 3,
        (PacingUnit::Batches, 101..=200) => 4,
        (PacingUnit::Batches, _) => 6,
    }
}

impl Item {
    fn of(event: Bytes) -> Self {
        let Some((place, text)) = text_in(&event) else { return Self::Whole(event) };
        let left = text.graphemes(true).count();
        Self::Text(TextEvent { event, place, text, sent: 0, left })
    }
}

impl TextEvent {
    /// Writes the next graphemes, `most` at most, as an event of their own and tells how many they are.
    fn take(&mut self, most: usize, out: &mut Vec<u8>) -> usize {
        let rest = self.text.get(self.sent..).unwrap_or_default();
        let taken = self.left.min(most);
        let length = if taken == self.left {
            rest.len()
        } else {
            rest.grapheme_indices(true).nth(taken).map_or(rest.len(), |(end, _)| end)
        };
        out.extend_from_slice(self.event.get(..self.place.start).unwrap_or_default());
        // Writing a string into memory cannot fail.
        serde_json::to_writer(&mut *out, rest.get(..length).unwrap_or_default()).unwrap_or_default();
        out.extend_from_slice(self.event.get(self.place.end..).unwrap_or_default());
        self.sent += length;
        self.left -= taken;
        taken
    }
}

/// What of a chunk decides whether it can be sent in pieces.
#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow)]
    choices: [Choice<'a>; 1],
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow)]
    delta: Delta<'a>,
    #[serde(borrow)]
    logprobs: Option<&'a RawValue>,
    #[serde(borrow)]
    finish_reason: Option<&'a RawValue>,
}

/// Anything beside the text (a role, a call, a signature) belongs to all of it and is sent once.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Delta<'a> {
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning_content: Option<&'a RawValue>,
}

/// Returns where the text of an event is, and what it says; `None` for an event that is to be sent as it is.
fn text_in(event: &[u8]) -> Option<(Range<usize>, String)> {
    let json = std::str::from_utf8(event.strip_prefix(b"data: ")?).ok()?;
    let chunk: Chunk = serde_json::from_str(json).ok()?;
    let [Choice { delta, logprobs: None, finish_reason: None }] = chunk.choices else { return None };
    let raw = match (delta.content, delta.reasoning_content) {
        (Some(text), None) | (None, Some(text)) => text.get(),
        _ => return None,
    };
    let start = raw.as_ptr().addr().checked_sub(event.as_ptr().addr())?;
    Some((start..start + raw.len(), serde_json::from_str(raw).ok()?))
}

#[cfg(test)]
mod tests;
