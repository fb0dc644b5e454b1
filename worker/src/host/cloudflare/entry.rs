//! The Worker's entry point.

use std::cell::OnceCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use futures_util::{FutureExt, StreamExt};
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use worker::js_sys::Uint8Array;
use worker::wasm_bindgen_futures::JsFuture;
use worker::web_sys::WritableStream;
use worker::{
    Context, Env, Headers, ObjectNamespace, Request, RequestInit, Response, ScheduleContext, ScheduledEvent,
    event,
};

use super::config_object::ConfigStub;
use super::store::{Choice, CloudflareReader, CloudflareSql, d1_store};
use super::{CloudflareHost, WorkerRandom, pump};
use crate::admin::AdminError;
use crate::host::{
    CLIENT_ADDRESS, Clock, Host, IncomingBody, IncomingBodyError, IncomingRequest, REQUEST_HEADERS,
};
use crate::log::{Log, LogLevel};
use crate::origin::Origin;
use crate::reply::{Reply, ReplyBody};
use crate::service::{FollowUp, Service, Settings, SetupError};
use crate::store::StoreError;
use crate::store::sql::SqlStore;

/// How long counts wait for others to travel with: what is counted in this time goes in one report.
const REPORT_AFTER: Duration = Duration::from_secs(1);

/// A body that is too long is read to its end all the same, up to so many times the limit: the runtime cuts
/// the connection of a client whose body nobody reads, often before that has seen why.
const READ_TO_THE_END: usize = 4;

thread_local! {
    /// What the requests of this isolate share.
    static SERVICE: OnceCell<Arc<Service>> = const { OnceCell::new() };
}

fn service(env: &Env) -> Result<Arc<Service>, SetupError> {
    SERVICE.with(|cell| {
        if let Some(service) = cell.get() {
            return Ok(Arc::clone(service));
        }
        let secret = |name| env.secret(name).ok().map(|secret| secret.to_string());
        let settings = Settings::new(secret("MASTER_KEY").as_deref(), secret("ADMIN_PASSWORD").as_deref())?;
        let settings = settings.with_previous_master_key(secret("MASTER_KEY_PREV").as_deref())?;
        let shards = env.var("LEDGER_SHARDS").ok().map(|shards| shards.to_string());
        let settings = settings.with_ledger_shards(shards.as_deref())?;
        let level = env.var("LOG_LEVEL").ok().map(|level| level.to_string()).unwrap_or_default();
        let level = LogLevel::parse(&level)?;
        let settings = settings.with_log(Log::new(level, |line| worker::console_log!("{line}")));
        let service = Arc::new(Service::new(settings, &WorkerRandom));
        Ok(Arc::clone(cell.get_or_init(|| service)))
    })
}

/// Answers a request.
#[event(fetch)]
async fn fetch(request: Request, env: Env, context: Context) -> worker::Result<Response> {
    let path = request.path();
    let set_up = service(&env).and_then(|service| {
        let choice = Choice::of(&env)?;
        let host = CloudflareHost::new(&env, CloudflareReader::new(choice, &env)?)?;
        Ok((service, choice, host))
    });
    let (service, choice, host) = match set_up {
        Ok(set_up) => set_up,
        Err(error) => return not_set_up(&path, error),
    };
    let method = http_method(&request);
    if Service::is_page(&method, &path) {
        let held = request.headers().get("if-none-match")?;
        return without_stream(service.page(&host, &method, &path, held.as_deref()));
    }
    if !crate::admin::is_admin_path(&path) {
        let reply = service.proxy(&host, incoming(request)?).await;
        return respond(reply, service, host, &context);
    }
    match choice {
        Choice::D1 => match d1_store(&env) {
            Ok(store) => administer(&env, store, request, |work| context.wait_until(work)).await,
            Err(error) => not_set_up(&path, error),
        },
        Choice::Kv => hand_over(&env, &service, &host, request).await,
    }
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
            keep_alive(afterwards(service, host, FollowUp::default()).boxed_local());
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
        // What is still in this isolate's memory belongs to the answer.
        service.flush(host).await;
    }
    let stub = match ConfigStub::new(env) {
        Ok(stub) => stub,
        Err(error) => return not_set_up(url.path(), error),
    };
    let request = match handed_over(request).await? {
        Ok(request) => request,
        Err(error) => return refused(error),
    };
    let answer = stub.fetch(request).await;
    if changes {
        service.administered_elsewhere(url.path());
    }
    answer.or_else(|error| refused(AdminError::Store(StoreError::Unavailable(error.to_string()))))
}

/// The request as it goes on, with the headers that the service looks at. Its body is read here: a
/// body that is passed on unread and that nobody reads there costs the client its connection.
async fn handed_over(request: Request) -> worker::Result<Result<Request, AdminError>> {
    let (url, method) = (request.url()?, request.method());
    let request = incoming(request)?;
    let mut headers = request.headers;
    let mut init = RequestInit::new();
    if let Some(limit) = crate::admin::wanted_body(&request.method, &request.path, &headers) {
        match request.body.read(limit).await {
            Ok(body) => init.with_body(Some(Uint8Array::from(body.as_ref()).into())),
            Err(error) => return Ok(Err(AdminError::from_body(error, limit))),
        };
    }
    // The runtime sets it anew.
    headers.remove(CONTENT_LENGTH);
    init.with_method(method).with_headers(outgoing_headers(&headers)?);
    Ok(Ok(Request::new_with_init(url.as_str(), &init)?))
}

fn not_set_up(path: &str, error: SetupError) -> worker::Result<Response> {
    without_stream::<CloudflareHost>(crate::service::not_set_up(path, error, &WorkerRandom))
}

/// The answer to a request of the admin API that could not even be begun.
pub(super) fn refused(error: AdminError) -> worker::Result<Response> {
    without_stream::<CloudflareHost>(crate::service::refused(error, &WorkerRandom))
}

/// The binding of the ledger's class.
pub(super) fn ledger_namespace(env: &Env) -> Result<ObjectNamespace, SetupError> {
    env.durable_object("LEDGER")
        .map_err(|_| SetupError::MissingBinding("LEDGER (the Durable Object class Ledger)"))
}

fn incoming(request: Request) -> worker::Result<IncomingRequest<WorkerBody>> {
    let url = request.url()?;
    let headers = incoming_headers(&request);
    let client = headers.get(CLIENT_ADDRESS).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    Ok(IncomingRequest {
        method: http_method(&request),
        path: url.path().to_owned(),
        query: url.query().map(ToOwned::to_owned),
        headers,
        body: WorkerBody(request),
        client_address: client,
        origin: Origin::of(url),
    })
}

fn http_method(request: &Request) -> Method {
    Method::from_bytes(request.inner().method().as_bytes()).unwrap_or_default()
}

/// Does what has to be done now and then, by the cron trigger of `wrangler.toml.example`.
#[event(scheduled)]
async fn scheduled(_event: ScheduledEvent, env: Env, _context: ScheduleContext) {
    let set_up = service(&env).and_then(|service| {
        let host = CloudflareHost::new(&env, CloudflareReader::new(Choice::of(&env)?, &env)?)?;
        Ok((service, host))
    });
    // A deployment that is not set up says so at every request.
    if let Ok((service, host)) = set_up {
        service.tend(&host).await;
    }
}

/// The response of a reply that is no stream, as none of the admin API is.
fn without_stream<H: Host>(reply: Reply<H>) -> worker::Result<Response> {
    match reply.body {
        ReplyBody::Whole(bytes) => whole(reply.status.as_u16(), &reply.headers, &bytes),
        ReplyBody::Events(_) => Response::error("", 503),
    }
}

fn incoming_headers(request: &Request) -> HeaderMap {
    let named = REQUEST_HEADERS.iter().filter_map(|name| {
        let value = request.headers().get(name).ok()??;
        Some((HeaderName::from_static(name), HeaderValue::from_str(&value).ok()?))
    });
    named.collect()
}

fn respond(
    reply: Reply<CloudflareHost>,
    service: Arc<Service>,
    host: CloudflareHost,
    context: &Context,
) -> worker::Result<Response> {
    let status = reply.status.as_u16();
    match reply.body {
        ReplyBody::Whole(bytes) => {
            context.wait_until(afterwards(service, host, reply.follow_up));
            whole(status, &reply.headers, &bytes)
        }
        ReplyBody::Events(events) => {
            let (readable, writer) = pump::pipe()?;
            let host = Rc::new(host);
            context.wait_until(async move {
                pump::run(events, &writer).await;
                afterwards(service, Rc::unwrap_or_clone(host), reply.follow_up).await;
            });
            Ok(Response::builder()
                .with_status(status)
                .with_headers(outgoing_headers(&reply.headers)?)
                .stream(readable))
        }
    }
}

/// What is left to do once the answer has gone out.
async fn afterwards<H: Host>(service: Arc<Service>, host: H, follow_up: FollowUp) {
    service.follow_up(&host, follow_up).await;
    if !service.is_flushed() {
        host.clock().sleep(REPORT_AFTER).await;
        service.flush(&host).await;
    }
}

fn whole(status: u16, headers: &HeaderMap, body: &Bytes) -> worker::Result<Response> {
    let builder = Response::builder().with_status(status).with_headers(outgoing_headers(headers)?);
    Ok(if body.is_empty() { builder.empty() } else { builder.fixed(body.to_vec()) })
}

fn outgoing_headers(headers: &HeaderMap) -> worker::Result<Headers> {
    let outgoing = Headers::new();
    for (name, value) in headers {
        outgoing.set(name.as_str(), value.to_str().unwrap_or_default())?;
    }
    Ok(outgoing)
}

/// A request's body as the runtime hands it over.
struct WorkerBody(Request);

impl IncomingBody for WorkerBody {
    async fn read(mut self, limit: usize) -> Result<Bytes, IncomingBodyError> {
        let length = self.0.headers().get("content-length").ok().flatten();
        match length.and_then(|length| length.parse::<usize>().ok()) {
            Some(length) if length > limit => {
                if length <= limit.saturating_mul(READ_TO_THE_END) {
                    discard(&self.0).await;
                }
                Err(IncomingBodyError::TooLarge)
            }
            // The runtime holds the body to its announced length, so it can cross in one piece.
            Some(_) => self.0.bytes().await.map(Bytes::from).map_err(|_| IncomingBodyError::Broken),
            None => read_stream(self.0, limit).await,
        }
    }
}

async fn read_stream(mut request: Request, limit: usize) -> Result<Bytes, IncomingBodyError> {
    // A request without a body has no stream.
    let Ok(mut stream) = request.stream() else { return Ok(Bytes::new()) };
    let mut whole = Vec::new();
    let mut length = 0_usize;
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|_| IncomingBodyError::Broken)?;
        length = length.saturating_add(chunk.len());
        if length <= limit {
            whole.extend_from_slice(&chunk);
        } else if length > limit.saturating_mul(READ_TO_THE_END) {
            break;
        } else {
            whole = Vec::new();
        }
    }
    if length > limit { Err(IncomingBodyError::TooLarge) } else { Ok(whole.into()) }
}

/// Reads a body to its end without letting it into wasm.
async fn discard(request: &Request) {
    if let (Some(body), Ok(nowhere)) = (request.inner().body(), WritableStream::new()) {
        // A client that leaves meanwhile needs no answer.
        let _ = JsFuture::from(body.pipe_to(&nowhere)).await;
    }
}
