//! The journal: a SQLite file with every upload that this user has begun, its parts, and its
//! receipt. It is written before an effect that must not be lost, and after an effect that the
//! client can find out again. It never holds a URL or a token.
//!
//! Not here: decisions (`transfer`).
//!
//! | file | |
//! |---|---|
//! | `schema`, `columns` | the tables; columns that hold JSON |
//! | `s3_service` | [`S3Service`]: how the bucket of an `s3://` backend was reached |
//! | `stream_terms` | [`StreamTerms`]: how a stream is cut into parts |
//! | `state` | the states of an upload and their transitions |
//! | `journal_directory_check`, `process_lock` | the owner of the directory; the process that drives an upload |
//! | `database` | [`Journal`]: the file, its transactions, their durability |
//! | `compact` | gives unused space back to the file system |
//! | `backends`, `receipts` | rows that many uploads refer to |
//! | `parts` | [`Part`] |
//! | `record` | [`Record`]: a change of an upload or a part |
//! | `uploads` | [`Upload`]: creating, taking over, finding |
//! | `file_sets` | [`FileSet`]: the files of one `put` of directories or lists |

mod backends;
mod columns;
mod compact;
mod database;
mod file_sets;
mod journal_directory_check;
mod parts;
mod process_lock;
mod receipts;
mod record;
mod s3_service;
mod schema;
mod state;
mod stream_terms;
mod uploads;

#[cfg(test)]
mod tests;

pub use database::Journal;
pub use file_sets::{FileSet, SetIntent, SetProgress};
pub use parts::Part;
pub use record::Record;
pub use s3_service::S3Service;
pub use state::State;
pub use stream_terms::StreamTerms;
pub use uploads::{Intent, Upload};
