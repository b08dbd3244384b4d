//! Clients that open connections and then neither send nor read: they do not take the gateway away
//! from others.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketType};

use crate::support::gateway::Gateway;
use crate::support::raw_http;
use crate::support::wait::until;

/// More than the connections that the gateway keeps open.
const CONNECTIONS: usize = 520;

/// A connection with a receive buffer that a response does not fit into.
fn connect_with_small_buffer(addr: SocketAddr) -> TcpStream {
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    rustix::net::sockopt::set_socket_recv_buffer_size(&socket, 4096).unwrap();
    rustix::net::connect(&socket, &addr).unwrap();
    TcpStream::from(socket)
}

/// Keeps more connections open than the gateway keeps, in a thread, until it is dropped.
struct Attack {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Attack {
    /// Sends `text` on each connection. Opens those again that the gateway closes. Returns once all
    /// have been opened and those that were closed meanwhile have been opened again.
    fn start(addr: SocketAddr, text: String) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let (opened, all_opened) = mpsc::channel();
        let stop = Arc::clone(&is_over);
        let thread = thread::spawn(move || {
            let open = || {
                let mut connection = connect_with_small_buffer(addr);
                // The gateway may have closed it already.
                let _ = connection.write_all(text.as_bytes());
                connection.set_nonblocking(true).unwrap();
                connection
            };
            let mut connections: Vec<TcpStream> = (0..CONNECTIONS).map(|_| open()).collect();
            while !stop.load(Ordering::Relaxed) {
                for connection in &mut connections {
                    let is_open = match connection.peek(&mut [0]) {
                        Ok(count) => count > 0,
                        Err(error) => error.kind() == io::ErrorKind::WouldBlock,
                    };
                    if !is_open {
                        *connection = open();
                    }
                }
                let _ = opened.send(());
                // The pace of the attack, not a synchronisation.
                thread::sleep(Duration::from_millis(20));
            }
        });
        for _ in 0..10 {
            all_opened.recv().unwrap();
        }
        let thread = Some(thread);
        Self { is_over, thread }
    }
}

impl Drop for Attack {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn responds(addr: SocketAddr, path: &str) -> Option<()> {
    let response = raw_http::try_get(addr, path, &[]).ok()?;
    (response.status == 200).then_some(())
}

fn assert_serves(addr: SocketAddr) {
    for path in ["/healthz", "/readyz", "/v1"] {
        until(&format!("{path} responds"), || responds(addr, path));
    }
}

/// Uploads an object; returns the path at which this gateway serves it.
fn uploaded_object(gateway: &Gateway, size: usize) -> String {
    let (sandbox, url) = (gateway.sandbox(), gateway.url());
    let file = sandbox.file("a.bin", size as u64);
    let put = sandbox.upload(["put", "--backend", &url]).arg(&file);
    put.run().succeeds();
    let read = sandbox.upload(["url", "--backend", &url]).arg(&file);
    let read = read.run().succeeds();
    let (_, path) = read
        .line()
        .split_once(&*url)
        .expect("a URL of this gateway");
    path.to_owned()
}

#[test]
fn clients_that_do_not_read_do_not_take_the_gateway() {
    let gateway = Gateway::start(&[], &[]);
    let path = uploaded_object(&gateway, 8 << 20);
    let request = format!("GET {path} HTTP/1.1\r\nhost: {}\r\n\r\n", gateway.addr());
    let attack = Attack::start(gateway.addr(), request);
    assert_serves(gateway.addr());
    drop(attack);
}

#[test]
fn refused_http2_connections_do_not_take_the_gateway() {
    // The preface, and SETTINGS with an initial window of 0. The gateway speaks HTTP/1.1 only.
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\
                   \0\0\u{6}\u{4}\0\0\0\0\0\0\u{4}\0\0\0\0";
    let gateway = Gateway::start(&[], &[]);
    let attack = Attack::start(gateway.addr(), preface.to_owned());
    assert_serves(gateway.addr());
    drop(attack);
}

#[test]
fn metrics_answer_while_clients_do_not_read_them() {
    let gateway = Gateway::start(&["--metrics-listen", "127.0.0.1:0"], &[]);
    let addr = gateway.metrics_addr();
    let request = format!("GET /metrics HTTP/1.1\r\nhost: {addr}\r\n\r\n");
    let attack = Attack::start(addr, request.repeat(100));
    until("the metrics respond", || responds(addr, "/metrics"));
    drop(attack);
}

#[test]
fn slow_reader_of_an_object_gets_all_of_it_in_quiet_times() {
    const SIZE: usize = 1 << 20;
    let gateway = Gateway::start(&[], &[]);
    let path = uploaded_object(&gateway, SIZE);
    let mut connection = connect_with_small_buffer(gateway.addr());
    write!(
        connection,
        "GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n",
        gateway.addr()
    )
    .unwrap();
    let (mut buffer, mut count) = (vec![0; SIZE / 8], 0);
    loop {
        // The pace of a slow client, not a synchronisation.
        thread::sleep(Duration::from_millis(2));
        match connection.read(&mut buffer).unwrap() {
            0 => break,
            read => count += read,
        }
    }
    assert!(count > SIZE, "{count}");
}
