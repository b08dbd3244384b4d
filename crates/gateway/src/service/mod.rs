//! The operations of the gateway: begin, claim, sign, list, complete, abort and read uploads, and
//! the background work.
//!
//! Every change of a state is a compare-and-set of the `ledger`. If the outcome of a request to the
//! store is unknown, the gateway checks the object in the store. `lifecycle` has the table of
//! states.
//!
//! Not here: HTTP (`routes`, `companion`), SQL (`ledger`), and the protocol of S3 (`upload_s3`).

mod abort;
mod audit;
mod batch;
mod begin;
mod browser_upload;
mod chosen_complete;
mod chosen_key;
mod claim;
mod complete;
mod completion;
mod completion_outcome;
mod completion_source;
mod confirm;
mod copy;
mod dispose;
mod ended_uploads;
mod existing;
mod form_upload;
mod hooks;
mod known_objects;
mod lifecycle;
mod multipart;
mod new_upload;
mod read;
mod recover;
mod shared_state;
mod sign;
mod statuses;
mod store_listing;
mod stream;
mod survey;
mod sweep;
mod sweep_preview;
#[cfg(test)]
mod tests;
mod url_ttl;

pub use self::shared_state::{Dependency, Service, ServiceConfig};
pub use abort::Finished;
pub use batch::BatchCall;
pub use begin::Begun;
pub use browser_upload::UploadRef;
pub use completion::Completion;
pub use confirm::Confirmation;
pub use sweep::{StoreLeftovers, SweepAction, SweepObserver, SweepSchedule, SweptItem};
