//! Finds out the capabilities of a store from its responses to wrong requests: a wrong body, a
//! wrong length, an unsigned header.
//!
//! Not here: the meaning of a finding, in [`crate::profile`]; the decision to serve with the
//! findings, which the gateway makes when it starts.
//!
//! A probe uses keys of its own (`uploads/probe/ID`) and deletes its uploads and objects. It needs
//! the permissions that serving needs, and `DeleteObject` to clean up.
//!
//! | file | |
//! |---|---|
//! | `run` | the order of the checks: proofs first, then the others with the proof that was found |
//! | `depth` | the number of checks |
//! | `proofs` | checks of proofs, of the length and of unsigned headers |
//! | `checks` | the other checks |
//! | `body_check` | sends a body and classifies the response |
//! | `fixture` | keys, objects and bodies |
//! | `cleanup` | deletes the objects of a probe, and the leftovers of interrupted probes |

mod body_check;
mod checks;
mod cleanup;
mod depth;
mod fixture;
mod headers;
mod proofs;
mod run;

pub use depth::ProbeDepth;
