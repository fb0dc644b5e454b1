//! The Worker's entry point.

use std::cell::{Cell, OnceCell};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{LocalBoxFuture, join};
use futures_util::{FutureExt, StreamExt};
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use worker::js_sys::{Date, Uint8Array};
use worker::wasm_bindgen_futures::JsFuture;
use worker::web_sys::WritableStream;
use worker::{
    ByteStream, Context, Env, Headers, Request, RequestInit, Response, ScheduleContext, ScheduledEvent,
    event, web_sys,
};

use super::config_object::ConfigStub;
use super::js_bridge::{self, RequestHead};
use super::store::{Choice, CloudflareReader, CloudflareSql, d1_store};
use super::{CloudflareHost, SystemRandom, stream_pipe};
use crate::admin::AdminError;
use crate::gateway::{Reply, Streamed};
use crate::limits;
use crate::liveness::Probe;
use crate::origin::Origin;
use crate::platform::Platform;
use crate::platform::{CLIENT_ADDRESS, Clock, IncomingBody, IncomingBodyError, IncomingRequest};
use crate::ports::Host;
use crate::reply::BackgroundTask;
use crate::reply::{self, ReplyBody};
use crate::reporting::{Log, LogLevel};
use crate::router::Service;
use crate::settings::Settings;
use crate::setup::SetupError;
use crate::store::StoreError;
use crate::store::sql::SqlStore;
use crate::upstream::UpstreamTimeouts;

/// How long counts wait for others to travel with: what is counted in this time goes in one report.
const REPORT_AFTER: Duration = Duration::from_secs(1);

thread_local! {
    /// What the requests of this isolate share.
    static SERVICE: OnceCell<Arc<Service>> = const { OnceCell::new() };
    /// How they reach everything else. Bindings are the same for all requests of an isolate
    /// (<https://developers.cloudflare.com/workers/runtime-apis/bindings/#importing-env-as-a-global>).
    static DEPLOYMENT: OnceCell<(Choice, CloudflareHost)> = const { OnceCell::new() };
    /// Until when somebody is to report what was counted, in milliseconds.
    static REPORTED_BY: Cell<f64> = const { Cell::new(0.0) };
}

fn service(env: &Env) -> Result<Arc<Service>, SetupError> {
    SERVICE.with(|cell| {
        if let Some(service) = cell.get() {
            return Ok(Arc::clone(service));
        }
        let secret = |name| env.secret(name).ok().map(|secret| secret.to_string());
        let settings = Settings::new(secret("MASTER_KEY").as_deref(), secret("ADMIN_PASSWORD").as_deref())?;
        let settings = settings.with_previous_master_key(secret("MASTER_KEY_PREV").as_deref())?;
        let variable = |name| env.var(name).ok().map(|value| value.to_string());
        let settings = settings.with_ledger_shards(variable("LEDGER_SHARDS").as_deref())?;
        let settings = settings.with_upstream_timeouts(UpstreamTimeouts::read(variable)?);
        let level = LogLevel::parse(&variable("LOG_LEVEL").unwrap_or_default())?;
        let settings = settings.with_log(Log::new(level, |line| worker::console_log!("{line}")));
        let service = Arc::new(Service::new(settings, &SystemRandom));
        Ok(Arc::clone(cell.get_or_init(|| service)))
    })
}

/// Returns what a request of the data plane and a task need.
fn set_up(env: &Env) -> Result<(Arc<Service>, Choice, CloudflareHost), SetupError> {
    let service = service(env)?;
    DEPLOYMENT.with(|cell| {
        if let Some((choice, host)) = cell.get() {
            return Ok((service, *choice, host.clone()));
        }
        let choice = Choice::of(env)?;
        let host = CloudflareHost::new(env, CloudflareReader::new(choice, env)?)?;
        let (choice, host) = cell.get_or_init(|| (choice, host));
        Ok((service, *choice, host.clone()))
    })
}

/// Answers a request.
#[event(fetch)]
async fn fetch(request: Request, env: Env, context: Context) -> worker::Result<web_sys::Response> {
    let head = RequestHead::of(request.inner());
    let path = path_and_query(&head.url).0;
    let (service, choice, host) = match set_up(&env) {
        Ok(set_up) => set_up,
        Err(error) => {
            let unready = Probe::at(path).map(|probe| probe_reply(&head.method, probe == Probe::Alive));
            return Ok(unready.unwrap_or_else(|| not_set_up(path, error))?.into());
        }
    };
    if let Some(probe) = Probe::at(path) {
        return Ok(without_stream(service.probe(&host, probe, &head.method).await)?.into());
    }
    if crate::router::is_page(&head.method, path) {
        let tag = request.headers().get("if-none-match")?;
        return Ok(without_stream(service.page(&host, &head.method, path, tag.as_deref()))?.into());
    }
    if !crate::router::is_admin_path(path) {
        let reply = service.proxy(&host, incoming_with(request, head)?).await;
        return respond(reply, service, host, &context);
    }
    let answer = match choice {
        Choice::D1 => match d1_store(&env) {
            Ok(store) => administer(&env, store, request, |work| context.wait_until(work)).await,
            Err(error) => not_set_up(path, error),
        },
        Choice::Kv => hand_over(&env, &service, &host, request).await,
    };
    Ok(answer?.into())
}

/// Answers a request of the admin API over a store. `keep_alive` takes what is left to do behind the
/// answer: other isolates are told what was changed.
pub(super) async fn administer(
    env: &Env,
    store: SqlStore<CloudflareSql>,
    request: Request,
    keep_alive: impl FnOnce(LocalBoxFuture<'static, ()>),
) -> worker::Result<Response> {
    let path = request.path();
    let set_up = service(env).and_then(|service| Ok((service, CloudflareHost::new(env, store)?)));
    match set_up {
        Ok((service, host)) => {
            let reply = service.administer(&host, incoming(request)?).await;
            if let Some(work) = afterwards(service, host, BackgroundTask::default()) {
                keep_alive(work.boxed_local());
            }
            without_stream(reply)
        }
        Err(error) => not_set_up(&path, error),
    }
}

/// Hands a request of the admin API to the config object.
async fn hand_over(
    env: &Env,
    service: &Service,
    host: &CloudflareHost,
    request: Request,
) -> worker::Result<Response> {
    let url = request.url()?;
    let changes = request.method() != worker::Method::Get;
    if !changes {
        // What is still in this isolate's memory belongs to the response.
        service.flush(host).await;
    }
    let stub = match ConfigStub::new(env) {
        Ok(stub) => stub,
        Err(error) => return not_set_up(url.path(), error),
    };
    let request = match handed_over(service, host, &stub, request).await? {
        Ok(request) => request,
        Err(error) => return refused(error),
    };
    let answer = stub.fetch(request).await;
    if changes {
        service.administered_elsewhere(url.path());
    }
    answer.or_else(|error| refused(AdminError::Store(StoreError::Unavailable(error.to_string()))))
}

/// Returns the request as it continues, with the headers that the service looks at. Its body is read here: a
/// body that is passed on unread and that nobody reads there costs the client its connection. More of it than a
/// stranger may send is read only when the object knows the client.
async fn handed_over(
    service: &Service,
    host: &CloudflareHost,
    stub: &ConfigStub,
    request: Request,
) -> worker::Result<Result<Request, AdminError>> {
    let (url, method) = (request.url()?, request.method());
    let IncomingRequest { method: asked, path, mut headers, body, .. } = incoming(request)?;
    let wanted = crate::admin::wanted_body(&asked, &path, &headers);
    // The runtime sets it anew.
    headers.remove(CONTENT_LENGTH);
    let mut init = RequestInit::new();
    init.with_method(method).with_headers(outgoing_headers(&headers)?);
    let Some(limit) = wanted else { return Ok(Ok(Request::new_with_init(url.as_str(), &init)?)) };
    let mut share = service
        .state
        .bodies
        .permit(<CloudflareHost as Platform>::BODIES_AT_ONCE, <CloudflareHost as Platform>::BODY_LOST_AFTER);
    let is_known = async || stub.knows(&url, &headers).await;
    match limits::read_to_hand_over(host, body, limit, &mut share, is_known).await? {
        // The object says why.
        Ok(None) => {}
        Ok(Some(body)) => {
            init.with_body(Some(Uint8Array::from(body.as_ref()).into()));
        }
        Err(error) => return Ok(Err(AdminError::from_body(error, limit))),
    }
    Ok(Ok(Request::new_with_init(url.as_str(), &init)?))
}

fn probe_reply(method: &http::Method, is_good: bool) -> worker::Result<Response> {
    without_stream(Probe::reply(method, is_good))
}

fn not_set_up(path: &str, error: SetupError) -> worker::Result<Response> {
    without_stream(crate::router::not_set_up(path, error, &SystemRandom))
}

/// Returns the answer to a request of the admin API that could not even be begun.
pub(super) fn refused(error: AdminError) -> worker::Result<Response> {
    without_stream(crate::router::refused(error, &SystemRandom))
}

fn incoming(request: Request) -> worker::Result<IncomingRequest<WorkerBody>> {
    let head = RequestHead::of(request.inner());
    incoming_with(request, head)
}

fn incoming_with(request: Request, head: RequestHead) -> worker::Result<IncomingRequest<WorkerBody>> {
    let RequestHead { method, url, headers } = head;
    let client = headers.get(CLIENT_ADDRESS).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    let (path, query) = path_and_query(&url);
    // Only a browser's session asks for it.
    let origin = if crate::router::is_admin_path(path) { Origin::of(request.url()?) } else { None };
    Ok(IncomingRequest {
        method,
        path: path.to_owned(),
        query: query.map(ToOwned::to_owned),
        body: WorkerBody { announced: limits::announced(&headers), request, stream: None, is_read: false },
        headers,
        client_address: client,
        origin,
    })
}

/// Returns the path of a URL as the runtime writes it, and its query.
fn path_and_query(url: &str) -> (&str, Option<&str>) {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let rest = rest.find('/').and_then(|begin| rest.get(begin..)).unwrap_or("/");
    let rest = rest.split_once('#').map_or(rest, |(rest, _)| rest);
    rest.split_once('?').map_or((rest, None), |(path, query)| (path, Some(query)))
}

/// Does what has to be done now and then, by the cron trigger of `wrangler.toml.example`.
#[event(scheduled)]
async fn scheduled(_event: ScheduledEvent, env: Env, _context: ScheduleContext) {
    // A deployment that is not set up says so at every request.
    if let Ok((service, _, host)) = set_up(&env) {
        service.run_maintenance(&host).await;
    }
}

/// Converts a response that is never streamed, as those of the admin API, the web UI and the probes.
fn without_stream(reply: reply::Reply<Infallible>) -> worker::Result<Response> {
    let ReplyBody::Whole(bytes) = reply.body;
    js_bridge::whole(reply.status, &reply.headers, &bytes).map(Response::from)
}

fn respond(
    reply: Reply<CloudflareHost>,
    service: Arc<Service>,
    host: CloudflareHost,
    context: &Context,
) -> worker::Result<web_sys::Response> {
    let events = match reply.body {
        ReplyBody::Streamed(Streamed::Events(events)) => events,
        ReplyBody::Whole(bytes) => {
            keep_alive(context, service, host, reply.background);
            return js_bridge::whole(reply.status, &reply.headers, &bytes);
        }
        ReplyBody::Streamed(Streamed::Unchanged(body)) => {
            keep_alive(context, service, host, reply.background);
            return js_bridge::streamed(reply.status, &reply.headers, body.into_stream());
        }
    };
    let (readable, writer) = stream_pipe::pipe()?;
    context.wait_until(async move {
        stream_pipe::run(events, &writer).await;
        if let Some(work) = afterwards(service, host, reply.background) {
            work.await;
        }
    });
    js_bridge::streamed(reply.status, &reply.headers, Some(readable))
}

/// Lets the runtime wait for what is left to do once the response has gone out.
fn keep_alive(context: &Context, service: Arc<Service>, host: CloudflareHost, follow_up: BackgroundTask) {
    if let Some(work) = afterwards(service, host, follow_up) {
        context.wait_until(work);
    }
}

/// Returns what is left to do once a response has gone out, if anything is. Of all whose counts wait, the first reports for
/// all; if it has not done so a second late, another one does.
fn afterwards<H: Host>(
    service: Arc<Service>,
    host: H,
    follow_up: BackgroundTask,
) -> Option<impl Future<Output = ()>> {
    let now = Date::now();
    let reports = !service.is_flushed() && now >= REPORTED_BY.get();
    if reports {
        REPORTED_BY.set(now + 2.0 * REPORT_AFTER.as_secs_f64() * 1_000.0);
    }
    if !reports && follow_up == BackgroundTask::default() {
        return None;
    }
    Some(async move {
        if reports {
            join(service.run_background(&host, follow_up), async {
                host.clock().sleep(REPORT_AFTER).await;
                REPORTED_BY.set(0.0);
                service.flush(&host).await;
            })
            .await;
        } else {
            service.run_background(&host, follow_up).await;
        }
    })
}

pub(super) fn outgoing_headers(headers: &HeaderMap) -> worker::Result<Headers> {
    let outgoing = Headers::new();
    for (name, value) in headers {
        outgoing.set(name.as_str(), value.to_str().unwrap_or_default())?;
    }
    Ok(outgoing)
}

/// A request's body as the runtime hands it over.
struct WorkerBody {
    request: Request,
    /// How long it says that it is.
    announced: Option<usize>,
    /// What is left of it, once the first piece was asked for.
    stream: Option<ByteStream>,
    is_read: bool,
}

impl IncomingBody for WorkerBody {
    const IS_WHOLE: bool = true;

    fn announced(&self) -> Option<usize> {
        self.announced
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>, IncomingBodyError> {
        if self.announced.is_some() {
            if std::mem::replace(&mut self.is_read, true) {
                return Ok(None);
            }
            // The runtime holds the body to its announced length, so it can cross in one piece.
            let whole = self.request.bytes().await.map_err(|_| IncomingBodyError::Broken)?;
            return Ok(Some(whole).filter(|whole| !whole.is_empty()).map(Bytes::from));
        }
        if !std::mem::replace(&mut self.is_read, true) {
            // A request without a body has no stream.
            self.stream = self.request.stream().ok();
        }
        let Some(stream) = &mut self.stream else { return Ok(None) };
        let chunk = stream.next().await.transpose().map_err(|_| IncomingBodyError::Broken)?;
        Ok(chunk.map(Bytes::from))
    }

    async fn skip(&mut self) -> Result<Option<usize>, IncomingBodyError> {
        if self.announced.is_none() {
            return Ok(self.chunk().await?.map(|chunk| chunk.len()));
        }
        if !std::mem::replace(&mut self.is_read, true) {
            discard(&self.request).await;
        }
        Ok(None)
    }
}

/// Reads a body to its end without letting it into wasm.
async fn discard(request: &Request) {
    if let (Some(body), Ok(nowhere)) = (request.inner().body(), WritableStream::new()) {
        // A client that leaves meanwhile needs no answer.
        let _ = JsFuture::from(body.pipe_to(&nowhere)).await;
    }
}
