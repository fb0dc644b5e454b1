//! The native server: start, shutdown, and the conversion of requests.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::header::HOST;
use http::request::Parts;
use http::uri::Authority;
use http::{Request, StatusCode, Version};
use pool_shared::{GeminiRoute, Secret};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::config::{ServerConfig, StartError, in_file};
use super::connections::{self, Connections};
use super::folder::{DataFolder, FolderError, open_private};
use super::listen::{self, NativeBody};
use super::open_files::open_files_limit;
use super::{
    HttpMedia, HttpUpstream, NativeHost, SecretFiles, Sqlite, SqliteLedger, SystemRandom, TrustedProxies,
    in_flight_file,
};
use crate::gateway::Reply;
use crate::origin::Origin;
use crate::platform::Platform;
use crate::platform::{Clock, IncomingRequest};
use crate::reply::BackgroundTask;
use crate::router::Service;
use crate::router::is_admin_path;
use crate::settings::Settings;
use pool_translate::ApiError;

/// Interval of reports to the ledger.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// Interval of maintenance, such as rechecks of keys.
const MAINTENANCE_INTERVAL: Duration = Duration::from_secs(30);
/// Time for which running requests may finish at shutdown.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);
/// Time after that in which responses are ended with an error.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(2);

/// A running server.
pub struct Server {
    address: SocketAddr,
    created: Vec<PathBuf>,
    warnings: Vec<String>,
    stop: watch::Sender<bool>,
    serving: JoinHandle<()>,
    shared: Arc<Shared>,
    connections: Arc<Connections>,
    _folder: DataFolder,
}

/// What a server has taken on, by its own accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Open connections.
    pub connections: usize,
    /// The most connections that were open concurrently.
    pub most_connections: usize,
    /// How many may be.
    pub allowed_connections: usize,
    /// Bytes of request bodies that are held.
    pub body_bytes: usize,
    /// The most bytes of request bodies that were held concurrently.
    pub most_body_bytes: usize,
}

/// What all connections share.
pub(super) struct Shared {
    service: Arc<Service>,
    host: NativeHost,
    trusted_proxies: TrustedProxies,
    /// Whether streams have to end.
    cut: watch::Sender<bool>,
}

impl Server {
    /// Starts a server on the current tokio runtime.
    pub async fn start(config: ServerConfig) -> Result<Self, StartError> {
        let folder = DataFolder::open(&config.data_dir)?;
        let file = config.data_dir.join("pool.db");
        let given = [
            config.master_key.is_some(),
            config.previous_master_key.is_some(),
            config.admin_password.is_some(),
        ];
        let secrets = SecretFiles::read_or_create(
            &config.data_dir,
            &file,
            config.master_key,
            config.previous_master_key,
            config.admin_password,
        )?;
        let named = |error| in_file(error, given, &config.data_dir);
        let unusable = |path: &Path, cause| FolderError::Unusable { path: path.to_owned(), cause };
        let unreported = config.data_dir.join(in_flight_file::NAME);
        let owed = in_flight_file::open(&unreported).map_err(|cause| unusable(&unreported, cause))?;
        let settings =
            Settings::new(Some(secrets.master_key.expose()), Some(secrets.admin_password.expose()))
                .and_then(|settings| {
                    settings
                        .with_previous_master_key(secrets.previous_master_key.as_ref().map(Secret::expose))
                })
                .map_err(named)?
                .with_in_flight(owed)
                .with_log(config.log)
                .with_upstream_timeouts(config.upstream_timeouts);
        open_private(&file).map_err(|cause| unusable(&file, cause))?;
        let database = Sqlite::open(&file).map_err(|error| StartError::Database { path: file, error })?;
        let ledger = SqliteLedger::open(database.clone())?;
        let upstream = HttpUpstream::new(&config.gemini_base_url)?;
        let host = NativeHost::new(database, ledger, upstream, HttpMedia::new()?);
        let address = if config.host.contains(':') {
            format!("[{}]:{}", config.host, config.port)
        } else {
            format!("{}:{}", config.host, config.port)
        };
        let listening = TcpListener::bind((config.host.as_str(), config.port)).await;
        let listen_error = |cause| StartError::Listen { address, cause };
        let (listener, address) = listening
            .and_then(|listener| listener.local_addr().map(|address| (listener, address)))
            .map_err(listen_error)?;
        let service = Arc::new(Service::new(settings, &SystemRandom));
        service.verify(&host).await?;
        let cut = watch::Sender::new(false);
        let shared = Arc::new(Shared { service, host, trusted_proxies: config.trusted_proxies, cut });
        let (stop, stopped) = watch::channel(false);
        let connections = Connections::new(connections::allowed_with(open_files_limit()));
        let serving = tokio::spawn(serve(listener, Arc::clone(&shared), Arc::clone(&connections), stopped));
        Ok(Self {
            address,
            created: secrets.created,
            warnings: secrets.warnings,
            stop,
            serving,
            shared,
            connections,
            _folder: folder,
        })
    }

    /// Returns where it listens: `http://127.0.0.1:8787`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns where it is reached from this machine: an unspecified address is none to go to.
    #[must_use]
    pub fn local_url(&self) -> String {
        let mut address = self.address;
        match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
            IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
            _ => {}
        }
        format!("http://{address}")
    }

    /// Returns what is wrong with the set-up, though not so wrong that it would not start.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Returns how Gemini is called.
    #[must_use]
    pub fn gemini_route(&self) -> Option<GeminiRoute> {
        self.shared.host.gemini_route()
    }

    /// Returns what the server has taken on.
    #[must_use]
    pub fn load(&self) -> Load {
        let (connections, most_connections) = self.connections.counts();
        let bodies = &self.shared.service.state.bodies;
        Load {
            connections,
            most_connections,
            allowed_connections: self.connections.most(),
            body_bytes: bodies.held(),
            most_body_bytes: bodies.peak(),
        }
    }

    /// Returns the secrets' files that were made at this start.
    #[must_use]
    pub fn created_secrets(&self) -> &[PathBuf] {
        &self.created
    }

    /// Takes no new connections, lets running answers end (for at most 30 s), and sends what was
    /// counted to the ledger. Returns what the server had taken on until then.
    pub async fn shut_down(mut self) -> Load {
        // The receiver lives as long as the task that is awaited next.
        let _ = self.stop.send(true);
        let _ = (&mut self.serving).await;
        self.load()
    }
}

async fn serve(
    listener: TcpListener,
    shared: Arc<Shared>,
    connections: Arc<Connections>,
    stopped: watch::Receiver<bool>,
) {
    let reporting = tokio::spawn(report_regularly(Arc::clone(&shared), stopped.clone()));
    let keeping_time = tokio::spawn(keep_time(Arc::clone(&shared), stopped.clone()));
    let end = async {
        when_stopped(stopped.clone()).await;
        tokio::time::sleep(DRAIN_TIMEOUT).await;
        shared.service.state.reporter.log.stop(shared.host.clock().now());
        shared.cut.send_replace(true);
        tokio::time::sleep(FAREWELL_TIMEOUT).await;
    };
    tokio::select! {
        () = listen::serve(listener, Arc::clone(&shared), connections, stopped.clone()) => {}
        () = end => {}
    }
    reporting.abort();
    keeping_time.abort();
    shared.service.flush(&shared.host).await;
}

/// Resolves when the server is told to stop.
pub(super) async fn when_stopped(mut stopped: watch::Receiver<bool>) {
    // An error means that the server's handle was dropped, which stops it as well.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

async fn report_regularly(shared: Arc<Shared>, stopped: watch::Receiver<bool>) {
    let mut reports = tokio::time::interval(REPORT_INTERVAL);
    let mut rounds = tokio::time::interval(MAINTENANCE_INTERVAL);
    // Neither waits for the other: many checks of keys take long.
    let reporting = async {
        while stopped.has_changed().is_ok() {
            reports.tick().await;
            shared.service.flush(&shared.host).await;
        }
    };
    let tending = async {
        while stopped.has_changed().is_ok() {
            rounds.tick().await;
            shared.service.run_maintenance(&shared.host).await;
        }
    };
    tokio::join!(reporting, tending);
}

/// Follows the machine's clock, which may be set at any time.
async fn keep_time(shared: Arc<Shared>, stopped: watch::Receiver<bool>) {
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    while stopped.has_changed().is_ok() {
        seconds.tick().await;
        shared.service.keep_time(&shared.host).await;
    }
}

impl Shared {
    /// Resolves for responses that have to end.
    pub(super) fn cut(&self) -> watch::Receiver<bool> {
        self.cut.subscribe()
    }

    /// Returns how long Gemini may be silent in the middle of a response.
    pub(super) fn upstream_idle_timeout(&self) -> Duration {
        self.service.state.timeouts.idle
    }

    /// Answers a request that came over a connection from `client`.
    pub(super) async fn answer(
        self: Arc<Self>,
        request: Request<NativeBody>,
        client: SocketAddr,
    ) -> Reply<NativeHost> {
        let (parts, body) = request.into_parts();
        if !names_one_host(&parts) {
            return Reply::error(&no_host());
        }
        // Only a browser's session asks for it.
        let origin = if is_admin_path(parts.uri.path()) { origin(&parts) } else { None };
        let client_address = self.trusted_proxies.client(client.ip(), &parts.headers);
        if self.host.untrusted_proxy().is_none()
            && let Some(proxy) = self.trusted_proxies.untrusted(client.ip(), &parts.headers)
            && self.host.note_untrusted_proxy(proxy)
        {
            let message = format!(
                "requests come from {proxy} with forwarding headers, which are ignored: all of its clients share its \
                 address; if it is your proxy, name it in TRUSTED_PROXIES"
            );
            self.service.state.reporter.log.warn(&message, self.host.clock().now());
        }
        let request = IncomingRequest {
            method: parts.method,
            path: parts.uri.path().to_owned(),
            origin,
            query: parts.uri.query().map(ToOwned::to_owned),
            headers: parts.headers,
            body,
            client_address,
        };
        let mut reply = self.service.handle(&self.host, request).await;
        if reply.background != BackgroundTask::default() {
            let follow_up = std::mem::take(&mut reply.background);
            tokio::spawn(async move { self.service.run_background(&self.host, follow_up).await });
        }
        reply
    }
}

/// Returns `true` if a request names the host that it is for as HTTP demands: once, in HTTP/1.1 always (RFC 9112, section
/// 3.2), and in HTTP/2 not another one beside the target's (RFC 9113, section 8.3.1).
fn names_one_host(request: &Parts) -> bool {
    let mut hosts = request.headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) => request.version != Version::HTTP_11,
        (Some(_), Some(_)) => false,
        (Some(host), None) => {
            let target = request.uri.authority().filter(|_| request.version == Version::HTTP_2);
            let is_same =
                |target: &Authority| host.as_bytes().eq_ignore_ascii_case(target.as_str().as_bytes());
            is_host(host.as_bytes()) && target.is_none_or(is_same)
        }
    }
}

/// Returns `true` for a host with or without a port. An empty one means a target that has none.
fn is_host(text: &[u8]) -> bool {
    text.is_empty() || Authority::try_from(text).is_ok_and(|host| !host.as_str().contains('@'))
}

fn no_host() -> ApiError {
    let message = "A request needs exactly one Host header, with a host and nothing else.";
    ApiError::new(StatusCode::BAD_REQUEST, "invalid_request_error", Some("invalid_host"), message)
}

/// Under which origin a browser has sent this.
fn origin(request: &Parts) -> Option<Origin> {
    let named = request.uri.authority().map(Authority::as_str);
    let named = named.or_else(|| request.headers.get(HOST).and_then(|host| host.to_str().ok()));
    named.and_then(Origin::behind_tls)
}
