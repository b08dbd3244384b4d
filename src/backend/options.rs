//! The options of connections to a backend and its store.

use std::sync::Arc;
use std::time::Duration;

use upload_net::Network;

use super::header::Header;
use super::rate_limit::Limiter;
use super::url_policy::StoreHost;

#[derive(Debug, Clone, Default)]
pub struct Options {
    pub network: Network,
    /// Permits plain HTTP to other machines.
    pub allow_insecure_http: bool,
    /// Stores that presigned URLs may name even if they are private, use plain HTTP, or are new.
    pub store_hosts: Vec<StoreHost>,
    /// Headers of each request to the backend. A store never receives them.
    pub headers: Vec<Header>,
    /// The backend runs in this process.
    pub in_process: bool,
    /// The rate limit of all parts together. The caller may keep a clone and change the rate.
    pub limiter: Arc<Limiter>,
    /// Replaces every inactivity timeout.
    pub stall_after: Option<Duration>,
}
