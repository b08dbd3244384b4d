//! The functions of the fuzz targets. They call parsers and pure decisions only, without a network.
//!
//! | file | targets |
//! |---|---|
//! | `gateway` | `gateway_json`, `problem` |
//! | `store` | `store_xml`, `part_response` |
//! | `text` | `headers`, `presigned_url`, `content_disposition`, `terminal_text` |
//! | `plan`, `journal` | `plan`, `journal` |
//! | `common` | helpers of several targets |

mod common;
mod gateway;
mod journal;
mod plan;
mod store;
mod text;

pub use gateway::{gateway_json, problem};
pub use journal::journal;
pub use plan::plan;
pub use store::{part_response, store_xml};
pub use text::{content_disposition, headers, presigned_url, terminal_text};
