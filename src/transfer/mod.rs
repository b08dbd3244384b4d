//! The engine: uploads sources, from the first byte that is read to the receipt.
//!
//! One loop (`engine`) owns the journal. It starts tasks; each task makes calls or reads the
//! source, and returns a value. The loop writes what a task returned to the journal, and reports it
//! afterwards (`committer`).
//!
//! | file | content |
//! |---|---|
//! | `engine` | the loop: which tasks run, which results go where |
//! | `committer` | writes records to the journal, and reports their events afterwards |
//! | `start`, `start_resume` | from sources, and from the journal for `resume`, to uploads: new, continued, replaced, already stored |
//! | `copy_base` | the earlier upload from whose object parts may be copied |
//! | `restart` | a new upload in place of one that cannot be continued |
//! | `moved_source`, `moved_source_search` | uploads whose source was moved |
//! | `stage_calls` | the call that each stage of an upload makes |
//! | `transitions` | the consequences of the result of a call about an upload |
//! | `rejoined` | the parts that the store has of an upload that has begun, and those to send |
//! | `part_transitions` | the consequences of the result of a task about a part |
//! | `finish` | completed, failed and interrupted uploads; the summary |
//! | `source_checks`, `source_watch` | changes of a source while its parts are sent |
//! | `existing`, `comparison` | an object at the key of an upload; its comparison with the source |
//! | `whole_file` | the SHA-256 of a whole source, for `--sha256` |
//! | `items`, `incoming`, `set_items`, `set_progress` | items that are found while others are uploaded |
//! | `wait_ready`, `suspend`, `after_suspend` | `--wait ready`; suspended and stopped processes |
//! | `confirm_many`, `confirmations` | finished uploads that the backend confirms, many in one call |
//! | `blocked` | waiting for other processes that upload the same sources |
//! | `active_upload`, `part_states`, `part_queue` | the state of an upload under way |
//! | `task`, `backend_calls`, `hashing` | the tasks |
//! | `resume`, `completed_check`, `retry`, `retry_budget`, `concurrency`, `load`, `rate`, `deadline`, `batcher` | decisions, pure |
//! | `preview` | a dry run, by the same decisions |
//! | `handshake` | the first call to the backend |
//! | `options`, `signal`, `plan_error`, `ended_upload` | arguments and summary; stop signals; errors of plans and of ended uploads |
//! | `stream` | sources of unknown size, which are read once |
//! | `throttle`, `store_pinning` | how many parts are sent; which stores parts may go to |
//!
//! Not here: HTTP (`backend`), SQL (`journal`), bytes of files (`source`), and how events look
//! (`report`).

mod active_upload;
mod after_suspend;
mod backend_calls;
mod batcher;
mod blocked;
mod committer;
mod comparison;
mod completed_check;
mod concurrency;
mod confirm_many;
mod confirmations;
mod copy_base;
mod deadline;
mod ended_upload;
mod engine;
mod existing;
mod finish;
mod handshake;
mod hashing;
mod incoming;
mod items;
mod load;
mod moved_source;
mod moved_source_search;
mod options;
mod part_queue;
mod part_states;
mod part_transitions;
mod plan_error;
mod preview;
mod rate;
mod rejoined;
mod restart;
mod resume;
mod retry;
mod retry_budget;
mod set_items;
mod set_progress;
mod signal;
mod source_checks;
mod source_watch;
mod stage_calls;
mod start;
mod start_resume;
mod store_pinning;
mod stream;
mod suspend;
mod task;
mod throttle;
mod transitions;
mod wait_ready;
mod whole_file;

pub use backend_calls::{begin_request, restore_state};
pub use concurrency::Jobs;
pub use deadline::GiveUp;
pub use engine::run;
pub use handshake::{FirstCall, handshake, open_bucket};
pub use items::{Incoming, ItemSet, Items, SetCount};
pub use options::{
    IfGone, Item, NameOrigin, OnChange, Options, PutRequest, Summary, TypeOrigin, WaitFor,
};
pub use plan_error::plan_error;
pub use preview::{PreviewOptions, preview};
pub use resume::{Choice, agreed_parts, choose};
pub use set_items::vanished;
pub use stream::{
    RUN_PIPELINE_AGAIN, StreamInput, StreamPut, preview_stream, run_stream, stream_needs_a_gateway,
};
