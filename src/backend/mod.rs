//! The backend as the client sees it: begins, signs, lists, completes, aborts; and the store its signed URLs lead to.
//!
//! Border: one request each, classified once; nothing is repeated here (that is `transfer/retry`) and nothing remembered.
//! The one door to reqwest on the client's side.

pub mod answer;
mod api;
mod bearer;
mod buffer_pool;
mod clients;
mod companion;
mod dialect;
mod header;
pub mod hosts;
mod http;
mod limit;
mod native;
mod part_body;
mod part_upload;
mod patience;
mod resolver;

pub use answer::PutOutcome;
pub use bearer::{Bearer, TokenFile};
pub use dialect::{Backend, Capabilities, Completion};
pub use header::Header;
pub use hosts::StoreHost;
pub use http::{Get, Options};
pub use limit::Limiter;
pub use part_upload::PartUpload;
