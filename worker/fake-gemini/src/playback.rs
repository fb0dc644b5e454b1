//! Response streams: framed, delayed, and truncated where the scenario says so.
//!
//! # Invariants
//! - Each frame is flushed by itself, as Gemini does. No frame waits for the next one.

use std::task::Poll;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;

use crate::answer::{Frames, Written};
use crate::counts::{Attempt, Tokens};
use crate::refusal::Refusal;

/// Framing of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// `data: {…}` with CRLF line endings, for `alt=sse`.
    Sse,
    /// `data: {…}`, and `data: [DONE]` at the end, as OpenAI sends it.
    OpenAi,
    /// One JSON array that spans the body.
    Array,
}

/// How a stream ends.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Ending {
    /// After all frames.
    Whole,
    /// After this many frames the connection closes.
    Cut(usize),
    /// After this many frames with an error event, then cleanly.
    ErrorEvent(usize, Refusal),
    /// After this many frames with an error as bare JSON, then cleanly.
    BareError(usize, Refusal),
    /// After this many frames cleanly, without a finish reason.
    Stop(usize),
}

/// Source of the frames.
pub(crate) enum Source {
    Frames(Box<Frames>, Framing),
    Wire(std::vec::IntoIter<String>, Tokens),
}

impl Source {
    /// Creates a source of raw strings and the tokens that they report.
    pub(crate) fn wire(strings: Vec<String>, tokens: Tokens) -> Self {
        Self::Wire(strings.into_iter(), tokens)
    }
}

/// Error that closes the connection on purpose.
#[derive(Debug, thiserror::Error)]
#[error("the scenario closes the connection here")]
struct Broken;

/// A response stream.
pub(crate) struct Playback {
    pub source: Source,
    pub ending: Ending,
    pub between_frames: Duration,
    pub attempt: Attempt,
}

struct State {
    playback: Playback,
    sent: usize,
    over: bool,
}

impl Playback {
    pub(crate) fn into_body(self) -> Body {
        let state = State { playback: self, sent: 0, over: false };
        Body::from_stream(stream::unfold(state, State::step))
    }
}

impl State {
    async fn step(mut self) -> Option<(Result<Bytes, Broken>, Self)> {
        if self.over {
            return None;
        }
        flushed().await;
        if self.sent > 0 && !self.playback.between_frames.is_zero() {
            tokio::time::sleep(self.playback.between_frames).await;
        }
        let item = self.next_item();
        self.sent += 1;
        self.playback.attempt.frame();
        item.map(|item| (item, self))
    }

    fn next_item(&mut self) -> Option<Result<Bytes, Broken>> {
        let first = self.sent == 0;
        match &self.playback.ending {
            Ending::Cut(after) if self.sent >= *after => Some(self.end_with(Err(Broken))),
            Ending::ErrorEvent(after, error) if self.sent >= *after => {
                let error = error_event(&self.playback.source, error, first);
                Some(self.end_with(Ok(error)))
            }
            Ending::BareError(after, error) if self.sent >= *after => {
                let error = bare_error(&self.playback.source, error, first);
                Some(self.end_with(Ok(error)))
            }
            Ending::Stop(after) if self.sent >= *after => self.stop(first).map(Ok),
            _ => self.next_frame(first),
        }
    }

    fn end_with(&mut self, item: Result<Bytes, Broken>) -> Result<Bytes, Broken> {
        self.over = true;
        self.playback.attempt.cut();
        item
    }

    /// Ends the stream cleanly without a finish reason; an array is still closed.
    fn stop(&mut self, first: bool) -> Option<Bytes> {
        self.over = true;
        self.playback.attempt.cut();
        match self.playback.source {
            Source::Frames(_, Framing::Array) if first => Some(Bytes::from_static(b"[]")),
            Source::Frames(_, Framing::Array) => Some(Bytes::from_static(b"]")),
            _ => None,
        }
    }

    fn next_frame(&mut self, first: bool) -> Option<Result<Bytes, Broken>> {
        let playback = &mut self.playback;
        match &mut playback.source {
            Source::Frames(frames, framing) => {
                let frame = frames.next()?;
                // A finish reason must not precede a planned ending.
                if frame.last && playback.ending != Ending::Whole {
                    playback.ending = match std::mem::replace(&mut playback.ending, Ending::Whole) {
                        Ending::Cut(_) => Ending::Cut(0),
                        Ending::ErrorEvent(_, error) => Ending::ErrorEvent(0, error),
                        Ending::BareError(_, error) => Ending::BareError(0, error),
                        Ending::Stop(_) | Ending::Whole => Ending::Stop(0),
                    };
                    return self.next_item();
                }
                playback.attempt.report(frame.tokens);
                if frame.last {
                    self.over = true;
                    playback.attempt.ok();
                }
                Some(Ok(wrap(&frame, *framing, first)))
            }
            Source::Wire(wire, tokens) => {
                let Some(next) = wire.next() else {
                    playback.attempt.ok();
                    return None;
                };
                if wire.as_slice().is_empty() && playback.ending == Ending::Whole {
                    self.over = true;
                    playback.attempt.report(*tokens);
                    playback.attempt.ok();
                }
                Some(Ok(Bytes::from(next)))
            }
        }
    }
}

/// Yields until the server has written its buffer, before the next frame is made.
async fn flushed() {
    let mut waited = false;
    std::future::poll_fn(|context| {
        if waited {
            return Poll::Ready(());
        }
        waited = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

fn wrap(frame: &Written, framing: Framing, first: bool) -> Bytes {
    let (before, after): (&[u8], &[u8]) = match (framing, first, frame.last) {
        (Framing::Sse, _, _) => (b"data: ", b"\r\n\r\n"),
        (Framing::OpenAi, _, false) => (b"data: ", b"\n\n"),
        (Framing::OpenAi, _, true) => (b"data: ", b"\n\ndata: [DONE]\n\n"),
        (Framing::Array, true, false) => (b"[", b"\n"),
        (Framing::Array, true, true) => (b"[", b"\n]"),
        (Framing::Array, false, false) => (b",\r\n", b"\n"),
        (Framing::Array, false, true) => (b",\r\n", b"\n]"),
    };
    let mut bytes = Vec::with_capacity(before.len() + frame.json.len() + after.len());
    bytes.extend_from_slice(before);
    bytes.extend_from_slice(&frame.json);
    bytes.extend_from_slice(after);
    Bytes::from(bytes)
}

fn error_event(source: &Source, error: &Refusal, first: bool) -> Bytes {
    match source {
        Source::Frames(_, Framing::Array) => bare_error(source, error, first),
        _ => Bytes::from(format!("data: {}\r\n\r\n", error.compact())),
    }
}

fn bare_error(source: &Source, error: &Refusal, first: bool) -> Bytes {
    let body = error.body(false);
    Bytes::from(match source {
        Source::Frames(_, Framing::Array) if first => format!("[{body}]"),
        Source::Frames(_, Framing::Array) => format!(",\r\n{body}]"),
        _ => body,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::{Chat, Speech};
    use crate::counts::{Counters, Purpose, Tally};
    use crate::refusal;
    use crate::scenario::Answer;
    use futures_util::StreamExt as _;

    struct Played {
        chunks: Vec<String>,
        broken: bool,
        tally: Tally,
    }

    /// Plays "You said: hi" in three frames of text and one with the finish reason.
    async fn play(framing: Framing, ending: Ending) -> Played {
        let counters = Counters::default();
        let request = crate::request::parse(r#"{"contents": [{"parts": [{"text": "hi"}]}]}"#).unwrap();
        let chat = Chat::new("r".into(), "m", &request, &Answer::default(), Speech::Text);
        let playback = Playback {
            source: Source::Frames(Box::new(chat.into_frames()), framing),
            ending,
            between_frames: Duration::ZERO,
            attempt: counters.begin(Purpose::Serve, "k", "m"),
        };
        let mut stream = playback.into_body().into_data_stream();
        let mut chunks = Vec::new();
        let mut broken = false;
        while let Some(chunk) = stream.next().await {
            match chunk {
                Ok(chunk) => chunks.push(String::from_utf8(chunk.to_vec()).unwrap()),
                Err(_) => broken = true,
            }
        }
        Played { chunks, broken, tally: counters.read().total() }
    }

    #[tokio::test]
    async fn frames_are_events_with_crlf() {
        let played = play(Framing::Sse, Ending::Whole).await;
        assert_eq!(played.chunks.len(), 4);
        assert!(
            played.chunks.iter().all(|c| c.starts_with("data: {\"candidates\"") && c.ends_with("}\r\n\r\n"))
        );
        assert!(played.chunks[3].contains("\"finishReason\":\"STOP\""));
        assert_eq!((played.tally.ok, played.tally.tokens), (1, Tokens { prompt: 1, completion: 3 }));
    }

    #[tokio::test]
    async fn without_sse_the_body_is_an_array() {
        for ending in
            [Ending::Whole, Ending::Stop(0), Ending::Stop(2), Ending::ErrorEvent(1, refusal::overloaded())]
        {
            let played = play(Framing::Array, ending.clone()).await;
            let body: Vec<serde_json::Value> = serde_json::from_str(&played.chunks.concat()).unwrap();
            let expected = match ending {
                Ending::Whole => 4,
                Ending::Stop(after) => after,
                _ => 2,
            };
            assert_eq!(body.len(), expected, "{ending:?}");
        }
    }

    #[tokio::test]
    async fn the_connection_closes_after_the_configured_frames() {
        for (after, frames) in [(0, 0), (2, 2), (9, 3)] {
            let played = play(Framing::Sse, Ending::Cut(after)).await;
            assert_eq!((played.chunks.len(), played.broken), (frames, true));
            assert!(!played.chunks.concat().contains("finishReason"));
            assert_eq!((played.tally.cut, played.tally.ok, played.tally.left), (1, 0, 0));
        }
        let played = play(Framing::Sse, Ending::Cut(2)).await;
        assert_eq!(played.tally.tokens_cut, Tokens { prompt: 1, completion: 2 });
    }

    #[tokio::test]
    async fn errors_end_a_stream_in_two_shapes() {
        let played = play(Framing::Sse, Ending::ErrorEvent(1, refusal::overloaded())).await;
        assert!(!played.broken && played.chunks.len() == 2);
        assert!(played.chunks[1].starts_with("data: {\"error\":{\"code\":503"), "{}", played.chunks[1]);
        let played = play(Framing::Sse, Ending::BareError(1, refusal::overloaded())).await;
        assert!(played.chunks[1].starts_with("{\n  \"error\": {\n"), "{}", played.chunks[1]);
        assert_eq!(played.tally.cut, 1);
    }

    #[tokio::test]
    async fn a_client_that_disconnects_counts_as_left() {
        let counters = Counters::default();
        let playback = Playback {
            source: Source::wire(vec!["a".to_owned(), "b".to_owned()], Tokens::default()),
            ending: Ending::Whole,
            between_frames: Duration::ZERO,
            attempt: counters.begin(Purpose::Serve, "k", "m"),
        };
        let mut stream = playback.into_body().into_data_stream();
        assert_eq!(stream.next().await.unwrap().unwrap(), "a");
        assert_eq!(counters.read().total().in_flight, 1);
        drop(stream);
        assert_eq!(counters.read().total().left, 1);
    }
}
