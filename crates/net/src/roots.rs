//! The certificate authorities that clients trust.
//!
//! Not here: proxies (`network`).

use reqwest::{Certificate, Client, ClientBuilder};

/// The certificate authorities that a client trusts: those of the system (or of Mozilla, if the
/// system has none), and additional ones.
#[derive(Debug, Clone, Default)]
pub struct Roots {
    additional: Vec<Certificate>,
}

impl Roots {
    /// The authorities of the system, and those of a PEM bundle.
    ///
    /// # Errors
    /// The reason, as text, if the bundle cannot be used.
    pub fn with_pem_bundle(pem: &[u8]) -> Result<Self, String> {
        let additional =
            Certificate::from_pem_bundle(pem).map_err(|error| error.without_url().to_string())?;
        if additional.is_empty() {
            return Err("the file contains no certificate".into());
        }
        Ok(Self { additional })
    }

    /// Builds a client that trusts these authorities. `builder` is called twice if the system has
    /// none.
    ///
    /// # Errors
    /// The TLS library cannot be set up.
    pub fn build(&self, builder: impl Fn() -> ClientBuilder) -> reqwest::Result<Client> {
        let additional = || self.additional.iter().cloned();
        builder()
            .tls_certs_merge(additional())
            .build()
            .or_else(|_| {
                // Minimal containers have no certificate authorities.
                tracing::info!("the system has no certificate authorities: using those of Mozilla");
                let mozilla = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter();
                let mozilla = mozilla.filter_map(|der| Certificate::from_der(der).ok());
                builder()
                    .tls_certs_only(mozilla.chain(additional()))
                    .build()
            })
    }
}
