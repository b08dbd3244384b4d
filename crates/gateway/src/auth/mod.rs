//! Authentication: finds the owner of a request by an API token of the ledger, by a JSON Web Token
//! of an issuer, or by its origin on this machine.
//!
//! Not here: permissions. Every query of the ledger names the owner.

mod authenticator;
mod config;
mod glob;
mod issuer;
mod jwk;
mod jwks;
mod jwt;
mod key_refresh;
mod push_secret;
mod request;
mod tokens;

pub use authenticator::{Authenticator, Owner};
pub use config::Auth;
pub use issuer::{Algorithm, Issuer};
pub use push_secret::PushSecret;
pub use request::has_json_body;
