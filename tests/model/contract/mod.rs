//! The gateway against its contract: the result of each call is predicted, and compared with the
//! response, the ledger and the bucket. Invariants are checked after every step.

mod checks;
mod requests;
mod run;
mod state;
