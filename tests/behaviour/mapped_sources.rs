//! Sources that a process has mapped for writing: their bytes change while their times stay.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use tempfile::TempDir;

use crate::support::command::Running;
use crate::support::events::{Event, events, receipts};
use crate::support::requirements::skip;
use crate::support::world::World;
use crate::support::{PART, files};

const SIZE: u64 = 12 * PART;

/// Maps a file, writes to its first and its last page, and does so again once the file `go` exists.
const WRITER: &str = r"
import mmap, os, sys, time
path, go = sys.argv[1:]
with open(path, 'r+b') as file:
    mapped = mmap.mmap(file.fileno(), 0)
mapped[0], mapped[-1] = mapped[0], mapped[-1]
print('mapped', flush=True)
while not os.path.exists(go):
    time.sleep(0.005)
mapped[0], mapped[-1] = mapped[0] ^ 255, mapped[-1] ^ 255
print('written', flush=True)
while True:
    time.sleep(60)
";

/// A file in memory that another process has mapped.
struct Mapped {
    world: World,
    file: PathBuf,
    writer: Running,
    folder: TempDir,
}

/// A file in memory after the process that had mapped it has ended.
struct Unmapped {
    world: World,
    file: PathBuf,
    /// Removed with this value.
    _folder: TempDir,
}

impl Mapped {
    /// Returns `None` if the test cannot run here.
    #[track_caller]
    fn start() -> Option<Self> {
        Self::of_size(SIZE)
    }

    #[track_caller]
    fn of_size(size: u64) -> Option<Self> {
        let memory = Path::new("/dev/shm");
        let Some(folder) = memory
            .is_dir()
            .then(|| tempfile::tempdir_in(memory).unwrap())
        else {
            skip("there is no file system in memory");
            return None;
        };
        let world = World::new();
        let file = folder.path().join("film.bin");
        files::random(&file, size, 21);
        let python = world.sandbox.command("python3").args(["-c", WRITER]);
        let mut writer = python.arg(&file).arg(world.sandbox.path("go")).spawn();
        writer.wait_for_stdout("mapped");
        Some(Self {
            world,
            file,
            writer,
            folder,
        })
    }

    /// Ends the other process.
    fn without_writer(self) -> Unmapped {
        self.writer.kill9();
        Unmapped {
            world: self.world,
            file: self.file,
            _folder: self.folder,
        }
    }

    /// Lets the other process write. The metadata must stay.
    #[track_caller]
    fn write(&mut self) {
        let times = |metadata: Metadata| {
            (
                metadata.mtime(),
                metadata.mtime_nsec(),
                metadata.ctime(),
                metadata.ctime_nsec(),
            )
        };
        let before = (
            files::sha256(&self.file),
            times(fs::metadata(&self.file).unwrap()),
        );
        fs::write(self.world.sandbox.path("go"), b"").unwrap();
        self.writer.wait_for_stdout("written");
        let after = (
            files::sha256(&self.file),
            times(fs::metadata(&self.file).unwrap()),
        );
        assert_eq!(before.1, after.1, "the change is visible");
        assert_ne!(before.0, after.0, "nothing was written");
    }
}

#[test]
fn mapped_file_that_changes_during_a_put_ends_with_65_and_is_uploaded_again() {
    let Some(mut mapped) = Mapped::start() else {
        return;
    };
    let put = mapped.world.put(&mapped.file);
    let running = mapped.world.run_until_blocked(put, 3 * PART);
    mapped.write();
    mapped.world.proxy.unblock();
    running.wait().exits(65);
    assert!(mapped.world.store().objects().is_empty());
    let left = mapped.without_writer();
    left.world.put(&left.file).run().succeeds();
    left.world.assert_holds_only(&left.file);
}

#[test]
fn if_changed_restart_uploads_the_written_state_of_a_mapped_file() {
    let Some(mut mapped) = Mapped::start() else {
        return;
    };
    let put = mapped.world.put(&mapped.file);
    let put = put.args(["--if-changed", "restart"]);
    let running = mapped.world.run_until_blocked(put, 3 * PART);
    mapped.write();
    mapped.world.proxy.unblock();
    running.wait().succeeds();
    mapped.world.assert_holds_only(&mapped.file);
}

#[test]
fn parts_of_an_earlier_run_are_compared_with_a_mapped_file() {
    let Some(mut mapped) = Mapped::start() else {
        return;
    };
    mapped.world.put_and_kill_after_parts(&mapped.file, 3);
    mapped.write();
    mapped.world.resume().run().exits(65);
    mapped.world.put(&mapped.file).run().succeeds();
    mapped.world.assert_holds_only(&mapped.file);
}

/// The writer has ended, and the metadata is that of the file whose parts were sent.
#[test]
fn suspected_mapping_outlives_the_run_and_the_writer() {
    let Some(mut mapped) = Mapped::start() else {
        return;
    };
    mapped.world.put_and_kill_after_parts(&mapped.file, 3);
    mapped.write();
    let left = mapped.without_writer();
    left.world.resume().run().exits(65);
    assert!(left.world.store().objects().is_empty());
    left.world.put(&left.file).run().succeeds();
    left.world.assert_holds_only(&left.file);
}

/// A file that was mapped when it was uploaded is compared by the next `put`, once.
#[test]
fn uploaded_file_is_compared_once_after_its_writer_has_ended() {
    let Some(mut mapped) = Mapped::start() else {
        return;
    };
    mapped.world.put(&mapped.file).run().succeeds();
    mapped.write();
    let left = mapped.without_writer();
    left.world.put(&left.file).run().succeeds();
    assert_eq!(left.world.bytes_put(), 2 * SIZE);
    let journal = Connection::open(left.world.sandbox.journal()).unwrap();
    let suspected = || -> i64 {
        let sql = "SELECT count(*) FROM upload WHERE state = 'completed' AND may_be_mapped";
        journal.query_row(sql, [], |row| row.get(0)).unwrap()
    };
    let before = suspected();
    left.world.put(&left.file).run().succeeds();
    assert_eq!(left.world.bytes_put(), 2 * SIZE);
    assert!(
        suspected() < before || before == 0,
        "{before} are suspected"
    );
}

/// Another machine has completed the upload; then the file has changed without a new version.
#[test]
fn completed_upload_of_other_bytes_is_replaced_if_the_mapped_file_differs() {
    for (args, is_replaced) in [
        (&["put", "--sha256", "--if-changed", "restart"][..], true),
        (&["resume", "--sha256"], false),
    ] {
        let Some(mut mapped) = Mapped::start() else {
            return;
        };
        mapped.world.put_and_kill_after_parts(&mapped.file, 3);
        let other = mapped.world.sandbox.copy_machine();
        let resume = other.upload(["resume"]);
        let resume = resume.env("UPLOAD_BACKEND", mapped.world.proxy.url());
        resume.run().succeeds();
        mapped.write();
        let left = mapped.without_writer();
        let command = left.world.upload(args);
        let command = if is_replaced {
            command.arg(&left.file)
        } else {
            command
        };
        command.run().exits(if is_replaced { 0 } else { 65 });
        let objects = left.world.store().objects().len();
        assert_eq!(objects, 1 + usize::from(is_replaced));
    }
}

#[test]
fn mapped_file_that_stays_the_same_is_sent_once_and_known_afterwards() {
    let Some(mut mapped) = Mapped::start() else {
        return;
    };
    let put = || mapped.world.put(&mapped.file).run().succeeds();
    put();
    put();
    assert_eq!(mapped.world.bytes_put(), SIZE);
    mapped.world.assert_holds_only(&mapped.file);
    mapped.write();
    mapped.world.put(&mapped.file).run().succeeds();
    let store = mapped.world.store();
    let stored = store.objects().len();
    assert_eq!(
        stored, 2,
        "the uploaded state was taken for the written one"
    );
    assert_eq!(mapped.world.bytes_put(), 2 * SIZE);
}

/// The file was written through a mapping after its upload, so that its size and its times are
/// those of the upload.
#[test]
fn sha256_reads_a_file_again_that_is_uploaded_already() {
    for size in [1000, SIZE] {
        let Some(mut mapped) = Mapped::of_size(size) else {
            return;
        };
        let (world, file) = (&mapped.world, &mapped.file);
        world.put(file).arg("--sha256").run().succeeds();
        mapped.write();
        let left = mapped.without_writer();
        let journal = Connection::open(left.world.sandbox.journal()).unwrap();
        let sql = "UPDATE upload SET may_be_mapped = 0";
        journal.execute(sql, []).unwrap();
        let dry = left.world.put(&left.file);
        let dry = dry.args(["--sha256", "--dry-run", "--json"]).run();
        let is_new = |event: &Event| {
            matches!(
                event,
                Event::Plan {
                    already_stored: false,
                    ..
                }
            )
        };
        let dry = dry.succeeds();
        assert!(events(&dry).iter().any(is_new), "{dry}");
        let receipt = left.world.sandbox.path("receipt");
        let put = left.world.put(&left.file).args(["--sha256", "--receipt"]);
        put.arg(&receipt).run().succeeds();
        let receipts = receipts(&receipt);
        assert_eq!(
            receipts[0].sha256.as_deref(),
            Some(&*files::sha256(&left.file))
        );
        assert_eq!(left.world.bytes_put(), 2 * size);
    }
}
