//! A client of S3-compatible stores, as a gateway needs it: presigned URLs for clients, control
//! calls for the gateway, and a probe of the capabilities of a store.
//!
//! Not here: the meaning of a response for the state of an upload, which the gateway decides. The
//! embedded store is called like any other, over loopback.
//!
//! # Invariants
//!
//! - A capability is never inferred from the name or version of a store. It follows from the
//!   store's response to a wrong request (`probe`).
//! - A presigned URL binds the length of its body and, depending on the proof, its hash by signed
//!   headers, never by query parameters, which S3 ignores.
//! - A success requires a complete document. An error document with status 200 is an error.
//! - A complete that reports success proves nothing: [`Store::head`] verifies the object.
//! - A key that an HTTP library or a proxy could rewrite has no URL.
//! - A presigned URL expires before the credential that signed it.
//! - No error, log line or `Debug` text shows a secret or a presigned URL.
//!
//! # Example
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//! use upload_net::Network;
//! use upload_s3::{NewObject, Settings, Store, WriteCondition, unobserved};
//! use upload_types::wire::Attributes;
//!
//! let store = Store::new(Settings {
//!     bucket: "media".into(),
//!     prefix: String::new(),
//!     endpoint: Some("http://127.0.0.1:9000".parse()?),
//!     public_endpoint: None,
//!     region: None,
//!     path_style: true,
//!     keys: Some(("access key".into(), "secret".into())),
//!     create_headers: [].into(),
//!     embedded: false,
//!     cdn: None,
//!     network: Network::default(),
//!     observer: unobserved,
//! })?;
//! let key = "uploads/owner/holiday.mov".parse()?;
//! let metadata = [].into();
//! let object = NewObject {
//!     content_type: "video/quicktime",
//!     name: "holiday.mov",
//!     token: "token",
//!     metadata: &metadata,
//!     attributes: &Attributes::NONE,
//! };
//! let upload_id = store.create(&key, &object).await.map_err(|fault| fault.to_string())?;
//! let parts = []; // the number, size and SHA-256 of each part
//! let urls = store.sign_parts(&key, &upload_id, &parts, |_size| Duration::from_mins(15)).await;
//! // A client sends the parts; then:
//! let etags = []; // the number, ETag and SHA-256 of each part
//! let size = 0;
//! let completed = store
//!     .complete(&key, &upload_id, &etags, size, WriteCondition::Absent)
//!     .await;
//! let head = store.head(&key).await;
//! # Ok(())
//! # }
//! ```
//!
//! # Files
//!
//! The lowest layer is first: each file imports only those above it in the table.
//!
//! | file | |
//! |---|---|
//! | `fault`, `settings`, `observer` | the error; the settings; the callback for metrics |
//! | `profile` | capabilities of a store, and their meaning |
//! | `condition` | the condition of a write |
//! | `size_limits` | sizes that stores allow, by host |
//! | `uri` | percent-encoding |
//! | `attribute_headers`, `object_headers`, `header_comparison` | the headers of an object, and their comparison with the requested ones |
//! | `content_disposition` | the file name of a download |
//! | `xml`, `response`, `multipart_responses` | documents; the fault in a response; its content |
//! | `transport` | sends a request |
//! | `aws` | configuration, endpoints and credentials by the conventions of AWS |
//! | `bucket_url`, `region` | the URLs of bucket and objects; the region |
//! | `signing` | Signature Version 4, credentials, presigned URLs |
//! | `client` | signed control calls |
//! | `sqs` | a queue with the store's events |
//! | `store` | [`Store`]: one bucket |
//! | `multipart`, `objects`, `object_parts`, `copy`, `deletion` | the operations of [`Store`] |
//! | `preflight` | checks permissions, and the endpoint for clients |
//! | `probe` | finds out the capabilities of a store |

#![warn(clippy::print_stdout, clippy::print_stderr)]

mod attribute_headers;
mod aws;
mod bucket_url;
mod client;
mod clock;
mod condition;
mod content_disposition;
mod copy;
mod deletion;
mod fault;
mod header_comparison;
mod listing;
mod multipart;
mod multipart_responses;
mod object_headers;
mod object_parts;
mod objects;
mod observer;
mod preflight;
mod probe;
mod profile;
mod region;
mod response;
mod settings;
mod signing;
mod size_limits;
mod sqs;
mod store;
mod transport;
mod uri;
mod xml;

pub use aws::{ConfiguredEndpoint, SharedConfig};
pub use condition::WriteCondition;
pub use content_disposition::attachment;
pub use copy::{CopiedPart, CopySource};
pub use deletion::{DeleteCondition, Deletion};
pub use fault::{Fault, Place, Rejection};
pub use header_comparison::HeaderDifferences;
pub use listing::{ListedObject, ObjectPage};
pub use multipart::Marker;
pub use multipart_responses::{parse_complete, parse_create, parse_list};
pub use object_headers::{Head, NewObject};
pub use objects::SignedForm;
pub use observer::{CallOutcome, Observer, unobserved};
pub use preflight::PublicEndpoint;
pub use probe::ProbeDepth;
pub use profile::{Capability, Finding, Profile, Support};
pub use settings::Settings;
pub use sqs::{Message, Queue};
pub use store::Store;
pub use upload_net::Response;
