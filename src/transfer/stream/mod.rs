//! Uploads of streams: standard input, or the output of a command. A stream is read once, so its
//! parts are kept in memory until the store has acknowledged them.
//!
//! One loop (`read_and_send`) takes parts from the thread that reads the stream, and starts a task
//! for each that sends it. As in the engine, the loop alone writes the journal, before it reports.
//! Nothing is completed before the stream has ended, its command has succeeded, and no signal has
//! arrived.
//!
//! An interrupted upload of a stream is continued by the same pipeline: it is read and hashed
//! again, and parts are sent from the first one that the store does not have.
//!
//! | file | content |
//! |---|---|
//! | `request` | the arguments |
//! | `run` | one run, from the first byte to the report of its end |
//! | `choose` | the upload of an earlier run that is continued or replaced |
//! | `calls` | calls to the backend, repeated |
//! | `read_and_send` | the loop |
//! | `send_part` | a task that signs and sends one part |
//! | `complete` | the end of the stream, the receipt, the hooks |
//! | `hints` | errors of streams, and what to do after a failure |
//! | `preview` | a dry run |
//!
//! Not here: files, which can be read again by position (`engine`).

mod calls;
mod choose;
mod complete;
mod hints;
mod preview;
mod read_and_send;
mod request;
mod run;
mod send_part;

pub use hints::RUN_PIPELINE_AGAIN;
pub use preview::preview_stream;
pub use request::{StreamInput, StreamPut};
pub use run::{run_stream, stream_needs_a_gateway};
