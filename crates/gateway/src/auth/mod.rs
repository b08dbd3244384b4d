//! Authentication: finds the owner of a request by an API token of the ledger or by a JSON Web
//! Token of an issuer; without tokens, every request to a loopback address has the same owner.
//! A claim of a JSON Web Token is a statement about its owner, such as `repository`.
//!
//! Not here: permissions. The ledger finds an upload for a caller only if the caller is its owner.

mod authenticator;
mod claims;
mod config;
mod glob;
mod issuer;
mod jwk;
mod jwks;
mod jwt;
mod key_refresh;
mod key_templates;
mod last_uses;
mod limit_rules;
mod owner;
mod push_secret;
mod request;
mod tokens;

pub use authenticator::Authenticator;
pub use config::Auth;
pub use issuer::{Algorithm, Issuer};
pub use last_uses::LastUses;
pub use limit_rules::LimitRule;
pub use owner::Owner;
pub use push_secret::PushSecret;
pub use request::has_json_body;
