//! Stream pacing: re-chunks streamed text at an even rate, in pools with `pacing`.
//!
//! # Invariants
//! - Events are read ahead by a bounded amount, so that pacing does not slow Gemini down.
//! - Dropping a paced stream drops the [`EventStream`], and with it the upstream request.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::{Either, select};
use futures_util::stream;
use jiff::Timestamp;
use pool_shared::Pacing;

use super::event_stream::EventStream;
use crate::platform::{BoxedStream, Clock};
use crate::ports::Host;
use crate::reporting::RequestLog;
use pool_translate::ApiError;
use pool_translate::Pacer;
use pool_translate::openai::error_event;

/// The events of a response, as they are sent.
pub enum OutgoingEvents<H: Host> {
    /// As they arrive.
    Plain(Box<EventStream<H>>),
    /// At an even rate.
    Paced(Box<PacedStream<H>>),
}

impl<H: Host + Clone> OutgoingEvents<H> {
    /// Paces the events with the clock of `host`.
    #[must_use]
    pub(super) fn paced(self, pacing: Pacing, host: &H) -> Self {
        match self {
            Self::Plain(events) => Self::Paced(Box::new(PacedStream::new(*events, pacing, host.clone()))),
            paced @ Self::Paced(_) => paced,
        }
    }
}

impl<H: Host + Clone> OutgoingEvents<H> {
    /// Returns the next bytes for the client, whole events; `None` at the end.
    pub async fn next(&mut self) -> Option<Bytes> {
        match self {
            Self::Plain(events) => events.next().await,
            Self::Paced(events) => events.next().await,
        }
    }
}

impl<H: Host> OutgoingEvents<H> {
    /// Returns the event that ends the stream early, in place of events that are still held back.
    #[cfg_attr(target_arch = "wasm32", allow(dead_code, reason = "only the native host ends streams"))]
    pub(crate) fn cut(self, error: &ApiError) -> Bytes {
        match self {
            Self::Plain(events) => events.cut(error),
            Self::Paced(events) => {
                events.log.broke_off(error, events.host.clock().now());
                let mut event = Vec::new();
                error_event(error, &mut event);
                event.into()
            }
        }
    }
}

/// A stream that a [`Pacer`] delays.
pub struct PacedStream<H> {
    host: H,
    pacer: Pacer,
    /// `None` once it has ended. A `Stream`, because cancelling the wait for an item must lose nothing.
    source: Option<BoxedStream<Bytes>>,
    /// Arrival of the last events.
    arrived: Timestamp,
    /// Delay before the next events are sent.
    wait: Duration,
    log: RequestLog,
}

impl<H: Host + Clone> PacedStream<H> {
    fn new(events: EventStream<H>, pacing: Pacing, host: H) -> Self {
        let log = events.log();
        let source = stream::unfold(events, |mut events| async move {
            let bytes = events.next().await?;
            Some((bytes, events))
        });
        let arrived = host.clock().now();
        let (pacer, source) = (Pacer::new(pacing), Some(Box::pin(source) as BoxedStream<Bytes>));
        Self { host, pacer, source, arrived, wait: Duration::ZERO, log }
    }

    async fn next(&mut self) -> Option<Bytes> {
        let wait = std::mem::take(&mut self.wait);
        if !wait.is_zero() {
            self.read_for(wait).await;
        }
        loop {
            if let Some(piece) = self.pacer.next_piece() {
                self.wait = piece.wait;
                return Some(piece.events);
            }
            let events = self.source.as_mut()?.next().await;
            self.take(events);
        }
    }

    /// Reads ahead until the delay is over.
    async fn read_for(&mut self, wait: Duration) {
        let host = self.host.clone();
        let mut sleep = pin!(host.clock().sleep(wait));
        while let Some(source) = self.source.as_mut().filter(|_| !self.pacer.is_full()) {
            match select(&mut sleep, source.next()).await {
                Either::Left(_) => return,
                Either::Right((events, _)) => self.take(events),
            }
        }
        sleep.await;
    }

    fn take(&mut self, events: Option<Bytes>) {
        let Some(events) = events else {
            self.source = None;
            return self.pacer.end();
        };
        let now = self.host.clock().now();
        let after = now.duration_since(self.arrived).try_into().unwrap_or_default();
        self.arrived = now;
        self.pacer.push(&events, after);
    }
}
