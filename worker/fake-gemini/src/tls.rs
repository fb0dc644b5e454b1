//! TLS proxy with its own certificate authority, in front of a plain HTTP server.

use std::net::Ipv4Addr;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;

/// Host name of the certificate.
const NAME: &str = "localhost";

/// Error of setting up TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificate could not be created.
    #[error(transparent)]
    Certificate(#[from] rcgen::Error),
    /// The certificate was rejected.
    #[error(transparent)]
    Tls(#[from] tokio_rustls::rustls::Error),
    /// No port is available.
    #[error(transparent)]
    Listen(#[from] std::io::Error),
}

/// A TLS proxy. Dropping it stops it.
#[derive(Debug)]
pub struct TlsFront {
    url: String,
    authority: String,
    accepting: JoinHandle<()>,
}

impl TlsFront {
    /// Starts a proxy for the server at `address`, such as `127.0.0.1:8787`.
    ///
    /// # Errors
    /// If no certificate can be created or no port is available.
    pub async fn before(address: &str) -> Result<Self, TlsError> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new(vec![NAME.to_owned()])?.signed_by(&key, &issuer)?;
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key.into())?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let url = format!("https://{NAME}:{}", listener.local_addr()?.port());
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let accepting = tokio::spawn(accept(listener, acceptor, address.to_owned()));
        Ok(Self { url, authority: issuer.pem(), accepting })
    }

    /// Returns `https://localhost:PORT`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the authority's certificate in PEM format.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }
}

impl Drop for TlsFront {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, address: String) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                let (acceptor, address) = (acceptor.clone(), address.clone());
                connections.spawn(async move {
                    // Errors are clients that do not trust the certificate.
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    if let Ok(mut server) = TcpStream::connect(&address).await {
                        let _ = copy_bidirectional(&mut stream, &mut server).await;
                    }
                });
            },
            Some(_) = connections.join_next() => {}
        }
    }
}
