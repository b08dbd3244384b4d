//! Clients that choose their keys: puts by two machines of one owner at two keys, with each rule
//! for an object that is there, while other programs write to these keys, calls are lost, processes
//! are killed and sources change. The model is a map from key to object, and the versions of the
//! sources.

mod actions;
mod checks;
mod prediction;
mod process_runs;
mod run;
mod source;
mod state;
