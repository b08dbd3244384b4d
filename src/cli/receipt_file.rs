//! The file of `--receipt` and `--receipt-append`: a line of JSON for each completed upload,
//! written as soon as it completes. A last line sums up a set of which no file failed.
//!
//! `--receipt` writes the first receipt to a new file and renames it over the old one, so that
//! other hard links of the old file keep their content. A file that the command reads, that belongs
//! to the journal, or that has other content than receipts is rejected before any request.

use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};

use rustix::fs::{Access, access};
use serde::Serialize;
use sha2::{Digest as _, Sha256 as Hasher};
use tokio::sync::mpsc::UnboundedReceiver;
use upload_sqlite::SortedLines;

use super::receipt_target::{ReceiptMode, ReceiptTarget};
use crate::event::{Event, EventSender};
use upload_types::Sha256;
use upload_types::error::{Error, Kind, Result};
use upload_types::wire::Receipt;

/// The most bytes of the first line of a receipt file: a receipt has metadata and attributes.
const MAX_LINE_BYTES: u64 = 1 << 20;

/// Returns a sender whose receipts go into the file before they go to `next`. The thread ends when
/// the sender is dropped.
///
/// # Errors
/// [`Kind::Usage`] if the file is one of `protected`; [`Kind::Io`] if it cannot be written. The
/// thread returns the first error of a write.
pub fn tee(
    target: &ReceiptTarget,
    protected: &[FileIdentity],
    next: EventSender,
) -> Result<(EventSender, JoinHandle<Result<()>>)> {
    let mut receipts = ReceiptFile::prepare(target, protected)?;
    let (sender, mut events): (EventSender, UnboundedReceiver<Event>) = EventSender::channel();
    let thread = thread::spawn(move || {
        while let Some(mut event) = events.blocking_recv() {
            match &mut event {
                Event::Selected { is_complete, .. } => receipts.start_set(*is_complete),
                Event::Completed { path, receipt, .. } => receipts.write(path, receipt),
                // The exit code includes a failure of this file.
                Event::Exit { code, .. } => {
                    if *code == 0 {
                        receipts.end_set();
                    }
                    receipts.sync();
                    if let (0, Err(error)) = (*code, &receipts.result) {
                        *code = error.kind().exit_code();
                    }
                }
                _ => {}
            }
            next.emit(event);
        }
        receipts.result
    });
    Ok((sender, thread))
}

/// The identity of a file under all its names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileIdentity {
    dev: u64,
    ino: u64,
}

impl FileIdentity {
    #[must_use]
    pub fn new(dev: u64, ino: u64) -> Self {
        Self { dev, ino }
    }

    /// Returns `None` if there is no such file.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        fs::metadata(path)
            .ok()
            .map(|metadata| Self::from(&metadata))
    }
}

impl From<&Metadata> for FileIdentity {
    fn from(metadata: &Metadata) -> Self {
        Self::new(metadata.dev(), metadata.ino())
    }
}

/// A line of the file.
#[derive(Serialize)]
struct Line<'a> {
    /// The path of the source.
    path: &'a str,
    #[serde(flatten)]
    receipt: &'a Receipt,
}

/// The last line of a set.
#[derive(Serialize)]
struct SetLine {
    #[serde(rename = "type")]
    kind: &'static str,
    /// The number of lines of this run before this one.
    files: u64,
    /// The size of the objects together.
    bytes: u64,
    /// The SHA-256 of these lines in sorted order.
    sha256: Sha256,
}

/// The lines of a set.
struct SetLines {
    lines: SortedLines,
    bytes: u64,
    /// All files were found.
    is_complete: bool,
}

struct ReceiptFile {
    /// Without symbolic links, so that a rename replaces the file and not a link to it.
    path: PathBuf,
    /// `None` until the first receipt replaces the old file.
    file: Option<File>,
    set: Option<SetLines>,
    /// The first failure; nothing is written after it.
    result: Result<()>,
}

impl ReceiptFile {
    fn prepare(target: &ReceiptTarget, protected: &[FileIdentity]) -> Result<Self> {
        let failed = |error: io::Error| write_error(&target.path, error);
        let existing = match fs::metadata(&target.path) {
            Ok(metadata) => Some(metadata),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(failed(error)),
        };
        if let Some(metadata) = &existing {
            if protected.contains(&FileIdentity::from(metadata)) {
                return Err(protected_error(&target.path));
            }
            if metadata.is_dir() {
                return Err(failed(io::ErrorKind::IsADirectory.into()));
            }
        }
        let is_special = existing
            .as_ref()
            .is_some_and(|metadata| !metadata.is_file());
        let stream = standard_stream(&target.path).filter(|_| existing.is_some());
        if existing.is_some() && !is_special && stream.is_none() {
            check_has_receipts(&target.path)?;
        }
        let mut options = OpenOptions::new();
        let file = match target.mode {
            ReceiptMode::Append => Some(options.append(true).create(true)),
            // A pipe or a terminal.
            ReceiptMode::Replace if is_special => Some(options.write(true)),
            ReceiptMode::Replace => None,
        };
        let opened = match (stream, file) {
            (Some(stream), _) => Some(stream.map(File::from)),
            (None, file) => file.map(|options| options.open(&target.path)),
        };
        let file = opened.transpose().map_err(failed)?;
        let path = fs::canonicalize(&target.path).unwrap_or_else(|_| target.path.clone());
        if file.is_none() {
            access(directory(&path), Access::WRITE_OK | Access::EXEC_OK)
                .map_err(|error| failed(error.into()))?;
        }
        Ok(Self {
            path,
            file,
            set: None,
            result: Ok(()),
        })
    }

    /// The uploads of this run are those of a set.
    fn start_set(&mut self, is_complete: bool) {
        self.attempt(|receipts| {
            let set = match &mut receipts.set {
                Some(set) => set,
                none => none.insert(SetLines {
                    lines: SortedLines::new()?,
                    bytes: 0,
                    is_complete,
                }),
            };
            set.is_complete = is_complete;
            Ok(())
        });
    }

    fn write(&mut self, path: &str, receipt: &Receipt) {
        self.attempt(|receipts| {
            let line = serde_json::to_string(&Line { path, receipt })?;
            receipts.write_line(&line)?;
            let Some(set) = &mut receipts.set else {
                return Ok(());
            };
            set.bytes = set.bytes.saturating_add(receipt.size);
            set.lines.add(&line)
        });
    }

    /// Writes the last line of a set, if all of its files were found.
    fn end_set(&mut self) {
        self.attempt(|receipts| {
            let Some(set) = receipts.set.take() else {
                return Ok(());
            };
            // Without a receipt of this run, those of an earlier one stay.
            if !set.is_complete || set.lines.count() == 0 {
                return Ok(());
            }
            let mut hasher = Hasher::new();
            set.lines.visit(|line| {
                hasher.update(line);
                hasher.update(b"\n");
            })?;
            let line = SetLine {
                kind: "set",
                files: set.lines.count(),
                bytes: set.bytes,
                sha256: Sha256::new(hasher.finalize().into()),
            };
            receipts.write_line(&serde_json::to_string(&line)?)
        });
    }

    /// Runs a step unless an earlier one has failed.
    fn attempt(&mut self, step: impl FnOnce(&mut Self) -> io::Result<()>) {
        if self.result.is_ok() {
            self.result = step(self).map_err(|error| write_error(&self.path, error));
        }
    }

    fn write_line(&mut self, line: &str) -> io::Result<()> {
        if let Some(file) = &mut self.file {
            return writeln!(file, "{line}");
        }
        let temporary = temporary_path(&self.path);
        let written = File::create_new(&temporary).and_then(|mut file| {
            writeln!(file, "{line}")?;
            if let Ok(existing) = fs::metadata(&self.path) {
                file.set_permissions(existing.permissions())?;
            }
            fs::rename(&temporary, &self.path)?;
            Ok(file)
        });
        match written {
            Ok(file) => {
                self.file = Some(file);
                Ok(())
            }
            Err(error) => {
                let _ = fs::remove_file(&temporary);
                Err(error)
            }
        }
    }

    fn sync(&mut self) {
        if let (true, Some(file)) = (self.result.is_ok(), &self.file) {
            self.result = match file.sync_all() {
                // Pipes and terminals cannot be synced.
                Err(error) if error.kind() != io::ErrorKind::InvalidInput => {
                    Err(write_error(&self.path, error))
                }
                _ => Ok(()),
            };
        }
    }
}

/// The directory of a file; `.` for a bare name.
fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// A path in the same directory that no other process uses.
fn temporary_path(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}.tmp", upload_types::new_id()));
    directory(path).join(name)
}

/// Standard output or standard error, if the path names one of them: a file behind it has content
/// of others, and a position that this process shares.
fn standard_stream(path: &Path) -> Option<io::Result<OwnedFd>> {
    let is_any = |names: [&str; 3]| names.iter().any(|name| path == Path::new(name));
    if is_any(["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"]) {
        return Some(io::stdout().as_fd().try_clone_to_owned());
    }
    if is_any(["/dev/stderr", "/dev/fd/2", "/proc/self/fd/2"]) {
        return Some(io::stderr().as_fd().try_clone_to_owned());
    }
    None
}

/// Checks that an existing file is empty, or that its first line is one of a receipt file. Another
/// file may be a source, a key or a database.
///
/// # Errors
/// [`Kind::Usage`] if it has other content; [`Kind::Io`] if it cannot be read.
fn check_has_receipts(path: &Path) -> Result<()> {
    let mut start = Vec::new();
    let read = File::open(path).and_then(|file| {
        let file = file.take(MAX_LINE_BYTES);
        BufReader::new(file).read_until(b'\n', &mut start)
    });
    read.map_err(|error| write_error(path, error))?;
    let is_receipt = |line: &serde_json::Map<String, serde_json::Value>| {
        let is_set = line.get("type").is_some_and(|kind| kind == "set");
        is_set
            || ["path", "etag", "size"]
                .iter()
                .all(|name| line.contains_key(*name))
    };
    if start.is_empty() || serde_json::from_slice(&start).is_ok_and(|line| is_receipt(&line)) {
        return Ok(());
    }
    let what = format!(
        "{} is not a receipt file, and is not replaced",
        path.display()
    );
    Err(Error::new(Kind::Usage, what)
        .with_hint("name another file for the receipts, or remove this one if nothing needs it"))
}

fn protected_error(path: &Path) -> Error {
    let what = format!(
        "the receipt file {} is read by this command, or belongs to the journal",
        path.display()
    );
    Error::new(Kind::Usage, what).with_hint("name another file for the receipts")
}

fn write_error(path: &Path, error: io::Error) -> Error {
    Error::new(
        Kind::Io,
        format!("could not write the receipt file {}", path.display()),
    )
    .with_source(error)
    .with_hint("name another file with --receipt FILE or --receipt-append FILE")
}
