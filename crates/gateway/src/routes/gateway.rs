//! The state that the routes share: authentication, the service once the store is checked, and the
//! limit on concurrent calls.
//!
//! Not here: the start of a gateway (`server`).

use std::sync::{Arc, OnceLock};

use axum::http::{HeaderMap, Method, Uri};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::access_log::LoggedOwner;
use super::health::Health;
use crate::auth::{Authenticator, Owner, PushSecret, has_json_body};
use crate::events::PushInbox;
use crate::problem::Refusal;
use crate::service::Service;
use upload_types::Token;
use upload_types::wire::Code;

/// Calls that are served concurrently. Further calls are refused.
const MAX_CONCURRENT_CALLS: usize = 256;
const UNAVAILABLE_RETRY_SECONDS: u64 = 1;

/// A gateway that listens. It serves calls once it has a service.
pub struct Gateway {
    authenticator: Authenticator,
    service: OnceLock<Arc<Service>>,
    event_receiver: OnceLock<EventReceiver>,
    health: Health,
    permits: Semaphore,
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

impl Gateway {
    pub fn new(authenticator: Authenticator) -> Self {
        Self {
            authenticator,
            service: OnceLock::new(),
            event_receiver: OnceLock::new(),
            health: Health::default(),
            permits: Semaphore::new(MAX_CONCURRENT_CALLS),
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

    /// Authenticates a request. The permit must be held for the duration of the call.
    ///
    /// # Errors
    /// Those of [`Authenticator::owner`]; `invalid_request` for a body without the content type of
    /// JSON; `unavailable` if there are too many calls, or if the store is not checked yet.
    pub async fn admit(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<(SemaphorePermit<'_>, Caller), Refusal> {
        let unavailable = || Refusal::retry_after(Code::Unavailable, UNAVAILABLE_RETRY_SECONDS);
        let permit = self.permits.try_acquire().map_err(|_| unavailable())?;
        let owner = self.authenticator.owner(uri, headers).await?;
        if !has_json_body(method, headers) {
            return Err(Refusal::with_detail(
                Code::InvalidRequest,
                "the content type of the body must be application/json",
            ));
        }
        let service = Arc::clone(self.service().ok_or_else(unavailable)?);
        Ok((permit, Caller { owner, service }))
    }
}
