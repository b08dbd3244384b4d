//! Sources: the local files and the streams that are uploaded. The only reader of their bytes.
//!
//! Not here: the decision about a source that has changed (`transfer`). Nothing here writes, locks
//! or renames.

mod file;
mod moved;
mod part_memory;
mod producer;
mod stream;
mod version;

pub use file::{Digests, READ_BYTES, SourceFile, WithMd5};
pub use moved::MovedFiles;
pub use part_memory::PartMemory;
pub use producer::Producer;
pub use stream::{
    StreamEnd, StreamItem, StreamPart, StreamReading, empty_stream, standard_input, start_reading,
};
pub use version::FileVersion;
