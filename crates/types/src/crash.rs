//! Points at which a test has this process die without warning, as of `kill -9` or a failing mains.
//!
//! Border: it only dies. In a default or release build nothing of it is left: it takes the feature `crash-points` and debug
//! assertions.
//!
//! `UPLOAD_CRASH=NAME:HIT` dies when the point of that name has been passed HIT times; `UPLOAD_CRASH_LOG=FILE` writes down
//! the name of each that is passed.

/// Is passed here.
#[inline]
pub fn point(name: &'static str) {
    #[cfg(all(feature = "crash-points", debug_assertions))]
    armed::pass(name);
    #[cfg(not(all(feature = "crash-points", debug_assertions)))]
    let _ = name;
}

#[cfg(all(feature = "crash-points", debug_assertions))]
mod armed {
    use std::env;
    use std::fs::OpenOptions;
    use std::io::Write as _;
    use std::path::PathBuf;
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    use rustix::process::{Signal, getpid, kill_process};

    struct Plan {
        /// Where to die, and how many times more that point may be passed.
        fatal: Option<(String, AtomicU32)>,
        log: Option<PathBuf>,
    }

    static PLAN: LazyLock<Plan> = LazyLock::new(|| {
        let fatal = env::var("UPLOAD_CRASH").ok().and_then(|asked| {
            let (name, hit) = asked.rsplit_once(':')?;
            Some((name.to_owned(), AtomicU32::new(hit.parse().ok()?)))
        });
        Plan {
            fatal,
            log: env::var_os("UPLOAD_CRASH_LOG").map(PathBuf::from),
        }
    });

    pub fn pass(name: &'static str) {
        if let Some(log) = &PLAN.log {
            let opened = OpenOptions::new().append(true).create(true).open(log);
            // In one write: other threads pass points, too.
            let _ = opened.and_then(|mut file| file.write_all(format!("{name}\n").as_bytes()));
        }
        let Some((fatal, left)) = &PLAN.fatal else {
            return;
        };
        if fatal == name && left.fetch_sub(1, Ordering::SeqCst) == 1 {
            let _ = kill_process(getpid(), Signal::KILL);
            // It comes at once; nothing may happen until it has.
            loop {
                std::thread::park();
            }
        }
    }
}
