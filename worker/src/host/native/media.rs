//! Fetches of media by reqwest, from the public internet only.

use std::net::SocketAddr;
use std::sync::Arc;

use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, LOCATION};
use pool_shared::outbound::{self, ClientError, Route};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use reqwest::{Client, Url};

use super::upstream::{CONNECT_TIMEOUT, HttpBody, not_connected};
use crate::platform::{ACCEPTED_MEDIA, MEDIA_AGENT, MediaFetch, MediaResponse, UpstreamError};
use crate::ssrf_guard::is_public;

/// Media over HTTPS.
pub struct HttpMedia {
    client: Client,
}

impl HttpMedia {
    /// Names are looked up as the system does it.
    pub fn new() -> Result<Self, ClientError> {
        Self::with_names(Arc::new(SystemNames))
    }

    /// Returns a proxy of the environment is not used: it would look names up itself, unguarded.
    fn with_names(names: Arc<dyn Resolve>) -> Result<Self, ClientError> {
        let builder = Client::builder()
            .redirect(Policy::none())
            .https_only(true)
            .referer(false)
            .no_gzip()
            .connect_timeout(CONNECT_TIMEOUT)
            .user_agent(MEDIA_AGENT)
            .dns_resolver(Arc::new(PublicNames(names)));
        let client = outbound::build(builder, &Route::Direct)?;
        Ok(Self { client })
    }
}

impl MediaFetch for HttpMedia {
    type Body = HttpBody;

    async fn get(&self, url: &Url) -> Result<MediaResponse<HttpBody>, UpstreamError> {
        let response = self.client.get(url.clone()).header(ACCEPT, ACCEPTED_MEDIA).send().await;
        let response = response.map_err(not_connected)?;
        let header = |name: HeaderName| response.headers().get(name)?.to_str().ok().map(ToOwned::to_owned);
        Ok(MediaResponse {
            status: response.status(),
            location: header(LOCATION),
            content_type: header(CONTENT_TYPE),
            content_length: header(CONTENT_LENGTH).and_then(|length| length.parse().ok()),
            body: HttpBody::new(response),
        })
    }
}

/// Gives public addresses only. What it gives is what is connected to, without another lookup in between, so a name
/// that changes its address from one moment to the next gains nothing by it.
struct PublicNames(Arc<dyn Resolve>);

#[derive(Debug, thiserror::Error)]
#[error("the name has no public address")]
struct NotPublic;

impl Resolve for PublicNames {
    fn resolve(&self, name: Name) -> Resolving {
        let looking_up = self.0.resolve(name);
        Box::pin(async move {
            let public: Vec<SocketAddr> = looking_up.await?.filter(|found| is_public(found.ip())).collect();
            if public.is_empty() { Err(NotPublic.into()) } else { Ok(Box::new(public.into_iter()) as Addrs) }
        })
    }
}

struct SystemNames;

impl Resolve for SystemNames {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            // With port 0 the URL's port is taken.
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, TcpListener};
    use std::sync::Mutex;

    use super::*;

    /// A resolver that knows one answer and notes who asked.
    struct Always(Vec<IpAddr>, Mutex<Vec<String>>);

    impl Resolve for Always {
        fn resolve(&self, name: Name) -> Resolving {
            self.1.lock().unwrap().push(name.as_str().to_owned());
            let found: Vec<SocketAddr> = self.0.iter().map(|address| (*address, 0).into()).collect();
            Box::pin(async move { Ok(Box::new(found.into_iter()) as Addrs) })
        }
    }

    fn always(addresses: &[&str]) -> Arc<Always> {
        Arc::new(Always(addresses.iter().map(|address| address.parse().unwrap()).collect(), Mutex::default()))
    }

    #[tokio::test]
    async fn only_public_addresses_of_a_name_are_given() {
        let mixed = always(&["10.0.0.1", "93.184.215.14", "::1", "2606:4700::1111", "169.254.169.254"]);
        let given = PublicNames(mixed).resolve("mixed.example".parse().unwrap()).await.unwrap();
        let given: Vec<String> = given.map(|address| address.ip().to_string()).collect();
        assert_eq!(given, ["93.184.215.14", "2606:4700::1111"]);
    }

    #[tokio::test]
    async fn a_name_of_a_private_address_is_never_connected_to() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let names = always(&["127.0.0.1"]);
        let media = HttpMedia::with_names(Arc::clone(&names) as Arc<dyn Resolve>).unwrap();
        let url = format!("https://rebound.example:{}/a.png", listener.local_addr().unwrap().port());
        let error = media.get(&url.parse().unwrap()).await.unwrap_err();
        assert_eq!(error, UpstreamError::Connect(NotPublic.to_string()));
        assert_eq!(*names.1.lock().unwrap(), ["rebound.example"]);
        assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    }
}
