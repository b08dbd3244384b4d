//! The client's side of a backend: requests to a gateway or a Companion, and parts to the store
//! that presigned URLs name. No other module of the client uses reqwest.
//!
//! ```text
//! dispatch               one interface for both kinds of backends
//! gateway   companion    the requests of each kind, and the meaning of their responses
//! api       store        requests to the backend; parts to the store, objects from it
//! http                   one response, read within its timeouts
//! connections            the two HTTP clients
//! options   resolver   url_policy   response   timeouts   rate_limit   header   bearer   clocks
//! ```
//!
//! A function sends one request and classifies its response once.
//!
//! Not here: repetition (`transfer`).

mod api;
mod bearer;
mod clocks;
mod companion;
mod completion;
mod connections;
mod dispatch;
#[cfg(test)]
mod garbage_tests;
mod gateway;
mod header;
mod http;
mod options;
mod rate_limit;
mod resolver;
mod response;
mod store;
mod timeouts;
mod url_policy;

pub use bearer::{Bearer, TokenFile};
pub use completion::{BatchResults, Completion};
pub use dispatch::{Backend, Capabilities};
pub use gateway::{EXISTS_HINT, SignReason, gateway_error, problem_error};
pub use header::Header;
pub use options::Options;
pub use rate_limit::Limiter;
pub use response::Response;
pub use store::{
    ObjectReader, PartSource, PartUpload, PutOutcome, UrlLifetime, put_outcome, store_error,
};
pub use url_policy::{StoreHost, UrlPolicy};
