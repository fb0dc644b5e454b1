//! A streamed response, parsed by event as strictly as a client.

use std::collections::VecDeque;

use reqwest::Response;
use serde_json::Value;

/// An event of a stream.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A chunk of the response.
    Chunk(Value),
    /// An error.
    Error(Value),
    /// `[DONE]`
    Done,
}

/// A stream. Dropping it before its end closes the connection.
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

    /// Returns the next event; `None` after a clean end.
    pub async fn next(&mut self) -> Option<Event> {
        while self.ready.is_empty() {
            let Some(bytes) = self.response.chunk().await.unwrap() else {
                assert_eq!(self.unread, "", "the stream ends within an event");
                return None;
            };
            // Events are sent whole, so no character is split.
            self.unread.push_str(std::str::from_utf8(&bytes).unwrap());
            while let Some((event, rest)) = self.unread.split_once("\n\n") {
                self.ready.extend(parse(event));
                self.unread = rest.into();
            }
        }
        self.ready.pop_front()
    }

    /// Returns all remaining events.
    pub async fn rest(mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            events.push(event);
        }
        events
    }
}

/// Parses one event; `None` for a comment.
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

/// Returns the text of all chunks.
pub fn text(events: &[Event]) -> String {
    let contents = events.iter().filter_map(|event| match event {
        Event::Chunk(chunk) => chunk["choices"][0]["delta"]["content"].as_str(),
        _ => None,
    });
    contents.collect()
}
