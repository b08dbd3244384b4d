//! What this process may and may not do: leave no image of its memory behind, which holds secrets, and open as many files as
//! the system lets it.
//!
//! Border: set once, before anything is read; what cannot be set is gone without.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors beside those of parts and sources: standard streams, the loop's own, the journal's, calls to the backend, a
/// connection that is closing while the next one opens.
const BESIDE: u64 = 22;
/// The same of a gateway with its store in this process.
const BESIDE_HERE: u64 = 32;
/// A part takes its source and a connection; where the gateway is here as well, the other end of it and a file of the store.
const EACH: u64 = 2;
const EACH_HERE: u64 = 4;

/// Sets it all.
pub fn settle() {
    // A dump may hold a token, signed URLs and the user's bytes. Where the system refuses, the limit still holds.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    let _ = setrlimit(
        Resource::Core,
        Rlimit {
            current: Some(0),
            maximum: getrlimit(Resource::Core).maximum,
        },
    );
    let files = getrlimit(Resource::Nofile);
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: files.maximum,
            maximum: files.maximum,
        },
    );
}

/// How many parts and sources the open files suffice for; `here` says that the backend runs in this process.
pub fn most(here: bool) -> usize {
    room(getrlimit(Resource::Nofile).current, here)
}

fn room(files: Option<u64>, here: bool) -> usize {
    let (beside, each) = if here {
        (BESIDE_HERE, EACH_HERE)
    } else {
        (BESIDE, EACH)
    };
    let room = files.map_or(u64::MAX, |files| files.saturating_sub(beside) / each);
    usize::try_from(room).unwrap_or(usize::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_descriptors_are_few_parts_and_never_none() {
        assert_eq!((room(Some(32), false), room(Some(64), true)), (5, 8));
        assert_eq!((room(Some(0), false), room(Some(10), true)), (1, 1));
        assert!(room(Some(1024), false) > 256 && room(None, false) > 1024);
    }
}
