//! A streamed answer, read event by event as a strict client does.

use std::collections::VecDeque;

use reqwest::Response;
use serde_json::Value;

/// One event of a stream.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A chunk of the answer.
    Chunk(Value),
    /// An error's envelope.
    Error(Value),
    /// `[DONE]`
    Done,
}

/// A stream that is being read. Dropped before its end, the connection closes.
pub struct Events {
    response: Response,
    unread: String,
    ready: VecDeque<Event>,
}

impl Events {
    #[track_caller]
    pub fn new(response: Response) -> Self {
        assert_eq!(response.status().as_u16(), 200);
        let kind = response.headers()["content-type"].to_str().unwrap();
        assert!(kind.starts_with("text/event-stream"), "{kind}");
        Self { response, unread: String::new(), ready: VecDeque::new() }
    }

    /// The next event; `None` at an end in good order.
    pub async fn next(&mut self) -> Option<Event> {
        while self.ready.is_empty() {
            let Some(bytes) = self.response.chunk().await.unwrap() else {
                assert_eq!(self.unread, "", "the stream ends within an event");
                return None;
            };
            // Whole events are sent at once, so no character is cut in two.
            self.unread.push_str(std::str::from_utf8(&bytes).unwrap());
            while let Some((event, rest)) = self.unread.split_once("\n\n") {
                self.ready.extend(parse(event));
                self.unread = rest.into();
            }
        }
        self.ready.pop_front()
    }

    /// Every event that is left.
    pub async fn rest(mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            events.push(event);
        }
        events
    }
}

/// One event; none for a comment.
fn parse(event: &str) -> Option<Event> {
    if event.starts_with(':') {
        return None;
    }
    let data = event.strip_prefix("data: ").expect("an event of one data line");
    assert!(!data.contains('\n'), "{data}");
    if data == "[DONE]" {
        return Some(Event::Done);
    }
    let value: Value = serde_json::from_str(data).unwrap();
    Some(if value.get("error").is_some() { Event::Error(value) } else { Event::Chunk(value) })
}

/// The text that the chunks make up.
pub fn text(events: &[Event]) -> String {
    let contents = events.iter().filter_map(|event| match event {
        Event::Chunk(chunk) => chunk["choices"][0]["delta"]["content"].as_str(),
        _ => None,
    });
    contents.collect()
}
