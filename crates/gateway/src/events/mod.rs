//! Events of the store: notifications that an object was created, from a queue (SQS) or pushed over
//! HTTP.
//!
//! An event may be forged, late, duplicated or lost. It only makes the service check one object in
//! the store, and the check decides.

mod handler;
mod message;
mod push;
mod queue;
mod source;

pub use push::PushInbox;
#[cfg(test)]
pub(crate) use queue::{Disposition, process_message};
pub use queue::{EventQueue, open_queue};
pub use source::EventSource;
