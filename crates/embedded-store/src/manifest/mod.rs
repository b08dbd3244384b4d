//! The manifest: the open uploads, parts and objects of the store, in SQLite; and the order in
//! which rows and part files change.
//!
//! Not here: their meaning for S3, in [`crate::multipart`], [`crate::objects`] and
//! [`crate::listing`].
//!
//! | file | |
//! |---|---|
//! | `schema` | the tables |
//! | `rows` | the types of rows |
//! | `queries` | the SQL of reads |
//! | `changes` | the SQL of writes, and the part files that they add and free |
//! | `database` | [`Manifest`]: runs them in transactions |

mod changes;
mod database;
mod queries;
mod rows;
mod schema;

pub use changes::Changes;
pub use database::{Manifest, Recovery};
pub use queries::Queries;
pub use rows::{Attributes, Digests, Object, Part, Upload};
