//! The choice of SQLite's journal mode by the file system.

use std::path::Path;

/// The journal mode, which determines how processes share the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JournalMode {
    /// A write-ahead log. Its index is memory that all processes share.
    Wal,
    /// A rollback journal, for one process at a time: on network file systems processes cannot
    /// share memory.
    Exclusive,
}

impl JournalMode {
    /// The mode for a file system, by its number in `statfs` (Linux).
    fn for_file_system(number: u64) -> Self {
        // NFS, SMB (three of them), OpenAFS, Coda, NCP, 9P, Ceph, Lustre, GPFS, GFS2, OCFS2, FUSE,
        // the shared folders of VirtualBox and VMware, and the AFS of the kernel.
        const NETWORK: [u64; 17] = [
            0x6969,
            0x517B,
            0xFF53_4D42,
            0xFE53_4D42,
            0x5346_414F,
            0x7375_7245,
            0x564C,
            0x0102_1997,
            0x00C3_6400,
            0x0BD0_0BD0,
            0x4750_4653,
            0x0116_1970,
            0x7461_636F,
            0x6573_5546,
            0x786F_4256,
            0xBACB_ACBC,
            0x6B41_4653,
        ];
        if NETWORK.contains(&number) {
            Self::Exclusive
        } else {
            Self::Wal
        }
    }

    /// The mode for a file in this directory.
    #[cfg(target_os = "linux")]
    pub(crate) fn for_directory(directory: &Path) -> Self {
        // The number has 32 bits; size and sign of its type differ between platforms.
        let number =
            |stat: rustix::fs::StatFs| u64::try_from(i128::from(stat.f_type) & 0xFFFF_FFFF).ok();
        rustix::fs::statfs(directory)
            .ok()
            .and_then(number)
            .map_or(Self::Wal, Self::for_file_system)
    }

    #[cfg(not(target_os = "linux"))]
    pub(crate) fn for_directory(_directory: &Path) -> Self {
        Self::Wal
    }

    /// Its name in `PRAGMA journal_mode`.
    pub(crate) fn pragma(self) -> &'static str {
        match self {
            Self::Wal => "wal",
            Self::Exclusive => "truncate",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_file_systems_are_recognized() {
        // As `statfs(2)` lists them: NFS, CIFS, SMB2, Lustre, GPFS; then ext4, XFS, btrfs, tmpfs,
        // overlayfs, ZFS.
        for number in [0x6969, 0xFF53_4D42, 0xFE53_4D42, 0x0BD0_0BD0, 0x4750_4653] {
            assert_eq!(
                JournalMode::for_file_system(number),
                JournalMode::Exclusive,
                "{number:#x}"
            );
        }
        for number in [
            0xEF53,
            0x5846_5342,
            0x9123_683E,
            0x0102_1994,
            0x794C_7630,
            0x2FC1_2FC1,
        ] {
            assert_eq!(
                JournalMode::for_file_system(number),
                JournalMode::Wal,
                "{number:#x}"
            );
        }
    }
}
