//! The behaviour of `upload` as a user sees it: the real binary, a gateway in another process, and
//! a store behind it. Each file tests one subject.

#[path = "../support/mod.rs"]
mod support;

mod backend_faults;
mod companion;
mod escapes;
mod events;
mod exit_codes;
mod gateway_operation;
mod gateways;
mod harness;
mod hint_texts;
mod hints;
mod journal_faults;
mod kills;
mod lease;
mod machine_faults;
mod memory;
mod misreported_sources;
mod network;
mod orphans;
mod output;
mod postgres_restart;
mod power_loss;
mod privacy;
mod probe;
mod put;
mod reading_verbs;
mod real_store;
mod receipts;
mod redirects;
mod reports;
mod request_counts;
mod secrets;
mod settings;
mod signals;
mod source_changes;
mod source_changes_by_stage;
mod store_faults;
mod stored_objects;
mod sweep;
mod terminal;
mod terminal_signals;
mod wait;
mod waiting;
