//! The embedded store: an S3 server in the process of its gateway, with its data in a directory:
//! SQLite and part files. It has one bucket, and is called over HTTP only, like any other store.
//!
//! Not here: the S3 protocol and the verification of signatures, which the library `s3s` provides.
//!
//! # Invariants
//!
//! - Only one process has the directory open; it holds the lock until the last part file is closed.
//! - A part file is valid once a committed row names it. It is durable before that row.
//! - A part file is removed after the commit that deletes its row, once no reader holds it.
//! - Files that no row names after a crash are kept for seven days in `lost`.
//! - An object or part whose file is gone does not exist for clients; its row is kept.
//! - A body that is incomplete or not as announced leaves neither a row nor a file.
//! - Every `x-amz-*` header, and every header that an object keeps, is covered by the signature.
//! - No transaction is open while a body arrives or is sent.
//!
//! # Example
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::path::Path;
//! use std::time::Duration;
//! use upload_embedded_store::{BUCKET, Embedded, REGION};
//!
//! let store = Embedded::open(Path::new("store"), Duration::from_secs(10)).await?;
//! let router: axum::Router = axum::Router::new().fallback_service(store.service());
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! let (access_key, secret) = store.keys();
//! println!("http://{}/{BUCKET} in {REGION}, {access_key}", listener.local_addr()?);
//! # Ok(())
//! # }
//! ```
//!
//! # Data
//!
//! Each part is a file. An object is a row that names the parts of which it consists, so completing
//! an upload changes rows and copies no bytes. The directory contains `store.db` (the manifest),
//! `parts`, `tmp`, `lost`, `keys` and `lock`.
//!
//! | state | rows | leads to |
//! |---|---|---|
//! | open | `upload`, and `part` with its id | UploadPart: open; complete: object; abort: gone |
//! | object | `object`, and `part` with its id | DELETE: gone; PUT or complete at its key: replaced |
//! | gone, replaced | none | |
//!
//! Each transition is one transaction. An object keeps the id of its upload, so that the same
//! complete can be repeated. A copy of an object has parts of its own, whose files are links to
//! those of its source where the file system has links. The states of part files are in
//! `part_files`: a file is valid once a committed row names it, and is removed after the commit
//! that deletes the row.
//!
//! # Files
//!
//! The lowest layer is first: each file imports only those above it in the table.
//!
//! | file | |
//! |---|---|
//! | `error`, `bucket`, `time` | the error of an operation; names; conversions |
//! | `checksums` | the algorithms of S3 |
//! | `lock`, `access_keys` | the lock file; the key file |
//! | `body_headers`, `signed_headers`, `conditions` | checks of headers |
//! | `sub_resources` | checks of queries |
//! | `xml_body`, `form_fields` | verify the XML body of a request, and the fields of a form |
//! | `part_files` | the part files |
//! | `manifest` | the database |
//! | `etag` | the ETags of parts and objects |
//! | `complete` | decides a `CompleteMultipartUpload` |
//! | `object_fields` | fields of S3's inputs and outputs |
//! | `form_body` | splits a form into its fields and its file |
//! | `receive_body` | receives, verifies and writes a body |
//! | `store` | manifest and part files together |
//! | `presence` | objects and parts whose files are on the disk |
//! | `listing`, `objects`, `forms`, `multipart` | the operations |
//! | `copies`, `deletions`, `object_attributes`, `bucket_operations` | further operations |
//! | `operations` | the table of operations for s3s |
//! | `response` | what every response has |
//! | `service` | the HTTP service |
//! | `open` | opens the store |

#![warn(clippy::print_stdout, clippy::print_stderr)]

mod access_keys;
mod body_headers;
mod bucket;
mod bucket_operations;
mod checksums;
mod complete;
mod conditions;
mod copies;
mod deletions;
mod error;
mod etag;
mod form_body;
mod form_fields;
mod forms;
mod listing;
mod lock;
mod manifest;
mod multipart;
mod object_attributes;
mod object_fields;
mod objects;
mod open;
mod operations;
mod part_files;
mod presence;
mod receive_body;
mod response;
mod service;
mod signed_headers;
mod store;
mod sub_resources;
mod time;
mod xml_body;

pub use bucket::{BUCKET, REGION};
pub use lock::lock_holder;
pub use open::Embedded;
pub use service::Service;
