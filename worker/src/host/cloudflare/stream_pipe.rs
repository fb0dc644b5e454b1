//! Pipe that sends a streamed response to the client.
//!
//! The pipe's readable end is the response's body. A task in `waitUntil` writes into the other end.
//! `Response::from_stream` is not used: when a client leaves, the runtime never drops the Rust stream
//! behind it, so its connection to Gemini stays open and its memory is lost. Here a write fails
//! instead, the stream is dropped, and the connection is closed.

use wasm_bindgen_futures::JsFuture;
use worker::js_sys::{Array, Function, Reflect, Uint8Array, global};
use worker::wasm_bindgen::{JsCast, JsValue};
use worker::web_sys::{ReadableStream, TransformStream, WritableStreamDefaultWriter};

use super::CloudflareHost;
use crate::gateway::OutgoingEvents;

/// Makes a pipe. The runtime's own `IdentityTransformStream` moves bytes without running JavaScript
/// for each chunk, as an empty `TransformStream` would.
pub(super) fn pipe() -> worker::Result<(ReadableStream, WritableStreamDefaultWriter)> {
    let constructor: Function =
        Reflect::get(&global(), &JsValue::from_str("IdentityTransformStream"))?.dyn_into()?;
    let pipe: TransformStream = Reflect::construct(&constructor, &Array::new())?.unchecked_into();
    Ok((pipe.readable(), pipe.writable().get_writer()?))
}

/// Sends every event, until the end or until the client is gone.
pub(super) async fn run(mut events: OutgoingEvents<CloudflareHost>, writer: &WritableStreamDefaultWriter) {
    while let Some(bytes) = events.next().await {
        let chunk = Uint8Array::from(bytes.as_ref());
        if JsFuture::from(writer.write_with_chunk(&chunk)).await.is_err() {
            return;
        }
    }
    // Closing fails when the client left after the last event: nothing is lost by it.
    let _ = JsFuture::from(writer.close()).await;
}
