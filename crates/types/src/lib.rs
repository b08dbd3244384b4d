//! The types, the messages of the HTTP API, and the errors that client and gateway share.
//!
//! Values that must have a fixed form have types that check it: a [`Sha256`] is 32 bytes, an
//! [`UploadId`] has no slash, and the formatters of a [`Token`] do not show it.
//!
//! | module | content |
//! |---|---|
//! | [`wire`] | the JSON of the HTTP API, version 1, and its table of errors |
//! | [`attributes`] | the headers and tags that a client may choose for an object |
//! | [`metadata`] | the size of user metadata |
//! | [`plan`], [`schedule`] | how a file, or a stream of unknown size, is cut into parts |
//! | [`CompactReceipt`], [`UuidForm`] | forms of receipts and ids in databases |
//! | [`error`] | kinds of errors and exit codes |
//! | [`backoff`] | delays between attempts |
//! | [`fair_share`] | a limited resource that several owners share |
//! | [`stream_waits`] | how long the producer of a stream and its reader wait for each other |
//! | [`saturating`] | conversions of integers that end at the maximum |
//! | [`sync`] | locks that are not poisoned |
//! | [`crash`] | points at which tests kill the process |
//!
//! Not here: I/O. Files, sockets and databases belong to the other crates.

#![warn(clippy::print_stdout, clippy::print_stderr)]

#[macro_use]
mod checked_text;
pub mod attributes;
pub mod backoff;
mod chosen_key;
mod compact_receipt;
mod compact_text;
pub mod crash;
mod digest;
mod disk_failure;
mod encoded_words;
pub mod error;
mod etag;
pub mod fair_share;
mod ids;
mod media_type;
pub mod metadata;
mod part_size;
pub mod plan;
pub mod saturating;
pub mod schedule;
#[cfg(feature = "schema")]
mod schema;
mod secrets;
pub mod stream_waits;
pub mod sync;
pub mod wire;

pub use checked_text::Invalid;
pub use chosen_key::{KeyForm, MAX_KEY_BYTES, normalised_key, usable_key};
pub use compact_receipt::{CommonFields, CompactReceipt, RowValues};
pub use compact_text::UuidForm;
pub use digest::{Checksum, Md5, Sha256};
pub use disk_failure::DiskFailure;
pub use encoded_words::{decode_words, encode_words};
pub use etag::ETag;
pub use ids::{Key, PartNumber, UploadId, new_id};
pub use media_type::{DEFAULT_CONTENT_TYPE, MediaType};
pub use plan::ByteRange;
pub use secrets::{SignedUrl, Token};
