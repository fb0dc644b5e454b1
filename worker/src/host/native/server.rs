//! Starting and stopping a server, and what one request is to it: the host's part of the service.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use http::header::HOST;
use http::request::Parts;
use http::uri::Authority;
use pool_shared::Secret;
use reqwest::Url;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::listen::{self, NativeBody};
use super::{
    HttpMedia, HttpUpstream, NativeHost, SecretFiles, SecretFilesError, Sqlite, SqliteLedger, SystemRandom,
    TrustedProxies, owed,
};
use crate::admin::is_admin_path;
use crate::host::IncomingRequest;
use crate::ledger::LedgerError;
use crate::log::Log;
use crate::origin::Origin;
use crate::reply::Reply;
use crate::service::{FollowUp, Service, Settings, SetupError};
use crate::sql::SqlError;

/// How often what was counted goes to the ledger.
const REPORT_EVERY: Duration = Duration::from_secs(1);
/// How often keys that Gemini refused are looked after.
const TEND_EVERY: Duration = Duration::from_secs(30);
/// How long running answers may take to end when the server is told to stop.
const DRAIN_FOR: Duration = Duration::from_secs(30);

/// How a server is set up.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// The address to listen on, such as `127.0.0.1`.
    pub host: String,
    /// The port; 0 takes a free one.
    pub port: u16,
    /// The folder of the SQLite file and of the secrets' files. Made where it is missing.
    pub data_dir: PathBuf,
    /// Where Gemini is called.
    pub gemini_base_url: Url,
    /// The master key; taken from the data folder, or made there, when it is not given.
    pub master_key: Option<Secret>,
    /// The master key before that one, while not everything is sealed under the new one; taken from the
    /// data folder when it is not given and is there.
    pub previous_master_key: Option<Secret>,
    /// The admin password; taken or made like the master key.
    pub admin_password: Option<Secret>,
    /// Proxies that are believed when they tell where a request comes from.
    pub trusted_proxies: TrustedProxies,
    /// Where a line about each request goes.
    pub log: Log,
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data folder cannot be made or used.
    #[error("{path}: {source}", path = path.display())]
    DataDir {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The secrets cannot be had.
    #[error(transparent)]
    Secrets(#[from] SecretFilesError),
    /// The secrets are no good.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The SQLite file cannot be opened.
    #[error("the database cannot be opened: {0}")]
    Database(#[from] SqlError),
    /// The ledger's tables cannot be made.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// No HTTP client.
    #[error("no connection to Gemini can be set up: {0}")]
    Upstream(#[from] reqwest::Error),
    /// The address is taken or not one of this machine.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: String,
        /// What the system said.
        source: std::io::Error,
    },
}

/// A running server.
pub struct Server {
    address: SocketAddr,
    created: Vec<PathBuf>,
    stop: watch::Sender<bool>,
    serving: JoinHandle<()>,
}

/// What all connections share.
pub(super) struct Shared {
    service: Arc<Service>,
    host: NativeHost,
    trusted_proxies: TrustedProxies,
}

impl Server {
    /// Starts a server on the current tokio runtime.
    pub async fn start(config: ServerConfig) -> Result<Self, StartError> {
        let unusable = |source| StartError::DataDir { path: config.data_dir.clone(), source };
        std::fs::create_dir_all(&config.data_dir).map_err(unusable)?;
        let file = config.data_dir.join("pool.db");
        let secrets = SecretFiles::read_or_create(
            &config.data_dir,
            &file,
            config.master_key,
            config.previous_master_key,
            config.admin_password,
        )?;
        let settings =
            Settings::new(Some(secrets.master_key.expose()), Some(secrets.admin_password.expose()))?
                .with_previous_master_key(secrets.previous_master_key.as_ref().map(Secret::expose))?
                .with_owed(owed::open(&config.data_dir).map_err(unusable)?)
                .with_log(config.log);
        let database = Sqlite::open(&file)?;
        let ledger = SqliteLedger::open(database.clone())?;
        let upstream = HttpUpstream::new(&config.gemini_base_url)?;
        let host = NativeHost::new(database, ledger, upstream, HttpMedia::new()?);
        let address = format!("{}:{}", config.host, config.port);
        let listening = TcpListener::bind((config.host.as_str(), config.port)).await;
        let listen_error = |source| StartError::Listen { address, source };
        let (listener, address) = listening
            .and_then(|listener| listener.local_addr().map(|address| (listener, address)))
            .map_err(listen_error)?;
        let service = Arc::new(Service::new(settings, &SystemRandom));
        let shared = Arc::new(Shared { service, host, trusted_proxies: config.trusted_proxies });
        let (stop, stopped) = watch::channel(false);
        let serving = tokio::spawn(serve(listener, shared, stopped));
        Ok(Self { address, created: secrets.created, stop, serving })
    }

    /// Where it listens: `http://127.0.0.1:8787`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The secrets' files that were made at this start.
    #[must_use]
    pub fn created_secrets(&self) -> &[PathBuf] {
        &self.created
    }

    /// Takes no new connections, lets running answers end (for at most 30 s), and sends what was
    /// counted to the ledger.
    pub async fn shut_down(self) {
        // The receiver lives as long as the task that is awaited next.
        let _ = self.stop.send(true);
        let _ = self.serving.await;
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>, stopped: watch::Receiver<bool>) {
    let reporting = tokio::spawn(report_regularly(Arc::clone(&shared), stopped.clone()));
    tokio::select! {
        () = listen::serve(listener, Arc::clone(&shared), stopped.clone()) => {}
        () = async { when_stopped(stopped).await; tokio::time::sleep(DRAIN_FOR).await } => {}
    }
    reporting.abort();
    shared.service.flush(&shared.host).await;
}

/// Resolves when the server is told to stop.
pub(super) async fn when_stopped(mut stopped: watch::Receiver<bool>) {
    // An error means that the server's handle was dropped, which stops it as well.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

async fn report_regularly(shared: Arc<Shared>, stopped: watch::Receiver<bool>) {
    let mut reports = tokio::time::interval(REPORT_EVERY);
    let mut rounds = tokio::time::interval(TEND_EVERY);
    while stopped.has_changed().is_ok() {
        tokio::select! {
            _ = reports.tick() => shared.service.flush(&shared.host).await,
            _ = rounds.tick() => shared.service.tend(&shared.host).await,
        }
    }
}

impl Shared {
    /// Answers a request that came over a connection from `client`.
    pub(super) async fn answer(
        self: Arc<Self>,
        request: Request<NativeBody>,
        client: SocketAddr,
    ) -> Reply<NativeHost> {
        let (parts, body) = request.into_parts();
        // Only a browser's session asks for it.
        let origin = if is_admin_path(parts.uri.path()) { origin(&parts) } else { None };
        let client_address = self.trusted_proxies.client(client.ip(), &parts.headers);
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
        if reply.follow_up != FollowUp::default() {
            let follow_up = std::mem::take(&mut reply.follow_up);
            tokio::spawn(async move { self.service.follow_up(&self.host, follow_up).await });
        }
        reply
    }
}

/// Under which origin a browser has sent this.
fn origin(request: &Parts) -> Option<Origin> {
    let named = request.uri.authority().map(Authority::as_str);
    let named = named.or_else(|| request.headers.get(HOST).and_then(|host| host.to_str().ok()));
    named.and_then(Origin::behind_tls)
}
