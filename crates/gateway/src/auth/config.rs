//! The configured authentication of callers.

use super::issuer::Issuer;
use upload_types::Token;

/// How callers of the API authenticate.
#[derive(Debug, Clone)]
pub enum Auth {
    /// Without authentication: all callers are one owner. Permitted on loopback only.
    None,
    /// With an API token of the ledger.
    Tokens,
    /// With a token of one of these issuers; if `tokens` is set, also with an API token of the
    /// ledger.
    Jwt { issuers: Vec<Issuer>, tokens: bool },
    /// With this token, which was created for one run of one process.
    Private(Token),
}
