//! A proxy that counts requests and injects faults: between a client and its gateway, a client and
//! the store, or a gateway and its store.
//!
//! ```text
//! proxy.inject(Requests::part(3).first(2), Fault::ResetAfter { bytes: 1000 });
//! //           the selected requests       the fault
//! ```
//!
//! | [`Requests`] | selects by |
//! |---|---|
//! | `put`, `part(n)` | parts |
//! | `info`, `begin`, `batch`, `claim`, `sign`, `parts`, `complete`, `abort` | the gateway's API |
//! | `store_create`, `store_list`, `store_complete`, `store_head` | S3's operations |
//! | `get`, `post`, `any` | method and path |
//! | `.with_text(text)` | a text in the request line or a header |
//! | `.nth(n)`, `.first(n)`, `.after(n)` | the order among these |
//!
//! | [`Fault`] | effect |
//! |---|---|
//! | `CutAfter`, `ResetAfter`, `FinAfter`, `StallAfter` | the connection is closed, reset, or stalls |
//! | `Trickle`, `TrickleResponse`, `Delay`, `Hold`, `PadResponse`, `KeepOpen` | it is slow |
//! | `FlipBit`, `RemoveHeader`, `SetHeader`, `ReplaceText` | a message is changed |
//! | `Respond`, `EarlyResponse`, `ReplaceResponse`, `DropResponse` | another response, or none |
//! | `DeliverTwice`, `DeliverLater` | the request arrives twice, or late |
//!
//! [`Proxy::throttle`] and [`Proxy::block_after`] limit all request bodies;
//! [`Proxy::stop_listening`] closes the port.
//!
//! Not here: TLS and HTTP/2. Each connection is HTTP/1.1 over loopback TCP and has its own thread.
//! Heads are relayed unchanged, so that signatures stay valid.

mod fault;
mod flow;
mod message;
mod relay;
mod requests;
mod response;
mod server;
mod shared;
mod traffic;

#[allow(unused_imports, reason = "each test binary uses a part of it")]
pub use fault::{ConnectionEnd, Fault, WHOLE_BODY};
#[allow(unused_imports, reason = "each test binary uses a part of it")]
pub use requests::Requests;
#[allow(unused_imports, reason = "each test binary uses a part of it")]
pub use response::Response;
pub use server::Proxy;
#[allow(unused_imports, reason = "each test binary uses a part of it")]
pub use traffic::{Exchange, Traffic};
