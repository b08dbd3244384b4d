//! Reads and writes the bytes of a connection, plain or TLS. Blocking.
//!
//! Not here: HTTP. See `connection`.

use std::error::Error;
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

pub type Tls = Arc<ServerConfig>;

/// The first byte of a TLS handshake.
const HANDSHAKE: u8 = 22;

/// # Errors
/// If the directory has no certificate and key.
pub fn load(dir: &Path) -> Result<Tls, Box<dyn Error>> {
    let certificates =
        CertificateDer::pem_file_iter(dir.join("server.pem"))?.collect::<Result<_, _>>()?;
    let key = PrivateKeyDer::from_pem_file(dir.join("server.key"))?;
    Ok(Arc::new(
        ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(certificates, key)?,
    ))
}

pub struct Wire {
    end: End,
    /// A buffer for bodies that the kernel cannot discard: those in TLS, and all on systems other
    /// than Linux.
    scratch: Vec<u8>,
}

enum End {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
}

impl Wire {
    pub fn new(stream: TcpStream, tls: Option<&Tls>) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let mut first = [0];
        let end = match tls {
            Some(config) if stream.peek(&mut first)? == 1 && first[0] == HANDSHAKE => {
                let session =
                    ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
                End::Tls(Box::new(StreamOwned::new(session, stream)))
            }
            _ => End::Plain(stream),
        };
        Ok(Self {
            end,
            scratch: Vec::new(),
        })
    }

    pub fn read(&mut self, block: &mut [u8]) -> io::Result<usize> {
        match &mut self.end {
            End::Plain(stream) => stream.read(block),
            End::Tls(stream) => stream.read(block),
        }
    }

    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.end {
            End::Plain(stream) => stream.write_all(bytes),
            End::Tls(stream) => stream.write_all(bytes),
        }
    }

    /// Closes the writing side, and limits the time of further reads.
    pub fn close(&mut self) -> io::Result<()> {
        let stream = match &mut self.end {
            End::Plain(stream) => stream,
            End::Tls(stream) => {
                stream.conn.send_close_notify();
                stream.flush()?;
                &mut stream.sock
            }
        };
        stream.shutdown(Shutdown::Write)?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))
    }

    /// Reads up to `most` bytes and discards them. Linux does not copy them (`MSG_TRUNC` in
    /// tcp(7)).
    pub fn throw_away(&mut self, most: u64) -> io::Result<u64> {
        let most = usize::try_from(most).unwrap_or(1 << 20);
        if self.scratch.len() < most {
            // Zeroed pages need no memory until they are written.
            self.scratch = vec![0; most];
        }
        let scratch = &mut self.scratch[..most];
        let len = match &mut self.end {
            End::Tls(stream) => stream.read(scratch)?,
            End::Plain(stream) => discard(stream, scratch)?,
        };
        Ok(len as u64)
    }
}

#[cfg(target_os = "linux")]
fn discard(stream: &TcpStream, scratch: &mut [u8]) -> io::Result<usize> {
    use rustix::io::Errno;
    use rustix::net::{RecvFlags, recv};
    loop {
        match recv(stream, &mut *scratch, RecvFlags::TRUNC | RecvFlags::WAITALL) {
            Err(Errno::INTR) => {}
            result => return Ok(result?.1),
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn discard(mut stream: &TcpStream, scratch: &mut [u8]) -> io::Result<usize> {
    stream.read(scratch)
}
