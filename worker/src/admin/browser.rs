//! Browser sessions: a token in a cookie that scripts cannot read.
//!
//! A session is stored as an admin token with all scopes, under the hash of its cookie and of the
//! password, so changing the password ends it. It expires 8 h after the login, or 30 min after its
//! last request. A request is recorded once in 5 min, so it may expire up to 5 min early.
//!
//! # Invariants
//! - A request that a page of another origin made with the cookie is rejected.

use std::time::Duration;

use http::header::HeaderName;
use http::{HeaderMap, Method, header};
use pool_shared::{AdminTokenId, SessionCreate, SessionCreated, SessionsRevoked, TokenKind};

use super::Admin;
use super::{AdminError, Context, HandlerResult, Response, created, ok};
use crate::crypto::TokenHash;
use crate::origin::Origin;
use crate::platform::{Clock, Random};
use crate::ports::AdminHost;
use crate::store::{ConfigStore, SESSION_PREFIX, StoredAdminToken};

/// Maximum lifetime of a session.
const LIFETIME: Duration = Duration::from_hours(8);
/// Idle timeout of a session.
const IDLE_TIMEOUT: Duration = Duration::from_mins(30);
/// How often its use is recorded: one row each time.
const LAST_USED_INTERVAL: Duration = Duration::from_mins(5);
/// On plain http, which is allowed only on this machine, browsers reject `Secure` cookies.
const PLAIN_COOKIE: &str = "session";
/// Browsers accept a cookie with this prefix only with `Secure`, and for exactly one host.
const COOKIE: &str = "__Host-session";
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The headers of a request that identify its browser session and origin.
pub(crate) struct Browser<'a> {
    headers: &'a HeaderMap,
    origin: Option<&'a Origin>,
}

impl<'a> Browser<'a> {
    pub(crate) const fn new(headers: &'a HeaderMap, origin: Option<&'a Origin>) -> Self {
        Self { headers, origin }
    }

    /// Returns the presented session, if it is well formed.
    pub(crate) fn session(&self) -> Option<&'a str> {
        let cookies = self.headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs =
            cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.split_once('='));
        let (_, session) = pairs.find(|(name, _)| name.trim() == self.cookie_name())?;
        let session = session.trim();
        TokenKind::Session.verify(session).is_ok().then_some(session)
    }

    /// Rejects a request that a page of another origin may have sent. All current browsers send
    /// `Sec-Fetch-Site`, and `Origin` with changes.
    pub(crate) fn check_origin(&self, method: &Method) -> Result<(), AdminError> {
        let text = |name| self.headers.get(name).and_then(|value| value.to_str().ok());
        let (site, origin) = (text(FETCH_SITE), text(header::ORIGIN));
        let is_own = |header: &str| self.origin.is_some_and(|own| own.is(header));
        let is_fine = if *method == Method::GET {
            matches!(site, None | Some("same-origin" | "none")) && origin.is_none_or(is_own)
        } else {
            site == Some("same-origin") && origin.is_some_and(is_own)
        };
        if is_fine { Ok(()) } else { Err(AdminError::ForeignPage) }
    }

    /// Rejects a login that a page of another origin may have sent, before it is counted: such a
    /// page cannot send JSON without a CORS preflight, and browsers send its origin.
    pub(crate) fn check_login(&self) -> Result<(), AdminError> {
        let text = |name| self.headers.get(name).and_then(|value| value.to_str().ok());
        if text(FETCH_SITE).is_some_and(|site| site.trim().eq_ignore_ascii_case("cross-site")) {
            return Err(AdminError::ForeignPage);
        }
        let essence = text(header::CONTENT_TYPE).unwrap_or_default().split(';').next().unwrap_or_default();
        if essence.trim().eq_ignore_ascii_case("application/json") {
            Ok(())
        } else {
            Err(AdminError::NotJson)
        }
    }

    fn is_plain(&self) -> bool {
        self.origin.is_some_and(Origin::is_plain_loopback)
    }

    fn cookie_name(&self) -> &'static str {
        if self.is_plain() { PLAIN_COOKIE } else { COOKIE }
    }

    /// Returns the header that sets the cookie, or removes it if `age` is 0.
    fn cookie(&self, session: &str, age: Duration) -> String {
        let secure = if self.is_plain() { "" } else { "; Secure" };
        let (name, age) = (self.cookie_name(), age.as_secs());
        format!("{name}={session}; Path=/; Max-Age={age}; HttpOnly; SameSite=Strict{secure}")
    }
}

impl Admin {
    /// Returns the hash under which a session is stored.
    fn session_hash(&self, session: &str) -> TokenHash {
        self.state.pools.vault.token_hash(&format!("{session} {}", self.password.expose()))
    }
}

/// Authenticates a session cookie.
pub(super) async fn authenticate<H: AdminHost>(
    admin: &Admin,
    host: &H,
    session: &str,
) -> Result<StoredAdminToken, AdminError> {
    let (store, now) = (host.store(), host.clock().now());
    let stored = store.admin_token(&admin.session_hash(session)).await?.ok_or(AdminError::NoToken)?;
    let used = stored.last_used_at.unwrap_or(stored.created_at);
    if stored.expires_at <= now || used + IDLE_TIMEOUT <= now {
        return Err(AdminError::ExpiredToken);
    }
    if used + LAST_USED_INTERVAL <= now {
        // A failed write is repeated at the next use.
        let _ = store.use_admin_token(&stored.id, now).await;
    }
    Ok(stored)
}

impl<H: AdminHost> Context<'_, H> {
    pub(super) async fn create_session(&self, create: SessionCreate) -> HandlerResult {
        self.check_password(create.password.expose()).await?;
        let mut random = [0; TokenKind::RANDOM_BYTES];
        self.host.random().fill(&mut random);
        let session = TokenKind::Session.generate(&random);
        let (_, mut stored) = self.new_token("browser".to_owned(), LIFETIME, None, None);
        stored.id = AdminTokenId::new(format!("{SESSION_PREFIX}{:016x}", self.host.random().next_u64()));
        let change = self.change_by(&stored, "session.create", None, Some(stored.id.to_string()));
        let hash = self.admin.session_hash(session.expose());
        self.host.store().create_admin_token(&hash, &stored, change).await?;
        let StoredAdminToken { id, expires_at, .. } = stored;
        let done = created(&SessionCreated { id, expires_at, idle_s: IDLE_TIMEOUT.as_secs() })?;
        Ok(Response { cookie: Some(self.browser.cookie(session.expose(), LIFETIME)), ..done })
    }

    pub(super) async fn delete_session(&self) -> HandlerResult {
        let session = self.caller()?;
        let id = &session.id;
        if !id.as_str().starts_with(SESSION_PREFIX) {
            return Err(AdminError::Invalid("the request has a token, not a session".to_owned()));
        }
        let change = self.change_by(session, "session.delete", None, Some(id.to_string()));
        self.host.store().delete_admin_token(session, true, change).await?;
        Ok(Response { cookie: Some(self.browser.cookie("", Duration::ZERO)), ..Response::NO_CONTENT })
    }

    /// Ends all browser sessions, including the client's.
    pub(super) async fn revoke_sessions(&self) -> HandlerResult {
        let change = self.change("session.revoke_all", None, None)?;
        let revoked = self.host.store().delete_sessions(change).await?;
        let done = ok(&SessionsRevoked { revoked })?;
        Ok(Response { cookie: Some(self.browser.cookie("", Duration::ZERO)), ..done })
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        let pair = |(name, value): &(HeaderName, &str)| (name.clone(), HeaderValue::from_str(value).unwrap());
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn only_the_own_pages_may_change_something() {
        let own = Origin::behind_tls("pool.example").unwrap();
        for (method, site, origin, is_fine) in [
            (Method::POST, Some("same-origin"), Some("https://pool.example"), true),
            (Method::POST, Some("same-origin"), Some("https://evil.example"), false),
            (Method::POST, Some("same-origin"), Some("null"), false),
            (Method::POST, Some("same-site"), Some("https://pool.example"), false),
            (Method::POST, Some("cross-site"), Some("https://evil.example"), false),
            (Method::POST, Some("none"), Some("https://pool.example"), false),
            (Method::POST, Some("same-origin"), None, false),
            (Method::DELETE, None, Some("https://pool.example"), false),
            (Method::PATCH, None, None, false),
            (Method::GET, None, None, true),
            (Method::GET, Some("none"), None, true),
            (Method::GET, Some("same-origin"), None, true),
            (Method::GET, Some("same-site"), None, false),
            (Method::GET, Some("cross-site"), None, false),
            (Method::GET, None, Some("https://evil.example"), false),
        ] {
            let mut pairs = Vec::new();
            pairs.extend(site.map(|site| (FETCH_SITE, site)));
            pairs.extend(origin.map(|origin| (header::ORIGIN, origin)));
            let headers = headers(&pairs);
            let checked = Browser::new(&headers, Some(&own)).check_origin(&method);
            assert_eq!(checked.is_ok(), is_fine, "{method} {site:?} {origin:?}");
            if method != Method::GET {
                assert!(Browser::new(&headers, None).check_origin(&method).is_err(), "no origin is not any");
            }
        }
    }

    #[test]
    fn the_cookie_of_an_open_network_is_not_that_of_this_machine() {
        let session = TokenKind::Session.generate(&[7; TokenKind::RANDOM_BYTES]);
        let session = session.expose();
        let [open, local] = ["pool.example", "127.0.0.1:8787"].map(|host| Origin::behind_tls(host).unwrap());
        for (own, other, name, secure) in
            [(&open, &local, "__Host-session", "; Secure"), (&local, &open, "session", "")]
        {
            let cookies = headers(&[(header::COOKIE, &format!("a=b; {name}={session}; c=d"))]);
            assert_eq!(Browser::new(&cookies, Some(own)).session(), Some(session));
            assert_eq!(Browser::new(&cookies, Some(other)).session(), None);
            let set = Browser::new(&cookies, Some(own)).cookie(session, LIFETIME);
            let rest = "; Path=/; Max-Age=28800; HttpOnly; SameSite=Strict";
            assert_eq!(set, format!("{name}={session}{rest}{secure}"));
        }
        let garbage = headers(&[(header::COOKIE, "__Host-session=pses_garbage")]);
        assert_eq!(Browser::new(&garbage, Some(&open)).session(), None);
    }
}
