//! The embedded store over HTTP: signed requests and presigned URLs against a real listener.
//! Everything that an S3 client can observe, and the files in the store's directory.
//!
//! Not here: the gateway in front of it (`tests/gateway_api`).
//!
//! | file | subject |
//! |---|---|
//! | `client` | a store with a client |
//! | `signatures` | signed headers, keys, expiry |
//! | `parts` | sending, copying and listing parts |
//! | `etags`, `checksums` | the ETags and checksums of every kind |
//! | `complete` | completing and aborting uploads |
//! | `objects` | whole objects |
//! | `copies`, `deletions` | copies and deletions |
//! | `forms` | forms of browsers |
//! | `requests` | sub-resources, XML bodies, elements of each response |
//! | `bucket` | the bucket, and the attributes of objects |
//! | `listings` | listings of objects and uploads |
//! | `directory` | opening the store; the files in its directory |
//! | `presence` | objects and parts whose files are gone |
//! | `log` | the log |

#![cfg(feature = "gateway")]

mod bucket;
mod checksums;
mod client;
mod complete;
mod copies;
mod deletions;
mod directory;
mod etags;
mod forms;
mod listings;
mod log;
mod objects;
mod parts;
mod presence;
mod requests;
mod signatures;
