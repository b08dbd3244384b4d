//! Sources: the local files that are uploaded. The only reader of their bytes.
//!
//! Not here: the decision about a source that has changed (`transfer`). Nothing here writes, locks
//! or renames.

mod file;
mod moved;
mod version;

pub use file::{Digests, READ_BYTES, SourceFile, WithMd5};
pub use moved::MovedFiles;
pub use version::FileVersion;
