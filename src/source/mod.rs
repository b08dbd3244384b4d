//! Sources: the local files that are uploaded. The only reader of their bytes.
//!
//! Not here: what to do when a source has changed; `transfer` decides that. Nothing here writes, locks or renames.

mod file;
mod version;

pub use file::{Digests, READ_BYTES, SourceFile, WithMd5};
pub use version::FileVersion;
