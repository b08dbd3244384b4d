//! The bytes of a connection, plain or in TLS.
//!
//! Border: blocking; what the bytes mean is `connection`'s.

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

/// The first byte of a handshake.
const HANDSHAKE: u8 = 22;

/// # Errors
/// When the directory holds no certificate and key.
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
    /// What is thrown away here: in TLS, and by kernels that do not do it themselves.
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

    /// Says that nothing more is written; what is read from now on must come soon.
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

    /// Waits for up to so many bytes and throws them away; Linux does so without copying them (see tcp(7)).
    pub fn throw_away(&mut self, most: u64) -> io::Result<u64> {
        let most = usize::try_from(most).unwrap_or(1 << 20);
        if self.scratch.len() < most {
            // Zeroed pages that nobody writes to take no memory.
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
            told => return Ok(told?.1),
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn discard(mut stream: &TcpStream, scratch: &mut [u8]) -> io::Result<usize> {
    stream.read(scratch)
}
