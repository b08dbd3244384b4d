//! Finds out whether a process has a file open for writing, or mapped for writing. Writes through
//! a mapping need not change the times of the file.
//!
//! The kernel refuses a read lease on such a file. A lease that is granted is given up at once.
//! This crate is separate because no safe library has the system call.

use std::fs::File;

/// Returns `None` if the system cannot tell: not Linux, a file system without leases (NFS, FUSE),
/// or a file of another owner.
///
/// The file must be open for reading only. A process that opens it for writing just now waits
/// until the lease is given up, some microseconds later.
#[must_use]
pub fn has_writer(file: &File) -> Option<bool> {
    #[cfg(target_os = "linux")]
    {
        linux::has_writer(file)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = file;
        None
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs::File;
    use std::io::{Error, ErrorKind, Result};
    use std::os::fd::AsRawFd as _;

    use libc::c_int;

    /// `fcntl(2)`; missing in `libc` for most targets.
    const F_SETSIG: c_int = 10;

    pub fn has_writer(file: &File) -> Option<bool> {
        // A waiting writer makes the kernel send a signal, by default one that ends the process.
        // This one is ignored by default.
        set(file, F_SETSIG, libc::SIGURG).ok()?;
        match set(file, libc::F_SETLEASE, libc::F_RDLCK.into()) {
            Ok(()) => {
                let _ = set(file, libc::F_SETLEASE, libc::F_UNLCK.into());
                Some(false)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Some(true),
            Err(_) => None,
        }
    }

    /// Calls `fcntl` with a command that takes an integer.
    #[expect(unsafe_code, reason = "a system call")]
    fn set(file: &File, command: c_int, argument: c_int) -> Result<()> {
        // SAFETY: The descriptor is open for the time of the call. Both commands take an integer,
        // and access no memory of this process.
        let result = unsafe { libc::fcntl(file.as_raw_fd(), command, argument) };
        if result == -1 {
            return Err(Error::last_os_error());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_writers_are_found_where_the_system_can_tell() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        std::fs::write(&path, b"bytes").unwrap();
        let file = File::open(&path).unwrap();
        let Some(has_writer_before) = has_writer(&file) else {
            return;
        };
        assert!(!has_writer_before);
        let writer = File::options().append(true).open(&path).unwrap();
        assert_eq!(has_writer(&file), Some(true));
        drop(writer);
        assert_eq!(has_writer(&file), Some(false));
        // The lease was given up: opening for writing does not wait.
        File::options().append(true).open(&path).unwrap();
    }
}
