//! Clients that open connections and then neither send nor read: they do not take the gateway away
//! from others.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
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

/// Opens more connections than the gateway keeps, and sends `text` on each.
fn attack(addr: SocketAddr, text: &str) -> Vec<TcpStream> {
    (0..CONNECTIONS)
        .map(|_| {
            let mut connection = connect_with_small_buffer(addr);
            // The gateway may have closed it already.
            let _ = connection.write_all(text.as_bytes());
            connection
        })
        .collect()
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

#[test]
fn clients_that_do_not_read_do_not_take_the_gateway() {
    let gateway = Gateway::start(&[], &[]);
    let request = format!(
        "GET /openapi.json HTTP/1.1\r\nhost: {}\r\n\r\n",
        gateway.addr()
    );
    let attackers = attack(gateway.addr(), &request.repeat(8));
    assert_serves(gateway.addr());
    drop(attackers);
}

#[test]
fn idle_http2_connections_do_not_take_the_gateway() {
    // The preface, SETTINGS with an initial window of 0, and no request that is ever read.
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\
                   \0\0\u{6}\u{4}\0\0\0\0\0\0\u{4}\0\0\0\0";
    let gateway = Gateway::start(&[], &[]);
    let attackers = attack(gateway.addr(), preface);
    assert_serves(gateway.addr());
    drop(attackers);
}

#[test]
fn metrics_answer_while_clients_do_not_read_them() {
    let gateway = Gateway::start(&["--metrics-listen", "127.0.0.1:0"], &[]);
    let addr: SocketAddr = until("`metrics on http://…`", || {
        let stderr = gateway.stderr();
        let (_, rest) = stderr.split_once("metrics on http://")?;
        rest.split_once("/metrics\n")?.0.parse().ok()
    });
    let request = format!("GET /metrics HTTP/1.1\r\nhost: {addr}\r\n\r\n");
    let attackers = attack(addr, &request.repeat(100));
    until("the metrics respond", || responds(addr, "/metrics"));
    drop(attackers);
}

#[test]
fn slow_reader_of_an_object_gets_all_of_it_in_quiet_times() {
    const SIZE: usize = 1 << 20;
    let gateway = Gateway::start(&["--auth", "none"], &[]);
    let file = gateway.sandbox().file("a.bin", SIZE as u64);
    let url = gateway.url();
    let put = gateway
        .sandbox()
        .upload(["put", "--backend", &url])
        .arg(&file);
    put.run().succeeds();
    let key = gateway.store().objects().remove(0);
    let read = gateway
        .sandbox()
        .upload(["url", "--backend", &url])
        .arg(&file)
        .run()
        .succeeds();
    assert!(read.line().contains(&key), "{}", read.line());
    let path = read
        .line()
        .split_once(&url[..])
        .expect("a URL of this gateway")
        .1
        .to_owned();
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
        std::thread::sleep(Duration::from_millis(2));
        match connection.read(&mut buffer).unwrap() {
            0 => break,
            read => count += read,
        }
    }
    assert!(count > SIZE, "{count}");
}
