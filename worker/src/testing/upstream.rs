//! A scripted Gemini, and an internet of pages by URL.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use url::Url;

use super::ManualClock;
use crate::platform::{
    Clock, JSON, MediaFetch, MediaResponse, Upstream, UpstreamBody, UpstreamError, UpstreamRequest,
    UpstreamResponse,
};

/// A scripted Gemini: one response per call, in order; the last one is repeated.
pub struct FakeUpstream {
    /// It can be called from another region.
    pub elsewhere: AtomicBool,
    pub(super) script: Mutex<VecDeque<FakeAnswer>>,
    /// Responds by request, in place of the script.
    pub(super) responder: Mutex<Option<Responder>>,
    pub requests: Mutex<Vec<UpstreamRequest>>,
    pub(super) clock: Arc<ManualClock>,
}

pub(super) type Responder = Arc<dyn Fn(&UpstreamRequest) -> FakeAnswer + Send + Sync>;

/// A scripted response.
#[derive(Clone, Default)]
pub struct FakeAnswer {
    pub status: u16,
    /// Time to its headers.
    pub after: Duration,
    /// The chunks of the body, each with its delay.
    pub pieces: Vec<(Duration, &'static [u8])>,
    /// It never ends after its chunks.
    pub endless: bool,
}

impl FakeUpstream {
    /// Clears the script.
    pub fn clear(&self) {
        self.script.lock().unwrap().clear();
    }

    pub fn answer(&self, status: u16, body: &'static str) {
        self.answer_so(FakeAnswer {
            status,
            pieces: vec![(Duration::ZERO, body.as_bytes())],
            ..FakeAnswer::default()
        });
    }

    /// Responds to each request by a function.
    pub fn answer_by(&self, respond: impl Fn(&UpstreamRequest) -> FakeAnswer + Send + Sync + 'static) {
        *self.responder.lock().unwrap() = Some(Arc::new(respond));
    }

    pub fn answer_so(&self, answer: FakeAnswer) {
        self.script.lock().unwrap().push_back(answer);
    }
}

impl Upstream for FakeUpstream {
    type Body = FakeBody;

    fn has_elsewhere(&self) -> bool {
        self.elsewhere.load(Ordering::SeqCst)
    }

    async fn send(&self, request: UpstreamRequest) -> Result<UpstreamResponse<FakeBody>, UpstreamError> {
        let responder = self.responder.lock().unwrap().clone();
        let answered = responder.map(|respond| respond(&request));
        self.requests.lock().unwrap().push(request);
        let answer = answered.or_else(|| {
            let mut script = self.script.lock().unwrap();
            if script.len() > 1 { script.pop_front() } else { script.front().cloned() }
        });
        let answer = answer.ok_or_else(|| UpstreamError::Connect("no script".to_owned()))?;
        if !answer.after.is_zero() {
            self.clock.sleep(answer.after).await;
        }
        let pieces = answer.pieces.iter().map(|(after, piece)| (*after, Bytes::from_static(piece))).collect();
        let body = FakeBody { pieces, endless: answer.endless, clock: Some(Arc::clone(&self.clock)) };
        let status = StatusCode::from_u16(answer.status).unwrap();
        Ok(UpstreamResponse { status, content_type: Some(JSON), retry_after: None, body })
    }
}

#[derive(Default)]
pub struct FakeBody {
    pieces: VecDeque<(Duration, Bytes)>,
    endless: bool,
    clock: Option<Arc<ManualClock>>,
}

impl UpstreamBody for FakeBody {
    async fn chunk(&mut self) -> Result<Option<Bytes>, UpstreamError> {
        let Some((after, _)) = self.pieces.front() else {
            return if self.endless { std::future::pending().await } else { Ok(None) };
        };
        if let Some(clock) = self.clock.as_ref().filter(|_| !after.is_zero()) {
            let after = *after;
            // A wait that is interrupted continues; it does not start again.
            if let Some((left, _)) = self.pieces.front_mut() {
                let end = clock.now() + after;
                let clock = Arc::clone(clock);
                std::future::poll_fn(move |_| {
                    *left = end.duration_since(clock.now()).try_into().unwrap_or_default();
                    if left.is_zero() { Poll::Ready(()) } else { Poll::Pending }
                })
                .await;
            }
        }
        Ok(self.pieces.pop_front().map(|(_, piece)| piece))
    }
}

/// The response of a web server to one URL.
#[derive(Clone, Default)]
pub struct FakePage {
    /// 0 for a server that never responds.
    pub status: u16,
    pub location: Option<String>,
    pub content_type: Option<&'static str>,
    pub content_length: Option<u64>,
    pub body: Bytes,
}

/// The internet: pages by URL. Other URLs are unreachable.
#[derive(Default)]
pub struct FakeInternet {
    pub pages: Mutex<BTreeMap<String, FakePage>>,
    /// The requested URLs.
    pub asked: Mutex<Vec<String>>,
}

impl MediaFetch for FakeInternet {
    type Body = FakeBody;

    async fn get(&self, url: &Url) -> Result<MediaResponse<FakeBody>, UpstreamError> {
        self.asked.lock().unwrap().push(url.to_string());
        let page = self.pages.lock().unwrap().get(url.as_str()).cloned();
        let page = page.ok_or_else(|| UpstreamError::Connect("10.0.0.1 refuses".to_owned()))?;
        if page.status == 0 {
            return std::future::pending().await;
        }
        Ok(MediaResponse {
            status: StatusCode::from_u16(page.status).unwrap(),
            location: page.location,
            content_type: page.content_type.map(ToOwned::to_owned),
            content_length: page.content_length,
            body: FakeBody { pieces: [(Duration::ZERO, page.body)].into(), ..FakeBody::default() },
        })
    }
}
