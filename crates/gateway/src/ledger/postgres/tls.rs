//! TLS to PostgreSQL: rustls with the system's certificate authorities. The server's name is
//! verified.
//!
//! Not here: the decision whether to use TLS (`address`).

use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, DEFAULT_VERSIONS};
use rustls_platform_verifier::Verifier;

use super::address::PostgresAddress;
use crate::ledger::sql::{Result, SqlError};

/// The TLS settings for connections to an address: trusts the system's certificate authorities, and
/// those in `sslrootcert`.
///
/// # Errors
/// [`SqlError::Config`] if certificate authorities cannot be read.
pub(super) fn client_config(address: &PostgresAddress) -> Result<ClientConfig> {
    let failed = |error: &dyn std::error::Error| {
        SqlError::Config(format!("could not set up TLS to the database: {error}"))
    };
    let mut authorities = Vec::new();
    if let Some(path) = address.root_certificates() {
        authorities = CertificateDer::pem_file_iter(path)
            .and_then(Iterator::collect::<std::result::Result<Vec<_>, _>>)
            .map_err(|error| {
                SqlError::Config(format!("could not read {}: {error}", path.display()))
            })?;
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = Verifier::new_with_extra_roots(authorities, Arc::clone(&provider))
        .map_err(|error| failed(&error))?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(DEFAULT_VERSIONS)
        .map_err(|error| failed(&error))?;
    let mut config = builder
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"postgresql".to_vec()];
    Ok(config)
}
