//! The behaviour of `upload` as a user sees it: the real binary, a gateway in another process, and
//! a store behind it. Each file tests one subject.

#[path = "../support/mod.rs"]
mod support;

mod changed;
mod companion;
mod economy;
mod escapes;
mod events;
mod exit_codes;
mod faults;
mod gateways;
mod harness;
mod hint_texts;
mod hints;
mod interrupt;
mod journal_faults;
mod lease;
mod machine;
mod memory;
mod misreported_sources;
mod moments;
mod network;
mod operating;
mod orphans;
mod output;
mod phases;
mod power;
mod privacy;
mod probe;
mod put;
mod real_store;
mod receipts;
mod redirects;
mod restart;
mod secrets;
mod settings;
mod signals;
mod store_faults;
mod stored_objects;
mod sweep;
mod terminal;
mod verbs;
mod wait;
