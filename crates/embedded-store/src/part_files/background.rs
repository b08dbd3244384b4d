//! The threads that remove and flush part files, so that no request waits for them.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

use upload_types::crash;

use crate::lock::StoreLock;

/// Starts the thread that removes the files that are sent to the returned channel. It ends when the
/// sender is dropped, and then releases the lock: cleanly, unless `needs_sweep` is set.
pub(super) fn start_remover(
    lock: StoreLock,
    needs_sweep: Arc<AtomicBool>,
) -> io::Result<mpsc::Sender<PathBuf>> {
    let (sender, paths) = mpsc::channel::<PathBuf>();
    thread::Builder::new()
        .name("part-remover".into())
        .spawn(move || {
            for path in paths {
                crash::point("store.files.removing");
                match fs::remove_file(&path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        tracing::warn!("could not remove {}: {error}", path.display());
                        needs_sweep.store(true, Ordering::Relaxed);
                    }
                    _ => {}
                }
            }
            if !needs_sweep.load(Ordering::Relaxed) {
                lock.release_clean();
            }
        })?;
    Ok(sender)
}

/// Starts the thread that flushes the files that are sent to the returned channel. Errors are
/// ignored: publishing a file syncs it again by another handle, which reports them.
pub(super) fn start_flusher() -> io::Result<mpsc::Sender<Arc<File>>> {
    let (sender, files) = mpsc::channel::<Arc<File>>();
    thread::Builder::new()
        .name("part-flusher".into())
        .spawn(move || {
            for file in files {
                let _ = file.sync_data();
            }
        })?;
    Ok(sender)
}
