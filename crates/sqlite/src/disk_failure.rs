//! Recognizes the errors of a disk that is full or cannot be written.

use std::error::Error;
use std::io::{self, ErrorKind};

use rusqlite::ErrorCode;

use crate::writer::WriterError;

/// Returns true if `error`, or one of its causes, says that a disk is full, a quota of the disk is
/// used up, or the file system is read-only.
#[must_use]
pub fn is_disk_failure(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            let is_permanent = matches!(
                error.kind(),
                ErrorKind::StorageFull
                    | ErrorKind::QuotaExceeded
                    | ErrorKind::ReadOnlyFilesystem
                    | ErrorKind::FileTooLarge
            );
            if is_permanent {
                return true;
            }
            if let Some(inner) = error.get_ref() {
                next = Some(inner);
                continue;
            }
        }
        if let Some(WriterError::DiskFailure(_)) = error.downcast_ref() {
            return true;
        }
        if let Some(error) = error.downcast_ref::<rusqlite::Error>()
            && let Some(ErrorCode::DiskFull | ErrorCode::ReadOnly) = error.sqlite_error_code()
        {
            return true;
        }
        next = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_disk_is_recognized_below_other_errors() {
        let full = || io::Error::from(ErrorKind::StorageFull);
        assert!(is_disk_failure(&full()));
        assert!(is_disk_failure(&io::Error::other(full())));
        assert!(!is_disk_failure(&io::Error::from(ErrorKind::NotFound)));
        let sqlite = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_FULL);
        let sqlite = rusqlite::Error::SqliteFailure(sqlite, None);
        assert!(is_disk_failure(&WriterError::from(&sqlite)));
        assert!(is_disk_failure(&sqlite));
        assert!(!is_disk_failure(&WriterError::Stopped));
    }
}
