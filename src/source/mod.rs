//! Sources: the local files and the streams that are uploaded. The only reader of their bytes.
//!
//! Not here: the decision about a source that has changed (`transfer`). Nothing here writes, locks
//! or renames a source; `spool` writes parts of streams to a file of its own.

mod file;
mod moved;
mod part_memory;
mod producer;
mod spool;
mod stream;
mod version;

pub use file::{Digests, READ_BYTES, SourceFile, WithMd5};
pub use moved::MovedFiles;
pub use part_memory::PartMemory;
pub use producer::Producer;
pub use spool::{Spool, SpooledPart};
pub use stream::{
    PartBytes, StreamEnd, StreamItem, StreamPart, StreamReading, empty_stream, standard_input,
    start_reading,
};
pub use version::FileVersion;
