//! The client engine against the gateway over the bucket in memory, while calls are lost, processes
//! are killed and the source changes. The model is the list of the source's versions.
//!
//! The engine runs as a library with a journal on disk; a kill drops everything that was not
//! committed.

mod actions;
mod checks;
mod run;
mod state;
