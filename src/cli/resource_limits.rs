//! Resource limits of the process: no core dumps, because memory holds secrets, as many open files
//! as permitted, and an error instead of a signal beyond the largest file size (`ulimit -f`).

use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};
use upload_types::saturating;

/// Descriptors besides those of parts and sources: standard streams, event loop, journal, calls to
/// the backend, and a connection that closes while the next one opens.
const FIXED_FILES: u64 = 22;
/// The same with gateway and store in this process.
const FIXED_FILES_IN_PROCESS: u64 = 32;
/// A part needs its source and a connection.
const FILES_PER_PART: u64 = 2;
/// With gateway and store in this process it also needs the other end of the connection and a file
/// of the store.
const FILES_PER_PART_IN_PROCESS: u64 = 4;

/// Applies the limits. Failures are ignored: the program works without them.
pub fn apply() {
    // Two ways to prevent core dumps, because a system may refuse one of them.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    let _ = setrlimit(
        Resource::Core,
        Rlimit {
            current: Some(0),
            maximum: getrlimit(Resource::Core).maximum,
        },
    );
    // A handler that stays installed. Without one, the signal ends the process; with it, the write
    // fails.
    let _ = signal(SignalKind::from_raw(Signal::XFSZ.as_raw()));
    let files = getrlimit(Resource::Nofile);
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: files.maximum,
            maximum: files.maximum,
        },
    );
}

/// The place of the gateway of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GatewayPlace {
    InProcess,
    Remote,
}

/// How many parts and sources can be open at once with the permitted open files; at least 1.
pub fn max_open_parts(gateway: GatewayPlace) -> usize {
    parts_for(getrlimit(Resource::Nofile).current, gateway)
}

fn parts_for(max_files: Option<u64>, gateway: GatewayPlace) -> usize {
    let (fixed, per_part) = match gateway {
        GatewayPlace::InProcess => (FIXED_FILES_IN_PROCESS, FILES_PER_PART_IN_PROCESS),
        GatewayPlace::Remote => (FIXED_FILES, FILES_PER_PART),
    };
    let parts = max_files.map_or(u64::MAX, |files| files.saturating_sub(fixed) / per_part);
    saturating::to_usize(parts).max(1)
}

#[cfg(test)]
mod tests {
    use super::GatewayPlace::{InProcess, Remote};
    use super::*;

    #[test]
    fn few_descriptors_allow_few_parts_but_at_least_one() {
        assert_eq!(
            (parts_for(Some(32), Remote), parts_for(Some(64), InProcess)),
            (5, 8)
        );
        assert_eq!(
            (parts_for(Some(0), Remote), parts_for(Some(10), InProcess)),
            (1, 1)
        );
        assert!(parts_for(Some(1024), Remote) > 256 && parts_for(None, Remote) > 1024);
    }
}
