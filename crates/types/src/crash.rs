//! Points at which a test can kill this process, as `kill -9` or a power cut would.
//!
//! Not here: what a test checks afterwards. Builds without the feature `crash-points`, and all
//! release builds, contain nothing of this module.
//!
//! `UPLOAD_CRASH=NAME:N` kills the process when it passes the point NAME for the Nth time.
//! `UPLOAD_CRASH_LOG=FILE` appends the name of each point that the process passes.

/// Marks a point.
#[inline]
pub fn point(name: &'static str) {
    #[cfg(all(feature = "crash-points", debug_assertions))]
    enabled::pass(name);
    #[cfg(not(all(feature = "crash-points", debug_assertions)))]
    let _ = name;
}

#[cfg(all(feature = "crash-points", debug_assertions))]
mod enabled {
    use std::env;
    use std::fs::OpenOptions;
    use std::io::Write as _;
    use std::path::PathBuf;
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    use rustix::process::{Signal, getpid, kill_process};

    struct Settings {
        /// The point at which to kill the process, and the number of passes left.
        fatal: Option<(String, AtomicU32)>,
        log: Option<PathBuf>,
    }

    static SETTINGS: LazyLock<Settings> = LazyLock::new(|| {
        let fatal = env::var("UPLOAD_CRASH").ok().and_then(|setting| {
            let (name, passes) = setting.rsplit_once(':')?;
            Some((name.to_owned(), AtomicU32::new(passes.parse().ok()?)))
        });
        Settings {
            fatal,
            log: env::var_os("UPLOAD_CRASH_LOG").map(PathBuf::from),
        }
    });

    pub fn pass(name: &'static str) {
        if let Some(log) = &SETTINGS.log {
            let file = OpenOptions::new().append(true).create(true).open(log);
            // One write, because other threads pass points at the same time.
            let _ = file.and_then(|mut file| file.write_all(format!("{name}\n").as_bytes()));
        }
        let Some((fatal, passes_left)) = &SETTINGS.fatal else {
            return;
        };
        if fatal == name && passes_left.fetch_sub(1, Ordering::SeqCst) == 1 {
            let _ = kill_process(getpid(), Signal::KILL);
            // Nothing may happen until the signal arrives.
            loop {
                std::thread::park();
            }
        }
    }
}
