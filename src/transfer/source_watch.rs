//! Checks of the version of a source while its parts are sent: when, and what follows. Pure: the
//! clock and the observed version are arguments.
//!
//! A source is touched if its metadata has changed: only a comparison of its content shows whether
//! it is the same.
//!
//! A check saves work: a source that changes is noticed before all of it is sent. The proof is the
//! comparison after the last part, which each upload has (`transitions`).

use std::time::{Duration, Instant};

use crate::source::FileVersion;

const VERSION_CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// How often the digests so far are compared during one upload because its source was touched.
/// Later touches are noticed after the last part.
const MAX_EARLY_CHECKS: u32 = 3;

/// A source as it is now.
#[derive(Debug, Clone, Copy)]
pub struct Observed {
    pub version: FileVersion,
    /// Whether a process may write to it.
    pub has_writer: bool,
    /// Whether another file is at its path.
    pub is_replaced: bool,
}

/// The result of a check of the version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// Nothing that needs an action.
    Unchanged,
    OtherSize,
    /// Only a comparison of digests shows whether the content is the same.
    Touched,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Activity {
    None,
    CheckingVersion,
    CheckingContent,
}

#[derive(Debug)]
pub struct SourceWatch {
    may_be_mapped: bool,
    /// A process could write to the source during its latest comparison.
    has_writer: bool,
    seen: FileVersion,
    checked_at: Instant,
    activity: Activity,
    checks: u32,
}

impl SourceWatch {
    /// `version` and `has_writer` are those of the source when it was opened.
    #[must_use]
    pub fn new(version: FileVersion, has_writer: bool, now: Instant) -> Self {
        Self {
            may_be_mapped: has_writer,
            has_writer,
            seen: version,
            checked_at: now,
            activity: Activity::None,
            checks: 0,
        }
    }

    /// Whether a process may have changed the source without a new version, through a memory
    /// mapping. Then the digests are compared before the upload is completed.
    #[must_use]
    pub fn may_be_mapped(&self) -> bool {
        self.may_be_mapped
    }

    /// Notes whether a process may write to the source now, or could in an earlier run.
    pub fn note_writer(&mut self, has_writer: bool) {
        self.may_be_mapped |= has_writer;
        self.has_writer |= has_writer;
    }

    /// Every part of the source is compared from now on.
    pub fn start_comparison(&mut self, has_writer: bool) {
        self.has_writer = has_writer;
        self.may_be_mapped |= has_writer;
    }

    /// Every part was the same. Without a writer during the comparison, earlier suspicions are
    /// settled.
    pub fn end_comparison(&mut self, has_writer: bool) {
        self.may_be_mapped = self.has_writer || has_writer;
    }

    /// Starts a check of the version if it is time for one.
    pub fn start_version_check(&mut self, now: Instant) -> bool {
        let elapsed = now.saturating_duration_since(self.checked_at);
        let is_due = self.activity == Activity::None && elapsed >= VERSION_CHECK_INTERVAL;
        if is_due {
            self.activity = Activity::CheckingVersion;
            self.checked_at = now;
        }
        is_due
    }

    /// Ends a check.
    pub fn end(&mut self) {
        self.activity = Activity::None;
    }

    /// Judges the version that a check has observed.
    pub fn judge(&mut self, observed: FileVersion) -> Finding {
        if observed.size != self.seen.size {
            return Finding::OtherSize;
        }
        if observed == self.seen {
            return Finding::Unchanged;
        }
        self.seen = observed;
        if self.checks == MAX_EARLY_CHECKS {
            return Finding::Unchanged;
        }
        Finding::Touched
    }

    /// The digests so far are compared. No part starts meanwhile.
    pub fn start_content_check(&mut self) {
        self.checks += 1;
        self.activity = Activity::CheckingContent;
    }

    #[must_use]
    pub fn is_checking_content(&self) -> bool {
        self.activity == Activity::CheckingContent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERSION: FileVersion = FileVersion {
        dev: 1,
        ino: 2,
        size: 3,
        mtime_ns: 4,
        ctime_ns: 5,
    };

    fn touched(at: i64) -> FileVersion {
        FileVersion {
            ctime_ns: at,
            ..VERSION
        }
    }

    #[test]
    fn looks_have_an_interval_and_never_overlap() {
        let start = Instant::now();
        let mut watch = SourceWatch::new(VERSION, false, start);
        assert!(!watch.start_version_check(start));
        assert!(watch.start_version_check(start + VERSION_CHECK_INTERVAL));
        assert!(!watch.start_version_check(start + 2 * VERSION_CHECK_INTERVAL));
        watch.end();
        assert!(watch.start_version_check(start + 2 * VERSION_CHECK_INTERVAL));
        watch.start_content_check();
        assert!(
            watch.is_checking_content()
                && !watch.start_version_check(start + 4 * VERSION_CHECK_INTERVAL)
        );
    }

    #[test]
    fn each_touch_is_found_once_and_comparisons_are_limited() {
        let mut watch = SourceWatch::new(VERSION, false, Instant::now());
        assert_eq!(watch.judge(VERSION), Finding::Unchanged);
        for at in 0..i64::from(MAX_EARLY_CHECKS) {
            assert_eq!(watch.judge(touched(10 + at)), Finding::Touched);
            assert_eq!(watch.judge(touched(10 + at)), Finding::Unchanged);
            watch.start_content_check();
        }
        assert_eq!(watch.judge(touched(99)), Finding::Unchanged);
        let shorter = FileVersion { size: 2, ..VERSION };
        assert_eq!(watch.judge(shorter), Finding::OtherSize);
    }
}
