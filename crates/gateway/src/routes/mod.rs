//! HTTP API version 1: routes, requests and responses.
//!
//! Not here: the operations (`service`), authentication (`auth`), and the routes of Companion
//! (`companion`).

mod access_log;
mod batch_calls;
mod events;
mod gateway;
mod health;
mod monitoring;
mod responses;
mod router;
mod uploads;

pub use access_log::RequestId;
pub use gateway::{Caller, Gateway};
pub use responses::{add_gateway_headers, not_found};
pub use router::{api_router, metrics_router, run_call, with_common_layers};
