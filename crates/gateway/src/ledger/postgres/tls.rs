//! TLS to PostgreSQL, as to everything else here: rustls, the system's roots, the server's name checked.
//!
//! Border: wraps a stream; whether it is wanted at all is `address`.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, DEFAULT_VERSIONS};
use rustls_platform_verifier::Verifier;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream as Stream;

use super::super::db::{self, Failed};
use super::address::Address;

/// Makes a connection's TLS; none for an address that wants none.
#[derive(Clone)]
pub struct Tls(Option<TlsConnector>);

impl Tls {
    /// # Errors
    /// When the roots cannot be read.
    pub fn new(address: &Address) -> db::Result<Self> {
        if !address.wants_tls() {
            return Ok(Self(None));
        }
        let unfit =
            |error: &dyn std::error::Error| Failed::Unfit(format!("TLS cannot be set up: {error}"));
        let mut roots = Vec::new();
        if let Some(path) = address.roots() {
            let read = CertificateDer::pem_file_iter(path)
                .and_then(Iterator::collect::<Result<Vec<_>, _>>);
            roots = read.map_err(|error| {
                Failed::Unfit(format!("{} cannot be read: {error}", path.display()))
            })?;
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = Verifier::new_with_extra_roots(roots, Arc::clone(&provider))
            .map_err(|error| unfit(&error))?;
        let config =
            ClientConfig::builder_with_provider(provider).with_protocol_versions(DEFAULT_VERSIONS);
        let config = config.map_err(|error| unfit(&error))?.dangerous();
        let mut config = config
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        config.alpn_protocols = vec![b"postgresql".to_vec()];
        Ok(Self(Some(TlsConnector::from(Arc::new(config)))))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> MakeTlsConnect<S> for Tls {
    type Stream = Wrapped<S>;
    type TlsConnect = Handshake;
    type Error = rustls::pki_types::InvalidDnsNameError;

    fn make_tls_connect(&mut self, domain: &str) -> Result<Handshake, Self::Error> {
        // A Unix socket has no name, and no TLS.
        let name = if self.0.is_some() {
            Some(ServerName::try_from(domain)?.to_owned())
        } else {
            None
        };
        Ok(Handshake {
            connector: self.0.clone(),
            name,
        })
    }
}

pub struct Handshake {
    connector: Option<TlsConnector>,
    name: Option<ServerName<'static>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> TlsConnect<S> for Handshake {
    type Stream = Wrapped<S>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Wrapped<S>>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        Box::pin(async move {
            match (self.connector, self.name) {
                (Some(connector), Some(name)) => {
                    Ok(Wrapped(connector.connect(name, stream).await?))
                }
                _ => Err(io::ErrorKind::Unsupported.into()),
            }
        })
    }
}

pub struct Wrapped<S>(Stream<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream for Wrapped<S> {
    /// The certificate is checked; the password's exchange is not bound to it besides.
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Wrapped<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_read(cx, into)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wrapped<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().0).poll_write(cx, from)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_shutdown(cx)
    }
}
