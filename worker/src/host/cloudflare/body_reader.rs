//! Read-ahead buffer for the body of an upstream response, which batches small chunks.
//!
//! It reads a stream of the runtime and returns everything that arrived since the last read, in one
//! piece. A chunk costs one call into JavaScript and one out of it, without a Rust promise or a
//! timer. The bytes of a batch are processed together.
//!
//! # Invariants
//!
//! - A chunk is not kept back while no other chunk arrives.
//! - Reading ahead stops at [`FULL`] bytes, so that a slow client slows the upstream down.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use wasm_bindgen::prelude::Closure;
use worker::Delay;
use worker::js_sys::{Date, Error, IteratorNext, Uint8Array};
use worker::wasm_bindgen::{JsCast, JsValue};
use worker::web_sys::{ReadableStream, ReadableStreamDefaultReader};

/// What comes sooner than this after other bytes were taken waits for the rest of it, and travels with what else
/// comes. People do not see five milliseconds, and Gemini's events come some tens of milliseconds apart: none of
/// those waits.
const GATHER_MS: f64 = 5.0;
/// With so many bytes at hand nothing is waited for, and nothing more is read before they are taken.
const FULL: usize = 64 * 1024;

/// What the runtime calls with the outcome of a read.
type Callback = Closure<dyn FnMut(JsValue)>;

/// The bytes of a stream, as they come.
pub(super) struct BodyReader(Rc<State>);

struct State {
    reader: ReadableStreamDefaultReader,
    /// For a chunk and for an error. They hold this state, which holds them, as long as there is something to read.
    callbacks: RefCell<Option<(Callback, Callback)>>,
    /// Whether one of them is to be called.
    is_reading: Cell<bool>,
    contents: RefCell<Contents>,
}

#[derive(Default)]
struct Contents {
    bytes: Vec<u8>,
    /// How the stream ended, once it has.
    end: Option<Result<(), String>>,
    /// Who waits, and for how many bytes.
    waiting: Option<(usize, Waker)>,
    /// When bytes were last taken, in milliseconds.
    taken: f64,
}

impl Contents {
    fn has(&self, length: usize) -> bool {
        self.bytes.len() >= length || self.end.is_some()
    }
}

impl BodyReader {
    /// Begins to read.
    pub(super) fn new(stream: &ReadableStream) -> Self {
        let state = Rc::new(State {
            reader: stream.get_reader().unchecked_into(),
            callbacks: RefCell::default(),
            is_reading: Cell::default(),
            contents: RefCell::default(),
        });
        let (on_chunk, on_error) = (Rc::clone(&state), Rc::clone(&state));
        *state.callbacks.borrow_mut() = Some((
            Closure::new(move |read: JsValue| on_chunk.received(read.unchecked_ref())),
            Closure::new(move |error: JsValue| on_error.ended(Err(message(&error)))),
        ));
        state.read();
        Self(state)
    }

    /// Returns what has come since the last time; `None` at the end.
    pub(super) async fn take(&self) -> Result<Option<Bytes>, String> {
        self.wait_for(1).await;
        let rest = self.0.contents.borrow().taken + GATHER_MS - Date::now();
        if rest >= 1.0 {
            let mut full = pin!(self.wait_for(FULL));
            let mut over = pin!(Delay::from(Duration::from_secs_f64(rest / 1_000.0)));
            poll_fn(|context| match full.as_mut().poll(context) {
                Poll::Ready(()) => Poll::Ready(()),
                Poll::Pending => over.as_mut().poll(context),
            })
            .await;
        }
        let (bytes, end) = {
            let mut contents = self.0.contents.borrow_mut();
            contents.taken = Date::now();
            (std::mem::take(&mut contents.bytes), contents.end.clone())
        };
        if bytes.is_empty() {
            return end.unwrap_or(Ok(())).map(|()| None);
        }
        self.0.read();
        Ok(Some(bytes.into()))
    }

    /// Waits for so many bytes, or for the end.
    async fn wait_for(&self, length: usize) {
        poll_fn(|context| {
            let mut contents = self.0.contents.borrow_mut();
            if contents.has(length) {
                contents.waiting = None;
                return Poll::Ready(());
            }
            contents.waiting = Some((length, context.waker().clone()));
            Poll::Pending
        })
        .await;
    }
}

impl Drop for BodyReader {
    fn drop(&mut self) {
        *self.0.contents.borrow_mut() = Contents { end: Some(Ok(())), ..Contents::default() };
        // A read that is under way still calls one of them, which then lets go of both.
        if !self.0.is_reading.get() {
            self.0.callbacks.take();
        }
    }
}

impl State {
    /// Asks for the next chunk, unless that was done, there is enough, or there are none.
    fn read(&self) {
        let is_enough = self.contents.borrow().has(FULL);
        if let Some((on_chunk, on_error)) = self.callbacks.borrow().as_ref().filter(|_| !is_enough)
            && !self.is_reading.replace(true)
        {
            let _ = self.reader.read().then2(on_chunk, on_error);
        }
    }

    fn received(&self, read: &IteratorNext) {
        if read.done() {
            return self.ended(Ok(()));
        }
        if self.contents.borrow().end.is_some() {
            // Nobody wants it any more.
            return self.ended(Ok(()));
        }
        let chunk: Uint8Array = read.value().unchecked_into();
        self.is_reading.set(false);
        self.append(&chunk);
        self.read();
        self.wake();
    }

    fn append(&self, chunk: &Uint8Array) {
        let bytes = &mut self.contents.borrow_mut().bytes;
        let begin = bytes.len();
        bytes.resize(begin + chunk.length() as usize, 0);
        if let Some(place) = bytes.get_mut(begin..) {
            chunk.copy_to(place);
        }
    }

    fn ended(&self, end: Result<(), String>) {
        self.is_reading.set(false);
        self.callbacks.take();
        self.contents.borrow_mut().end.get_or_insert(end);
        self.wake();
    }

    /// Wakes whoever waits for what is there now.
    fn wake(&self) {
        let mut contents = self.contents.borrow_mut();
        if let Some((length, _)) = &contents.waiting
            && contents.has(*length)
            && let Some((_, waker)) = contents.waiting.take()
        {
            drop(contents);
            waker.wake();
        }
    }
}

fn message(error: &JsValue) -> String {
    error.dyn_ref::<Error>().map_or_else(|| "unknown error".to_owned(), |error| error.message().into())
}
