//! A port that no other program gets, while nothing listens on it.

use std::net::{SocketAddr, SocketAddrV4};
use std::os::fd::OwnedFd;

use rustix::net::sockopt::set_socket_reuseaddr;
use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket};

/// A port of the loopback address. Connections to it are refused until a program listens there that
/// was given its number. A dropped value releases it.
pub struct ReservedPort {
    addr: SocketAddr,
    _socket: OwnedFd,
}

impl ReservedPort {
    #[track_caller]
    pub fn new() -> Self {
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        // Two sockets with this option may have the same port as long as one of them listens. The
        // system gives the port to no program that asks for any free one.
        set_socket_reuseaddr(&socket, true).unwrap();
        bind(&socket, &SocketAddrV4::new([127, 0, 0, 1].into(), 0)).unwrap();
        let addr = getsockname(&socket).unwrap().try_into().unwrap();
        Self {
            addr,
            _socket: socket,
        }
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }
}
