//! Workers KV.

use serde::{Deserialize, Serialize};
use wasm_bindgen_futures::JsFuture;
use worker::js_sys::{Reflect, Uint8Array};
use worker::kv::KvStore as Namespace;
use worker::wasm_bindgen::{JsCast, JsValue};
use worker::web_sys::{ReadableStream, ReadableStreamDefaultReader};

use crate::store::kv::{Kv, KvError, KvNames, KvRead, Part};

/// A KV namespace.
pub struct WorkersKv(Namespace);

/// What is beside a value: it is known before the value is read.
#[derive(Serialize, Deserialize)]
struct Metadata {
    version: u64,
}

impl WorkersKv {
    pub(super) const fn new(namespace: Namespace) -> Self {
        Self(namespace)
    }
}

impl Kv for WorkersKv {
    async fn get(&self, name: &str, held: Option<u64>, part: Part) -> Result<KvRead, KvError> {
        let found =
            self.0.get(name).stream_with_metadata::<Metadata>().await.map_err(|error| kv_error(&error))?;
        let (Some(stream), metadata) = found else { return Ok(KvRead::Missing) };
        let version = metadata.map_or(0, |metadata| metadata.version);
        if held.is_some_and(|held| version <= held) {
            // A stream that is not read to its end must be told. It tells nothing back.
            let _ = stream.cancel();
            return Ok(KvRead::NotNewer);
        }
        Ok(KvRead::Found { version, text: read(stream, part).await.map_err(|error| js_error(&error))? })
    }

    async fn put(&self, name: &str, text: &str, version: u64) -> Result<(), KvError> {
        // As bytes: a text would be copied into JavaScript's own form and back.
        let put = self.0.put_bytes(name, text.as_bytes()).and_then(|put| put.metadata(Metadata { version }));
        put.map_err(|error| kv_error(&error))?.execute().await.map_err(|error| kv_error(&error))
    }

    async fn delete(&self, name: &str) -> Result<(), KvError> {
        self.0.delete(name).await.map_err(|error| kv_error(&error))
    }

    async fn list(&self, prefix: &str, cursor: Option<&str>) -> Result<KvNames, KvError> {
        let list = self.0.list().prefix(prefix.to_owned());
        let list = match cursor {
            Some(cursor) => list.cursor(cursor.to_owned()),
            None => list,
        };
        let page = list.execute().await.map_err(|error| kv_error(&error))?;
        let named = page.keys.into_iter().map(|key| {
            let metadata = key.metadata.and_then(|metadata| serde_json::from_value(metadata).ok());
            (key.name, metadata.map_or(0, |metadata: Metadata| metadata.version))
        });
        Ok(KvNames { names: named.collect(), cursor: page.cursor.filter(|_| !page.list_complete) })
    }
}

async fn read(stream: ReadableStream, part: Part) -> Result<String, JsValue> {
    let reader: ReadableStreamDefaultReader = stream.get_reader().unchecked_into();
    let mut bytes = Vec::new();
    loop {
        let chunk = JsFuture::from(reader.read()).await?;
        if Reflect::get(&chunk, &JsValue::from_str("done"))?.is_truthy() {
            break;
        }
        let chunk: Uint8Array = Reflect::get(&chunk, &JsValue::from_str("value"))?.unchecked_into();
        bytes.extend(chunk.to_vec());
        let end = bytes.iter().rposition(|byte| *byte == b'\n').filter(|_| part == Part::FirstLine);
        if end.is_some() {
            // As above: nobody reads on.
            let _ = reader.cancel();
            break;
        }
    }
    if part == Part::FirstLine {
        let length = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
        bytes.truncate(length);
    }
    String::from_utf8(bytes).map_err(|_| JsValue::from_str("the value is not a text"))
}

fn kv_error(error: &worker::kv::KvError) -> KvError {
    match error {
        worker::kv::KvError::JavaScript(error) => js_error(error),
        other => KvError(other.to_string()),
    }
}

fn js_error(error: &JsValue) -> KvError {
    let message =
        error.as_string().or_else(|| Reflect::get(error, &JsValue::from_str("message")).ok()?.as_string());
    KvError(message.unwrap_or_else(|| "unknown error".to_owned()))
}
