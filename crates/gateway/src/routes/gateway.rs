//! The state that the routes share: authentication, the service once the store is checked, and the
//! limits on concurrent calls and on the memory for their bodies.
//!
//! Not here: the start of a gateway (`server`).

use std::sync::{Arc, OnceLock};

use axum::body::{Body, Bytes};
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderMap, Method};
use http_body::Body as _;

use super::access_log::LoggedOwner;
use super::health::Health;
use crate::auth::{Authenticator, Owner, PushSecret, has_json_body};
use crate::events::PushInbox;
use crate::problem::Refusal;
use crate::request_body;
use crate::service::Service;
use upload_types::Token;
use upload_types::fair_share::{FairShare, Share};
use upload_types::wire::{Code, MAX_JSON_BYTES};

/// Calls that are served concurrently, of which one owner may have a half. Further calls are
/// refused.
const MAX_CONCURRENT_CALLS: usize = 512;
/// The memory for the bodies of requests, of which one owner may have a half.
const MAX_BODY_MEMORY_BYTES: usize = 64 << 20;
/// The last segments of the routes with bodies of up to [`MAX_JSON_BYTES`].
const LARGE_BODY_ROUTES: [&str; 2] = ["/complete", "/batch"];
/// The owner of the events of the store, in the limit on the memory for bodies. No other owner has
/// such a name.
const EVENTS_OWNER: &str = ":events";
const UNAVAILABLE_RETRY_SECONDS: u64 = 1;

/// A gateway that listens. It serves calls once it has a service.
pub struct Gateway {
    authenticator: Authenticator,
    service: OnceLock<Arc<Service>>,
    event_receiver: OnceLock<EventReceiver>,
    health: Health,
    calls: Arc<FairShare>,
    body_memory: Arc<FairShare>,
}

/// Accepts the events that stores push.
pub struct EventReceiver {
    pub secret: PushSecret,
    pub inbox: PushInbox,
}

/// The owner of a request, and the service that serves it.
#[derive(Clone)]
pub struct Caller {
    pub owner: Owner,
    pub service: Arc<Service>,
}

impl Caller {
    /// The owner for the access log.
    pub fn logged_owner(&self) -> LoggedOwner {
        LoggedOwner::new(&self.owner, self.service.config().log_subjects)
    }
}

/// A request that is served. The shares of its owner end when this is dropped.
pub struct AdmittedCall {
    pub caller: Caller,
    /// The request. Its body is in memory.
    pub request: Request,
    pub shares: (Share, Share),
}

impl Gateway {
    pub fn new(authenticator: Authenticator) -> Self {
        Self {
            authenticator,
            service: OnceLock::new(),
            event_receiver: OnceLock::new(),
            health: Health::default(),
            calls: FairShare::new(MAX_CONCURRENT_CALLS),
            body_memory: FairShare::new(MAX_BODY_MEMORY_BYTES),
        }
    }

    pub fn authenticator(&self) -> &Authenticator {
        &self.authenticator
    }

    pub fn health(&self) -> &Health {
        &self.health
    }

    /// Serves calls with this service from now on. A second service has no effect.
    pub fn serve(&self, service: Arc<Service>) {
        let _ = self.service.set(service);
    }

    /// Accepts events that stores push with this secret. A second secret has no effect.
    pub fn accept_events(&self, secret: &Token, service: Arc<Service>) {
        let _ = self.event_receiver.set(EventReceiver {
            secret: PushSecret::new(secret),
            inbox: PushInbox::start(service),
        });
    }

    /// `None` until the store is checked.
    pub fn service(&self) -> Option<&Arc<Service>> {
        self.service.get()
    }

    /// `None` if no events are accepted.
    pub fn event_receiver(&self) -> Option<&EventReceiver> {
        self.event_receiver.get()
    }

    /// Authenticates a request by `headers`, and receives its body. A body has at most
    /// `max_body_bytes` bytes, except those of [`LARGE_BODY_ROUTES`]. Only then the call takes one
    /// of the places for calls: a client that does not send its body has none.
    ///
    /// # Errors
    /// Those of [`Authenticator::owner`] and [`request_body::receive`]; `invalid_request` for a
    /// body without the content type of JSON; `unavailable` if the owner has too many calls, or if
    /// the store is not checked yet.
    pub async fn admit(
        &self,
        headers: &HeaderMap,
        request: Request,
        max_body_bytes: usize,
    ) -> Result<AdmittedCall, Refusal> {
        let unavailable = || Refusal::retry_after(Code::Unavailable, UNAVAILABLE_RETRY_SECONDS);
        let owner = self.authenticator.owner(request.uri(), headers).await?;
        if !has_json_body(request.method(), headers) {
            return Err(Refusal::with_detail(
                Code::InvalidRequest,
                "the content type of the body must be application/json",
            ));
        }
        let service = Arc::clone(self.service().ok_or_else(unavailable)?);
        let max_body_bytes = if has_large_body(&request) {
            MAX_JSON_BYTES
        } else {
            max_body_bytes
        };
        let (parts, body) = request.into_parts();
        let (body, memory) = if matches!(parts.method, Method::GET | Method::HEAD) {
            let memory = self.body_memory.try_take(&owner.0, 0);
            (Body::empty(), memory.ok_or_else(unavailable)?)
        } else {
            let (body, memory) = self.receive_body(&owner.0, body, max_body_bytes).await?;
            (Body::from(body), memory)
        };
        let place = self.calls.try_take(&owner.0, 1).ok_or_else(unavailable)?;
        Ok(AdmittedCall {
            caller: Caller { owner, service },
            request: Request::from_parts(parts, body),
            shares: (place, memory),
        })
    }

    /// Receives the body of an event of the store.
    ///
    /// # Errors
    /// Those of [`request_body::receive`].
    pub async fn receive_event(&self, body: Body, max_bytes: usize) -> Result<Bytes, Refusal> {
        let (body, _memory) = self.receive_body(EVENTS_OWNER, body, max_bytes).await?;
        Ok(body)
    }

    async fn receive_body(
        &self,
        owner: &str,
        body: Body,
        max_bytes: usize,
    ) -> Result<(Bytes, Share), Refusal> {
        let unavailable = || Refusal::retry_after(Code::Unavailable, UNAVAILABLE_RETRY_SECONDS);
        let memory = self.body_memory.try_take(owner, 0);
        let mut memory = memory.ok_or_else(unavailable)?;
        if body.is_end_stream() {
            return Ok((Bytes::new(), memory));
        }
        let body = request_body::receive(body, max_bytes, &mut memory).await?;
        Ok((body, memory))
    }
}

fn has_large_body(request: &Request) -> bool {
    let route = request.extensions().get::<MatchedPath>();
    let is_large = |route: &MatchedPath| {
        let route = route.as_str();
        LARGE_BODY_ROUTES.iter().any(|end| route.ends_with(end))
    };
    route.is_some_and(is_large)
}
