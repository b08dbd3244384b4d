//! What `upload` does, seen from outside: the true binary, a gateway in another process, a real store behind it.
//!
//! Border: nothing here knows how it is done; each file is one behaviour.

#[path = "../support/mod.rs"]
mod support;

mod changed;
mod economy;
mod exit_codes;
mod faults;
mod harness;
mod interrupt;
mod lease;
mod journal_faults;
mod memory;
mod orphans;
mod output;
mod put;
mod real_store;
mod secrets;
mod settings;
mod signals;
mod store_faults;
mod terminal;
