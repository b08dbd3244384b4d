//! Part files: one file for each part, named by a UUID, never by a key.
//!
//! Not here: the rows that name the files, in [`crate::manifest`]. A file is valid once a committed
//! row names it.
//!
//! | state | path | leads to |
//! |---|---|---|
//! | draft | `tmp/NAME` | published: new; dropped, or a crash: removed |
//! | new | `parts/NN/NAME`, no row | a commit: referenced; dropped: removed; a crash: lost |
//! | referenced | `parts/NN/NAME`, a row | a commit that deletes the row: freed |
//! | freed | `parts/NN/NAME`, no row | no reader holds it: removed; a crash: lost |
//! | lost | `lost/NAME` | after 7 days: removed |
//!
//! | file | |
//! |---|---|
//! | `name` | the name of a part file |
//! | `directory` | the directories, removal, and the files that no row names |
//! | `background` | the threads that remove and flush files |
//! | `draft` | writes a file |
//! | `read` | reads files, and holds them while they are read |

mod background;
mod directory;
mod draft;
mod name;
mod read;

pub use directory::PartFiles;
pub use draft::{Draft, NewPartFile};
pub use name::FileName;
pub use read::{ReadHold, read};
