//! Faults of network, gateway and store: an upload may take longer and send some bytes again, but
//! its object equals the file.
//!
//! The binary runs through a proxy that injects faults (`support/proxy`). Each file is about one
//! kind of fault; `setup` has the assertions that apply to each run.
//!
//! Not here: crashes (`tests/crash`), changes of the source (`tests/behaviour`).

#[path = "../support/mod.rs"]
mod support;

mod connections;
mod duplicates;
mod folders;
mod gateway_calls;
mod gateway_to_store;
mod http2;
mod http2_front;
mod measurements;
mod part_lists;
mod part_responses;
mod permanent_failures;
mod setup;
mod stalls;
mod tls;
